"""Neighbourhood grey tone difference (NGTDM), 3D. Source: IBSI-1, section 3.10, arXiv:1612.07003."""

import numpy as np

MOST = 1e6  # coarseness of a region without any difference, as IBSI defines


def neighbourhood_features(levels: np.ndarray, count: int) -> dict[str, float]:
    """Grey tone difference features of one region, distance 1.

    Args:
        levels: Discretised intensities 1..count, 0 outside the region, shape (z, y, x).
        count: Number of grey levels.

    Returns:
        Name to value, without unit. A region without neighbours has 0 but for coarseness.
    """
    small = np.int16 if count * 27 < 2**15 else np.int32  # holds the sum of 27 levels
    inside = levels > 0
    neighbours = _box_sum(inside.astype(small)) - inside
    total = _box_sum(levels.astype(small)) - levels
    valid = np.flatnonzero(inside & (neighbours > 0))
    level = levels.ravel()[valid]
    difference = np.abs(level - total.ravel()[valid] / neighbours.ravel()[valid].astype(np.float64))
    times = np.bincount(level, minlength=count + 1)[1:].astype(np.float64)
    s = np.bincount(level, weights=difference, minlength=count + 1)[1:]
    n = max(1.0, times.sum())
    return _features(times / n, s, n)


def _features(p: np.ndarray, s: np.ndarray, n: float) -> dict[str, float]:
    i = np.flatnonzero(p) + 1.0
    p, s = p[p > 0], s[np.flatnonzero(p)]
    weighted = (p * s).sum()
    kinds = len(p)
    I, J = i[:, None], i[None, :]
    P, Q, S, T = p[:, None], p[None, :], s[:, None], s[None, :]
    spread = np.abs(I * P - J * Q).sum()
    contrast = (P * Q * (I - J) ** 2).sum() / (kinds * (kinds - 1)) * s.sum() / n if kinds > 1 else 0.0
    return {
        "coarseness": float(1 / weighted) if weighted > 1 / MOST else MOST,
        "contrast": float(contrast),
        "busyness": float(weighted / spread) if spread > 0 else 0.0,
        "complexity": float((np.abs(I - J) * (P * S + Q * T) / (P + Q)).sum() / n) if kinds else 0.0,
        "strength": float(((P + Q) * (I - J) ** 2).sum() / s.sum()) if s.sum() > 0 else 0.0,
    }


def _box_sum(array: np.ndarray) -> np.ndarray:
    """Sum over 3 x 3 x 3 voxels, zero outside, shape kept."""
    for axis in range(3):
        lines = np.moveaxis(array, axis, 0)
        total = lines.copy()
        total[1:] += lines[:-1]
        total[:-1] += lines[1:]
        array = np.moveaxis(total, 0, axis)
    return array

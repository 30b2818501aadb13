"""Grey level co-occurrence (GLCM), 3D, directions merged. Source: IBSI-1, section 3.6, arXiv:1612.07003."""

from itertools import product

import numpy as np

DIRECTIONS = tuple(d for d in product((-1, 0, 1), repeat=3) if d > (0, 0, 0))  # 13 of 26, one per pair


def shifted(array: np.ndarray, direction: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Two views of an array (z, y, x): a voxel, and its neighbour one step along the direction."""
    here = tuple(
        slice(max(0, -step), size - max(0, step)) for step, size in zip(direction, array.shape, strict=True)
    )
    there = tuple(
        slice(max(0, step), size - max(0, -step)) for step, size in zip(direction, array.shape, strict=True)
    )
    return array[here], array[there]


def cooccurrence(levels: np.ndarray, count: int) -> np.ndarray:
    """Symmetric matrix of neighbour pairs at distance 1, all directions added, shape (count, count).

    Args:
        levels: Discretised intensities 1..count, 0 outside the region, shape (z, y, x); one slice is 2D.
        count: Number of grey levels.
    """
    small = np.uint16 if (count + 1) ** 2 <= 2**16 else np.int64  # holds the number of a pair
    second = levels.astype(small)
    first = second * (count + 1)
    total = np.zeros((count + 1) ** 2, np.int64)
    for direction in DIRECTIONS:
        pairs = shifted(first, direction)[0] + shifted(second, direction)[1]
        total += np.bincount(pairs.ravel(), minlength=len(total))
    matrix = total.reshape(count + 1, count + 1)[1:, 1:]  # pairs with a voxel outside have level 0
    symmetric: np.ndarray = matrix + matrix.T
    return symmetric


def cooccurrence_features(levels: np.ndarray, count: int) -> dict[str, float]:
    """Co-occurrence features of one region; all 0 where it has no pair of neighbours.

    Args:
        levels: As for `cooccurrence`.
        count: Number of grey levels.

    Returns:
        Name to value; entropies in bits.
    """
    matrix = cooccurrence(levels, count)
    p = matrix / max(1, matrix.sum())
    i = np.arange(1, count + 1, dtype=np.float64)
    I, J = i[:, None], i[None, :]
    px = p.sum(axis=1)
    mean = (px * i).sum()
    variance = (px * (i - mean) ** 2).sum()
    difference = np.bincount(np.abs(I - J).astype(int).ravel(), weights=p.ravel(), minlength=count)
    k = np.arange(count, dtype=np.float64)
    sums = np.bincount((I + J).astype(int).ravel(), weights=p.ravel(), minlength=2 * count + 1)
    entropy = _entropy(p)
    information = _information(px, entropy)
    difference_average = (difference * k).sum()
    both = I + J - 2 * mean
    return {
        "joint_maximum": float(p.max()),
        "joint_average": float(mean),
        "joint_variance": float(variance),
        "joint_entropy": entropy,
        "difference_average": float(difference_average),
        "difference_variance": float((difference * (k - difference_average) ** 2).sum()),
        "difference_entropy": _entropy(difference),
        "sum_entropy": _entropy(sums),
        "angular_second_moment": float((p**2).sum()),
        "contrast": float((difference * k**2).sum()),
        "inverse_difference": float((difference / (1 + k)).sum()),
        "inverse_difference_moment": float((difference / (1 + k**2)).sum()),
        "inverse_variance": float((difference[1:] / k[1:] ** 2).sum()),
        "correlation": float(((p * I * J).sum() - mean**2) / variance) if variance > 1e-12 else 0.0,
        "autocorrelation": float((p * I * J).sum()),
        "cluster_tendency": float((p * both**2).sum()),
        "cluster_shade": float((p * both**3).sum()),
        "cluster_prominence": float((p * both**4).sum()),
        "information_correlation_1": information[0],
        "information_correlation_2": information[1],
    }


def _entropy(p: np.ndarray) -> float:
    present = p[p > 0]
    return float(-(present * np.log2(present)).sum()) + 0.0


def _information(px: np.ndarray, entropy: float) -> tuple[float, float]:
    """Both information correlations, where HXY1 = HXY2 = 2 HX because both margins are equal."""
    single = _entropy(px)
    independent = 2 * single  # of the product of two equal margins
    first = (entropy - independent) / single if single > 1e-12 else 0.0
    second = float(np.sqrt(max(0.0, 1 - np.exp(-2 * (independent - entropy)))))
    return float(first), second

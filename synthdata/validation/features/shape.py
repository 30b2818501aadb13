"""Size and shape of a region. Source: IBSI-1, section 3.1, arXiv:1612.07003 (those which need no mesh)."""

from collections.abc import Sequence

import numpy as np


def shape_features(region: np.ndarray, spacing_mm: Sequence[float]) -> dict[str, float]:
    """Volume, principal axes, voxel surface and position of one region.

    Args:
        region: Boolean voxels, shape (z, y, x), at least one True.
        spacing_mm: Distance of neighbours along z, y, x.

    Returns:
        Name to value: mm, mm2 and mm3; elongation and flatness without unit. The surface is that of the
        voxels' faces, which exceeds the mesh surface of IBSI by up to a half.
    """
    spacing = np.asarray(spacing_mm, np.float64)
    counts, centre, covariance = _moments(region)
    lines = [np.flatnonzero(region.any(axis=other)) for other in ((1, 2), (0, 2), (0, 1))]
    extent = np.array([line[-1] - line[0] + 1 for line in lines]) * spacing
    least, minor, major = np.sqrt(np.maximum(np.linalg.eigvalsh(covariance * np.outer(spacing, spacing)), 0))
    centre = centre * spacing
    return {
        "volume_mm3": float(counts * spacing.prod()),
        "surface_mm2": face_surface_mm2(region, spacing_mm),
        "major_axis_mm": float(4 * major),
        "minor_axis_mm": float(4 * minor),
        "least_axis_mm": float(4 * least),
        "elongation": float(minor / major) if major > 0 else 1.0,
        "flatness": float(least / major) if major > 0 else 1.0,
        **{f"centre_{axis}_mm": float(value) for axis, value in zip("zyx", centre, strict=True)},
        **{f"extent_{axis}_mm": float(value) for axis, value in zip("zyx", extent, strict=True)},
    }


def _moments(region: np.ndarray) -> tuple[int, np.ndarray, np.ndarray]:
    """Voxels of a region, their mean place (3,) and covariance (3, 3) in voxels, from its projections."""
    places = [np.arange(size, dtype=np.float64) for size in region.shape]
    shadows = {axis: region.sum(axis=axis, dtype=np.int32).astype(np.float64) for axis in range(3)}
    lines = (shadows[2].sum(axis=1), shadows[2].sum(axis=0), shadows[1].sum(axis=0))
    count = int(lines[0].sum())
    centre = np.array([line @ place / count for line, place in zip(lines, places, strict=True)])
    away = [place - mean for place, mean in zip(places, centre, strict=True)]
    covariance = np.diag([line @ (gap * gap) for line, gap in zip(lines, away, strict=True)])
    for axis, (first, second) in ((2, (0, 1)), (1, (0, 2)), (0, (1, 2))):
        covariance[first, second] = covariance[second, first] = away[first] @ shadows[axis] @ away[second]
    return count, centre, covariance / max(1, count - 1)


def face_surface_mm2(region: np.ndarray, spacing_mm: Sequence[float]) -> float:
    """Area of the voxel faces between a region (z, y, x) and its outside, beyond the array included."""
    framed = np.pad(region, 1)
    area = 0.0
    for axis in range(3):
        face = float(np.prod([mm for other, mm in enumerate(spacing_mm) if other != axis]))
        lines = np.moveaxis(framed, axis, 0)
        area += face * int(np.count_nonzero(lines[1:] != lines[:-1]))
    return area

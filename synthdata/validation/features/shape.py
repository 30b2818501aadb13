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
    points = np.argwhere(region) * spacing
    covariance = np.cov(points.T) if len(points) > 1 else np.zeros((3, 3))
    least, minor, major = np.sqrt(np.maximum(np.linalg.eigvalsh(covariance), 0))
    centre = points.mean(axis=0)
    extent = points.max(axis=0) - points.min(axis=0) + spacing
    return {
        "volume_mm3": float(len(points) * spacing.prod()),
        "surface_mm2": face_surface_mm2(region, spacing_mm),
        "major_axis_mm": float(4 * major),
        "minor_axis_mm": float(4 * minor),
        "least_axis_mm": float(4 * least),
        "elongation": float(minor / major) if major > 0 else 1.0,
        "flatness": float(least / major) if major > 0 else 1.0,
        **{f"centre_{axis}_mm": float(value) for axis, value in zip("zyx", centre, strict=True)},
        **{f"extent_{axis}_mm": float(value) for axis, value in zip("zyx", extent, strict=True)},
    }


def face_surface_mm2(region: np.ndarray, spacing_mm: Sequence[float]) -> float:
    """Area of the voxel faces between a region (z, y, x) and its outside, beyond the array included."""
    framed = np.pad(region, 1).astype(np.int8)
    area = 0.0
    for axis in range(3):
        face = float(np.prod([mm for other, mm in enumerate(spacing_mm) if other != axis]))
        area += face * int(np.abs(np.diff(framed, axis=axis)).sum())
    return area

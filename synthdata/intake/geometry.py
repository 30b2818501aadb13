"""Grids of scans, and one array put on another's grid."""

from typing import Literal

import numpy as np

from synthdata.errors import ShapeError
from synthdata.records.grid import Grid

HALF = 0.5 + 1e-6  # of a voxel, with what rounding adds
ORTHOGONAL = 1e-3  # largest cosine between two axes of a grid
RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def grid_of_affine(affine_ras: np.ndarray, shape_xyz: tuple[int, ...]) -> Grid:
    """Grid of a NIfTI array whose axes are turned to (z, y, x).

    Args:
        affine_ras: Matrix (4, 4) from voxel index (x, y, z, 1) to RAS in mm.
        shape_xyz: Shape of the array as stored.

    Raises:
        ShapeError: The axes are not orthogonal, or one has no length.
    """
    lps = RAS_TO_LPS @ np.asarray(affine_ras, dtype=np.float64)
    columns = lps[:3, [2, 1, 0]]  # array axes z, y, x
    lengths = np.linalg.norm(columns, axis=0)
    if not np.isfinite(lps).all() or lengths.min() <= 0:
        raise ShapeError("an affine has an axis without length: export the image again")
    axes = (columns / lengths).T
    cosines = axes @ axes.T - np.eye(3)
    if np.abs(cosines).max() > ORTHOGONAL:
        raise ShapeError("an affine is sheared: resample the image to orthogonal axes")
    return Grid(
        shape_zyx=(shape_xyz[2], shape_xyz[1], shape_xyz[0]),
        spacing_mm=_three(lengths),
        origin_mm=_three(lps[:3, 3]),
        direction=tuple(float(value) for value in axes.ravel()),  # type: ignore[arg-type] # nine of them
    )


def grid_of_slices(
    first_mm: np.ndarray,
    orientation: np.ndarray,
    spacing_yx: tuple[float, float],
    step_mm: float,
    shape: tuple[int, int, int],
) -> Grid:
    """Grid of sorted DICOM slices.

    Args:
        first_mm: LPS position of the first slice, shape (3,).
        orientation: LPS cosines of a row, then of a column, shape (6,).
        spacing_yx: Distance of rows and of columns in mm.
        step_mm: Distance of slices along the normal.
        shape: (z, y, x).
    """
    row, column = orientation[:3], orientation[3:]
    axes = np.stack([np.cross(row, column), column, row])
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    return Grid(
        shape_zyx=shape,
        spacing_mm=(float(step_mm), float(spacing_yx[0]), float(spacing_yx[1])),
        origin_mm=_three(first_mm),
        direction=tuple(float(value) for value in axes.ravel()),  # type: ignore[arg-type] # nine of them
    )


def _three(values: np.ndarray) -> tuple[float, float, float]:
    x, y, z = (float(value) for value in values)
    return x, y, z


def index_map(source: Grid, target: Grid) -> np.ndarray:
    """Matrix (4, 4) from voxel index (z, y, x, 1) of the target to that of the source."""
    matrix: np.ndarray = np.linalg.solve(source.affine, target.affine)
    return matrix


def overlaps(source: Grid, target: Grid) -> bool:
    """True where the bounding boxes of the two grids share space, in the axes of the target."""
    corners = np.concatenate([source.corners(), np.ones((8, 1))], axis=1)
    inside = np.linalg.solve(target.affine, corners.T)[:3]
    upper = np.asarray(target.shape_zyx)[:, None] - 0.5
    return bool((inside.max(axis=1) >= -0.5).all() and (inside.min(axis=1)[:, None] <= upper).all())


def resample(
    array: np.ndarray, source: Grid, target: Grid, *, order: Literal[0, 1], fill: float
) -> np.ndarray:
    """Values of an array on another grid.

    Args:
        array: Values (z, y, x) on the source grid.
        source: Grid of the array.
        target: Grid asked for.
        order: 0 nearest (masks), 1 linear (images).
        fill: Value outside the source, whose voxels reach half a voxel beyond their centres.

    Returns:
        Array of the target's shape; float32 for order 1, else the type of the array.
    """
    matrix = index_map(source, target)
    whole = np.rint(matrix)
    kind = array.dtype if order == 0 else np.dtype(np.float32)
    if np.allclose(matrix, whole, atol=1e-4) and np.allclose(np.abs(whole[:3, :3]).sum(axis=0), 1):
        return _shifted(array.astype(kind, copy=False), whole.astype(int), target.shape_zyx, fill)
    from scipy import ndimage

    resampled: np.ndarray = ndimage.affine_transform(
        np.asarray(array, dtype=kind),
        matrix[:3, :3],
        offset=matrix[:3, 3],
        output_shape=target.shape_zyx,
        order=order,
        mode="nearest",
        prefilter=False,
    )
    resampled[_outside(matrix, array.shape, target.shape_zyx)] = fill
    return resampled


def _outside(matrix: np.ndarray, source: tuple[int, ...], target: tuple[int, int, int]) -> np.ndarray:
    """Voxels (z, y, x) of the target whose centres lie in no voxel of the source; these reach half a voxel further."""
    z, y, x = np.ogrid[: target[0], : target[1], : target[2]]
    outside = np.zeros(target, dtype=bool)
    for row, length in zip(matrix, source, strict=False):
        place = row[0] * z + row[1] * y + (row[2] * x + row[3])
        outside |= (place < -HALF) | (place > length - 1 + HALF)
    return outside


def _shifted(array: np.ndarray, matrix: np.ndarray, shape: tuple[int, int, int], fill: float) -> np.ndarray:
    """The exact case: axes swapped or flipped, shifted by whole voxels; no interpolation, no loss."""
    axes = np.abs(matrix[:3, :3]).argmax(axis=0)  # source axis of each target axis
    turned = array.transpose(axes)
    result = np.full(shape, fill, dtype=array.dtype)
    here: list[slice] = []
    there: list[slice] = []
    for target_axis, source_axis in enumerate(axes):
        sign, shift = matrix[source_axis, target_axis], matrix[source_axis, 3]
        length = turned.shape[target_axis]
        index = np.arange(shape[target_axis]) * sign + shift
        inside = np.flatnonzero((index >= 0) & (index < length))
        if not inside.size:
            return result
        start, stop = index[inside[0]], index[inside[-1]] + sign
        here.append(slice(inside[0], inside[-1] + 1))
        there.append(slice(start, stop if stop >= 0 else None, sign))
    result[tuple(here)] = turned[tuple(there)]
    return result

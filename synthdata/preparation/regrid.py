"""One case from its native grid to that of the training set: turned, centred, cropped, resampled."""

from dataclasses import dataclass
from itertools import permutations
from typing import Literal

import numpy as np
from scipy import ndimage

from synthdata.records.grid import AXIAL, Grid
from synthdata.spec import GridSpec

SAME_SPACING = 1e-3  # relative difference below which voxels are copied and not interpolated


@dataclass(frozen=True, kw_only=True, slots=True)
class Regrid:
    """How one array is put on the training grid; axes are (z, y, x) of the target."""

    axes: tuple[int, int, int]  # array axis of the source which becomes each axis of the target
    flips: tuple[bool, bool, bool]  # whether that axis runs the other way
    scale: tuple[float, float, float]  # source voxels per target voxel
    offset: tuple[float, float, float]  # source index of target voxel 0, after turning
    shape: tuple[int, int, int]  # of the target


def target_grid(spec: GridSpec) -> Grid:
    """The grid of all prepared cases: axial, centred at the origin of the world."""
    extent = (np.asarray(spec.shape_zyx) - 1) * np.asarray(spec.spacing_mm)
    z, y, x = (float(value) + 0.0 for value in -extent / 2)
    return Grid(shape_zyx=spec.shape_zyx, spacing_mm=spec.spacing_mm, origin_mm=(x, y, z), direction=AXIAL)


def plan_regrid(source: Grid, spec: GridSpec) -> Regrid:
    """Turn, centre and scale.

    Args:
        source: Native grid. A volume is turned by whole quarters until its axes are nearest to head, back and
            left; an oblique one stays oblique. A single slice keeps its axes: a projection has no third one.
        spec: Shape and spacing asked for.

    Returns:
        The plan; where the spacing is the same, it moves by whole voxels.
    """
    axes, flips = _turn(source) if source.shape_zyx[0] > 1 else ((0, 1, 2), (False, False, False))
    scale, offset = [], []
    for axis in range(3):
        length, spacing = source.shape_zyx[axes[axis]], source.spacing_mm[axes[axis]]
        ratio = spec.spacing_mm[axis] / spacing
        same = abs(ratio - 1) < SAME_SPACING or length == 1
        ratio = 1.0 if same else ratio
        start = (length - 1) / 2 - ratio * (spec.shape_zyx[axis] - 1) / 2
        scale.append(ratio)
        offset.append(float(np.floor(start)) if same else start)
    return Regrid(
        axes=axes,
        flips=flips,
        scale=(scale[0], scale[1], scale[2]),
        offset=(offset[0], offset[1], offset[2]),
        shape=spec.shape_zyx,
    )


def _turn(source: Grid) -> tuple[tuple[int, int, int], tuple[bool, bool, bool]]:
    """Array axis for each of head, back and left, and whether it runs against it."""
    cosines = (
        source.axes @ np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]).T
    )  # axis by direction
    axes = max(permutations(range(3)), key=lambda order: sum(abs(cosines[order[k], k]) for k in range(3)))
    flips = tuple(bool(cosines[axes[k], k] < 0) for k in range(3))
    return (axes[0], axes[1], axes[2]), (flips[0], flips[1], flips[2])


def apply_regrid(array: np.ndarray, plan: Regrid, *, order: Literal[0, 1], fill: float | None) -> np.ndarray:
    """Values on the training grid.

    Args:
        array: Values (z, y, x) on the native grid.
        plan: Of `plan_regrid` for that grid.
        order: 0 nearest (masks), 1 linear (images, smoothed before where voxels become larger).
        fill: Value outside the source; None: that of the nearest voxel of the source.

    Returns:
        Array of the target's shape; float32 for order 1, else the type of the array.
    """
    turned = array.transpose(plan.axes)
    turned = turned[tuple(slice(None, None, -1) if flip else slice(None) for flip in plan.flips)]
    turned = turned.astype(np.float32) if order else turned
    if plan.scale == (1.0, 1.0, 1.0):
        return _moved(turned, plan, fill)
    if order:
        turned = ndimage.gaussian_filter(
            turned, [max(0.0, (ratio - 1) / 2) for ratio in plan.scale], mode="nearest"
        )
    result: np.ndarray = ndimage.affine_transform(
        np.ascontiguousarray(turned),
        np.asarray(plan.scale),
        offset=plan.offset,
        output_shape=plan.shape,
        order=order,
        mode="nearest" if fill is None else "constant",
        cval=fill or 0.0,
        prefilter=False,
    )
    return result


def _moved(turned: np.ndarray, plan: Regrid, fill: float | None) -> np.ndarray:
    """Crop and pad by whole voxels; nothing is interpolated."""
    if fill is None:
        nearest = [
            np.clip(np.arange(size) + int(start), 0, length - 1)
            for size, start, length in zip(plan.shape, plan.offset, turned.shape, strict=True)
        ]
        repeated: np.ndarray = turned[np.ix_(*nearest)]
        return repeated
    result = np.full(plan.shape, fill, dtype=turned.dtype)
    here, there = [], []
    for axis in range(3):
        start = int(plan.offset[axis])
        first, last = max(start, 0), min(start + plan.shape[axis], turned.shape[axis])
        there.append(slice(first, last))
        here.append(slice(first - start, last - start))
    result[tuple(here)] = turned[tuple(there)]
    return result

"""Slices to a volume: even ones as they are, tilted or uneven ones resampled where no tissue is missing."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from synthdata.intake.geometry import grid_of_slices
from synthdata.records.grid import Grid

GAP_TOLERANCE = 0.02  # of the median distance; headers round positions to 1e-3 mm or so
JITTER = 0.25  # of the median distance: gaps that differ by more are another protocol, or miss a slice
TOUCH = 0.05  # of the mean thickness of two slices: at a distance this near to it they touch
SAME_POSITION_MM = 1e-3
TILT_TOLERANCE_DEGREES = 0.2
STEEPEST_TILT_DEGREES = 35.0  # no gantry tilts further
SHEAR_TOLERANCE_MM = 0.05  # a slice this near to the line through the others lies on it


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Stack:
    """Sorted slices and the grid that they make."""

    positions_mm: np.ndarray  # LPS of the first pixel of each slice, shape (n, 3), along the normal
    grid: Grid
    shape_yx: tuple[int, int]  # of a slice
    depths: np.ndarray | None = (
        None  # place of each slice of the grid among the acquired ones; None: the same ones
    )
    shifts_yx: np.ndarray | None = (
        None  # voxels by which each acquired slice is shifted, shape (n, 2); None: none
    )

    @property
    def is_resampled(self) -> bool:
        """True where the voxels of the grid are not the acquired ones."""
        return self.depths is not None or self.shifts_yx is not None

    def assemble(self, slices: np.ndarray, *, order: Literal[0, 1], fill: float) -> np.ndarray:
        """Volume on the grid from the acquired slices.

        Args:
            slices: Values (n, y, x) in the order of the positions.
            order: 0 nearest (masks), 1 linear (images).
            fill: Value outside the slices.

        Returns:
            Array of the grid's shape; of the type of the slices, rounded where that is an integer.
        """
        volume = slices
        if self.shifts_yx is not None:
            volume = np.stack(
                [
                    shifted(one, shift, self.grid.shape_zyx[1:], order=order, fill=fill)
                    for one, shift in zip(slices, self.shifts_yx, strict=True)
                ]
            )
        if self.depths is not None:
            volume = _between(volume, self.depths, order=order)
        if volume.dtype != slices.dtype and slices.dtype.kind in "iub":
            volume = np.rint(volume).astype(slices.dtype)
        return volume


@dataclass(frozen=True, kw_only=True, slots=True)
class Misfit:
    """Why slices make no volume: a reason code and a figure, without anything of the patient."""

    code: str
    note: str = ""


def stack_of(
    positions_mm: np.ndarray,
    orientation: np.ndarray,
    spacing_yx: tuple[float, float],
    shape_yx: tuple[int, int],
    thickness_mm: np.ndarray,
    single_mm: float,
) -> Stack | Misfit:
    """Stack of slices which are sorted along their normal.

    Args:
        positions_mm: LPS of the first pixel of each slice, shape (n, 3).
        orientation: LPS cosines of a row, then of a column, shape (6,).
        spacing_yx: Distance of rows and of columns in mm.
        shape_yx: Rows and columns.
        thickness_mm: Of each slice, shape (n,); 0 where it is not stated.
        single_mm: Distance along the normal where there is one slice.
    """
    normal = normal_of(orientation)
    along = (positions_mm - positions_mm[0]) @ normal
    if len(along) == 1:
        grid = grid_of_slices(positions_mm[0], orientation, spacing_yx, single_mm, (1, *shape_yx))
        return Stack(positions_mm=positions_mm, grid=grid, shape_yx=shape_yx)
    gaps = np.diff(along)
    misfit = _gap_misfit(gaps, thickness_mm)
    if misfit is not None:
        return misfit
    lateral = positions_mm - positions_mm[0] - along[:, None] * normal
    misfit = _shear_misfit(lateral, along)
    if misfit is not None:
        return misfit
    depths, step = _depths(along, gaps)
    shifts, first, shape = None, positions_mm[0], shape_yx
    if _tilt_degrees(lateral, along) > TILT_TOLERANCE_DEGREES:
        shifts, first, shape = _upright(lateral, positions_mm[0], orientation, spacing_yx, shape_yx)
    count = len(along) if depths is None else len(depths)
    return Stack(
        positions_mm=positions_mm,
        grid=grid_of_slices(first, orientation, spacing_yx, step, (count, *shape)),
        shape_yx=shape_yx,
        depths=depths,
        shifts_yx=shifts,
    )


def normal_of(orientation: np.ndarray) -> np.ndarray:
    """Unit vector across the slices, shape (3,)."""
    normal = np.cross(orientation[:3], orientation[3:])
    unit: np.ndarray = normal / np.linalg.norm(normal)
    return unit


def is_orthonormal(orientation: np.ndarray) -> bool:
    """True for cosines of two directions at a right angle, shape (6,), as far as headers round them."""
    if orientation.shape != (6,):
        return False
    row, column = orientation[:3], orientation[3:]
    lengths = (np.linalg.norm(row), np.linalg.norm(column))
    return bool(np.allclose(lengths, 1, atol=1e-2) and abs(row @ column) <= 1e-2)


def _gap_misfit(gaps: np.ndarray, thickness: np.ndarray) -> Misfit | None:
    """Gaps are fine where they are even, nearly even, or where the slices touch all the same."""
    if gaps.min() < SAME_POSITION_MM:
        places = len(gaps) + 1 - int((gaps < SAME_POSITION_MM).sum())
        return Misfit(
            code="series.repeated_position",
            note=f"a series has {len(gaps) + 1} slices at {places} positions, which no echo, time or type tells apart",
        )
    median = float(np.median(gaps))
    note = f"a series has slice distances from {gaps.min():.2f} to {gaps.max():.2f} mm, expected one distance"
    if np.abs(gaps - median).max() <= JITTER * median:
        return None
    mean_thickness = (thickness[:-1] + thickness[1:]) / 2
    if thickness.min() > 0 and (np.abs(gaps - mean_thickness) <= TOUCH * mean_thickness).all():
        return None
    multiples = gaps / gaps.min()
    missing = np.abs(multiples - np.rint(multiples)).max() <= GAP_TOLERANCE * multiples.max()
    return Misfit(code="series.missing_slice" if missing else "series.uneven_gaps", note=note)


def _tilt_degrees(lateral: np.ndarray, along: np.ndarray) -> float:
    return float(np.degrees(np.arctan2(np.linalg.norm(lateral[-1]), along[-1])))


def _shear_misfit(lateral: np.ndarray, along: np.ndarray) -> Misfit | None:
    """Slices may be shifted along one straight line (gantry tilt), and not each in its own way."""
    tilt = _tilt_degrees(lateral, along)
    if tilt > STEEPEST_TILT_DEGREES:
        return Misfit(
            code="series.gantry_tilt",
            note=f"a series is tilted by {tilt:.1f} degrees, expected at most {STEEPEST_TILT_DEGREES:.0f}",
        )
    off = np.linalg.norm(lateral - along[:, None] * lateral[-1] / along[-1], axis=1).max()
    allowed = SHEAR_TOLERANCE_MM + np.tan(np.radians(TILT_TOLERANCE_DEGREES)) * along[-1]
    if off > allowed:
        return Misfit(
            code="series.shifted_slices",
            note=f"a series has slices shifted sideways by {off:.2f} mm, expected at most {allowed:.2f} mm",
        )
    return None


def _depths(along: np.ndarray, gaps: np.ndarray) -> tuple[np.ndarray | None, float]:
    """Places of the grid's slices among the acquired ones, or None where they are the same, and their distance."""
    median = float(np.median(gaps))
    if np.abs(gaps - median).max() <= GAP_TOLERANCE * median:
        return None, float(along[-1] / len(gaps))
    count = int(np.ceil(along[-1] / gaps.min() - GAP_TOLERANCE)) + 1
    even = np.linspace(0.0, along[-1], count)
    return np.interp(even, along, np.arange(len(along))), float(along[-1] / (count - 1))


def _upright(
    lateral: np.ndarray,
    first_mm: np.ndarray,
    orientation: np.ndarray,
    spacing_yx: tuple[float, float],
    shape_yx: tuple[int, int],
) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
    """Shifts (n, 2) of the slices on the smallest upright grid which holds all, its first voxel, its rows, columns."""
    row, column = orientation[:3], orientation[3:]
    shifts = np.stack([lateral @ column / spacing_yx[0], lateral @ row / spacing_yx[1]], axis=1)
    shifts[np.abs(shifts) < 1e-3] = 0.0
    low = shifts.min(axis=0)
    extra = np.ceil(shifts.max(axis=0) - low - 1e-6).astype(int)
    first = first_mm + low[0] * spacing_yx[0] * column + low[1] * spacing_yx[1] * row
    return shifts - low, first, (shape_yx[0] + int(extra[0]), shape_yx[1] + int(extra[1]))


def shifted(
    one: np.ndarray, shift_yx: np.ndarray, shape_yx: tuple[int, ...], *, order: Literal[0, 1], fill: float
) -> np.ndarray:
    """One slice moved by a fraction of voxels along y and x on a larger one; float64 for order 1.

    Args:
        one: Values (y, x).
        shift_yx: Voxels, not negative.
        shape_yx: Of the result.
        order: 0 nearest, 1 linear.
        fill: Value outside the slice.
    """
    whole = np.rint(shift_yx) if order == 0 else np.floor(shift_yx)
    result = np.full(shape_yx, fill, dtype=one.dtype if order == 0 else np.float64)
    y, x = int(whole[0]), int(whole[1])
    rows, columns = min(one.shape[0], shape_yx[0] - y), min(one.shape[1], shape_yx[1] - x)
    result[y : y + rows, x : x + columns] = one[:rows, :columns]
    for axis, fraction in enumerate(shift_yx - whole if order == 1 else ()):
        if fraction > 1e-6:
            before = np.roll(result, 1, axis=axis)
            before[(slice(None),) * axis + (0,)] = fill
            result = (1 - fraction) * result + fraction * before
    return result


def _between(volume: np.ndarray, depths: np.ndarray, *, order: Literal[0, 1]) -> np.ndarray:
    """Slices at places between others: the nearest one, or mixed linearly."""
    if order == 0:
        nearest: np.ndarray = volume[np.rint(depths).astype(int)]
        return nearest
    below = np.minimum(np.floor(depths).astype(int), len(volume) - 2)
    weight = (depths - below)[:, None, None]
    mixed: np.ndarray = (1 - weight) * volume[below] + weight * volume[below + 1]
    return mixed

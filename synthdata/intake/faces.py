"""Does a volume of a head show a face? The surface of the skin, seen from the front, has a nose."""

from dataclasses import dataclass

import numpy as np

from synthdata.records.grid import Grid

STEP_MM = 2.0  # coarser voxels of the copy that is looked at
COARSEST_MM = (
    6.0,
    2.2,
)  # largest, and second largest spacing of a volume in which a person could be recognised
SKIN_HU = -300.0
SKIN_SHARE = 0.12  # of the 99th percentile of an MR volume: above its noise, below fat and muscle
DEPTH_MM = (110.0, 280.0)  # of a head, front to back
WIDTH_MM = 100.0  # from which on both cheeks are there
CHEEKS_MM = (20.0, 42.0)  # of the midline
NOSE_MM = 12.0  # half the width in which a nose is looked for
BEFORE_CHEEKS_MM = 7.0  # of a nose; bone, brain and cut faces lie behind the curve of the cheeks
REACH_MM = 16.0  # up and down a profile, within which a nose falls off
BEFORE_PROFILE_MM = (4.5, 25.0)  # the front of a skull falls off by 2 mm there, a cut face by more
LEAST_MM = 8.0  # height of a nose before the cheeks, and width of its profile
VOXELS_PER_RUN = 24  # of a mask whose parts are found run by run: above, the search voxel by voxel is slower
CUT_MM = 50.0  # what defacing takes away behind the tip of the nose; half of it, above it


@dataclass(frozen=True, slots=True)
class Nose:
    """Where a nose is: voxel of the upright copy, and its spacing, in mm from the top and from the front."""

    top_mm: float
    tip_mm: float


def shows_face(volume: np.ndarray, grid: Grid, *, modality: str) -> bool:
    """True where the skin of a head has a nose.

    Args:
        volume: Values (z, y, x); CT in HU.
        grid: Where its voxels lie, in LPS.
        modality: MR or CT; others show no skin in three dimensions.
    """
    return find_nose(volume, grid, modality=modality) is not None


def find_nose(volume: np.ndarray, grid: Grid, *, modality: str) -> Nose | None:
    """The nose of a head, or None where there is no head or no nose.

    A nose stands before the parabola through the cheeks of its level, or, in a sagittal profile, before what lies
    above and below it. A skull, a brain and a face that was cut away do neither.
    """
    return next(iter(_noses(volume, grid, modality=modality)), None)


def _noses(volume: np.ndarray, grid: Grid, *, modality: str) -> list[Nose]:
    """All that could be a nose, the largest first."""
    if modality not in {"MR", "CT"} or not _could_be_recognised(grid):
        return []
    view, step = _upright(volume, grid)
    upright = np.ascontiguousarray(view)
    inside = upright > (SKIN_HU if modality == "CT" else SKIN_SHARE * _brightest(upright))
    head = _largest(inside)
    depth = np.ptp(np.flatnonzero(head.any(axis=(0, 2)))) * step[1] if head.any() else 0.0
    if not DEPTH_MM[0] <= depth <= DEPTH_MM[1]:
        return []
    front = np.where(
        head.any(axis=1), head.argmax(axis=1) * step[1], np.nan
    )  # mm behind the first plane (z, x)
    hits = _before_cheeks(front, step) | (_before_profile(front, step) & _in_front(front, step))
    return _spots(front, hits, step)


def _brightest(upright: np.ndarray) -> float:
    """The 99th percentile, of every other row and column."""
    return float(np.percentile(upright[:, ::2, ::2], 99))


def defaced(volume: np.ndarray, grid: Grid, *, modality: str) -> np.ndarray | None:
    """A copy without the front of the face, or None where something like a nose would be left.

    What the cut lays bare, hollows and an edge below the forehead, is no nose: only what was there before counts.

    Args:
        volume: Values (z, y, x).
        grid: Where its voxels lie.
        modality: MR or CT.
    """
    noses = _noses(volume, grid, modality=modality)
    if not noses:
        return volume
    above_mm, behind_mm = max(0.0, noses[0].top_mm - CUT_MM / 2), noses[0].tip_mm + CUT_MM
    if any(nose.top_mm < above_mm or nose.tip_mm > behind_mm for nose in noses):
        return None
    result = volume.copy()
    upright, step = _upright(result, grid, coarse=False)
    upright[int(above_mm / step[0]) :, : int(behind_mm / step[1]) + 1] = volume.min()
    return result


def _could_be_recognised(grid: Grid) -> bool:
    spacing = sorted(grid.spacing_mm, reverse=True)
    return spacing[0] <= COARSEST_MM[0] and spacing[1] <= COARSEST_MM[1] and min(grid.shape_zyx) > 1


def _upright(volume: np.ndarray, grid: Grid, *, coarse: bool = True) -> tuple[np.ndarray, tuple[float, ...]]:
    """A view with axes from above to below, from front to back, from right to left; oblique axes to their nearest."""
    cosines = grid.axes  # row: axis of the array, column: x, y, z of LPS
    order = [int(axis) for axis in _nearest_axes(cosines)]
    view = volume.transpose(order)
    for axis, (source, column, sign) in enumerate(zip(order, (2, 1, 0), (-1, 1, 1), strict=True)):
        if cosines[source, column] * sign < 0:
            view = np.flip(view, axis)
    strides = [max(1, int(STEP_MM / grid.spacing_mm[source])) if coarse else 1 for source in order]
    step = tuple(grid.spacing_mm[source] * stride for source, stride in zip(order, strides, strict=True))
    return view[tuple(slice(None, None, stride) for stride in strides)], step


def _nearest_axes(cosines: np.ndarray) -> tuple[int, int, int]:
    """Axes of the array which lie nearest to z, y, x of the world, each once."""
    orders = ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))
    return max(
        orders, key=lambda order: sum(abs(cosines[axis, 2 - place]) for place, axis in enumerate(order))
    )


def _largest(inside: np.ndarray) -> np.ndarray:
    """The largest connected part, single voxels of noise taken off; the first of several."""
    from scipy import ndimage

    clean = _without_specks(inside)
    runs = _Runs.of(clean)
    if len(runs.starts) * VOXELS_PER_RUN < clean.size:
        return runs.largest(clean)
    labels, count = ndimage.label(clean)
    if count <= 1:
        return clean
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    largest: np.ndarray = labels == sizes.argmax()
    return largest


@dataclass(frozen=True, slots=True)
class _Runs:
    """Runs of true voxels along the last axis, in their order; places count the voxels of a mask padded by one."""

    starts: np.ndarray
    stops: np.ndarray
    shape: tuple[int, ...]  # of the padded mask

    @classmethod
    def of(cls, mask: np.ndarray) -> "_Runs":
        """Runs of a mask (z, y, x)."""
        count, height, width = mask.shape
        padded = np.zeros((count, height + 1, width + 1), bool)  # ends each run, and parts the slices
        padded[:, :-1, :-1] = mask
        flat = padded.ravel().view(np.int8)
        edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
        if flat.size and flat[0]:
            edges = np.concatenate([[0], edges])
        return cls(edges[::2], edges[1::2], padded.shape)

    def largest(self, mask: np.ndarray) -> np.ndarray:
        """The largest connected part of the mask that they are of."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        count = len(self.starts)
        pairs = [self._touching(self.shape[2]), self._touching(self.shape[1] * self.shape[2])]
        lower, upper = (np.concatenate(side) for side in zip(*pairs, strict=True))
        graph = coo_array((np.ones(len(lower), np.int8), (lower, upper)), (count, count))
        parts, owner = connected_components(graph, directed=False)
        if parts <= 1:
            return mask
        sizes = np.bincount(owner, weights=self.stops - self.starts)
        steps = np.zeros(int(np.prod(self.shape)), np.int8)
        kept = owner == sizes.argmax()
        steps[self.starts[kept]], steps[self.stops[kept]] = 1, -1
        whole = np.cumsum(steps, dtype=np.int8).view(bool).reshape(self.shape)
        part: np.ndarray = whole[:, :-1, :-1]
        return part

    def _touching(self, distance: int) -> tuple[np.ndarray, np.ndarray]:
        """Pairs of runs of which one, moved by a row or a slice, would overlap the other."""
        first = np.searchsorted(self.stops, self.starts + distance, side="right")
        last = np.searchsorted(self.starts, self.stops + distance, side="left")
        counts = np.maximum(last - first, 0)
        lower = np.repeat(np.arange(len(counts)), counts)
        upper = np.arange(len(lower)) + np.repeat(first - np.cumsum(counts) + counts, counts)
        return lower, upper


def _without_specks(inside: np.ndarray) -> np.ndarray:
    """What most of the nine pixels about a pixel are, slice by slice: the median of true and false."""
    height, width = inside.shape[1:]
    counts = np.empty((len(inside), height + 2, width + 2), np.uint8)
    counts[:, 1:-1, 1:-1] = inside
    counts[:, 0], counts[:, -1] = counts[:, 1], counts[:, -2]
    counts[..., 0], counts[..., -1] = counts[..., 1], counts[..., -2]
    counts = counts[:, :-2] + counts[:, 1:-1] + counts[:, 2:]
    most: np.ndarray = counts[..., :-2] + counts[..., 1:-1] + counts[..., 2:] > 4
    return most


def _before_cheeks(front: np.ndarray, step: tuple[float, ...]) -> np.ndarray:
    """Where (z, x) the front stands out before the parabola through both cheeks of its level."""
    hits = np.zeros(front.shape, bool)
    across = np.flatnonzero(np.isfinite(front).any(axis=0)) * step[2]
    if np.ptp(across) < WIDTH_MM:
        return hits
    x = np.arange(front.shape[1]) * step[2] - (across[0] + across[-1]) / 2
    cheeks, middle = (abs(x) >= CHEEKS_MM[0]) & (abs(x) <= CHEEKS_MM[1]), abs(x) <= NOSE_MM
    known = cheeks & np.isfinite(front)
    sure = np.minimum((known & (x < 0)).sum(axis=1), (known & (x > 0)).sum(axis=1)) >= 4
    levels = front[sure]
    curves = _parabolas(x / CHEEKS_MM[1], levels, known[sure])
    hits[sure] = middle & (curves - levels >= BEFORE_CHEEKS_MM)
    return hits


def _parabolas(x: np.ndarray, rows: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Parabolas (n, x) by least squares through the known values of rows (n, x)."""
    powers = np.stack([np.ones_like(x), x, x**2])  # (3, x), x about -1 to 1
    weights = known.astype(float)
    left = np.einsum("ix,jx,nx->nij", powers, powers, weights)
    right = np.where(known, rows, 0.0) @ powers.T
    curves: np.ndarray = np.linalg.solve(left, right[..., None])[..., 0] @ powers
    return curves


def _in_front(front: np.ndarray, step: tuple[float, ...]) -> np.ndarray:
    """Where (z, x) a nose may be: about the midline, and not far behind the foremost point."""
    across = np.flatnonzero(np.isfinite(front).any(axis=0)) * step[2]
    x = np.arange(front.shape[1]) * step[2] - (across[0] + across[-1]) / 2
    near = front <= np.nanmin(front) + CUT_MM
    there: np.ndarray = near & ((abs(x) <= CHEEKS_MM[0]) | bool(np.ptp(across) < WIDTH_MM))
    return there


def _before_profile(front: np.ndarray, step: tuple[float, ...]) -> np.ndarray:
    """Where (z, x) the front stands out before what lies above and below it."""
    reach = int(REACH_MM / step[0])
    if reach < 2 or len(front) <= 2 * reach:
        return np.zeros(front.shape, bool)
    padded = np.pad(front, ((reach, reach), (0, 0)), constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, reach + 1, axis=0)
    with np.errstate(invalid="ignore"):
        above = np.where(np.isfinite(windows[: len(front)]), windows[: len(front)], -np.inf).max(axis=-1)
        below = np.where(np.isfinite(windows[reach:]), windows[reach:], -np.inf).max(axis=-1)
        least, most = np.minimum(above, below) - front, np.maximum(above, below) - front
    found: np.ndarray = (least >= BEFORE_PROFILE_MM[0]) & (most <= BEFORE_PROFILE_MM[1])
    return found


def _spots(front: np.ndarray, hits: np.ndarray, step: tuple[float, ...]) -> list[Nose]:
    """Spots of hits which are as large as a nose, the largest first."""
    from scipy import ndimage

    labels, _ = ndimage.label(hits, np.ones((3, 3)))
    found: list[tuple[float, Nose]] = []
    for index, (rows, columns) in enumerate(ndimage.find_objects(labels), 1):
        height, width = (rows.stop - rows.start) * step[0], (columns.stop - columns.start) * step[2]
        if max(height, width) >= LEAST_MM and min(height, width) >= step[0]:
            spot = labels[rows, columns] == index
            tip_mm = float(front[rows, columns][spot].min())
            found.append((height * width, Nose(rows.start * step[0], tip_mm)))
    return [nose for _, nose in sorted(found, key=lambda one: -one[0])]

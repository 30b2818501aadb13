"""Contours of RT structure sets, filled on the slices of their image."""

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset

from synthdata.intake.dicom_file import DAMAGE
from synthdata.intake.painting import Canvas
from synthdata.intake.stack import Stack, normal_of
from synthdata.intake.terminology import NO_CODES, Names

FURTHEST_MM = 1e6
FLAT_MM = 0.1  # a contour whose points leave its plane by more is not planar
SAME_PLANE_MM = 0.02
EDGE = 1e-3  # pixels: a centre this near to a contour lies on it
MOST_SKIPPED = 3.5  # slices: planes further apart than that are regions of their own, with nothing between
EVEN = 1.5  # of the median distance of planes: a wider gap is one
CLOSED = frozenset({"CLOSED_PLANAR", "CLOSEDPLANAR_XOR"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Contours:
    """Closed planar contours of an RT structure set with a label each."""

    points_mm: tuple[np.ndarray, ...]  # LPS, shape (m, 3) each
    values: tuple[int, ...]  # mask value of each contour
    regions: tuple[int, ...]  # ROI Number of each contour
    frame_of_reference: str
    source_uids: frozenset[str]
    unknown_labels: int  # regions which the spec does not name


def read_contours(
    data: bytes, labels: Mapping[str, int], codes: Mapping[str, str] = NO_CODES
) -> Contours | None:
    """Contours of an RTSTRUCT file.

    Args:
        data: The file.
        labels: Name to mask value; names are matched with ROI Name, whatever the case.
        codes: Name to `<SNOMED CT code>|<meaning>`; a region whose name no label matches is matched by its code.

    Returns:
        The contours, or None where they are damaged, or a region has others than closed planar ones.

    Source:
        DICOM PS3.3, C.8.8.5 (Structure Set) and C.8.8.6 (ROI Contour).
    """
    try:
        return _contours(dcmread(io.BytesIO(data)), Names(labels, codes))
    except DAMAGE:
        return None


def _contours(dataset: Dataset, labels: Names) -> Contours:
    kinds = {
        int(item.ReferencedROINumber): item.get("RTROIIdentificationCodeSequence")
        for item in dataset.get("RTROIObservationsSequence") or ()
        if item.get("ReferencedROINumber") is not None
    }
    regions = {int(item.ROINumber): item for item in dataset.StructureSetROISequence}
    known = {
        number: labels.value_of(item.get("ROIName", ""), kinds.get(number))
        for number, item in regions.items()
    }
    frames = {
        str(item.get("ReferencedFrameOfReferenceUID", ""))
        for number, item in regions.items()
        if known[number]
    }
    if len(frames) > 1:
        raise ValueError("regions differ in frame of reference")
    points, values, numbers = [], [], []
    for item in dataset.ROIContourSequence:
        number = int(item.ReferencedROINumber)
        value = known[number]
        for contour in item.get("ContourSequence") or () if value else ():
            if contour.get("ContourGeometricType") not in CLOSED:
                raise ValueError("a region has other than closed planar contours")
            points.append(np.array(contour.ContourData, dtype=float).reshape(-1, 3))
            if not len(points[-1]) or not np.abs(points[-1]).max() <= FURTHEST_MM:
                raise ValueError("a contour has points that are nowhere")
            values.append(value)
            numbers.append(number)
    return Contours(
        points_mm=tuple(points),
        values=tuple(values),
        regions=tuple(numbers),
        frame_of_reference=next(iter(frames), ""),
        source_uids=frozenset(_sources(dataset)),
        unknown_labels=sum(not value for value in known.values()),
    )


def _sources(dataset: Dataset) -> Iterator[str]:
    for frame in dataset.get("ReferencedFrameOfReferenceSequence") or ():
        for study in frame.get("RTReferencedStudySequence") or ():
            for series in study.get("RTReferencedSeriesSequence") or ():
                for image in series.get("ContourImageSequence") or ():
                    yield str(image.ReferencedSOPInstanceUID)


def fill(contours: Contours, stack: Stack) -> Canvas | None:
    """Mask of contours on the grid of an image.

    A slice takes the contours of the plane next to it, within half the distance of slices; between planes which skip up
    to three slices, all of them alike, it takes the nearest plane. Contours of one region and plane are filled by the
    even-odd rule, so an inner one is a hole; a pixel whose centre lies on a contour belongs to the region.

    Args:
        contours: Closed planar contours with labels.
        stack: Slices of the image.

    Returns:
        What was painted; None where contours do not lie in the image or across its slices.
    """
    canvas = Canvas(stack)
    axes = stack.grid.axes
    normal = normal_of(np.concatenate([axes[2], axes[1]]))
    heights = stack.positions_mm @ normal
    step = max(_median_step(heights), stack.grid.spacing_mm[0])
    for region in sorted(set(contours.regions)):
        planes = _planes(contours, region, normal)
        if planes is None:
            return None
        places = np.array(sorted(planes))
        nearest = _nearest_planes(places, heights, step)
        if not (nearest >= 0).any() or not any(_is_in_view(one, stack) for one in chain(*planes.values())):
            return None
        value = contours.values[contours.regions.index(region)]
        for index, plane in enumerate(nearest):
            if plane >= 0:
                canvas.paint(value, index, _filled(planes[places[plane]], stack, index))
    return canvas


def _is_in_view(points: np.ndarray, stack: Stack) -> bool:
    """True where a contour reaches into the columns and rows of the image."""
    local = points - stack.grid.origin_mm
    y, x = (local @ stack.grid.axes[axis] / stack.grid.spacing_mm[axis] for axis in (1, 2))
    rows, columns = stack.grid.shape_zyx[1:]
    return bool(max(y.min() - rows, -y.max(), x.min() - columns, -x.max()) <= 0)


def _nearest_planes(places: np.ndarray, heights: np.ndarray, step: float) -> np.ndarray:
    """Number of the plane that each slice takes, -1 where it takes none."""
    distances = np.abs(heights[:, None] - places)
    nearest: np.ndarray = distances.argmin(axis=1)
    taken = distances.min(axis=1) <= step / 2 + 1e-3
    usual = _median_step(places)
    if len(places) > 2 and usual <= MOST_SKIPPED * step:
        above = np.searchsorted(places, heights)
        between = (above > 0) & (above < len(places))
        gaps = np.zeros(len(heights))
        gaps[between] = (places[1:] - places[:-1])[above[between] - 1]
        taken |= between & (gaps <= EVEN * usual)
    return np.where(taken, nearest, -1)


def _median_step(places: np.ndarray) -> float:
    return float(np.median(np.diff(np.sort(places)))) if len(places) > 1 else 0.0


def _planes(contours: Contours, region: int, normal: np.ndarray) -> dict[float, list[np.ndarray]] | None:
    """Contours of a region by the height of their plane; None where one lies across the slices."""
    own = [
        points
        for points, number in zip(contours.points_mm, contours.regions, strict=True)
        if number == region
    ]
    if any(np.ptp(points @ normal) > FLAT_MM for points in own):
        return None
    planes: dict[float, list[np.ndarray]] = {}
    place = -np.inf
    for height, points in sorted(
        ((float((one @ normal).mean()), one) for one in own), key=lambda pair: pair[0]
    ):
        place = place if height - place <= SAME_PLANE_MM else height
        planes.setdefault(place, []).append(points)
    return planes


def _filled(polygons: list[np.ndarray], stack: Stack, index: int) -> np.ndarray:
    """Pixels (y, x) of an acquired slice whose centres lie inside an odd number of polygons, or on one."""
    axes, spacing = stack.grid.axes, stack.grid.spacing_mm
    inside = np.zeros(stack.shape_yx, dtype=bool)
    edges = inside.copy()
    for points in polygons:
        local = points - stack.positions_mm[index]
        y, x = local @ axes[1] / spacing[1], local @ axes[2] / spacing[2]
        inside ^= polygon_pixels(y, x, stack.shape_yx)
        edges |= edge_pixels(y, x, stack.shape_yx)
    return inside | edges


def polygon_pixels(y: np.ndarray, x: np.ndarray, shape_yx: tuple[int, int]) -> np.ndarray:
    """Pixels whose centres lie inside a closed polygon, by the even-odd rule.

    Args:
        y: Rows of the corners, in pixels, shape (m,).
        x: Columns of the corners, shape (m,).
        shape_yx: Rows and columns of the image.

    Returns:
        bool (y, x).
    """
    first, last = max(int(np.floor(y.min())), 0), min(int(np.ceil(y.max())), shape_yx[0] - 1)
    rows = np.arange(first, last + 1)[:, None]
    y_next, x_next = np.roll(y, -1), np.roll(x, -1)
    crossing = (y <= rows) != (y_next <= rows)  # (rows, m): the edge crosses the row of pixel centres
    with np.errstate(divide="ignore", invalid="ignore"):
        at = np.where(crossing, x + (rows - y) / (y_next - y) * (x_next - x), np.inf)
    columns = np.arange(shape_yx[1])
    result = np.zeros(shape_yx, dtype=bool)
    for row in np.flatnonzero(crossing.any(axis=1)):
        result[first + row] = (np.searchsorted(np.sort(at[row]), columns, side="right") % 2).astype(bool)
    return result


def edge_pixels(y: np.ndarray, x: np.ndarray, shape_yx: tuple[int, int]) -> np.ndarray:
    """Pixels whose centres lie on a closed polygon, as those of outlines that were drawn from pixel to pixel.

    Args:
        y: Rows of the corners, in pixels, shape (m,).
        x: Columns of the corners, shape (m,).
        shape_yx: Rows and columns of the image.

    Returns:
        bool (y, x).
    """
    result = np.zeros(shape_yx, dtype=bool)
    starts = np.stack([y, x])
    along = np.roll(starts, -1, axis=1) - starts
    # Edges walked by rows; along them no pixel centre is passed over.
    steep = np.abs(along[0]) >= np.abs(along[1])
    for axis, chosen in ((0, steep), (1, ~steep)):
        start, way = starts[axis, chosen], along[axis, chosen]
        low = np.maximum(np.ceil(np.minimum(start, start + way) - EDGE), 0)
        high = np.minimum(np.floor(np.maximum(start, start + way) + EDGE), shape_yx[axis] - 1)
        counts = np.maximum(high - low + 1, 0).astype(int)
        edge = np.repeat(np.arange(len(counts)), counts)
        steps = low[edge] + np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts)
        share = np.divide(steps - start[edge], way[edge], out=np.zeros(len(edge)), where=way[edge] != 0)
        across = starts[1 - axis, chosen][edge] + share * along[1 - axis, chosen][edge]
        whole = np.rint(across)
        near = (np.abs(across - whole) <= EDGE) & (whole >= 0) & (whole < shape_yx[1 - axis])
        pair = (steps[near].astype(int), whole[near].astype(int))
        result[pair[axis], pair[1 - axis]] = True
    return result

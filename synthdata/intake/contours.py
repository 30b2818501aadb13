"""Contours of RT structure sets, filled on the slices of their image."""

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset

from synthdata.intake.dicom_file import DAMAGE
from synthdata.intake.painting import Canvas
from synthdata.intake.stack import Stack, normal_of

FLAT_MM = 0.1  # a contour whose points leave its plane by more is not planar
SAME_PLANE_DECIMALS = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Contours:
    """Closed planar contours of an RT structure set with a label each."""

    points_mm: tuple[np.ndarray, ...]  # LPS, shape (m, 3) each
    values: tuple[int, ...]  # mask value of each contour
    frame_of_reference: str
    source_uids: frozenset[str]
    unknown_labels: int  # regions which the spec does not name


def read_contours(data: bytes, labels: Mapping[str, int]) -> Contours | None:
    """Contours of an RTSTRUCT file.

    Args:
        data: The file.
        labels: Name to mask value; names are matched with ROI Name, whatever the case.

    Returns:
        The contours, or None where they are damaged, or a region has others than closed planar ones.

    Source:
        DICOM PS3.3, C.8.8.5 (Structure Set) and C.8.8.6 (ROI Contour).
    """
    try:
        return _contours(dcmread(io.BytesIO(data)), labels)
    except DAMAGE:
        return None


def _contours(dataset: Dataset, labels: Mapping[str, int]) -> Contours:
    known = {name.strip().lower(): value for name, value in labels.items()}
    regions = {int(item.ROINumber): item for item in dataset.StructureSetROISequence}
    names = {number: str(item.get("ROIName", "")).strip().lower() for number, item in regions.items()}
    frames = {
        str(item.get("ReferencedFrameOfReferenceUID", ""))
        for number, item in regions.items()
        if names[number] in known
    }
    if len(frames) > 1:
        raise ValueError("regions differ in frame of reference")
    points, values = [], []
    for item in dataset.ROIContourSequence:
        value = known.get(names[int(item.ReferencedROINumber)], 0)
        for contour in item.get("ContourSequence") or () if value else ():
            if contour.get("ContourGeometricType") != "CLOSED_PLANAR":
                raise ValueError("a region has other than closed planar contours")
            points.append(np.array(contour.ContourData, dtype=float).reshape(-1, 3))
            values.append(value)
    return Contours(
        points_mm=tuple(points),
        values=tuple(values),
        frame_of_reference=next(iter(frames), ""),
        source_uids=frozenset(_sources(dataset)),
        unknown_labels=sum(name not in known for name in names.values()),
    )


def _sources(dataset: Dataset) -> Iterator[str]:
    for frame in dataset.get("ReferencedFrameOfReferenceSequence") or ():
        for study in frame.get("RTReferencedStudySequence") or ():
            for series in study.get("RTReferencedSeriesSequence") or ():
                for image in series.get("ContourImageSequence") or ():
                    yield str(image.ReferencedSOPInstanceUID)


def fill(contours: Contours, stack: Stack) -> Canvas | None:
    """Mask of contours on the grid of an image.

    A slice takes the contours of the plane next to it, where that is within half the distance of planes or of slices.
    Contours of one region and plane are filled by the even-odd rule, so an inner one is a hole.

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
    for value in sorted(set(contours.values)):
        planes = _planes(contours, value, normal)
        if planes is None:
            return None
        places = np.array(sorted(planes))
        reach = max(_half_step(places), _half_step(heights), stack.grid.spacing_mm[0] / 2) + 1e-3
        if places.min() > heights.max() + reach or places.max() < heights.min() - reach:
            return None
        for index, height in enumerate(heights):
            place = places[np.abs(places - height).argmin()]
            if abs(place - height) <= reach:
                canvas.paint(value, index, _filled(planes[place], stack, index))
    return canvas


def _half_step(places: np.ndarray) -> float:
    return float(np.median(np.diff(np.sort(places)))) / 2 if len(places) > 1 else 0.0


def _planes(contours: Contours, value: int, normal: np.ndarray) -> dict[float, list[np.ndarray]] | None:
    """Contours of a label by the height of their plane; None where one lies across the slices."""
    planes: dict[float, list[np.ndarray]] = {}
    for points, own in zip(contours.points_mm, contours.values, strict=True):
        if own == value:
            heights = points @ normal
            if np.ptp(heights) > FLAT_MM:
                return None
            planes.setdefault(round(float(heights.mean()), SAME_PLANE_DECIMALS), []).append(points)
    return planes


def _filled(polygons: list[np.ndarray], stack: Stack, index: int) -> np.ndarray:
    """Pixels (y, x) of an acquired slice whose centres lie inside an odd number of polygons."""
    axes, spacing = stack.grid.axes, stack.grid.spacing_mm
    inside = np.zeros(stack.shape_yx, dtype=bool)
    for points in polygons:
        local = points - stack.positions_mm[index]
        inside ^= polygon_pixels(local @ axes[1] / spacing[1], local @ axes[2] / spacing[2], stack.shape_yx)
    return inside


def polygon_pixels(y: np.ndarray, x: np.ndarray, shape_yx: tuple[int, int]) -> np.ndarray:
    """Pixels whose centres lie inside a closed polygon, by the even-odd rule.

    Args:
        y: Rows of the corners, in pixels, shape (m,).
        x: Columns of the corners, shape (m,).
        shape_yx: Rows and columns of the image.

    Returns:
        bool (y, x).
    """
    rows = np.arange(shape_yx[0])[:, None]
    y_next, x_next = np.roll(y, -1), np.roll(x, -1)
    crossing = (y <= rows) != (y_next <= rows)  # (rows, m): the edge crosses the row of pixel centres
    with np.errstate(divide="ignore", invalid="ignore"):
        at = np.where(crossing, x + (rows - y) / (y_next - y) * (x_next - x), np.inf)
    columns = np.arange(shape_yx[1])
    result = np.zeros(shape_yx, dtype=bool)
    for row in np.flatnonzero(crossing.any(axis=1)):
        result[row] = (np.searchsorted(np.sort(at[row]), columns, side="right") % 2).astype(bool)
    return result

"""Masks of DICOM SEG objects, put on the slices of their image."""

import io
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset

from synthdata.intake.dicom_file import DAMAGE
from synthdata.intake.geometry import grid_of_slices, overlaps, resample
from synthdata.intake.listing import MAXIMUM_BYTES
from synthdata.intake.painting import Canvas
from synthdata.intake.stack import Stack, is_orthonormal
from synthdata.intake.terminology import NO_CODES, Names
from synthdata.records.grid import Grid

ON_GRID = 0.02  # of the distance of slices: stated and found ones agree so far
OFF_LEVEL = 0.05  # of that distance: frames lie no further from the slices of their own grid
LEVEL_MM = 0.01  # frames nearer to each other than that lie at one height
ON_SLICE_MM = 0.05
FRACTION = 0.5  # of the maximum: a voxel of a fractional segment belongs to it


@dataclass(frozen=True, kw_only=True, slots=True)
class Segmentation:
    """Frames of one SEG object with a label each."""

    frames: np.ndarray  # bool (f, y, x)
    values: np.ndarray  # mask value of each frame, 0 where the spec has no such label; shape (f,)
    positions_mm: np.ndarray  # LPS of the first pixel of each frame, shape (f, 3)
    orientation: np.ndarray  # LPS cosines of a row, then of a column, shape (6,)
    spacing_yx: tuple[float, float]
    steps_mm: tuple[float, ...]  # distances of slices which the file states, the likeliest first
    frame_of_reference: str  # empty where the image is a projection
    source_uids: frozenset[str]  # SOP Instance UIDs of the images that it was drawn on
    unknown_labels: int  # segments which the spec does not name

    def mask_values(self) -> list[int]:
        """Values of the labels that it draws, in rising order."""
        return sorted(set(self.values.tolist()) - {0})


def read_segmentation(
    data: bytes, labels: Mapping[str, int], codes: Mapping[str, str] = NO_CODES
) -> Segmentation | None:
    """Frames of a SEG file.

    Args:
        data: The file.
        labels: Name to mask value; names are matched with Segment Label, whatever the case.
        codes: Name to `<SNOMED CT code>|<meaning>`; a segment whose label no name matches is matched by its code.

    Returns:
        The frames, or None where geometry, segment numbers or pixels are missing or damaged.

    Source:
        DICOM PS3.3, C.8.20 (Segmentation) and C.7.6.16 (functional groups).
    """
    try:
        return _segmentation(dcmread(io.BytesIO(data)), Names(labels, codes))
    except DAMAGE:
        return None


def _segmentation(dataset: Dataset, names: Names) -> Segmentation:
    segments = {
        int(item.SegmentNumber): names.value_of(
            item.get("SegmentLabel", ""), item.get("SegmentedPropertyTypeCodeSequence")
        )
        for item in dataset.SegmentSequence
    }
    shared = (dataset.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]
    groups = list(dataset.PerFrameFunctionalGroupsSequence)
    measures = _group(groups[0], shared, "PixelMeasuresSequence")
    positions, orientations = _planes(groups, shared, projection="FrameOfReferenceUID" not in dataset)
    if dataset.get("SegmentationType", "BINARY") == "LABELMAP":
        segments.pop(int(dataset.get("PixelPaddingValue", 0)), None)  # what belongs to no segment
        frames, values, origin = _labelled(dataset, len(groups), segments)
    else:
        frames, origin = _frames(dataset, len(groups)), np.arange(len(groups))
        numbers = [_group(item, shared, "SegmentIdentificationSequence") for item in groups]
        values = np.array([segments[int(item.ReferencedSegmentNumber)] for item in numbers])
    stated = (measures.get("SpacingBetweenSlices"), measures.get("SliceThickness"))
    spacing = (float(measures.PixelSpacing[0]), float(measures.PixelSpacing[1]))
    if not (np.isfinite(positions).all() and is_orthonormal(orientations[0]) and 0 < min(spacing) < np.inf):
        raise ValueError("the geometry of a segmentation is impossible")
    return Segmentation(
        frames=frames,
        values=values,
        positions_mm=positions[origin],
        orientation=orientations[0],
        spacing_yx=spacing,
        steps_mm=tuple(abs(float(step)) for step in stated if step),
        frame_of_reference=str(dataset.get("FrameOfReferenceUID", "")),
        source_uids=frozenset(
            str(item.ReferencedSOPInstanceUID)
            for series in dataset.get("ReferencedSeriesSequence") or []
            for item in series.get("ReferencedInstanceSequence") or []
        ),
        unknown_labels=sum(value == 0 for value in segments.values()),
    )


def _labelled(
    dataset: Dataset, count: int, segments: Mapping[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A frame (y, x) for each label of a frame of a label map, their mask values, and the frames they came from.

    Source:
        DICOM PS3.3, C.8.20.2 (Segmentation Type LABELMAP).
    """
    numbers = np.asarray(dataset.pixel_array).reshape(count, int(dataset.Rows), int(dataset.Columns))
    if not set(np.unique(numbers).tolist()) <= {int(dataset.get("PixelPaddingValue", 0)), *segments}:
        raise ValueError("a label map has numbers without a segment")
    frames, values, origin = [], [], []
    for value in sorted(set(segments.values()) - {0}):
        there = np.isin(numbers, [number for number, own in segments.items() if own == value])
        for frame in np.flatnonzero(there.any(axis=(1, 2))):
            frames.append(there[frame])
            values.append(value)
            origin.append(int(frame))
    empty = np.zeros((0, *numbers.shape[1:]), dtype=bool)
    return np.stack(frames) if frames else empty, np.array(values, int), np.array(origin, int)


def _planes(groups: list[Dataset], shared: Dataset, *, projection: bool) -> tuple[np.ndarray, np.ndarray]:
    """Positions (f, 3) and orientations (f, 6) of the frames; a projection has none, its pixels are the frame's."""
    if projection:
        return np.zeros((len(groups), 3)), np.tile([1.0, 0.0, 0.0, 0.0, 1.0, 0.0], (len(groups), 1))
    positions = [_group(item, shared, "PlanePositionSequence").ImagePositionPatient for item in groups]
    orientations = np.array(
        [_group(item, shared, "PlaneOrientationSequence").ImageOrientationPatient for item in groups],
        dtype=float,
    )
    if not np.allclose(orientations, orientations[0], atol=1e-4):
        raise ValueError("frames differ in orientation")
    return np.array(positions, dtype=float), orientations


def _group(frame: Dataset, shared: Dataset, keyword: str) -> Dataset:
    items = frame.get(keyword) or shared.get(keyword)
    if not items:
        raise ValueError(f"{keyword} is missing")
    found: Dataset = items[0]
    return found


def _frames(dataset: Dataset, count: int) -> np.ndarray:
    shape = (count, int(dataset.Rows), int(dataset.Columns))
    syntax = dataset.file_meta.TransferSyntaxUID
    if int(dataset.BitsAllocated) == 1 and not syntax.is_compressed and syntax.is_little_endian:
        packed = np.frombuffer(dataset.PixelData, np.uint8)
        return np.unpackbits(packed, count=int(np.prod(shape)), bitorder="little").reshape(shape).astype(bool)
    values = np.asarray(dataset.pixel_array).reshape(shape)
    if dataset.get("SegmentationType", "BINARY") == "FRACTIONAL":
        whole: np.ndarray = values >= FRACTION * float(dataset.get("MaximumFractionalValue", 255))
        return whole
    return values > 0


def place(segmentation: Segmentation, stack: Stack) -> Canvas | str:
    """Mask of a segmentation on the grid of an image.

    Args:
        segmentation: Frames with labels; where two overlap, the higher value is kept.
        stack: Slices of the image.

    Returns:
        What was painted, or a reason: the segmentation lies outside the image, or its frames on no grid.
    """
    canvas = Canvas(stack)
    if not len(segmentation.frames):
        return canvas
    slices = _slices_of(segmentation, stack)
    if slices is not None:
        for value in segmentation.mask_values():
            for frame in np.flatnonzero(segmentation.values == value):
                canvas.paint(value, int(slices[frame]), segmentation.frames[frame])
        return canvas
    own = _own_grid(segmentation)
    if own is None:
        return "mask.unreadable"
    if not overlaps(own, stack.grid):
        return "mask.off_grid"
    index = np.rint((segmentation.positions_mm - own.origin_mm) @ own.axes[0] / own.spacing_mm[0]).astype(int)
    for value in segmentation.mask_values():
        volume = np.zeros(own.shape_zyx, np.uint8)
        for frame in np.flatnonzero(segmentation.values == value):
            volume[index[frame]] |= segmentation.frames[frame].astype(np.uint8)
        canvas.lay(value, resample(volume, own, stack.grid, order=0, fill=0) > 0)
    return canvas


def _slices_of(segmentation: Segmentation, stack: Stack) -> np.ndarray | None:
    """Acquired slice of each frame, shape (f,); None where the frames do not lie on acquired slices."""
    grid = stack.grid
    cosines = np.concatenate([grid.axes[2], grid.axes[1]])
    if (
        segmentation.frames.shape[1:] != stack.shape_yx
        or not np.allclose(segmentation.orientation, cosines, atol=1e-4)
        or not np.allclose(segmentation.spacing_yx, grid.spacing_mm[1:], rtol=1e-3)
    ):
        return None
    distances = np.linalg.norm(segmentation.positions_mm[:, None] - stack.positions_mm, axis=2)
    if distances.min(axis=1).max() > ON_SLICE_MM:
        return None
    nearest: np.ndarray = distances.argmin(axis=1)
    return nearest


def _own_grid(segmentation: Segmentation) -> Grid | None:
    """Smallest even grid which holds all frames; None where they do not lie on one, or it would fill the memory."""
    row, column = segmentation.orientation[:3], segmentation.orientation[3:]
    normal = np.cross(row, column)
    along = segmentation.positions_mm @ normal
    first = segmentation.positions_mm[along.argmin()]
    lateral = segmentation.positions_mm - first - (along - along.min())[:, None] * normal
    step = _step(np.sort(along - along.min()), segmentation.steps_mm)
    if step is None or np.abs(lateral).max() > ON_SLICE_MM:
        return None
    shape = (int(np.rint(np.ptp(along) / step)) + 1, *segmentation.frames.shape[1:])
    if np.prod(shape, dtype=float) > MAXIMUM_BYTES:
        return None
    return grid_of_slices(first, segmentation.orientation, segmentation.spacing_yx, step, shape)


def _step(along: np.ndarray, stated: tuple[float, ...]) -> float | None:
    """Distance of slices on which frames at sorted heights, from 0 on, lie; None where there is none.

    A stated distance comes first: where a label is missing on some slices, the frames are further apart than they.
    """
    gaps = np.diff(along)
    apart = gaps[gaps > LEVEL_MM]
    if not apart.size:
        return next(iter(stated), 1.0)
    for step in (*stated, float(apart.min())):
        count = round(float(along[-1]) / step)
        even = along[-1] / max(count, 1)
        off = np.abs(along / even - np.rint(along / even)).max()
        if count and abs(even - step) <= ON_GRID * step and off <= OFF_LEVEL:
            return float(even)
    return None

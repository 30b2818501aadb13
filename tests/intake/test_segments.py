"""Segments that others write: label maps, grids of their own, rounded places, older codes."""

import numpy as np
import pytest
from pydicom.dataset import Dataset

from synthdata.intake import take_in
from synthdata.records.parquet import read_cases

LABEL_MAP = "1.2.840.10008.5.1.4.1.1.66.7"


def codes(report) -> dict[str, int]:
    return {reason.code: reason.files for reason in report.reasons}


def take(build, scans, private):
    return take_in(build.spec(labels=build.labels), scans, private, pseudonym_key=build.key)


def only_mask(report, private):
    assert report.accepted == report.seen, codes(report)
    (case,) = read_cases(private, report.cases)
    return case.mask


def blobs(grid, slices) -> np.ndarray:
    """Values 0 to 2 on some slices."""
    mask = np.zeros(grid.shape_zyx, np.uint8)
    mask[slices] = np.random.default_rng(5).integers(0, 3, (len(slices), *grid.shape_zyx[1:]))
    return mask


def label_map(segmentation: Dataset, mask: np.ndarray, kind: str, *, numbers=(0, 1, 2)) -> Dataset:
    """A segmentation as a label map of the same slices."""
    segmentation.SOPClassUID, segmentation.SegmentationType = LABEL_MAP, "LABELMAP"
    bits = 8 * np.dtype(kind).itemsize
    segmentation.BitsAllocated = segmentation.BitsStored = bits
    segmentation.HighBit, segmentation.PixelPaddingValue = bits - 1, numbers[0]
    places = {}
    for groups in segmentation.PerFrameFunctionalGroupsSequence:
        del groups.SegmentIdentificationSequence
        places[tuple(groups.PlanePositionSequence[0].ImagePositionPatient)] = groups
    segmentation.PerFrameFunctionalGroupsSequence = list(places.values())
    segmentation.NumberOfFrames = len(places)
    for item, number in zip(segmentation.SegmentSequence, numbers[1:], strict=True):
        item.SegmentNumber = number
    order = sorted(range(len(places)), key=lambda index: float(list(places)[index][2]))
    frames = np.empty((len(places), *mask.shape[1:]), kind)
    frames[order] = np.array(numbers, kind)[mask[mask.any(axis=(1, 2))]]
    segmentation.PixelData = frames.tobytes()
    return segmentation


@pytest.mark.parametrize("kind", ["u1", "<u2"])
@pytest.mark.parametrize("numbers", [(0, 1, 2), (7, 0, 3)])
def test_a_label_map_lands_on_its_voxels(build, scans, private, kind, numbers) -> None:
    grid = build.grid()
    series, mask = build.series("PAT-1", grid), blobs(grid, [0, 1, 3])
    segmentation = label_map(build.mask("PAT-1", series, grid, mask), mask, kind, numbers=numbers)
    build.write(scans, [*series, segmentation])
    report = take(build, scans, private)
    np.testing.assert_array_equal(only_mask(report, private), mask)
    assert set(report.label_codes) == {"lesion", "ventricle"}


def test_a_label_map_with_a_number_of_no_segment_is_refused(build, scans, private) -> None:
    grid = build.grid()
    series, mask = build.series("PAT-1", grid), blobs(grid, [0, 1])
    segmentation = label_map(build.mask("PAT-1", series, grid, mask), mask, "u1")
    segmentation.PixelData = bytes([9]) + segmentation.PixelData[1:]
    build.write(scans, [*series, segmentation])
    assert codes(take(build, scans, private)) == {"mask.unreadable": 1, "case.companion": 5}


def cropped(build, slices, *, noise_mm: float = 0.0) -> tuple[list[Dataset], Dataset, np.ndarray]:
    """A series, and a segmentation on a smaller grid of the same voxels which has some of its slices."""
    grid = build.grid()
    small = build.grid(shape_zyx=(5, 6, 4), origin_mm=(-7.0 + 1.5, 4.0 + 2.0, 11.0))
    mask = blobs(small, slices)
    segmentation = build.mask("PAT-1", build.series("PAT-1", small), small, mask)
    rng = np.random.default_rng(1)
    for groups in segmentation.PerFrameFunctionalGroupsSequence:
        (plane,) = groups.PlanePositionSequence
        moved = np.array(plane.ImagePositionPatient, float) + rng.normal(0, noise_mm, 3)
        plane.ImagePositionPatient = [round(float(value), 6) for value in moved]
    whole = np.zeros(grid.shape_zyx, np.uint8)
    whole[:, 1:7, 1:5] = mask
    return build.series("PAT-1", grid), segmentation, whole


def test_frames_whose_places_differ_by_a_rounding_lie_on_one_slice(build, scans, private) -> None:
    series, segmentation, mask = cropped(build, [0, 1, 2, 3, 4], noise_mm=3e-4)
    build.write(scans, [*series, segmentation])
    np.testing.assert_array_equal(only_mask(take(build, scans, private), private), mask)


def test_a_segment_on_two_slices_that_lie_apart_does_not_grow_between_them(build, scans, private) -> None:
    series, segmentation, mask = cropped(build, [0, 4])
    build.write(scans, [*series, segmentation])
    np.testing.assert_array_equal(only_mask(take(build, scans, private), private), mask)


def test_frames_on_no_even_grid_are_refused(build, scans, private) -> None:
    series, segmentation, _ = cropped(build, [0, 1, 2, 3, 4])
    for number, groups in enumerate(segmentation.PerFrameFunctionalGroupsSequence):
        (plane,) = groups.PlanePositionSequence
        x, y, z = plane.ImagePositionPatient
        plane.ImagePositionPatient = [x, y, float(z) + 0.37 * (number % 3)]
    build.write(scans, [*series, segmentation])
    assert codes(take(build, scans, private)) == {"mask.unreadable": 1, "case.companion": 5}


@pytest.mark.parametrize(
    ("scheme", "code", "found"),
    [
        ("SRT", "T-62000", "10200004|Liver"),
        ("99SDM", "T-62000", "10200004|Liver"),
        ("SRT", "T-00000000", None),
        ("DCM", "10200004", None),
    ],
)
def test_older_codes_become_those_of_snomed_ct(build, scans, private, scheme, code, found) -> None:
    grid = build.grid()
    series = build.series("PAT-1", grid)
    segmentation = build.mask("PAT-1", series, grid, blobs(grid, [1, 2]))
    (kind,) = segmentation.SegmentSequence[0].SegmentedPropertyTypeCodeSequence
    kind.CodingSchemeDesignator, kind.CodeValue, kind.CodeMeaning = scheme, code, "Liver"
    build.write(scans, [*series, segmentation])
    report = take(build, scans, private)
    assert report.accepted == report.seen, codes(report)
    assert report.label_codes.get("lesion") == found


def observation(value: str, scheme: str, meaning: str) -> Dataset:
    """What the first region shows, as a code."""
    said, kind = Dataset(), Dataset()
    kind.CodeValue, kind.CodingSchemeDesignator, kind.CodeMeaning = value, scheme, meaning
    said.ObservationNumber = said.ReferencedROINumber = 1
    said.RTROIIdentificationCodeSequence = [kind]
    said.RTROIInterpretedType, said.ROIInterpreter = "", ""
    return said


def test_the_codes_of_regions_travel_like_those_of_segments(build, scans, private) -> None:
    grid = build.grid()
    series = build.series("PAT-1", grid)
    regions = build.structure_set(series[0], {"lesion": [build.outline(grid, 2, (1, 0), (7, 5))]})
    regions.RTROIObservationsSequence = [observation("52988006", "SCT", "Lesion")]
    build.write(scans, [*series, regions])
    report = take(build, scans, private)
    assert report.accepted == report.seen, codes(report)
    assert dict(report.label_codes) == {"lesion": "52988006|Lesion"}


@pytest.mark.parametrize(
    ("padding", "is_held"), [(b"\0", False), (b"0", False), (b"7", True), (b"000", True)]
)
def test_an_odd_number_of_bytes_is_padded_as_highdicom_does_and_no_further(
    build, scans, private, padding, is_held
) -> None:
    grid = build.grid(shape_zyx=(3, 7, 7))
    images = build.series("PAT-1", grid)
    segmentation = build.mask("PAT-1", images, grid, np.ones((3, 7, 7), np.uint8))
    segmentation.PixelData = segmentation.PixelData[: (3 * 49 + 7) // 8] + padding  # 19 bytes
    build.write(scans, [*images, segmentation])
    report = take(build, scans, private)
    assert ("deid.hidden_bytes" in codes(report)) == is_held


@pytest.mark.parametrize(("other", "drawn"), [("52988006|Lesion", True), ("4147007|Mass", False)])
def test_a_segment_of_another_name_is_known_by_its_code(build, scans, private, other, drawn) -> None:
    grid = build.grid()
    series, mask = build.series("PAT-1", grid), np.zeros(grid.shape_zyx, np.uint8)
    mask[2, 2:5, 1:4] = 1
    segmentation = build.mask("PAT-1", series, grid, mask)
    segmentation.SegmentSequence[0].SegmentLabel = "Segment 1"
    build.write(scans, [*series, segmentation])
    spec = build.spec(labels={"lesion": 1}, label_codes={"lesion": other})
    report = take_in(spec, scans, private, pseudonym_key=build.key)
    np.testing.assert_array_equal(only_mask(report, private), mask * drawn)


def test_a_code_that_two_labels_share_tells_neither(build, scans, private) -> None:
    grid = build.grid()
    series, mask = build.series("PAT-1", grid), np.ones(grid.shape_zyx, np.uint8)
    segmentation = build.mask("PAT-1", series, grid, mask)
    segmentation.SegmentSequence[0].SegmentLabel = "Segment 1"
    build.write(scans, [*series, segmentation])
    codes_of = dict.fromkeys(("left", "right"), "52988006|Lesion")
    spec = build.spec(labels={"left": 1, "right": 2}, label_codes=codes_of)
    report = take_in(spec, scans, private, pseudonym_key=build.key)
    assert not only_mask(report, private).any()


def test_a_region_of_another_name_is_known_by_its_code(build, scans, private) -> None:
    grid = build.grid()
    series = build.series("PAT-1", grid)
    regions = build.structure_set(series[0], {"Segment 1": [build.outline(grid, 2, (1, 0), (7, 5))]})
    regions.RTROIObservationsSequence = [observation("T-62000", "SRT", "Liver")]
    build.write(scans, [*series, regions])
    spec = build.spec(labels={"liver": 1}, label_codes={"liver": "10200004|Liver"})
    report = take_in(spec, scans, private, pseudonym_key=build.key)
    expected = np.zeros(grid.shape_zyx, np.uint8)
    expected[2, 1:7, 0:5] = 1
    np.testing.assert_array_equal(only_mask(report, private), expected)

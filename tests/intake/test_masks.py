"""Masks beyond the plain case: contours, fractions, overlaps, tilted images, codes that travel."""

import os
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file

from synthdata.intake import take_in
from synthdata.intake.contours import polygon_pixels
from synthdata.intake.labels import _frames, read_segmentation
from synthdata.records.parquet import read_cases

REALDATA = Path(os.environ.get("SYNTHDATA_REALDATA", Path(__file__).parents[2] / "../shared/data"))


def codes(report) -> dict[str, int]:
    return {reason.code: reason.files for reason in report.reasons}


def take(build, scans, private, **changes):
    spec = build.spec(**{"labels": build.labels, **changes})
    return take_in(spec, scans, private, pseudonym_key=build.key)


def only_mask(report, private):
    assert report.cases.cases == 1, codes(report)
    (case,) = read_cases(private, report.cases)
    return case.mask


def box(grid, low=(1, 2, 1), high=(3, 6, 4)) -> np.ndarray:
    mask = np.zeros(grid.shape_zyx, bool)
    mask[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = True
    return mask


@pytest.mark.parametrize("oblique", [False, True])
def test_contours_are_filled_on_their_slices_with_their_holes(build, scans, private, oblique) -> None:
    grid = build.grid(direction=build.oblique) if oblique else build.grid()
    series = build.series("PAT-1", grid)
    outlines = [build.outline(grid, z, (1, 0), (7, 5)) for z in (1, 2, 3)] + [
        build.outline(grid, 2, (3, 2), (5, 4))
    ]
    build.write(scans, [*series, build.structure_set(series[0], {"Lesion": outlines, "bladder": []})])
    report = take(build, scans, private)
    assert report.accepted == 6, codes(report)
    expected = box(grid, (1, 1, 0), (4, 7, 5))
    expected[2, 3:5, 2:4] = False
    np.testing.assert_array_equal(only_mask(report, private), expected)


def test_contours_on_every_second_slice_fill_those_between(build, scans, private) -> None:
    grid = build.grid()
    series = build.series("PAT-1", grid)
    outlines = [build.outline(grid, z, (1, 0), (7, 5)) for z in (0, 2, 4)]
    build.write(scans, [*series, build.structure_set(series[0], {"lesion": outlines})])
    np.testing.assert_array_equal(
        only_mask(take(build, scans, private), private), box(grid, (0, 1, 0), (5, 7, 5))
    )


@pytest.mark.parametrize(("kind", "code"), [("POINT", "mask.unreadable"), ("CLOSED_PLANAR", "mask.off_grid")])
def test_contours_that_lie_elsewhere_or_are_none_are_refused(build, scans, private, kind, code) -> None:
    grid = build.grid()
    series = build.series("PAT-1", grid)
    away = build.outline(grid, 40, (1, 0), (7, 5))
    build.write(scans, [*series, build.structure_set(series[0], {"lesion": [away]}, kind)])
    assert codes(take(build, scans, private)) == {code: 1, "case.companion": 5}


def test_a_polygon_has_the_area_of_its_closed_form() -> None:
    angle = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    inside = polygon_pixels(100.3 + 60 * np.sin(angle), 89.6 + 40 * np.cos(angle), (200, 180))
    assert inside.sum() == pytest.approx(np.pi * 60 * 40, rel=2e-3)
    y, x = np.nonzero(inside)
    assert (((y - 100.3) / 60) ** 2 + ((x - 89.6) / 40) ** 2).max() <= 1


def tilted(series) -> None:
    for index, dataset in enumerate(series):
        x, y, z = dataset.ImagePositionPatient
        dataset.ImagePositionPatient = [x, round(y + index * 2.0, 4), z]


def test_a_mask_on_a_tilted_image_moves_with_it(build, scans, private) -> None:
    grid = build.grid()
    series, mask = build.series("PAT-1", grid), box(grid).astype(np.uint8)
    segmentation = build.mask("PAT-1", series, grid, mask)
    tilted(series)
    for groups in segmentation.PerFrameFunctionalGroupsSequence:
        (plane,) = groups.PlanePositionSequence
        x, y, z = plane.ImagePositionPatient
        plane.ImagePositionPatient = [x, round(y + 2.0 * round((z - 11) / 3), 4), z]
    build.write(scans, [*series, segmentation])
    report = take(build, scans, private)
    assert report.accepted == 6, codes(report)
    (case,) = read_cases(private, report.cases)
    expected = np.zeros(case.grid.shape_zyx, np.uint8)  # one row further down on each slice
    for index, one in enumerate(mask):
        expected[index, index : index + 8] = one
    np.testing.assert_array_equal(case.mask, expected)


def test_where_segments_overlap_the_higher_label_stays_and_a_note_says_so(build, scans, private) -> None:
    grid = build.grid()
    series = build.series("PAT-1", grid)
    first = build.mask("PAT-1", series, grid, box(grid).astype(np.uint8))
    second = build.mask("PAT-1", series, grid, 2 * box(grid, (2, 4, 2), (5, 8, 6)).astype(np.uint8))
    second.SOPInstanceUID = "1.2.3.9"
    build.write(scans, [*series, first, second])
    report = take(build, scans, private)
    expected = np.where(box(grid, (2, 4, 2), (5, 8, 6)), 2, box(grid))
    np.testing.assert_array_equal(only_mask(report, private), expected)
    assert any("labels overlap" in note for note in report.notes)


@pytest.mark.parametrize("maximum", [100, 255])
def test_a_fractional_segment_holds_the_voxels_of_at_least_one_half(build, scans, private, maximum) -> None:
    grid = build.grid()
    series = build.series("PAT-1", grid)
    segmentation = build.mask("PAT-1", series, grid, box(grid).astype(np.uint8))
    segmentation.SegmentationType, segmentation.SegmentationFractionalType = "FRACTIONAL", "PROBABILITY"
    segmentation.MaximumFractionalValue = maximum
    segmentation.BitsAllocated = segmentation.BitsStored = 8
    segmentation.HighBit, segmentation.LossyImageCompression = 7, "00"
    frames = len(segmentation.PerFrameFunctionalGroupsSequence)
    values = np.random.default_rng(3).integers(0, maximum + 1, (frames, 8, 6)).astype(np.uint8)
    segmentation.PixelData = values.tobytes()
    build.write(scans, [*series, segmentation])
    report = take(build, scans, private)
    assert report.accepted == 6, codes(report)
    assert only_mask(report, private).sum() == (values >= maximum / 2).sum()


def test_the_codes_of_segments_travel_with_the_report_and_disagreement_is_noted(
    build, scans, private
) -> None:
    grid = build.grid()
    series = build.series("PAT-1", grid)
    both = (box(grid) + 2 * box(grid, (3, 6, 4), (5, 8, 6))).astype(np.uint8)
    build.write(scans, [*series, build.mask("PAT-1", series, grid, both)])
    report = take(build, scans, private)
    assert dict(report.label_codes) == {"lesion": "52988006|Lesion", "ventricle": "35764002|Brain ventricle"}
    again = build.series("PAT-2", grid, seed=1)
    other = build.mask("PAT-2", again, grid, box(grid).astype(np.uint8))
    other.SegmentSequence[0].SegmentedPropertyTypeCodeSequence[0].CodeValue = "4147007"
    build.write(scans, [*again, other], "b")
    report = take(build, scans, private)
    assert dict(report.label_codes) == {"ventricle": "35764002|Brain ventricle"}
    assert any("several SNOMED CT codes" in note for note in report.notes)


def test_big_endian_bits_are_those_of_little_endian() -> None:
    names = ("liver_1frame.dcm", "liver_expb_1frame.dcm")
    little, big = (_frames(dcmread(get_testdata_file(name)), 1) for name in names)
    assert little.any()
    np.testing.assert_array_equal(little, big)


@pytest.mark.realdata
@pytest.mark.skipif(not REALDATA.is_dir(), reason="SYNTHDATA_REALDATA names no folder with the real scans")
@pytest.mark.parametrize("name", ["liver.dcm", "partial_overlaps.dcm"])
def test_real_segmentations_hold_the_pixels_that_pydicom_decodes(name) -> None:
    path = REALDATA / "dicom" / "dcmqi_ct_with_seg" / name
    dataset = dcmread(path)
    labels = {str(item.SegmentLabel): int(item.SegmentNumber) for item in dataset.SegmentSequence}
    found = read_segmentation(path.read_bytes(), labels)
    np.testing.assert_array_equal(found.frames, dataset.pixel_array.reshape(found.frames.shape) > 0)
    assert set(found.values.tolist()) == set(labels.values())

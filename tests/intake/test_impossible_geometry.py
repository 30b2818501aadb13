"""Numbers that no scanner writes are refused, and stop nobody else's scans."""

import numpy as np
import pytest

from synthdata.intake import take_in
from synthdata.records.parquet import read_cases
from synthdata.spec import Channel, GridSpec


def codes(report) -> dict[str, int]:
    return {reason.code: reason.files for reason in report.reasons}


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("PixelSpacing", [1e9, 1e9]),
        ("PixelSpacing", [1e-9, 1e-9]),
        ("PixelSpacing", [-0.8, 0.8]),
        ("PixelSpacing", [0.8]),
        ("ImagePositionPatient", [1e30, 0, 0]),
        ("ImagePositionPatient", [1, 2]),
        ("ImageOrientationPatient", [0, 0, 0, 0, 0, 0]),
        ("ImageOrientationPatient", [1, 0, 0, 1, 0, 0]),
        ("ImageOrientationPatient", [2, 0, 0, 0, 2, 0]),
    ],
)
def test_impossible_numbers_are_refused_beside_a_good_study(build, scans, private, keyword, value) -> None:
    build.write(scans, build.series("PAT-1"), "a")
    bad = build.series("PAT-2")
    for dataset in bad:
        setattr(dataset, keyword, value)
    build.write(scans, bad, "b")
    report = take_in(build.spec(), scans, private, pseudonym_key=build.key)
    assert (report.accepted, codes(report)["series.no_geometry"]) == (5, 5)


@pytest.mark.parametrize("keyword", ["SpacingBetweenSlices", "SliceThickness"])
@pytest.mark.parametrize(("stated", "taken"), [(-4.0, 4.0), (4.0, 4.0)])
def test_the_distance_of_a_single_slice_has_no_sign(build, scans, private, keyword, stated, taken) -> None:
    (dataset,) = build.series("PAT-1", build.grid(shape_zyx=(1, 8, 6)))
    for name in ("SpacingBetweenSlices", "SliceThickness"):
        if name in dataset:
            delattr(dataset, name)
    setattr(dataset, keyword, stated)
    build.write(scans, [dataset])
    flat = build.spec(grid=GridSpec(shape_zyx=(1, 8, 6), spacing_mm=(3.0, 2.0, 1.5)))
    report = take_in(flat, scans, private, pseudonym_key=build.key)
    (case,) = read_cases(private, report.cases)
    assert case.grid.spacing_mm == pytest.approx((taken, 2.0, 1.5))


def test_a_projection_of_an_impossible_spacing_is_refused(build, scans, private) -> None:
    grid = build.grid(shape_zyx=(1, 8, 6), spacing_mm=(1.0, 2.0, 1.5), origin_mm=(0.0, 0.0, 0.0))
    (dataset,) = build.series("PAT-1", grid, modality="DX", name="XR")
    for name in ("PixelSpacing", "NominalScannedPixelSpacing"):
        if name in dataset:
            delattr(dataset, name)
    dataset.ImagerPixelSpacing = [1e-12, 1e-12]
    build.write(scans, [dataset])
    spec = build.spec(
        channels=(Channel(name="XR", modality="DX"),),
        grid=GridSpec(shape_zyx=(1, 8, 6), spacing_mm=(1.0, 2.0, 1.5)),
    )
    assert codes(take_in(spec, scans, private, pseudonym_key=build.key)) == {"series.no_geometry": 1}


def spacing(groups, value) -> None:
    groups.PixelMeasuresSequence[0].PixelSpacing = value


def orientation(groups, value) -> None:
    groups.PlaneOrientationSequence[0].ImageOrientationPatient = value


@pytest.mark.parametrize(
    ("change", "value"),
    [
        (spacing, [-1.0, 1.0]),
        (spacing, [0.0, 0.0]),
        (orientation, [0.0] * 6),
        (orientation, [1, 0, 0, 1, 0, 0]),
    ],
)
def test_a_segmentation_of_impossible_geometry_is_refused(build, scans, private, change, value) -> None:
    grid = build.grid()
    series, mask = build.series("PAT-1", grid), np.ones(grid.shape_zyx, np.uint8)
    segmentation = build.mask("PAT-1", series, grid, mask)
    change(segmentation.SharedFunctionalGroupsSequence[0], value)
    build.write(scans, [*series, segmentation])
    report = take_in(build.spec(labels=build.labels), scans, private, pseudonym_key=build.key)
    assert codes(report) == {"mask.unreadable": 1, "case.companion": 5}


def test_a_contour_that_lies_nowhere_is_refused(build, scans, private) -> None:
    series = build.series("PAT-1")
    outline = build.outline(build.grid(), 2, (1, 0), (7, 5)) + 1e7
    build.write(scans, [*series, build.structure_set(series[0], {"lesion": [outline]})])
    report = take_in(build.spec(labels=build.labels), scans, private, pseudonym_key=build.key)
    assert codes(report) == {"mask.unreadable": 1, "case.companion": 5}


@pytest.mark.parametrize(("shift", "accepted"), [(3.0, 10), (200.0, 0)])
def test_channels_that_show_different_places_are_held_back(build, scans, private, shift, accepted) -> None:
    first = build.series("PAT-1")
    second = build.series("PAT-1", build.grid(origin_mm=(-7.0 + shift, 4.0, 11.0)), seed=1, name="T2w")
    build.write(scans, first, "a")
    build.write(scans, second, "b")
    channels = tuple(Channel(name=name, modality="MR", series=f"^{name}$") for name in ("T1w", "T2w"))
    report = take_in(build.spec(channels=channels), scans, private, pseudonym_key=build.key)
    assert report.accepted == accepted
    assert codes(report) == ({} if accepted else {"case.no_overlap": 5, "case.companion": 5})


def test_numbers_that_float32_rounds_are_noted(build, scans, private) -> None:
    datasets = build.series("PAT-1")
    for dataset in datasets:
        dataset.RescaleSlope, dataset.RescaleIntercept = 40_001, 1
    build.write(scans, datasets)
    report = take_in(build.spec(), scans, private, pseudonym_key=build.key)
    assert any(note.startswith("whole numbers above 16777216") for note in report.notes)
    (case,) = read_cases(private, report.cases)
    exact = 40_001.0 * build.image(build.grid()) + 1
    np.testing.assert_array_equal(case.image[0], exact.astype(np.float32))

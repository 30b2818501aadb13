"""Slices whose headers differ by a rounding are one stack; stacks that lie beside each other are not."""

import copy

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedMRImageStorage, LegacyConvertedEnhancedMRImageStorage

from synthdata.intake import take_in
from synthdata.records.parquet import read_cases
from synthdata.spec import Channel


def take(build, scans, private, pattern="^T1w"):
    spec = build.spec(channels=(Channel(name="T1w", modality="MR", series=pattern),))
    return take_in(spec, scans, private, pseudonym_key=build.key)


def only_case(report, private):
    assert report.accepted == report.seen, [(reason.code, reason.files) for reason in report.reasons]
    (case,) = read_cases(private, report.cases)
    return case


def turned(sine: float) -> list[float]:
    """Cosines turned about z by a little."""
    cosine = float(np.sqrt(1 - sine * sine))
    return [cosine, sine, 0.0, -sine, cosine, 0.0]


@pytest.mark.parametrize("limit", [0.0005, 0.0015, 0.001, 0.01])
def test_orientations_that_differ_by_a_rounding_are_one_stack(build, scans, private, limit) -> None:
    datasets = build.series("PAT-1")
    for index, dataset in enumerate(datasets):
        dataset.ImageOrientationPatient = turned(limit + (2e-6 if index % 2 else -2e-6))
    build.write(scans, datasets)
    case = only_case(take(build, scans, private), private)
    np.testing.assert_array_equal(case.image[0], build.image(build.grid()))


def test_pixel_spacings_that_differ_by_a_rounding_are_one_stack(build, scans, private) -> None:
    datasets = build.series("PAT-1")
    for index, dataset in enumerate(datasets):
        dataset.PixelSpacing = [0.9765, 0.9765] if index % 2 else [0.97649, 0.97649]
    build.write(scans, datasets)
    assert only_case(take(build, scans, private), private).grid.shape_zyx == (5, 8, 6)


def test_slices_of_truly_different_spacing_are_not_one_stack(build, scans, private) -> None:
    datasets = build.series("PAT-1")
    for index, dataset in enumerate(datasets):
        dataset.PixelSpacing = [0.98, 0.98] if index % 2 else [0.97, 0.97]
    build.write(scans, datasets)
    report = take(build, scans, private)
    assert {reason.code for reason in report.reasons} == {"case.ambiguous_channel"}


@pytest.mark.parametrize("height", [0.005, 0.0, 0.0049])
def test_echoes_whose_positions_differ_by_a_rounding_are_told_apart(build, scans, private, height) -> None:
    both = []
    for echo in (0, 1):
        for index, dataset in enumerate(build.series("PAT-1", seed=echo)):
            dataset.EchoTime, dataset.SOPInstanceUID = 10.0 * (echo + 1), f"1.2.3.{echo}.{index}"
            x, y, z = dataset.ImagePositionPatient
            dataset.ImagePositionPatient = [x, y, round(float(z) + height + (1e-5 if echo else -1e-5), 6)]
            both.append(dataset)
    build.write(scans, both)
    report = take(build, scans, private, "echo 2$")
    assert (report.accepted, report.refused) == (5, 5), [reason.code for reason in report.reasons]
    (case,) = read_cases(private, report.cases)
    np.testing.assert_array_equal(case.image[0], build.image(build.grid(), 1))


def test_the_first_slice_orients_a_stack_whatever_its_file_is_called(build, scans, private) -> None:
    datasets = build.series("PAT-1")
    for index, dataset in enumerate(datasets):
        dataset.ImageOrientationPatient = turned(1e-4 * index)
    build.write(scans, datasets)
    case = only_case(take(build, scans, private), private)
    assert case.grid.axes[2] == pytest.approx([1.0, 0.0, 0.0], abs=1e-12)


def parallel_stacks(build, apart_mm: float) -> Dataset:
    """Two stacks of five slices of one orientation in one multi-frame image, which Stack ID tells apart."""
    classic = [item for seed in (0, 1) for item in build.series("PAT-1", seed=seed)]
    result = copy.deepcopy(classic[0])
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"):
        delattr(result, keyword)
    shared, orientation, measures = Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient = classic[0].ImageOrientationPatient
    measures.PixelSpacing, measures.SliceThickness = classic[0].PixelSpacing, classic[0].SliceThickness
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [orientation], [measures]
    frames = []
    for number, item in enumerate(classic):
        groups, position, content = Dataset(), Dataset(), Dataset()
        x, y, z = item.ImagePositionPatient
        position.ImagePositionPatient = [x, y, float(z) + (apart_mm if number > 4 else 0.0)]
        content.StackID, content.InStackPositionNumber = str(number // 5 + 1), number % 5 + 1
        groups.PlanePositionSequence, groups.FrameContentSequence = [position], [content]
        frames.append(groups)
    result.SOPClassUID, result.NumberOfFrames = EnhancedMRImageStorage, len(classic)
    result.PixelData = b"".join(item.PixelData for item in classic)
    result.SharedFunctionalGroupsSequence, result.PerFrameFunctionalGroupsSequence = [shared], frames
    return result


def test_parallel_stacks_of_a_multi_frame_image_are_volumes_of_their_own(build, scans, private) -> None:
    build.write(scans, [parallel_stacks(build, 40.0)])
    case = only_case(take(build, scans, private, "stack 2$"), private)
    np.testing.assert_array_equal(case.image[0], build.image(build.grid(), 1))
    assert case.grid.origin_mm == pytest.approx((-7.0, 4.0, 51.0))


def test_stacks_which_go_on_evenly_are_one_volume(build, scans, private) -> None:
    build.write(scans, [parallel_stacks(build, 15.0)])
    assert only_case(take(build, scans, private), private).grid.shape_zyx == (10, 8, 6)


def test_echoes_of_a_converted_classic_series_are_told_apart(build, scans, private) -> None:
    dataset = parallel_stacks(build, 0.0)
    dataset.SOPClassUID = LegacyConvertedEnhancedMRImageStorage
    for number, groups in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        del groups.FrameContentSequence
        said = Dataset()
        said.EchoTime = 20.0 if number > 4 else 10.0
        groups.UnassignedPerFrameConvertedAttributesSequence = [said]
    build.write(scans, [dataset])
    case = only_case(take(build, scans, private, "echo 2$"), private)
    np.testing.assert_array_equal(case.image[0], build.image(build.grid(), 1))

"""Series of many volumes: echoes, times, enhanced frames, mosaics, tilted and uneven stacks."""

import copy
import struct

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedMRImageStorage

from synthdata.intake import take_in
from synthdata.intake.csa import csa_values
from synthdata.intake.stack import Misfit, stack_of
from synthdata.records.parquet import read_cases
from synthdata.spec import Channel

AXIAL = np.array([1.0, 0, 0, 0, 1.0, 0])


def codes(report) -> dict[str, int]:
    return {reason.code: reason.files for reason in report.reasons}


def channel(pattern: str, **changes) -> tuple[Channel, ...]:
    return (Channel(**{"name": "T1w", "modality": "MR", "series": pattern, **changes}),)


def take(build, scans, private, pattern="^T1w", **changes):
    spec = build.spec(**{"channels": channel(pattern), **changes})
    return take_in(spec, scans, private, pseudonym_key=build.key)


def only_case(report, private):
    (case,) = read_cases(private, report.cases)
    return case


def repeats(build, count: int) -> list[list[Dataset]]:
    """The same slices several times, with pixels of their own."""
    grid, all_of_them = build.grid(), []
    for repeat in range(count):
        datasets = build.series("PAT-1", grid, seed=repeat)
        for index, dataset in enumerate(datasets):
            dataset.SOPInstanceUID = f"1.2.3.{repeat}.{index}"
        all_of_them.append(datasets)
    return all_of_them


def flat(lists):
    return [item for one in lists for item in one]


def test_echoes_become_volumes_which_a_channel_names(build, scans, private) -> None:
    series = repeats(build, 3)
    for datasets, echo in zip(series, (30.0, 10.0, 20.0), strict=True):
        for dataset in datasets:
            dataset.EchoTime = echo
    build.write(scans, flat(series))
    report = take(build, scans, private, "^T1w echo 3$")
    assert codes(report) == {"series.no_channel": 10}
    np.testing.assert_array_equal(only_case(report, private).image[0], build.image(build.grid(), 0))
    report = take(build, scans, private, "^T1w$")
    assert codes(report) == {"case.ambiguous_channel": 15}


def test_two_echoes_may_be_two_channels(build, scans, private) -> None:
    series = repeats(build, 2)
    for datasets, echo in zip(series, (10.0, 20.0), strict=True):
        for dataset in datasets:
            dataset.EchoTime = echo
    build.write(scans, flat(series))
    both = (*channel("echo 1"), Channel(name="T2w", modality="MR", series="echo 2"))
    case = only_case(take(build, scans, private, channels=both), private)
    np.testing.assert_array_equal(case.image, np.stack([build.image(build.grid(), k) for k in (0, 1)]))


@pytest.mark.parametrize("by_place", [False, True])
def test_time_points_are_told_apart_by_the_order_of_their_instances(build, scans, private, by_place) -> None:
    series = repeats(build, 3)
    for repeat, datasets in enumerate(series):
        for index, dataset in enumerate(datasets):
            dataset.InstanceNumber = 3 * index + repeat + 1 if by_place else 5 * repeat + index + 1
    build.write(scans, flat(series)[::-1])
    case = only_case(take(build, scans, private, "time 2$"), private)
    np.testing.assert_array_equal(case.image[0], build.image(build.grid(), 1))


def test_one_slice_that_came_twice_is_refused_with_the_figure(build, scans, private) -> None:
    first, second = repeats(build, 2)
    build.write(scans, [*first, second[2]])
    report = take(build, scans, private)
    assert codes(report) == {"series.repeated_position": 6}
    assert report.notes == ("a series has 6 slices at 5 positions, which no echo, time or type tells apart",)


def test_a_localiser_inside_a_series_is_a_stack_of_its_own(build, scans, private) -> None:
    grid = build.grid()
    scout = build.series("PAT-1", build.grid(direction=build.oblique, shape_zyx=(1, 8, 6)), seed=7)
    scout[0].SOPInstanceUID = "1.2.3"
    build.write(scans, [*scout, *build.series("PAT-1", grid)])
    case = only_case(take(build, scans, private, "stack 1"), private)
    np.testing.assert_array_equal(case.image[0], build.image(grid))


def enhanced(series: list[list[Dataset]]) -> Dataset:
    """One multi-frame object of some classic series, with their echo times, in an order that no one sorted."""
    classic = sorted(flat(series), key=lambda item: item.SOPInstanceUID[::-1])
    result = copy.deepcopy(classic[0])
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"):
        delattr(result, keyword)
    for keyword in ("RescaleSlope", "RescaleIntercept", "EchoTime", "SpacingBetweenSlices"):
        if keyword in result:
            delattr(result, keyword)
    result.SOPClassUID = EnhancedMRImageStorage
    result.NumberOfFrames = len(classic)
    result.PixelData = b"".join(item.PixelData for item in classic)
    shared, orientation, measures = Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient = classic[0].ImageOrientationPatient
    measures.PixelSpacing, measures.SliceThickness = classic[0].PixelSpacing, classic[0].SliceThickness
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [orientation], [measures]
    result.SharedFunctionalGroupsSequence = [shared]
    result.PerFrameFunctionalGroupsSequence = [frame_groups(item) for item in classic]
    return result


def frame_groups(item: Dataset) -> Dataset:
    groups, position, echo, scale = Dataset(), Dataset(), Dataset(), Dataset()
    position.ImagePositionPatient, echo.EffectiveEchoTime = item.ImagePositionPatient, item.EchoTime
    scale.RescaleSlope, scale.RescaleIntercept = item.RescaleSlope, item.RescaleIntercept
    scale.RescaleType = "US"
    groups.PlanePositionSequence, groups.MREchoSequence = [position], [echo]
    groups.PixelValueTransformationSequence = [scale]
    return groups


@pytest.fixture
def multi_frame(build):
    series = repeats(build, 2)
    for datasets, echo in zip(series, (10.0, 20.0), strict=True):
        for index, dataset in enumerate(datasets):
            dataset.EchoTime, dataset.RescaleSlope, dataset.RescaleIntercept = echo, index + 1, -3
    return enhanced(series)


def test_frames_of_an_enhanced_image_are_placed_scaled_and_split(build, scans, private, multi_frame) -> None:
    build.write(scans, [multi_frame])
    report = take(build, scans, private, "echo 2$")
    assert (report.seen, report.accepted) == (1, 1), codes(report)
    case, slopes = only_case(report, private), np.arange(1, 6)[:, None, None]
    assert case.grid.matches(build.grid(), tolerance_mm=1e-3)
    np.testing.assert_array_equal(case.image[0], build.image(build.grid(), 1) * slopes - 3)


def test_an_enhanced_image_whose_groups_do_not_fit_its_frames_is_refused(
    build, scans, private, multi_frame
) -> None:
    del multi_frame.PerFrameFunctionalGroupsSequence[-1]
    build.write(scans, [multi_frame])
    assert codes(take(build, scans, private)) == {"file.frames": 1}


def csa_block(**values: tuple[str, ...]) -> bytes:
    """A CSA header of the second layout."""
    block = b"SV10\4\3\2\1" + struct.pack("<II", len(values), 77)
    for name, items in values.items():
        block += name.encode().ljust(64, b"\0")
        block += struct.pack("<i4siii", len(items), b"FD\0\0", 3, len(items), 77)
        for item in items:
            text = item.encode() + b"\0"
            block += struct.pack("<4i", len(text), len(text), 77, len(text))
            block += text.ljust((len(text) + 3) // 4 * 4, b"\0")
    return block


def test_a_csa_header_gives_its_values_and_a_damaged_one_an_error() -> None:
    block = csa_block(NumberOfImagesInMosaic=("5",), SliceNormalVector=("0", "0.6", "-0.8"))
    assert csa_values(block) == {"NumberOfImagesInMosaic": ("5",), "SliceNormalVector": ("0", "0.6", "-0.8")}
    for damaged in (b"", block[:50], block[:-40], b"SV10" + b"\xff" * 100):
        with pytest.raises(ValueError, match="CSA header"):
            csa_values(damaged)


def mosaic(build, grid, *, downwards: bool) -> Dataset:
    """The five slices as tiles of one image of three by three."""
    classic = build.series("PAT-1", grid)
    tiles = np.zeros((9, *grid.shape_zyx[1:]), np.int16)
    tiles[:5] = build.image(grid)[::-1] if downwards else build.image(grid)
    rows, columns = grid.shape_zyx[1:]
    result = classic[-1 if downwards else 0]
    image = tiles.reshape(3, 3, rows, columns).transpose(0, 2, 1, 3).reshape(3 * rows, 3 * columns)
    result.PixelData, result.Rows, result.Columns = image.tobytes(), 3 * rows, 3 * columns
    half = np.array([columns, rows]) * np.array(grid.spacing_mm)[[2, 1]]
    corner = np.array(result.ImagePositionPatient) - half[0] * grid.axes[2] - half[1] * grid.axes[1]
    result.ImagePositionPatient = [round(float(value), 6) for value in corner]
    result.ImageType = ["ORIGINAL", "PRIMARY", "M", "MOSAIC"]
    result.SpacingBetweenSlices = grid.spacing_mm[0]
    normal = grid.axes[0] * (-1 if downwards else 1)
    block = result.private_block(0x0029, "SIEMENS CSA HEADER", create=True)
    content = csa_block(NumberOfImagesInMosaic=("5",), SliceNormalVector=tuple(f"{x:.9f}" for x in normal))
    block.add_new(0x10, "OB", content + b"\0" * (len(content) % 2))
    code = copy.deepcopy(result.DeidentificationMethodCodeSequence[0])
    code.CodeValue, code.CodeMeaning = "113111", "Retain Safe Private Option"
    result.DeidentificationMethodCodeSequence.append(code)
    return result


@pytest.mark.parametrize("downwards", [False, True])
@pytest.mark.parametrize("oblique", [False, True])
def test_a_mosaic_is_undone_with_the_direction_of_its_private_header(
    build, scans, private, downwards, oblique
) -> None:
    grid = build.grid(direction=build.oblique) if oblique else build.grid()
    build.write(scans, [mosaic(build, grid, downwards=downwards)])
    report = take(build, scans, private)
    assert report.accepted == 1, codes(report)
    case = only_case(report, private)
    assert case.grid.matches(grid, tolerance_mm=1e-3)
    np.testing.assert_array_equal(case.image[0], build.image(grid))


def test_a_mosaic_whose_private_header_was_removed_is_refused(build, scans, private) -> None:
    dataset = mosaic(build, build.grid(), downwards=False)
    dataset.remove_private_tags()
    build.write(scans, [dataset])
    assert codes(take(build, scans, private)) == {"series.mosaic": 1}


def linear(world: np.ndarray) -> np.ndarray:
    return world @ [1.0, 10.0, 100.0]


def stacked(positions: np.ndarray, thickness: float | np.ndarray = 3.0, shape=(12, 6)):
    """Stack of axial slices and the values of a linear field on them."""
    stack = stack_of(
        positions, AXIAL, (2.0, 1.5), shape, np.broadcast_to(thickness, len(positions)).astype(float), 3.0
    )
    y, x = np.meshgrid(np.arange(shape[0]) * 2.0, np.arange(shape[1]) * 1.5, indexing="ij")
    plane = np.stack([x, y, np.zeros(shape)], axis=-1)
    return stack, linear(positions[:, None, None] + plane)


def field_on(grid) -> np.ndarray:
    index = np.moveaxis(np.indices(grid.shape_zyx), 0, -1)
    return linear((index @ grid.affine[:3, :3].T) + grid.origin_mm)


@pytest.mark.parametrize("degrees", [12.0, -18.5])
def test_a_tilted_stack_is_put_upright_at_its_place_in_the_world(degrees) -> None:
    z = np.arange(6) * 3.0
    positions = np.stack([np.full(6, -7.0), 5 + z * np.tan(np.radians(degrees)), z], axis=1)
    stack, values = stacked(positions)
    upright = stack.assemble(values, order=1, fill=np.nan)
    inside = np.isfinite(upright)
    assert inside.sum() >= 6 * 11 * 6
    assert np.abs(upright - field_on(stack.grid))[inside].max() < 1e-6


@pytest.mark.parametrize(
    ("z", "thickness"), [([0, 3, 6.2, 9, 11.9], 3.0), ([0, 5, 10, 17.5, 27.5], np.array([5, 5, 5, 10, 10]))]
)
def test_uneven_gaps_without_missing_tissue_are_made_even(z, thickness) -> None:
    positions = np.stack([np.zeros(5), np.zeros(5), np.array(z, dtype=float)], axis=1)
    stack, values = stacked(positions, thickness)
    even = stack.assemble(values, order=1, fill=0)
    assert np.abs(even - field_on(stack.grid)).max() < 1e-6
    assert stack.grid.spacing_mm[0] <= np.diff(z).min() + 1e-9


@pytest.mark.parametrize(
    ("z", "thickness", "code"),
    [
        ([0, 3, 6, 12, 15], 3.0, "series.missing_slice"),
        ([0, 2.5, 5, 10, 12.5], 5.0, "series.missing_slice"),  # overlapping slices hide no gap
        ([0, 3, 6, 10.3, 13.3], 3.0, "series.uneven_gaps"),
    ],
)
def test_gaps_with_missing_tissue_are_refused_with_the_figure(z, thickness, code) -> None:
    positions = np.stack([np.zeros(5), np.zeros(5), np.array(z, dtype=float)], axis=1)
    misfit, _ = stacked(positions, thickness)
    assert isinstance(misfit, Misfit)
    assert misfit.code == code
    assert f"from {np.diff(z).min():.2f} to {np.diff(z).max():.2f} mm" in misfit.note


def test_a_tilted_series_is_taken_in_with_whole_numbers_and_a_note(build, scans, private) -> None:
    datasets = build.series("PAT-1")
    for index, dataset in enumerate(datasets):
        x, y, z = dataset.ImagePositionPatient
        dataset.ImagePositionPatient = [x, y + index * 3 * np.tan(np.radians(15)), z]
    build.write(scans, datasets)
    report = take(build, scans, private)
    assert report.accepted == 5, codes(report)
    assert "tilted series were resampled linearly to upright, even grids" in report.notes
    case = only_case(report, private)
    assert case.image.dtype == np.int16
    assert case.grid.shape_zyx == (5, 10, 6)

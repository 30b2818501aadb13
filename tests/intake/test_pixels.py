"""Stored pixels become values: rescale, sign, inversion, padding, transfer syntaxes."""

import io

import numpy as np
import pytest
from pydicom import dcmread, dcmwrite
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from synthdata.intake import take_in
from synthdata.intake.pixels import narrow
from synthdata.records.parquet import read_cases
from synthdata.spec import Channel

CT = (Channel(name="CT", modality="CT", unit="[hnsf'U]", window=(-100, 200)),)


def take(build, scans, private, **changes):
    report = take_in(build.spec(**changes), scans, private, pseudonym_key=build.key)
    assert report.accepted == report.seen, [reason.code for reason in report.reasons]
    (case,) = read_cases(private, report.cases)
    return case


def test_hounsfield_units_follow_slope_and_intercept_of_each_slice(build, scans, private) -> None:
    datasets = build.series("PAT-1", modality="CT", name="CT")
    for dataset in datasets:
        dataset.RescaleSlope, dataset.RescaleIntercept = 2, -1024
    build.write(scans, datasets)
    case = take(build, scans, private, channels=CT)
    assert case.image.dtype == np.int16
    np.testing.assert_array_equal(case.image[0], 2 * build.image(build.grid()).astype(int) - 1024)


def test_padding_of_ct_becomes_air(build, scans, private) -> None:
    datasets = build.series("PAT-1", modality="CT", name="CT")
    image = build.image(build.grid())
    image[:, 0, 0] = -2000
    for dataset, pixels in zip(datasets, image, strict=True):
        dataset.PixelData = pixels.tobytes()
        dataset.add_new("PixelPaddingValue", "SS", -2000)
    build.write(scans, datasets)
    assert (take(build, scans, private, channels=CT).image[0, :, 0, 0] == -1024).all()


def test_monochrome1_is_turned_around(build, scans, private) -> None:
    datasets = build.series("PAT-1")
    image = build.image(build.grid())
    for dataset in datasets:
        dataset.PhotometricInterpretation = "MONOCHROME1"
        dataset.PixelRepresentation, dataset.BitsStored, dataset.HighBit = 0, 12, 11
    build.write(scans, datasets)
    np.testing.assert_array_equal(take(build, scans, private).image[0], 4095 - image)


def test_twelve_signed_bits_are_extended(build, scans, private) -> None:
    datasets = build.series("PAT-1")
    image = build.image(build.grid()) - 450
    for dataset, pixels in zip(datasets, image, strict=True):
        dataset.BitsStored, dataset.HighBit = 12, 11
        dataset.PixelData = (pixels.astype(np.uint16) & 0x0FFF).tobytes()
    build.write(scans, datasets)
    np.testing.assert_array_equal(take(build, scans, private).image[0], image)


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian, RLELossless]
)
def test_all_transfer_syntaxes_give_the_same_voxels(build, scans, private, syntax) -> None:
    for path in build.write(scans, build.series("PAT-1")):
        dataset = dcmread(path)
        if syntax is RLELossless:
            dataset.compress(syntax, generate_instance_uid=False)
        elif syntax is ExplicitVRBigEndian:
            dataset.PixelData = np.frombuffer(dataset.PixelData, "<i2").astype(">i2").tobytes()
            list(dataset.iterall())  # decode all, since raw little-endian bytes would be written as they are
            dataset.set_original_encoding(is_implicit_vr=False, is_little_endian=False)
        dataset.file_meta.TransferSyntaxUID = syntax
        buffer = io.BytesIO()
        dcmwrite(
            buffer,
            dataset,
            enforce_file_format=True,
            implicit_vr=syntax.is_implicit_VR,
            little_endian=syntax.is_little_endian,
        )
        path.write_bytes(buffer.getvalue())
    np.testing.assert_array_equal(take(build, scans, private).image[0], build.image(build.grid()))


def test_a_fraction_makes_the_image_float_and_whole_numbers_stay_int16() -> None:
    assert narrow(np.array([1.0, 2.0])).dtype == np.int16
    assert narrow(np.array([1.5, 2.0])).dtype == np.float32
    assert narrow(np.array([1.0, 70000.0])).dtype == np.float32
    assert narrow(np.array([1.0, np.nan])) is None

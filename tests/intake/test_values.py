"""What stored numbers stand for: tables, inverted images, padding, scales and syntaxes that are none."""

import struct

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate

from synthdata.intake import take_in
from synthdata.records.parquet import read_cases
from synthdata.spec import Channel, GridSpec

CT = (Channel(name="CT", modality="CT", unit="[hnsf'U]"),)
MS = (Channel(name="T1w", modality="MR", unit="ms", series="^T1w$"),)
WRAPPED = "1.2.840.10008.1.2.1.98"


def codes(report) -> dict[str, int]:
    return {reason.code: reason.files for reason in report.reasons}


def take(build, scans, private, **changes):
    report = take_in(build.spec(**changes), scans, private, pseudonym_key=build.key)
    assert report.accepted == report.seen, codes(report)
    (case,) = read_cases(private, report.cases)
    return case.image[0]


def twelve_bits(dataset: Dataset) -> None:
    dataset.PixelRepresentation, dataset.BitsStored, dataset.HighBit = 0, 12, 11


def table(entries: np.ndarray, *, first: int = 0, bits: int = 16, kind: str = "US") -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [len(entries), first % 65536, bits])
    item.ModalityLUTType = kind
    packed = entries.astype("u1" if bits == 8 else "<u2").tobytes()
    item.add_new("LUTData", "OW", packed + b"\0" * (len(packed) % 2))
    return item


@pytest.mark.parametrize("bits", [8, 16])
def test_a_modality_table_gives_the_values(build, scans, private, bits) -> None:
    entries = np.random.default_rng(3).integers(1, 1 << bits, 901)
    datasets = build.series("PAT-1")
    for dataset in datasets:
        twelve_bits(dataset)
        dataset.ModalityLUTSequence = [table(entries, bits=bits)]
    build.write(scans, datasets)
    np.testing.assert_array_equal(take(build, scans, private), entries[build.image(build.grid())])


def test_numbers_beside_a_modality_table_have_the_value_of_its_end(build, scans, private) -> None:
    datasets, image = build.series("PAT-1"), build.image(build.grid()) - 450
    entries = np.random.default_rng(3).integers(0, 30_000, 300)
    for dataset, pixels in zip(datasets, image, strict=True):
        dataset.PixelData = pixels.tobytes()
        dataset.ModalityLUTSequence = [table(entries, first=-100)]
    build.write(scans, datasets)
    np.testing.assert_array_equal(take(build, scans, private), entries[np.clip(image + 100, 0, 299)])


def test_a_modality_table_shorter_than_it_says_is_refused(build, scans, private) -> None:
    datasets = build.series("PAT-1")
    for dataset in datasets:
        dataset.ModalityLUTSequence = [table(np.arange(50) * 7)]
        dataset.ModalityLUTSequence[0].LUTDescriptor = [900, 0, 16]
    build.write(scans, datasets)
    report = take_in(build.spec(), scans, private, pseudonym_key=build.key)
    assert codes(report)["pixels.lookup_table"] == 1
    assert report.accepted == 0


def real_world_table(entries: np.ndarray, first: int) -> Dataset:
    item, unit = Dataset(), Dataset()
    unit.CodeValue, unit.CodingSchemeDesignator, unit.CodeMeaning = "ms", "UCUM", "millisecond"
    item.add_new("RealWorldValueFirstValueMapped", "US", first)
    item.add_new("RealWorldValueLastValueMapped", "US", first + len(entries) - 1)
    item.RealWorldValueLUTData = [float(value) for value in entries]
    item.MeasurementUnitsCodeSequence = [unit]
    item.LUTLabel, item.LUTExplanation = "T2", "T2"
    return item


def test_a_real_world_table_gives_values_in_its_unit(build, scans, private) -> None:
    entries = np.random.default_rng(4).uniform(0, 2500, 900)
    datasets = build.series("PAT-1")
    for dataset in datasets:
        twelve_bits(dataset)
        dataset.RealWorldValueMappingSequence = [real_world_table(entries, 0)]
    build.write(scans, datasets)
    values = take(build, scans, private, channels=MS)
    np.testing.assert_array_equal(values, entries.astype(np.float32)[build.image(build.grid())])


def test_numbers_outside_of_a_real_world_table_have_no_value(build, scans, private) -> None:
    datasets = build.series("PAT-1")
    for dataset in datasets:
        twelve_bits(dataset)
        dataset.RealWorldValueMappingSequence = [real_world_table(np.arange(100.0), 0)]
    build.write(scans, datasets)
    report = take_in(build.spec(channels=MS), scans, private, pseudonym_key=build.key)
    assert codes(report)["pixels.unit"] == 1
    assert report.accepted == 0


def test_hounsfield_units_stay_what_they_are_in_an_inverted_image(build, scans, private) -> None:
    datasets = build.series("PAT-1", modality="CT", name="CT")
    for dataset in datasets:
        twelve_bits(dataset)
        dataset.PhotometricInterpretation = "MONOCHROME1"
        dataset.RescaleSlope, dataset.RescaleIntercept = 1, -1024
    build.write(scans, datasets)
    image = build.image(build.grid()).astype(int)
    np.testing.assert_array_equal(take(build, scans, private, channels=CT), image - 1024)


def test_a_slope_of_zero_is_no_scale(build, scans, private) -> None:
    datasets = build.series("PAT-1", modality="CT", name="CT")
    for dataset in datasets:
        dataset.RescaleSlope = 0
    build.write(scans, datasets)
    report = take_in(build.spec(channels=CT), scans, private, pseudonym_key=build.key)
    assert codes(report)["pixels.unit"] == 1
    assert report.accepted == 0


@pytest.mark.parametrize(("bits", "written"), [(16, 63536), (12, 63536), (12, 2096)])
def test_a_negative_padding_that_was_written_without_its_sign_is_known(
    build, scans, private, bits, written
) -> None:
    datasets, image = build.series("PAT-1", modality="CT", name="CT"), build.image(build.grid())
    image[:, 0, 0] = -2000
    for dataset, pixels in zip(datasets, image, strict=True):
        dataset.BitsStored, dataset.HighBit = bits, bits - 1
        dataset.PixelData = (pixels.astype(np.uint16) & ((1 << bits) - 1)).tobytes()
        dataset.add_new("PixelPaddingValue", "US", written)
    build.write(scans, datasets)
    image[:, 0, 0] = -1024
    np.testing.assert_array_equal(take(build, scans, private, channels=CT), image)


@pytest.mark.parametrize(("shape", "pieces"), [((5, 8, 6), 1), ((5, 8, 6), 3), ((5, 7, 5), 1)])
def test_native_frames_which_are_encapsulated_are_read(build, scans, private, shape, pieces) -> None:
    grid = build.grid(shape_zyx=shape)
    datasets, image = build.series("PAT-1", grid), build.image(grid).astype(np.uint8)
    for path, pixels in zip(build.write(scans, datasets), image, strict=True):
        dataset = dcmread(path)
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
        frame = pixels.tobytes() + b"\0" * (pixels.size % 2)
        dataset.PixelData = encapsulate([frame], fragments_per_frame=pieces)
        dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
        dataset.file_meta.TransferSyntaxUID = WRAPPED
        dataset.save_as(path)
    np.testing.assert_array_equal(take(build, scans, private), image)


def test_bytes_beside_native_frames_which_are_encapsulated_are_held_back(build, scans, private) -> None:
    (path, *_) = build.write(scans, build.series("PAT-1")[:1])
    dataset = dcmread(path)
    dataset.PixelData = encapsulate([dataset.PixelData + b"and more"])
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    dataset.file_meta.TransferSyntaxUID = WRAPPED
    dataset.save_as(path)
    report = take_in(build.spec(), scans, private, pseudonym_key=build.key)
    assert codes(report)["deid.hidden_bytes"] == 1


def with_syntax(data: bytes, syntax: str) -> bytes:
    """A file which says that it has another transfer syntax."""
    old, group = b"1.2.840.10008.1.2.1\0", b"\x02\0\0\0UL\x04\0"
    new = syntax.encode() + b"\0" * (len(syntax) % 2)
    (length,) = struct.unpack_from("<I", data, data.index(group) + 8)
    at = data.index(struct.pack("<H", len(old)) + old)
    data = data[:at] + struct.pack("<H", len(new)) + new + data[at + 2 + len(old) :]
    start = data.index(group) + 8
    return data[:start] + struct.pack("<I", length + len(new) - len(old)) + data[start + 4 :]


@pytest.mark.parametrize(
    ("syntax", "code"),
    [
        ("1.2.3.4", "pixels.undecodable"),  # private
        ("1.2.840.10008.1.2.4.110", "pixels.undecodable"),  # JPEG XL, younger than the parser
        ("1.2.840.10008.5.1.4.1.1.2", "file.malformed"),  # a SOP class
    ],
)
def test_pixels_of_an_unknown_syntax_are_told_from_a_broken_file(build, scans, private, syntax, code) -> None:
    for path in build.write(scans, build.series("PAT-1")):
        path.write_bytes(with_syntax(path.read_bytes(), syntax))
    report = take_in(build.spec(), scans, private, pseudonym_key=build.key)
    assert codes(report) == {code: 5}


@pytest.mark.parametrize("keyword", ["FloatPixelData", "DoubleFloatPixelData"])
def test_decimal_pixels_are_refused_as_such(build, scans, private, keyword) -> None:
    datasets = build.series("PAT-1")
    for dataset in datasets:
        del dataset.PixelData
        setattr(dataset, keyword, np.zeros(48, np.float64).tobytes())
    build.write(scans, datasets)
    assert codes(take_in(build.spec(), scans, private, pseudonym_key=build.key))["pixels.decimal"] == 5


@pytest.mark.parametrize(("unit", "is_turned"), [("1", True), ("OD", False)])
def test_an_inverted_radiograph_is_turned_for_a_channel_without_a_unit_alone(
    build, scans, private, unit, is_turned
) -> None:
    grid = build.grid(shape_zyx=(1, 8, 6), spacing_mm=(1.0, 2.0, 1.5), origin_mm=(0.0, 0.0, 0.0))
    (dataset,) = build.series("PAT-1", grid, modality="DX", name="XR")
    twelve_bits(dataset)
    dataset.PhotometricInterpretation = "MONOCHROME1"
    dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType = 2, 10, "OD"
    build.write(scans, [dataset])
    channels = (Channel(name="XR", modality="DX", unit=unit),)
    flat = GridSpec(shape_zyx=(1, 8, 6), spacing_mm=(1.0, 2.0, 1.5))
    image = build.image(grid).astype(int)
    expected = 2 * (4095 - image if is_turned else image) + 10
    np.testing.assert_array_equal(take(build, scans, private, channels=channels, grid=flat), expected)


@pytest.mark.parametrize(("keyword", "noted"), [("ImagerPixelSpacing", True), ("PixelSpacing", False)])
def test_a_spacing_at_the_detector_is_said_to_be_one(build, scans, private, keyword, noted) -> None:
    grid = build.grid(shape_zyx=(1, 8, 6), spacing_mm=(1.0, 2.0, 1.5), origin_mm=(0.0, 0.0, 0.0))
    (dataset,) = build.series("PAT-1", grid, modality="DX", name="XR")
    for name in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        if name in dataset:
            delattr(dataset, name)
    setattr(dataset, keyword, [0.4, 0.3])
    build.write(scans, [dataset])
    flat = GridSpec(shape_zyx=(1, 8, 6), spacing_mm=(1.0, 2.0, 1.5))
    spec = build.spec(channels=(Channel(name="XR", modality="DX"),), grid=flat)
    report = take_in(spec, scans, private, pseudonym_key=build.key)
    (case,) = read_cases(private, report.cases)
    assert case.grid.spacing_mm == (1.0, 0.4, 0.3)
    assert any("at the detector alone" in note for note in report.notes) == noted


def test_studies_with_an_empty_patient_id_are_counted_as_those_of_one_patient(build, scans, private) -> None:
    for patient in ("PAT-1", "PAT-2", "PAT-3"):
        datasets = build.series(patient)
        for dataset in datasets if patient != "PAT-3" else ():
            dataset.PatientID = dataset.PatientName = ""
        build.write(scans, datasets, patient)
    report = take_in(build.spec(), scans, private, pseudonym_key=build.key)
    assert len({case.patient_id for case in read_cases(private, report.cases)}) == 2
    assert any(note.startswith("2 studies have an empty Patient ID") for note in report.notes)


@pytest.mark.parametrize("shape", ["line", "falling line", "root"])
@pytest.mark.parametrize("bits", [8, 12])
def test_a_curve_of_grey_values_spells_nothing_whatever_its_numbers_are(
    build, scans, private, shape, bits
) -> None:
    numbers = np.arange(1 << bits)
    curves = {
        "line": numbers,
        "falling line": numbers[::-1],
        "root": (numbers / numbers[-1]) ** 0.5 * numbers[-1],
    }
    datasets = build.series("PAT-1")
    for dataset in datasets:
        item = Dataset()
        item.add_new("LUTDescriptor", "US", [1 << bits, 0, bits])
        item.add_new("LUTData", "OW", curves[shape].astype("<u2").tobytes())
        dataset.VOILUTSequence = [item]
    build.write(scans, datasets)
    np.testing.assert_array_equal(take(build, scans, private), build.image(build.grid()))


def test_a_text_in_a_table_of_grey_values_is_found_all_the_same(build, scans, private) -> None:
    datasets = build.series("PAT-1")
    for dataset in datasets:
        item = Dataset()
        item.add_new("LUTDescriptor", "US", [256, 0, 8])
        item.add_new(
            "LUTData", "OW", np.arange(230).astype("<u2").tobytes() + b"Mueller, Johanna born 12.03.1956 ...."
        )
        dataset.VOILUTSequence = [item]
    build.write(scans, datasets)
    report = take_in(build.spec(), scans, private, pseudonym_key=build.key)
    assert codes(report)["deid.text_pattern"] == 5

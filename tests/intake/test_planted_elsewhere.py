"""Identifiers in NIfTI, PNG and NPZ files, in sidecars and archives: where a reader of pixels does not look."""

import gzip
import io
import json
import tracemalloc
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from synthdata.intake import inspect
from synthdata.intake.bids import kind_in_tree
from synthdata.intake.inventory import SeenFile
from synthdata.intake.npz_source import arrays_are_whole, hidden_in_npz
from synthdata.intake.picture_file import read_picture
from tests.intake.planter_third import PICTURES, SIDECARS

WHOLE = "Bartholomew Zacharias"
KEYS = dict.fromkeys(
    (
        "MagneticFieldStrength", "PhaseEncodingDirection", "EffectiveEchoSpacing",
        "TotalReadoutTime", "FlipAngle", "ReceiveCoilName", "SAR", "MRAcquisitionType",
        "SequenceVariant", "ScanOptions", "SliceThickness", "SpacingBetweenSlices",
        "RepetitionTime", "InversionTime", "DwellTime", "ImageOrientationPatientDICOM",
        "BaseResolution", "ShimSetting", "TxRefAmp", "PhaseResolution", "VendorReportedEchoSpacing",
        "MTState", "AccelFactPE", "BandwidthPerPixelPhaseEncode",
        "DerivedVendorReportedEchoSpacing", "ConsistencyInfo", "PartialFourier", "CogAtlasID",
        "MultibandAccelerationFactor", "ConversionSoftware", "PulseSequenceType",
        "NonlinearGradientCorrection", "TaskName", "IntendedFor", "B0FieldIdentifier",
        "PercentPhaseFOV", "RefLinesPE", "CoilCombinationMethod", "MatrixCoilMode",
        "BodyPartExamined",
    ),
    1,
)  # fmt: skip
VOXELS = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)


def nifti(**fields: str) -> bytes:
    image = nib.Nifti1Image(VOXELS, np.eye(4))
    for name, text in fields.items():
        image.header[name] = text.encode()
    return image.to_bytes()


def padded(data: bytes) -> bytes:
    """With bytes between the header and the voxels."""
    header = bytearray(data[:352])
    header[108:112] = np.float32(400).tobytes()
    return bytes(header) + WHOLE.encode().ljust(48) + data[352:]


def packed(data: bytes, name: str) -> bytes:
    buffer = io.BytesIO()
    with gzip.GzipFile(name, "wb", fileobj=buffer) as writer:
        writer.write(data)
    return buffer.getvalue()


def flagged(data: bytes, flags: int, fields: bytes) -> bytes:
    """As gzip packs it, with optional fields of its header."""
    plain = bytearray(gzip.compress(data))
    plain[3], plain[10:10] = flags, fields
    return bytes(plain)


def with_member(*, tail: bytes = b"", extra: bytes = b"") -> bytes:
    """An NPZ file of one array, with bytes behind the array or beside its entry."""
    array, buffer = io.BytesIO(), io.BytesIO()
    np.save(array, VOXELS)
    entry = zipfile.ZipInfo("image.npy")
    entry.extra = extra
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(entry, array.getvalue() + tail)
    return buffer.getvalue()


def png(**texts: str) -> bytes:
    buffer, chunks = io.BytesIO(), PngImagePlugin.PngInfo()
    for key, text in texts.items():
        chunks.add_itxt(key, text) if key == "Comment" else chunks.add_text(key, text)
    Image.fromarray(VOXELS[0].astype(np.uint8)).save(buffer, "PNG", pnginfo=chunks)
    return buffer.getvalue()


def npz(*, comment: bytes = b"", beside: str = "", **arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, image=VOXELS, **arrays)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.comment = comment
        if beside:
            archive.writestr(beside, "1")
    return buffer.getvalue()


def reasons_of(data: bytes) -> set[str]:
    seen = SeenFile(Path("picture"), "", 0)
    read_picture(seen, data, (1.0, 1.0, 1.0))
    return seen.reasons


@pytest.mark.parametrize(
    "data",
    [
        nifti(descrip=WHOLE),
        nifti(descrip="Zacharias"),
        nifti(aux_file="zacharias"),
        nifti(intent_name="Zacharias"),
        nifti(db_name="1962-03-14"),
        padded(nifti()),
        nifti() + WHOLE.encode(),
        packed(nifti(), "bartholomew_zacharias.nii"),
        flagged(nifti(), 12, b"\4\0AB\0\0bartholomew_zacharias.nii\0"),
        flagged(nifti(), 16, WHOLE.encode() + b"\0"),
        flagged(nifti(), 4, b"\x19\0AB\x15\0" + WHOLE.encode()),
        png(Author=WHOLE),
        png(Comment=WHOLE),
        png(Comment="born 1962-03-14"),
        png() + WHOLE.encode(),
        png() + WHOLE.encode() + b"IEND\0\0\0\0",
        npz(Bartholomew_Zacharias=VOXELS),
        with_member(tail=WHOLE.encode()),
        with_member(extra=b"\xfe\xca\x15\0" + WHOLE.encode()),
        npz(names=np.array([WHOLE])),
        npz(comment=WHOLE.encode()),
        npz(beside="notes.txt"),
    ],
)
def test_what_stands_beside_the_pixels_is_found(data) -> None:
    assert reasons_of(data)


@pytest.mark.parametrize("kind", sorted(PICTURES))
def test_what_is_encoded_or_unusual_beside_the_pixels_is_found(kind) -> None:
    assert reasons_of(PICTURES[kind])


@pytest.mark.parametrize("kind", sorted(SIDECARS))
def test_what_a_sidecar_hides_is_found(kind) -> None:
    assert kind_in_tree(SIDECARS[kind], "sub-01/anat/sub-01_T1w.json") != "beside:"


@pytest.mark.parametrize(
    "data",
    [
        nifti(descrip="FSL6.0; TE=30;Time=1.5"),
        packed(nifti(), "sub-01_T1w.nii"),
        flagged(nifti(), 12, b"\4\0AB\0\0sub-01_T1w.nii\0"),
        with_member(),
        png(Software="a program of https://example.org"),
        npz(),
        npz(other=VOXELS),
    ],
)
def test_clean_files_pass(data) -> None:
    assert reasons_of(data) == set()


def test_arrays_nobody_asked_for_are_not_unpacked() -> None:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, image=VOXELS, other=np.zeros(1 << 26, np.uint8))
    tracemalloc.start()
    try:
        assert hidden_in_npz(buffer.getvalue(), {"image"}) == set()
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < 1 << 24


@pytest.mark.parametrize(
    "said", [{"Remark": WHOLE}, {"InstitutionName": "a"}, {"AcquisitionDateTime": "2020-01-01T10:00:00"}]
)
def test_a_sidecar_that_names_somebody_is_held(said) -> None:
    assert kind_in_tree(json.dumps(said).encode(), "sub-01/anat/sub-01_T1w.json") != "beside:"


def test_a_sidecar_of_quantities_and_the_authors_of_a_dataset_pass() -> None:
    said = {"EchoTime": 0.03, "Manufacturer": "Siemens", "ScanningSequence": "GR"} | KEYS
    assert kind_in_tree(json.dumps(said).encode(), "sub-01/anat/sub-01_T1w.json") == "beside:"
    authors = {"Name": "Heads", "Authors": [WHOLE]}
    assert kind_in_tree(json.dumps(authors).encode(), "dataset_description.json") == "beside:"


@pytest.mark.parametrize("cell", [WHOLE, "1962-03-14", "Xanthippa Quorlwick", "QmFydGhvbG9tZXcgWmFjaGFyaWFz"])
def test_a_table_that_names_somebody_is_held(build, scans, cell) -> None:
    build.write(scans, build.series("PAT-1", build.grid(shape_zyx=(3, 8, 6))))
    (scans / "clinical.csv").write_text("patient,sex,finding\nPAT-1,f,lesion of the left lung\n")
    assert not inspect(scans).reasons
    (scans / "clinical.csv").write_text(f"patient,sex,finding\nPAT-1,f,{cell}\n")
    report = inspect(scans)
    assert [(reason.code[:5], reason.files) for reason in report.reasons] == [("deid.", 1)]


@pytest.mark.parametrize(
    ("archive", "member"),
    [
        ("export.zip", "Zacharias_Bartholomew/0001.dcm"),
        ("zacharias_bartholomew.zip", "0001.dcm"),
        ("export.zip", "1962-03-14/0001.dcm"),
    ],
)
def test_names_of_archives_and_of_folders_in_them_are_judged(build, scans, tmp_path, archive, member) -> None:
    (path, *_) = build.write(tmp_path / "one", build.series("PAT-1", build.grid(shape_zyx=(3, 8, 6))))
    with zipfile.ZipFile(scans / archive, "w") as writer:
        writer.write(path, member)
    assert {reason.code for reason in inspect(scans).reasons} >= {"deid.file_name"}


def test_a_header_of_an_array_that_python_cannot_parse_is_damage() -> None:
    whole = npz()
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        member = bytearray(archive.read("image.npy"))
    member[member.index(b"}") + 5] = ord("(")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("image.npy", member)
    assert reasons_of(buffer.getvalue()) == {"file.malformed"}
    assert not arrays_are_whole(buffer.getvalue())


@pytest.mark.parametrize(
    ("heading", "held"),
    [("Okonkwo Oluwaseun", True), ("visit_1958-03-19", True), ("gleason", False), ("hoehn_yahr", False)],
)
def test_headings_of_tables_are_judged_and_scores_named_after_persons_pass(
    scans, build, heading, held
) -> None:
    build.write(scans, build.series("PAT-1"))
    (scans / "table.csv").write_text(f"patient,{heading}\nP-1,1\n")
    assert inspect(scans).quarantined == held

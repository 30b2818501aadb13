"""`synthdata verify`: each format, each layer, and `unknown` where nothing was found; never `real`."""

import gzip
import json
import struct

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from synthdata.commands.verify import verify
from synthdata.dicom import SeriesHeader, encode, image_datasets, uid_of
from synthdata.errors import ConfigError, UnreadableFileError
from synthdata.provenance import open_registry, verify_file, write_registry
from synthdata.provenance.dicom_marks import COMMENT, mark
from synthdata.provenance.keys import key_id, load_or_create_watermark_key
from synthdata.provenance.nifti import read_nifti
from synthdata.provenance.watermark import embed
from synthdata.records import Case, CaseSet
from synthdata.records.parquet import write_shard
from synthdata.storage import keys as store_keys
from synthdata.storage.folder import FolderStore


@pytest.fixture
def released(case, scale, key, tmp_path):
    """A release of three watermarked cases: folder with a registry, and the cases."""
    folder = tmp_path / "release"
    folder.mkdir()
    cases = []
    for seed in range(3):
        made = case(seed)
        image = embed(made.image, [scale], key=key, case_id=made.case_id)
        cases.append(
            Case(
                case_id=made.case_id,
                patient_id=made.patient_id,
                image=image,
                mask=made.mask,
                grid=made.grid,
                record={},
            )
        )
    write_registry(folder / "registry.parquet", cases, channels=["T1w"], dataset="heads", version="1.0.0")
    return folder, cases


def dicom_bytes(case: Case, *, marks: bool = True, index: int = 8) -> bytes:
    header = SeriesHeader(
        modality="MR",
        patient_id=case.patient_id,
        patient_name="",
        sex="F",
        age_years=50,
        study_uid=uid_of("verify", "study"),
        series_uid=uid_of("verify", case.case_id),
        frame_of_reference_uid=uid_of("verify", "frame"),
        series_description="T1w",
        series_number=1,
        body_part="HEAD",
        unit="1",
        window=(0, 1000),
    )
    dataset = image_datasets(case.image[0], case.grid, header)[index]
    if marks:
        mark(dataset, dataset_name="heads", version="1.0.0")
    return encode(dataset)


def nifti_bytes(volume: np.ndarray, description: str = "") -> bytes:
    """A NIfTI-1 file of int16 voxels (z, y, x), written by the standard's offsets."""
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 3, *volume.shape[::-1], 1, 1, 1, 1)
    struct.pack_into("<2h", header, 70, 4, 16)
    struct.pack_into("<f", header, 108, 352)
    header[148 : 148 + len(description)] = description.encode()
    header[344:348] = b"n+1\0"
    return bytes(header) + np.ascontiguousarray(volume, "<i2").tobytes()


def findings(result) -> dict[str, str]:
    return {item.layer: item.finding for item in result.evidence}


ALL_FOUND = {"marks": "found", "watermark": "found", "registry": "found"}


def test_a_released_dicom_slice_is_synthetic_in_all_three_layers(released, key, tmp_path) -> None:
    folder, cases = released
    path = tmp_path / "one.dcm"
    path.write_bytes(dicom_bytes(cases[1]))
    result = verify_file(path, registry=open_registry(folder), watermark_key=key)
    assert (result.verdict, result.kind, findings(result)) == ("synthetic", "DICOM", ALL_FOUND)
    assert "SYN-1" in result.evidence[2].detail
    assert "slice 8" in result.evidence[2].detail


def test_stripped_headers_leave_watermark_and_registry(released, key, tmp_path) -> None:
    folder, cases = released
    path = tmp_path / "one.dcm"
    path.write_bytes(dicom_bytes(cases[1], marks=False))
    result = verify_file(path, registry=open_registry(folder), watermark_key=key)
    assert findings(result) == {**ALL_FOUND, "marks": "not found"}


@pytest.mark.parametrize("compressed", [False, True])
def test_a_nifti_volume_is_found(released, key, tmp_path, compressed: bool) -> None:
    folder, cases = released
    data = nifti_bytes(cases[0].image[0], COMMENT)
    path = tmp_path / ("v.nii.gz" if compressed else "v.nii")
    path.write_bytes(gzip.compress(data, mtime=0) if compressed else data)
    result = verify_file(path, registry=open_registry(folder), watermark_key=key)
    assert findings(result) == ALL_FOUND
    assert "whole volume" in result.evidence[2].detail


def test_a_nifti_volume_with_other_axes_is_found_by_a_slice(released, key, tmp_path) -> None:
    folder, cases = released
    path = tmp_path / "v.nii"
    path.write_bytes(nifti_bytes(cases[0].image[0].transpose(2, 0, 1)[:, ::-1]))
    result = verify_file(path, registry=open_registry(folder), watermark_key=key)
    assert findings(result) == {**ALL_FOUND, "marks": "not found"}


def test_the_sidecar_of_a_released_nifti_file_is_read(released, tmp_path) -> None:
    (tmp_path / "v.nii").write_bytes(nifti_bytes(released[1][0].image[0]))
    (tmp_path / "v.json").write_text('{"SyntheticData": true}')
    assert verify_file(tmp_path / "v.nii", registry=None, watermark_key=None).verdict == "synthetic"


def test_our_reader_of_nifti_agrees_with_nibabel(scan, tmp_path) -> None:
    nibabel = pytest.importorskip("nibabel")
    volume = scan(1)[0].astype(np.float32)
    path = tmp_path / "v.nii.gz"
    nibabel.save(nibabel.Nifti1Image(volume.transpose(2, 1, 0), np.eye(4)), path)
    assert (read_nifti(path)[0] == volume).all()


def test_a_picture_of_eight_bits_keeps_the_watermark_alone(released, key, tmp_path) -> None:
    folder, cases = released
    path = tmp_path / "slice.png"
    Image.fromarray((cases[2].image[0, 8].clip(0, 1000) * 0.255).round().astype(np.uint8)).save(path)
    result = verify_file(path, registry=open_registry(folder), watermark_key=key)
    assert findings(result) == {"marks": "not found", "watermark": "found", "registry": "not found"}


def test_a_lossless_picture_is_found_in_the_registry_and_its_text_is_read(released, key, tmp_path) -> None:
    folder, cases = released
    text = PngInfo()
    text.add_text("Comment", COMMENT)
    path = tmp_path / "slice.png"
    Image.fromarray(cases[2].image[0, 8].astype(np.uint16)).save(path, pnginfo=text)
    assert findings(verify_file(path, registry=open_registry(folder), watermark_key=key)) == ALL_FOUND


def test_an_array_is_found(released, key, tmp_path) -> None:
    folder, cases = released
    np.save(tmp_path / "a.npy", cases[0].image.astype(np.float64))
    result = verify_file(tmp_path / "a.npy", registry=open_registry(folder), watermark_key=key)
    assert findings(result) == {**ALL_FOUND, "marks": "not found"}


def test_a_shard_of_a_release_is_found_case_by_case(released, key, tmp_path) -> None:
    folder, cases = released
    synthetic = CaseSet(
        dataset="heads",
        origin="synthetic",
        channels=("T1w",),
        modalities=("MR",),
        units=("1",),
        labels={"box": 1},
        columns=(),
        shards=(),
    )
    path = tmp_path / "cases-00000.parquet"
    write_shard(path, cases, synthetic)
    result = verify_file(path, registry=open_registry(folder), watermark_key=key)
    assert findings(result) == ALL_FOUND
    assert "3 of 3 cases" in result.evidence[1].detail
    assert "3 of 3 cases" in result.evidence[2].detail


def test_an_image_of_another_origin_is_unknown_and_never_real(released, scan, key, tmp_path) -> None:
    np.save(tmp_path / "a.npy", scan(99)[0])
    result = verify_file(tmp_path / "a.npy", registry=open_registry(released[0]), watermark_key=key)
    assert result.verdict == "unknown"
    assert set(findings(result).values()) == {"not found"}
    assert "does not mean that the image is real" in result.explanation


def test_layers_without_key_and_registry_say_that_they_were_not_checked(released, tmp_path) -> None:
    np.save(tmp_path / "a.npy", released[1][0].image[0])
    result = verify_file(tmp_path / "a.npy", registry=None, watermark_key=None)
    assert findings(result) == {"marks": "not found", "watermark": "not checked", "registry": "not checked"}
    assert "not checked: no key" in result.evidence[1].detail


def test_a_picture_without_detail_cannot_be_checked(released, key, tmp_path) -> None:
    np.save(tmp_path / "a.npy", np.ones((32, 32)))
    result = verify_file(tmp_path / "a.npy", registry=open_registry(released[0]), watermark_key=key)
    assert findings(result) == {"marks": "not found", "watermark": "not checked", "registry": "not checked"}


def test_a_mask_cannot_be_checked(released, key, tmp_path) -> None:
    folder, cases = released
    np.save(tmp_path / "a.npy", cases[0].mask)
    result = verify_file(tmp_path / "a.npy", registry=open_registry(folder), watermark_key=key)
    assert result.verdict == "unknown"
    assert "a mask" in result.evidence[2].detail


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("a.txt", b"hello", "no known image"),
        ("a.dcm", b"", "no known image"),
        ("a.nii.gz", gzip.compress(bytes(400), mtime=0)[:20], "no known image"),
        ("a.nii", nifti_bytes(np.zeros((2, 3, 4)))[:-1], "fewer voxels"),
        ("a.png", b"\x89PNG\r\n\x1a\n cut", "damaged or was cut"),
        ("a.npy", b"\x93NUMPY\x01\x00", "no whole NPY"),
        ("a.parquet", b"PAR1 cut", "cut or damaged"),
    ],
)
def test_a_damaged_file_gets_a_sentence(name: str, data: bytes, says: str, tmp_path) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UnreadableFileError, match=says) as caught:
        verify_file(tmp_path / name, registry=None, watermark_key=bytes(32))
    assert name in str(caught.value)


def test_a_cut_dicom_file_gets_a_sentence(released, tmp_path) -> None:
    path = tmp_path / "cut.dcm"
    path.write_bytes(dicom_bytes(released[1][0])[:-100])
    with pytest.raises(UnreadableFileError, match=r"cut\.dcm"):
        verify_file(path, registry=None, watermark_key=bytes(32))


def test_an_array_of_objects_is_not_unpickled(tmp_path) -> None:
    np.save(tmp_path / "a.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(UnreadableFileError, match="plain numbers"):
        verify_file(tmp_path / "a.npy", registry=None, watermark_key=None)


def test_the_command_answers_in_json_and_still_names_the_file_it_could_not_read(
    released, key, tmp_path, capsys
) -> None:
    folder, cases = released
    (tmp_path / "key").write_bytes(key)
    (tmp_path / "one.dcm").write_bytes(dicom_bytes(cases[0]))
    with pytest.raises(UnreadableFileError, match="lost"):
        verify([tmp_path / "lost.dcm", tmp_path / "one.dcm"], folder, tmp_path / "key", json=True)
    (answer,) = json.loads(capsys.readouterr().out)
    assert answer["verdict"] == "synthetic"
    rates = {item["layer"]: item["false_positive_rate"] for item in answer["evidence"]}
    assert rates == {"marks": None, "watermark": 1e-6, "registry": 1e-60}


def test_the_command_prints_a_table(released, tmp_path, capsys) -> None:
    np.save(tmp_path / "a.npy", released[1][0].image[0])
    verify([tmp_path / "a.npy"], released[0])
    shown = capsys.readouterr().out
    assert "a.npy (NPY): synthetic" in shown
    assert "not checked" in shown


def test_the_command_refuses_a_file_which_is_no_key(released, tmp_path) -> None:
    (tmp_path / "key").write_bytes(b"short")
    with pytest.raises(ConfigError, match="has 5 bytes, expected 32"):
        verify([tmp_path / "a.npy"], None, tmp_path / "key")


def test_a_store_has_one_watermark_key_for_ever(tmp_path) -> None:
    private = FolderStore(tmp_path / "private")
    first = load_or_create_watermark_key(private)
    assert len(first) == 32
    assert load_or_create_watermark_key(FolderStore(tmp_path / "private")) == first
    assert private.read(store_keys.WATERMARK_KEY) == first
    assert key_id(first) != key_id(bytes(32))
    assert first.hex()[:16] != key_id(first)

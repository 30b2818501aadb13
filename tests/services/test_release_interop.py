# ruff: noqa: F811 - fixtures of the release tests, by import
"""A released case in the tools of others: same voxels, same geometry, image and segmentation."""

import io
import json
import shutil
import subprocess
import tarfile
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pyarrow.parquet as pq
import pydicom
import pytest

import synthdata.validation
from synthdata.provenance.dicom_marks import read_marks
from synthdata.provenance.registry import open_registry
from synthdata.provenance.verify import verify_file
from synthdata.spec import DicomOutput
from synthdata.storage.folder import FolderStore
from tests.release.builders import GRID, ellipsoid, spec_of
from tests.release.conftest import Master, _own_trust, _short_report, master, short_report  # noqa: F401 - fixtures
from tests.services import orthanc

pytestmark = [pytest.mark.service, pytest.mark.slow]
CASE = 3


@pytest.fixture(scope="session", params=["classic", "enhanced"])
def staged(request: pytest.FixtureRequest, master: Master, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A built release: a file per slice; or one per series, with reports."""
    if request.param == "classic":
        return master.folder / "staging"
    folder = tmp_path_factory.mktemp("enhanced") / "staging"
    spec = spec_of(dicom=DicomOutput(enhanced=("MR", "CT"), measurements=True))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(synthdata.validation, "write_report", short_report, raising=False)
        replace(master.made, spec=spec).build(FolderStore(master.folder / "private"), folder)
    return folder


@pytest.fixture
def unpacked(staged: Path, tmp_path: Path) -> Path:
    """The DICOM files of one case with a lesion."""
    with tarfile.open(staged / "dicom/cases-00000.tar") as archive:
        members = [item for item in archive if item.name.startswith(f"SYN-{CASE:06d}/")]
        archive.extractall(tmp_path / "case", members=members, filter="data")
    return tmp_path / "case" / f"SYN-{CASE:06d}"


def grid_indices(affine_lps: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """Voxels (z, y, x) of our grid at indices (n, 3) of another one, whose affine leads to LPS in mm."""
    world = affine_lps[:3, :3] @ indices.T + affine_lps[:3, 3:]
    found = np.linalg.inv(GRID.affine) @ np.vstack([world, np.ones(world.shape[1])])
    assert np.allclose(found, np.rint(found), atol=1e-3), "voxel centres lie elsewhere"
    return np.rint(found[:3]).astype(int).T


@pytest.mark.parametrize(("channel", "number"), [("T1w", 0), ("CT", 1)])
def test_simpleitk_reads_the_series_with_our_geometry(unpacked: Path, channel: str, number: int) -> None:
    sitk = pytest.importorskip("SimpleITK")
    names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(unpacked / channel))
    image = sitk.ReadImage(names if len(names) > 1 else names[0])
    assert np.array_equal(sitk.GetArrayFromImage(image), ellipsoid(CASE).image[number])
    for index in ((0, 0, 0), (7, 9, 3), (2, 5, 1)):  # x, y, z
        want = GRID.affine @ [*index[::-1], 1]
        assert np.allclose(image.TransformIndexToPhysicalPoint(index), want[:3], atol=1e-3)


@pytest.mark.skipif(shutil.which("dcm2niix") is None, reason="needs dcm2niix: apt-get install dcm2niix")
@pytest.mark.parametrize(("channel", "number"), [("T1w", 0), ("CT", 1)])
def test_dcm2niix_converts_the_series_with_our_geometry(
    unpacked: Path, tmp_path: Path, channel: str, number: int
) -> None:
    (tmp_path / "nifti").mkdir()
    command = ["dcm2niix", "-z", "n", "-b", "n", "-o", str(tmp_path / "nifti"), str(unpacked / channel)]
    subprocess.run(command, check=True, capture_output=True)
    (path,) = (tmp_path / "nifti").glob("*.nii")
    image = nib.load(path)
    voxels = np.asarray(image.dataobj)
    indices = np.argwhere(np.ones(voxels.shape, bool))
    found = grid_indices(np.diag([-1, -1, 1, 1]) @ image.affine, indices)
    assert np.array_equal(voxels.ravel(), ellipsoid(CASE).image[number][tuple(found.T)])


def test_highdicom_reads_the_segmentation_on_the_grid_of_the_images(unpacked: Path) -> None:
    import highdicom as hd

    segmentation = hd.seg.segread(unpacked / "seg.dcm")
    volume = segmentation.get_volume(combine_segments=False)
    array = np.asarray(volume.array)
    mask = ellipsoid(CASE).mask
    labels = {segment.SegmentLabel: segment.SegmentNumber for segment in segmentation.SegmentSequence}
    for label, value in (("organ", 1), ("lesion", 3)):
        number = next(number for name, number in labels.items() if label in name.lower())
        indices = np.argwhere(array[..., number - 1])
        found = {tuple(index) for index in grid_indices(volume.affine, indices)}
        assert found == {tuple(index) for index in np.argwhere(mask == value)}


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="needs dciodvfy: apt-get install dicom3tools")
def test_every_file_of_a_case_conforms_and_declares_itself(unpacked: Path) -> None:
    for path in sorted(unpacked.rglob("*.dcm")):
        done = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
        lines = (done.stdout + done.stderr).lower().splitlines()
        # dicom3tools of 2022 does not know the attribute of 2024
        assert not [line for line in lines if line.startswith("error") and "(0x0008,0x001c)" not in line], (
            path
        )
        marks = read_marks(pydicom.dcmread(path))
        assert marks.origin == "ellipsoids 1.0.0"
        assert {"SyntheticData", "ContributingEquipmentSequence", "PatientID"} <= set(marks.found)


def test_an_image_is_known_again_by_the_registry(unpacked: Path, staged: Path) -> None:
    registry = open_registry(staged)
    for path in sorted((unpacked / "CT").glob("*.dcm")):
        (found,) = [
            item
            for item in verify_file(path, registry=registry, watermark_key=None).evidence
            if item.layer == "registry"
        ]
        assert found.finding == "found"
        assert f"SYN-{CASE:06d}" in found.detail


def test_the_report_gives_the_volumes_of_the_index(unpacked: Path, staged: Path) -> None:
    import highdicom as hd

    if not (unpacked / "sr.dcm").exists():
        return  # the spec of the classic release asks for none
    report = hd.sr.srread(unpacked / "sr.dcm")
    row = pq.read_table(staged / "index.parquet").to_pylist()[CASE]
    volumes = {
        group.tracking_identifier: group.get_measurements()[0].value
        for group in report.content.get_volumetric_roi_measurement_groups()
    }
    assert row["case_id"] == f"SYN-{CASE:06d}"
    assert volumes == {label: pytest.approx(row[f"{label}_volume_mm3"]) for label in ("organ", "lesion")}


@pytest.fixture
def pacs(tmp_path: Path) -> Iterator[orthanc.Orthanc]:
    if reason := orthanc.missing():
        pytest.skip(reason)
    server = orthanc.Orthanc(tmp_path / "orthanc")
    server.start()
    yield server
    server.kill()


def test_orthanc_stores_every_instance_and_serves_it_back_by_dicomweb(
    staged: Path, pacs: orthanc.Orthanc, tmp_path: Path
) -> None:
    with tarfile.open(staged / "dicom/cases-00000.tar") as archive:
        archive.extractall(tmp_path / "all", filter="data")
    paths = sorted((tmp_path / "all").rglob("*.dcm"))
    pacs.push(paths)
    with urllib.request.urlopen(f"{pacs.url}/instances", timeout=60) as answer:
        assert len(json.loads(answer.read())) == len(paths)
    for path in paths:
        dataset = pydicom.dcmread(path)
        address = (
            f"{pacs.url}/studies/{dataset.StudyInstanceUID}/series/{dataset.SeriesInstanceUID}"
            f"/instances/{dataset.SOPInstanceUID}"
        )
        accept = {"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}
        with urllib.request.urlopen(urllib.request.Request(address, headers=accept), timeout=60) as answer:
            body = answer.read()
        start = body.index(b"\r\n\r\n") + 4
        back = pydicom.dcmread(io.BytesIO(body[start:]))
        assert back.SyntheticData == "YES"
        if dataset.Modality == "SR":
            assert back.ContentSequence == dataset.ContentSequence
        else:
            assert np.array_equal(back.pixel_array, dataset.pixel_array)

# ruff: noqa: F811 - fixtures of the release tests, by import
"""A released case in the tools of others: same voxels, same geometry, image and segmentation."""

import io
import json
import shutil
import subprocess
import tarfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest

from tests.release.builders import GRID, ellipsoid
from tests.release.conftest import _own_trust, _short_report, built, master  # noqa: F401 - fixtures
from tests.services import orthanc

pytestmark = [pytest.mark.service, pytest.mark.slow]
CASE = 3


@pytest.fixture
def unpacked(built, tmp_path: Path) -> Path:
    """The DICOM files of one case with a lesion."""
    with tarfile.open(built[0] / "dicom/cases-00000.tar") as archive:
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
    image = sitk.ReadImage(names)
    assert np.array_equal(sitk.GetArrayFromImage(image), ellipsoid(CASE).image[number])
    for index in ((0, 0, 0), (7, 9, 3), (2, 5, 1)):  # x, y, z
        want = GRID.affine @ [*index[::-1], 1]
        assert np.allclose(image.TransformIndexToPhysicalPoint(index), want[:3], atol=1e-3)


@pytest.mark.skipif(shutil.which("dcm2niix") is None, reason="needs dcm2niix: apt-get install dcm2niix")
def test_dcm2niix_converts_the_series_with_our_geometry(unpacked: Path, tmp_path: Path) -> None:
    (tmp_path / "nifti").mkdir()
    command = ["dcm2niix", "-z", "n", "-b", "n", "-o", str(tmp_path / "nifti"), str(unpacked / "CT")]
    subprocess.run(command, check=True, capture_output=True)
    (path,) = (tmp_path / "nifti").glob("*.nii")
    image = nib.load(path)
    voxels = np.asarray(image.dataobj)
    indices = np.argwhere(np.ones(voxels.shape, bool))
    found = grid_indices(np.diag([-1, -1, 1, 1]) @ image.affine, indices)
    assert np.array_equal(voxels.ravel(), ellipsoid(CASE).image[1][tuple(found.T)])


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


@pytest.fixture
def pacs(tmp_path: Path) -> Iterator[orthanc.Orthanc]:
    if reason := orthanc.missing():
        pytest.skip(reason)
    server = orthanc.Orthanc(tmp_path / "orthanc")
    server.start()
    yield server
    server.kill()


def test_orthanc_stores_every_instance_and_serves_it_back_by_dicomweb(built, pacs, tmp_path: Path) -> None:
    with tarfile.open(built[0] / "dicom/cases-00000.tar") as archive:
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
        assert np.array_equal(back.pixel_array, dataset.pixel_array)
        assert back.SyntheticData == "YES"

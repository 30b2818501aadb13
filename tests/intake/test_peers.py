"""Intake, SimpleITK and dcm2niix put the voxels of real series at the same places, with the same values."""

import importlib.util
import os
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
REALDATA = Path(os.environ.get("SYNTHDATA_REALDATA", ROOT / "../shared/data"))

pytestmark = [
    pytest.mark.realdata,
    pytest.mark.service,
    pytest.mark.skipif(
        not REALDATA.is_dir(), reason="SYNTHDATA_REALDATA names no folder with the real scans"
    ),
    pytest.mark.skipif(shutil.which("dcm2niix") is None, reason="dcm2niix is not installed"),
]
FOLDERS = {  # volumes that each reader gives; Debian's dcm2niix reads no JPEG-LS
    "ct_ge_head_gantry_tilt": (1, 1),
    "dcmqi_ct_with_seg": (1, 1),
    "mr_ge_classic": (2, 2),
    "mr_hippocrop_11": (1, 1),
    "mr_philips_classic": (1, 1),
    "mr_philips_enhanced": (1, 1),
    "mr_siemens_classic": (8, 8),
    "mr_siemens_transfer_syntaxes": (9, 7),
}


@pytest.fixture(scope="module")
def geometry():
    spec = importlib.util.spec_from_file_location("geometry", ROOT / "benchmarks" / "geometry.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("folder", FOLDERS)
def test_real_series_have_the_places_and_the_values_that_other_readers_give(geometry, folder) -> None:
    found = list(geometry.comparisons(REALDATA / "dicom" / folder))
    readers = [one.reader for one in found]
    assert (readers.count("SimpleITK"), readers.count("dcm2niix")) == FOLDERS[folder]
    if (
        folder == "ct_ge_head_gantry_tilt"
    ):  # intake and dcm2niix both interpolate, to grids half a voxel apart
        assert found.pop().mean_difference < 5  # HU
    assert all(one.differing == 0 for one in found)
    assert not any(one.distance_mm > 1e-3 for one in found)

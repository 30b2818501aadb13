"""Small series for the tests of the DICOM writers, made in code; and the judge of an outside validator."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from synthdata.dicom import Deidentification, SeriesHeader, uid_of
from synthdata.records import Grid

# dicom3tools of 2022 does not know the attribute of 2024 and calls it an error: this line, and no other, is not one
FALSE_ALARM = "(0x0008,0x001c)"


@pytest.fixture
def errors_of() -> Callable[[Path], list[str]]:
    """Lines which dciodvfy marks as errors; skips the test where it is not installed."""
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is not installed: apt-get install dicom3tools")

    def judge(path: Path) -> list[str]:
        done = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
        lines = (done.stdout + done.stderr).splitlines()
        return [line for line in lines if line.startswith("Error") and FALSE_ALARM not in line.lower()]

    return judge


@pytest.fixture
def grid() -> Grid:
    return Grid(shape_zyx=(5, 12, 10), spacing_mm=(4.0, 1.5, 1.25), origin_mm=(-7.5, 3.25, 11.0))


@pytest.fixture
def flat_grid() -> Grid:
    return Grid(shape_zyx=(1, 16, 12), spacing_mm=(1.0, 2.5, 2.0))


@pytest.fixture
def header() -> Callable[..., SeriesHeader]:
    def make(modality: str = "MR", **changes: object) -> SeriesHeader:
        settings: dict[str, object] = {
            "modality": modality,
            "patient_id": "T-1",
            "patient_name": "T-1",
            "sex": "F",
            "age_years": 43.7,
            "study_uid": uid_of("test", "study"),
            "series_uid": uid_of("test", "series", modality),
            "frame_of_reference_uid": uid_of("test", "frame"),
            "series_description": "test",
            "series_number": 1,
            "body_part": "HEAD",
            "unit": "[hnsf'U]" if modality == "CT" else "1",
            "window": (0.0, 100.0),
            "deidentification": Deidentification(method="made by a test, no person behind it"),
        }
        return SeriesHeader(**(settings | changes))  # type: ignore[arg-type]

    return make


@pytest.fixture
def voxels() -> Callable[[Grid], np.ndarray]:
    def make(grid: Grid) -> np.ndarray:
        return np.random.default_rng(0).integers(0, 2000, grid.shape_zyx).astype(np.int16)

    return make

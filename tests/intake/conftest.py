"""A small clean DICOM study in code, for tests which then break one thing of it."""

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import RTStructureSetStorage

from synthdata.dicom import (
    Deidentification,
    SegmentationHeader,
    SeriesHeader,
    image_datasets,
    save,
    segmentation_dataset,
    uid_of,
)
from synthdata.records.case_set import ColumnSpec
from synthdata.records.grid import Grid
from synthdata.spec import Channel, DatasetSpec, GridSpec, Release, Sampling, Source
from synthdata.storage.folder import FolderStore

KEY = b"a secret of thirty-two bytes ...."
LABELS = {"lesion": 1, "ventricle": 2}
CODES = {"lesion": "52988006|Lesion", "ventricle": "35764002|Brain ventricle"}
EVIDENCE = Deidentification(
    method="test data in code",
    codes=(
        "113100|Basic Application Confidentiality Profile",
        "113108|Retain Patient Characteristics Option",
    ),
)
OBLIQUE = (0.0, -0.6, 0.8, 0.0, 0.8, 0.6, 1.0, 0.0, 0.0)


def make_grid(**changes) -> Grid:
    facts = {"shape_zyx": (5, 8, 6), "spacing_mm": (3.0, 2.0, 1.5), "origin_mm": (-7.0, 4.0, 11.0)}
    return Grid(**{**facts, **changes})


def make_image(grid: Grid, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 900, grid.shape_zyx).astype(np.int16)


def make_header(patient: str, *, modality: str = "MR", name: str = "T1w", **changes) -> SeriesHeader:
    facts = {
        "modality": modality,
        "patient_id": patient,
        "patient_name": patient,
        "sex": "",
        "age_years": None,
        "study_uid": uid_of(patient, "study"),
        "series_uid": uid_of(patient, name),
        "frame_of_reference_uid": uid_of(patient, "frame"),
        "series_description": name,
        "series_number": 1,
        "body_part": "HEAD",
        "unit": "[hnsf'U]" if modality == "CT" else "1",
        "window": (0.0, 900.0),
        "deidentification": EVIDENCE,
    }
    return SeriesHeader(**{**facts, **changes})


def make_series(patient: str, grid: Grid | None = None, *, seed: int = 0, **changes) -> list[Dataset]:
    grid = grid or make_grid()
    return image_datasets(make_image(grid, seed), grid, make_header(patient, **changes))


def make_mask(patient: str, sources: list[Dataset], grid: Grid, mask: np.ndarray) -> Dataset:
    # highdicom names itself in Contribution Description, which only the option for clean descriptors allows
    evidence = replace(EVIDENCE, codes=(*EVIDENCE.codes, "113105|Clean Descriptors Option"))
    header = SegmentationHeader(series_uid=uid_of(patient, "mask"), deidentification=evidence)
    return segmentation_dataset(mask, grid, sources, labels=LABELS, codes=CODES, header=header)


def make_structure_set(
    source: Dataset, contours: dict[str, list[np.ndarray]], kind: str = "CLOSED_PLANAR"
) -> Dataset:
    """An RTSTRUCT on the frame of reference of an image; contours are LPS points by the name of their region."""
    dataset = copy.deepcopy(source)
    for keyword in ("PixelData", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit"):
        delattr(dataset, keyword)
    for keyword in ("PixelRepresentation", "PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient"):
        delattr(dataset, keyword)
    dataset.SOPClassUID, dataset.Modality = RTStructureSetStorage, "RTSTRUCT"
    dataset.SOPInstanceUID, dataset.SeriesInstanceUID = "1.2.3.7", "1.2.3.8"
    regions, drawn = [], []
    for number, (name, outlines) in enumerate(contours.items(), 1):
        region, drawing = Dataset(), Dataset()
        region.ROINumber, region.ROIName = number, name
        region.ReferencedFrameOfReferenceUID = source.FrameOfReferenceUID
        drawing.ReferencedROINumber, drawing.ContourSequence = number, []
        for points in outlines:
            contour = Dataset()
            contour.ContourGeometricType, contour.NumberOfContourPoints = kind, len(points)
            contour.ContourData = [f"{value:.4f}" for value in points.ravel()]
            drawing.ContourSequence.append(contour)
        regions.append(region)
        drawn.append(drawing)
    dataset.StructureSetROISequence, dataset.ROIContourSequence = regions, drawn
    code = copy.deepcopy(dataset.DeidentificationMethodCodeSequence[0])
    code.CodeValue, code.CodeMeaning = "113105", "Clean Descriptors Option"
    dataset.DeidentificationMethodCodeSequence.append(code)
    return dataset


def make_outline(grid: Grid, z: float, low_yx, high_yx) -> np.ndarray:
    """A rectangle on a slice, half a voxel around the voxels low to high - 1; LPS points (4, 3)."""
    (y0, x0), (y1, x1) = np.subtract(low_yx, 0.5), np.subtract(high_yx, 0.5)
    index = np.array([[z, y0, x0, 1], [z, y0, x1, 1], [z, y1, x1, 1], [z, y1, x0, 1]])
    return (index @ grid.affine.T)[:, :3]


def write(folder: Path, datasets: list[Dataset], prefix: str = "") -> list[Path]:
    paths = [folder / f"{prefix}{index:04d}.dcm" for index in range(len(datasets))]
    for path, dataset in zip(paths, datasets, strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        save(dataset, path)
    return paths


def make_spec(**changes) -> DatasetSpec:
    facts = {
        "name": "intake-test",
        "title": "Intake",
        "source": Source(kind="folder", uri="unused", format="dicom"),
        "channels": (Channel(name="T1w", modality="MR", series="^T1w$"),),
        "grid": GridSpec(shape_zyx=(5, 8, 6), spacing_mm=(3.0, 2.0, 1.5)),
        "sampling": Sampling(cases=1),
        "release": Release(licence="CC-BY-4.0"),
    }
    return DatasetSpec(**{**facts, **changes})


AGE = ColumnSpec(name="age", kind="integer", unit="a", minimum=18, maximum=90)


@pytest.fixture
def private(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "private")


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    folder = tmp_path / "scans"
    folder.mkdir()
    return folder


@pytest.fixture
def build() -> Callable:
    """The builders of this file, since test files are no package that could import it."""

    class Build:
        key, labels, oblique, age = KEY, LABELS, OBLIQUE, AGE
        grid, image, series = staticmethod(make_grid), staticmethod(make_image), staticmethod(make_series)
        structure_set, outline = staticmethod(make_structure_set), staticmethod(make_outline)
        header = staticmethod(make_header)
        mask, spec, write = staticmethod(make_mask), staticmethod(make_spec), staticmethod(write)

    return Build

"""An outside validator has no complaint about the files of the phantom and of the writers."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from synthdata.dicom import (
    SegmentationHeader,
    SeriesHeader,
    image_datasets,
    save,
    segmentation_dataset,
    uid_of,
)
from synthdata.phantom import write_cohort
from synthdata.records import Grid

pytestmark = pytest.mark.service
Judge = Callable[[Path], list[str]]


@pytest.mark.parametrize("modality", ["MR", "CT", "CR", "DX"])
@pytest.mark.parametrize("body_part", ["HEAD", "CHEST", "HIPPOCAMPUS", "KNEE", ""])
def test_series_and_segmentation_conform(
    modality: str,
    body_part: str,
    header: Callable[..., SeriesHeader],
    voxels: Callable[[Grid], np.ndarray],
    grid: Grid,
    flat_grid: Grid,
    tmp_path: Path,
    errors_of: Judge,
) -> None:
    where = flat_grid if modality in {"CR", "DX"} else grid
    datasets = image_datasets(voxels(where), where, header(modality, body_part=body_part))
    mask = np.zeros(where.shape_zyx, np.uint8)
    mask[0, 3:6, 3:6] = 1
    segmentation = segmentation_dataset(
        mask,
        where,
        datasets,
        labels={"a": 1},
        codes={},
        header=SegmentationHeader(series_uid=uid_of("test", "seg")),
    )
    assert segmentation is not None
    datasets[-1].SyntheticData = "YES"  # the one line which the validator of 2022 cannot know
    save(datasets[-1], tmp_path / "image.dcm")
    save(segmentation, tmp_path / "segmentation.dcm")
    assert errors_of(tmp_path / "image.dcm") == []
    assert errors_of(tmp_path / "segmentation.dcm") == []


def test_the_validator_sees_a_missing_attribute(
    header: Callable[..., SeriesHeader],
    voxels: Callable[[Grid], np.ndarray],
    grid: Grid,
    tmp_path: Path,
    errors_of: Judge,
) -> None:
    broken = image_datasets(voxels(grid), grid, header())[0]
    del broken.ImageOrientationPatient
    save(broken, tmp_path / "broken.dcm")
    assert any("ImageOrientationPatient" in line for line in errors_of(tmp_path / "broken.dcm"))


@pytest.mark.parametrize("channels", [("T1w", "T2w", "CT"), ("XR",)])
def test_the_files_of_the_phantom_conform(
    channels: tuple[str, ...], tmp_path: Path, errors_of: Judge
) -> None:
    write_cohort(tmp_path, patients=1, seed=5, channels=channels)
    firsts = [next(series.glob("*.dcm")) for series in sorted(tmp_path.glob("*/*"))]
    assert len(firsts) == len(channels) + 1
    assert {path.parent.name: errors_of(path) for path in firsts} == {path.parent.name: [] for path in firsts}

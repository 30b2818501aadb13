"""Enhanced multi-frame MR and CT: conform, and lie where the classic slices lie."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from synthdata.dicom import (
    SegmentationHeader,
    SeriesHeader,
    encode,
    image_datasets,
    multiframe_dataset,
    save,
    segmentation_dataset,
    uid_of,
)
from synthdata.errors import ConfigError, ShapeError
from synthdata.records import Grid

TILTED = Grid(
    shape_zyx=(3, 6, 8),
    spacing_mm=(2.5, 0.8, 1.1),
    origin_mm=(4.0, -3.0, 7.5),
    direction=(0.0, -0.6, 0.8, 0.0, 0.8, 0.6, 1.0, 0.0, 0.0),
)


@pytest.mark.service
@pytest.mark.parametrize("modality", ["MR", "CT"])
@pytest.mark.parametrize("body_part", ["HEAD", "KNEE", ""])
def test_an_enhanced_image_and_its_segmentation_conform(
    modality: str,
    body_part: str,
    header: Callable[..., SeriesHeader],
    voxels: Callable[[Grid], np.ndarray],
    grid: Grid,
    tmp_path: Path,
    errors_of: Callable[[Path], list[str]],
) -> None:
    image = multiframe_dataset(
        voxels(grid), grid, header(modality, body_part=body_part, image_type=("DERIVED", "PRIMARY"))
    )
    mask = np.zeros(grid.shape_zyx, np.uint8)
    mask[0, 3:6, 3:6] = 1
    segmentation = segmentation_dataset(
        mask,
        grid,
        [image],
        labels={"a": 1},
        codes={},
        header=SegmentationHeader(series_uid=uid_of("test", "seg")),
    )
    assert segmentation is not None
    save(image, tmp_path / "image.dcm")
    save(segmentation, tmp_path / "segmentation.dcm")
    assert errors_of(tmp_path / "image.dcm") == []
    assert errors_of(tmp_path / "segmentation.dcm") == []


@pytest.mark.parametrize("modality", ["MR", "CT"])
@pytest.mark.parametrize("where", [Grid(shape_zyx=(4, 6, 8), spacing_mm=(4.0, 1.5, 1.25)), TILTED])
def test_frames_lie_where_the_classic_slices_lie(
    modality: str,
    where: Grid,
    header: Callable[..., SeriesHeader],
    voxels: Callable[[Grid], np.ndarray],
    tmp_path: Path,
) -> None:
    import highdicom as hd

    image = voxels(where)
    enhanced = multiframe_dataset(image, where, header(modality))
    classic = image_datasets(image, where, header(modality))
    for frame, slice_ in zip(enhanced.PerFrameFunctionalGroupsSequence, classic, strict=True):
        assert frame.PlanePositionSequence[0].ImagePositionPatient == slice_.ImagePositionPatient
    shared = enhanced.SharedFunctionalGroupsSequence[0]
    assert shared.PlaneOrientationSequence[0].ImageOrientationPatient == classic[0].ImageOrientationPatient
    assert shared.PixelMeasuresSequence[0].PixelSpacing == classic[0].PixelSpacing
    save(enhanced, tmp_path / "enhanced.dcm")
    volume = hd.imread(tmp_path / "enhanced.dcm").get_volume().flip_spatial(0)  # highdicom counts down
    assert np.allclose(volume.affine, where.affine, atol=1e-9)
    assert np.array_equal(volume.array, image)


def test_the_same_array_gives_the_same_bytes_and_the_frames_repeat_the_image_type(
    header: Callable[..., SeriesHeader], voxels: Callable[[Grid], np.ndarray], grid: Grid
) -> None:
    def finish(dataset: Dataset) -> None:
        dataset.ImageType = ["DERIVED", "PRIMARY", "VOLUME", "SYNTHETIC"]

    first, second = (multiframe_dataset(voxels(grid), grid, header(), finish=finish) for _ in range(2))
    (kind,) = first.SharedFunctionalGroupsSequence[0].MRImageFrameTypeSequence
    assert kind.FrameType == first.ImageType
    assert encode(first) == encode(second)


def test_what_has_no_enhanced_form_is_refused(
    header: Callable[..., SeriesHeader], voxels: Callable[[Grid], np.ndarray], grid: Grid, flat_grid: Grid
) -> None:
    with pytest.raises(ConfigError, match="'DX', expected MR or CT"):
        multiframe_dataset(voxels(flat_grid), flat_grid, header("DX"))
    with pytest.raises(ShapeError, match="expected int16"):
        multiframe_dataset(voxels(grid).astype(np.float32), grid, header())

import io
import time
from collections.abc import Callable

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from synthdata.dicom import (
    Deidentification,
    SegmentationHeader,
    SeriesHeader,
    encode,
    image_datasets,
    segmentation_dataset,
    uid_of,
)
from synthdata.errors import ConfigError, ShapeError
from synthdata.records import Grid

LABELS = {"ventricles": 2, "lesion": 7, "absent": 9}
CODES = {"ventricles": "35764002|Brain ventricle", "lesion": "52988006|Lesion"}
Header = Callable[..., SeriesHeader]
Voxels = Callable[[Grid], np.ndarray]


def mask_on(grid: Grid) -> np.ndarray:
    mask = np.zeros(grid.shape_zyx, np.uint8)
    mask[0, 2:6, 3:5] = 2
    mask[-1, 4:9, 2:9] = 7
    return mask


def segment(mask: np.ndarray, grid: Grid, sources: list[Dataset], **changes: object) -> Dataset | None:
    header = SegmentationHeader(
        series_uid=uid_of("test", "seg"),
        lesions=("lesion",),
        deidentification=Deidentification(method="test"),
    )
    settings: dict[str, object] = {"labels": LABELS, "codes": CODES, "header": header} | changes
    return segmentation_dataset(mask, grid, sources, **settings)  # type: ignore[arg-type]


def read_back(data: bytes, sources: list[Dataset]) -> np.ndarray:
    """The mask of a SEG, from its frames, their segment labels and the slices which they refer to."""
    dataset = dcmread(io.BytesIO(data))
    frames = np.atleast_3d(dataset.pixel_array).reshape(-1, dataset.Rows, dataset.Columns)
    names = {item.SegmentNumber: item.SegmentLabel for item in dataset.SegmentSequence}
    slices = {one.SOPInstanceUID: index for index, one in enumerate(sources)}
    mask = np.zeros((len(sources), dataset.Rows, dataset.Columns), np.uint8)
    for frame, group in zip(frames, dataset.PerFrameFunctionalGroupsSequence, strict=True):
        source = group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        number = group.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        mask[slices[source]][frame > 0] = LABELS[names[number]]
    return mask


@pytest.mark.parametrize("modality", ["MR", "CT", "CR", "DX"])
def test_a_mask_comes_back_as_it_was(
    modality: str, header: Header, voxels: Voxels, grid: Grid, flat_grid: Grid
) -> None:
    where = flat_grid if modality in {"CR", "DX"} else grid
    sources = image_datasets(voxels(where), where, header(modality))
    dataset = segment(mask_on(where), where, sources)
    assert dataset is not None
    assert np.array_equal(read_back(encode(dataset), sources), mask_on(where))


def test_frames_lie_where_their_slices_lie(header: Header, voxels: Voxels, grid: Grid) -> None:
    sources = image_datasets(voxels(grid), grid, header())
    dataset = segment(mask_on(grid), grid, sources)
    assert dataset is not None
    places = [
        [float(value) for value in group.PlanePositionSequence[0].ImagePositionPatient]
        for group in dataset.PerFrameFunctionalGroupsSequence
    ]
    assert places == [[-7.5, 3.25, 11.0], [-7.5, 3.25, 27.0]]


def test_segments_keep_their_numbers_when_a_label_is_absent(
    header: Header, voxels: Voxels, grid: Grid
) -> None:
    dataset = segment(mask_on(grid), grid, image_datasets(voxels(grid), grid, header()))
    assert dataset is not None
    found = [(item.SegmentNumber, item.SegmentLabel) for item in dataset.SegmentSequence]
    assert found == [(1, "ventricles"), (2, "lesion"), (3, "absent")]
    types = [item.SegmentedPropertyTypeCodeSequence[0].CodeValue for item in dataset.SegmentSequence]
    assert types == ["35764002", "52988006", "85756007"]
    categories = [item.SegmentedPropertyCategoryCodeSequence[0].CodeValue for item in dataset.SegmentSequence]
    assert categories == ["91723000", "49755003", "85756007"]


def test_the_clock_leaves_no_trace(header: Header, voxels: Voxels, grid: Grid) -> None:
    def once() -> bytes:
        dataset = segment(mask_on(grid), grid, image_datasets(voxels(grid), grid, header()))
        assert dataset is not None
        return encode(dataset)

    first = once()
    time.sleep(1.1)  # highdicom writes whole seconds
    assert once() == first
    read = dcmread(io.BytesIO(first))
    dates = {
        element.value for element in read.iterall() if element.VR in {"DA", "DT", "TM"} and element.value
    }
    assert dates == {"19000101", "000000"}
    assert read.PatientIdentityRemoved == "YES"


def test_an_empty_mask_gives_no_object(header: Header, voxels: Voxels, grid: Grid) -> None:
    sources = image_datasets(voxels(grid), grid, header())
    assert segment(np.zeros(grid.shape_zyx, np.uint8), grid, sources) is None


def test_masks_which_do_not_fit_are_refused(header: Header, voxels: Voxels, grid: Grid) -> None:
    sources = image_datasets(voxels(grid), grid, header())
    with pytest.raises(ShapeError, match="one slice per z"):
        segment(mask_on(grid), grid, sources[:-1])
    with pytest.raises(ShapeError, match="expected uint8"):
        segment(mask_on(grid).astype(np.int16), grid, sources)
    with pytest.raises(ShapeError, match=r"values \[7\]"):
        segment(mask_on(grid), grid, sources, labels={"ventricles": 2})


def test_a_code_without_a_meaning_is_refused(header: Header, voxels: Voxels, grid: Grid) -> None:
    sources = image_datasets(voxels(grid), grid, header())
    with pytest.raises(ConfigError, match="expected '<code>"):
        segment(mask_on(grid), grid, sources, codes={"lesion": "52988006"})

"""Structured reports: volumes in closed form, coded, tied to the segmentation, without a clock."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from synthdata.dicom import (
    ReportHeader,
    SegmentationHeader,
    SeriesHeader,
    encode,
    image_datasets,
    measurement_report,
    multiframe_dataset,
    save,
    segmentation_dataset,
    uid_of,
)
from synthdata.errors import ShapeError
from synthdata.records import Grid

LABELS = {"ventricles": 1, "bleeding": 2, "absent": 7}
CODES = {"ventricles": "35764002|Brain ventricle", "bleeding": "50960005|Hemorrhage"}
Objects = tuple[np.ndarray, Dataset, Dataset]


@pytest.fixture(params=["classic", "enhanced"])
def objects(
    request: pytest.FixtureRequest,
    header: Callable[..., SeriesHeader],
    voxels: Callable[[Grid], np.ndarray],
    grid: Grid,
) -> Objects:
    """Mask, SEG, report."""
    mask = np.zeros(grid.shape_zyx, np.uint8)
    mask[1:3, 2:5, 2:4] = 1
    mask[4, 6, 6] = 2
    sources = (
        [multiframe_dataset(voxels(grid), grid, header())]
        if request.param == "enhanced"
        else image_datasets(voxels(grid), grid, header())
    )
    segmentation = segmentation_dataset(
        mask, grid, sources, labels=LABELS, codes=CODES,
        header=SegmentationHeader(series_uid=uid_of("test", "seg"), lesions=("bleeding",)),
    )  # fmt: skip
    assert segmentation is not None
    return mask, segmentation, _report(mask, grid, segmentation, sources)


def _report(mask: np.ndarray, grid: Grid, segmentation: Dataset, sources: list[Dataset]) -> Dataset:
    header = ReportHeader(series_uid=uid_of("test", "sr"), lesions=("bleeding",))
    return measurement_report(mask, grid, segmentation, sources, labels=LABELS, codes=CODES, header=header)


def test_highdicom_reads_the_volumes_that_voxels_times_spacing_give(objects: Objects, grid: Grid) -> None:
    import highdicom as hd

    _, segmentation, report = objects
    read = hd.sr.srread(io.BytesIO(encode(report)))
    groups = read.content.get_volumetric_roi_measurement_groups()
    found = {}
    for group in groups:
        (measure,) = group.get_measurements(name=hd.sr.CodedConcept("118565006", "SCT", "Volume"))
        assert measure.unit.value == "mm3"
        (segment,) = group.referenced_segment[0].ReferencedSOPSequence
        assert segment.ReferencedSOPInstanceUID == segmentation.SOPInstanceUID
        label = segmentation.SegmentSequence[segment.ReferencedSegmentNumber - 1].SegmentLabel
        assert group.tracking_identifier == label
        assert group.finding_type.value == CODES[label].split("|")[0]
        found[label] = measure.value
    one = 4.0 * 1.5 * 1.25
    assert found == {"ventricles": pytest.approx(12 * one), "bleeding": pytest.approx(one)}


def test_a_report_holds_no_clock_and_no_chance(
    objects: Objects, grid: Grid, header: Callable[..., SeriesHeader], voxels: Callable[[Grid], np.ndarray]
) -> None:
    mask, segmentation, report = objects
    sources = image_datasets(voxels(grid), grid, header())
    times = [
        str(element.value)
        for element in report.iterall()
        if element.VR in {"DA", "TM", "DT"} and element.value
    ]
    assert set(times) == {"19000101", "000000"}
    assert encode(_report(mask, grid, segmentation, sources)) == encode(
        _report(mask, grid, segmentation, sources)
    )


@pytest.mark.service
def test_a_report_conforms(objects: Objects, tmp_path: Path, errors_of: Callable[[Path], list[str]]) -> None:
    save(objects[2], tmp_path / "report.dcm")
    assert errors_of(tmp_path / "report.dcm") == []


def test_an_empty_mask_has_nothing_to_report(objects: Objects, grid: Grid) -> None:
    with pytest.raises(ShapeError, match="leave the report out"):
        _report(np.zeros(grid.shape_zyx, np.uint8), grid, objects[1], [])

"""Volumes of the segments of a SEG as a structured report: template TID 1500, coded."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from pydicom.dataset import Dataset

from synthdata.dicom.codes import concept
from synthdata.dicom.evidence import EvidenceHeader, without_clock
from synthdata.dicom.segmentation import TISSUE, category_of
from synthdata.dicom.texts import long_string
from synthdata.dicom.uids import uid_of
from synthdata.errors import MissingExtraError, ShapeError
from synthdata.records.grid import Grid

if TYPE_CHECKING:
    from highdicom.sr import MeasurementReport, VolumetricROIMeasurementsAndQualitativeEvaluations

VOLUME = "118565006|Volume"
CUBIC_MILLIMETRE = "mm3|cubic millimeter"
PROCEDURE = "363679005|Imaging procedure"


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportHeader(EvidenceHeader):
    """What a report says of itself; patient and study come from the SEG that it measures."""

    series_number: int = 101
    series_description: str = "Volumes of the segments"


def measurement_report(
    mask: np.ndarray,
    grid: Grid,
    segmentation: Dataset,
    sources: Sequence[Dataset],
    *,
    labels: Mapping[str, int],
    codes: Mapping[str, str],
    header: ReportHeader,
) -> Dataset:
    """A Comprehensive SR (TID 1500, Measurement Report) with the volume of each segment that a case has.

    Args:
        mask: Label values uint8 (z, y, x); 0 is background.
        grid: Grid of the mask.
        segmentation: The SEG of that mask, by `segmentation_dataset` with the same labels.
        sources: The images that the SEG refers to.
        labels: Name to value in the mask.
        codes: Name to `<SNOMED CT code>|<meaning>`; a name without a code is coded as a tissue.
        header: Series and equipment.

    Returns:
        The dataset, without any value from a clock. Volumes are in mm3: voxels times the volume of one.

    Raises:
        ShapeError: The mask does not lie on the grid, or holds none of the labels.
        MissingExtraError: highdicom is not installed.

    Source:
        DICOM PS3.16, TID 1500 (Measurement Report), TID 1411 (Volumetric ROI Measurements).
    """
    if mask.shape != grid.shape_zyx or not mask.any():
        raise ShapeError(
            f"mask of shape {mask.shape} cannot be measured, expected {grid.shape_zyx} with at least one label: "
            "leave the report out where there is no segmentation"
        )
    try:
        import highdicom as hd
    except ImportError:
        raise MissingExtraError.of("writing DICOM reports", "dicom") from None
    counts = np.bincount(mask.ravel(), minlength=256)
    numbers = {str(item.SegmentLabel): int(item.SegmentNumber) for item in segmentation.SegmentSequence}
    groups = [
        _group(
            name, float(counts[value] * grid.voxel_mm3), numbers[name], segmentation, sources[0],
            code=codes.get(name), header=header,
        )
        for name, value in sorted(labels.items(), key=lambda item: item[1])
        if counts[value]
    ]  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of the empty study date, which is meant
        dataset: Dataset = hd.sr.ComprehensiveSR(
            evidence=[segmentation, *sources],
            content=_content(groups, header),
            is_complete=True,
            is_final=True,
            **header.series(),
        )
    return without_clock(dataset)


def _group(
    name: str,
    volume_mm3: float,
    number: int,
    segmentation: Dataset,
    source: Dataset,
    *,
    code: str | None,
    header: ReportHeader,
) -> "VolumetricROIMeasurementsAndQualitativeEvaluations":
    """The volume of one segment."""
    import highdicom as hd

    return hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.sr.TrackingIdentifier(
            uid=uid_of(header.series_uid, "segment", name), identifier=long_string(name)
        ),
        referenced_segment=hd.sr.ReferencedSegment(
            sop_class_uid=segmentation.SOPClassUID,
            sop_instance_uid=segmentation.SOPInstanceUID,
            segment_number=number,
            source_series=hd.sr.SourceSeriesForSegmentation(source.SeriesInstanceUID),
        ),
        finding_category=category_of(name, code, header.lesions),
        finding_type=concept(code or TISSUE),
        measurements=[
            hd.sr.Measurement(name=concept(VOLUME), value=volume_mm3, unit=concept(CUBIC_MILLIMETRE, "UCUM"))
        ],
    )


def _content(
    groups: "list[VolumetricROIMeasurementsAndQualitativeEvaluations]", header: ReportHeader
) -> "MeasurementReport":
    """The tree of the report: who observed, and what."""
    import highdicom as hd

    device = hd.sr.ObserverContext(
        observer_type=concept("121007|Device", "DCM"),
        observer_identifying_attributes=hd.sr.DeviceObserverIdentifyingAttributes(
            uid=uid_of("synthdata", "observer", header.model_name),
            name=header.model_name,
            manufacturer_name=header.manufacturer,
            model_name=header.model_name,
            serial_number="0",
        ),
    )
    return hd.sr.MeasurementReport(
        observation_context=hd.sr.ObservationContext(observer_device_context=device),
        procedure_reported=concept(PROCEDURE),
        imaging_measurements=groups,
    )

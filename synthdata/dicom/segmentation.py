"""Masks as binary DICOM Segmentation objects."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from pydicom.dataset import Dataset

from synthdata.dicom.codes import concept
from synthdata.dicom.evidence import EvidenceHeader, without_clock
from synthdata.dicom.header import Deidentification
from synthdata.dicom.uids import uid_of
from synthdata.errors import MissingExtraError, ShapeError
from synthdata.records.grid import Grid

if TYPE_CHECKING:
    from highdicom.seg import SegmentDescription
    from highdicom.sr import CodedConcept

ANATOMY = "91723000|Anatomical Structure"
ABNORMALITY = "49755003|Morphologically Abnormal Structure"
TISSUE = "85756007|Tissue"


@dataclass(frozen=True, kw_only=True, slots=True)
class SegmentationHeader(EvidenceHeader):
    """What a segmentation says of itself; patient and study come from the series it refers to."""

    series_number: int = 100
    series_description: str = "Segmentation"
    algorithm: str = "synthdata"  # name of what made the mask
    algorithm_family: str = "123110|Artificial Intelligence"  # PS3.16, CID 7162
    deidentification: Deidentification | None = None


def segmentation_dataset(
    mask: np.ndarray,
    grid: Grid,
    source_datasets: Sequence[Dataset],
    *,
    labels: Mapping[str, int],
    codes: Mapping[str, str],
    header: SegmentationHeader,
) -> Dataset | None:
    """One DICOM SEG which refers to the slices of a series.

    Args:
        mask: Label values uint8 (z, y, x); 0 is background.
        grid: Grid of the mask, the same as that of the series.
        source_datasets: The series in the order of z, as `image_datasets` gives it, or the one object of
            `multiframe_dataset`.
        labels: Name to value in the mask. Segments are numbered from 1 by rising value, present in this
            case or not, and carry the name as Segment Label.
        codes: Name to `<SNOMED CT code>|<meaning>`; a name without a code is coded as a tissue.
        header: Series, equipment and evidence of de-identification.

    Returns:
        The dataset, without any value from a clock; None when the mask is empty, as a SEG cannot be.

    Raises:
        ShapeError: The mask is no uint8 on the grid, holds a value without a label, or has another number of
            slices than the series.
        MissingExtraError: highdicom is not installed.
    """
    _check(mask, grid, source_datasets, labels)
    if not mask.any():
        return None
    try:
        import highdicom as hd
    except ImportError:
        raise MissingExtraError.of("writing DICOM segmentations", "dicom") from None
    order = sorted(labels, key=lambda name: labels[name])
    numbers = np.zeros(256, np.uint8)
    for number, name in enumerate(order, start=1):
        numbers[labels[name]] = number
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of the empty study date, which is meant
        dataset: Dataset = hd.seg.Segmentation(
            source_images=list(source_datasets),
            pixel_array=numbers[mask],
            segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
            segment_descriptions=[
                _description(number, name, codes.get(name), header)
                for number, name in enumerate(order, start=1)
            ],
            device_serial_number="0",
            **header.series(),
        )
    return _completed(without_clock(dataset), source_datasets[0], header)


def category_of(name: str, code: str | None, lesions: Sequence[str]) -> "CodedConcept":
    """Segmented Property Category of a label: an abnormality, an anatomical structure if it has a code, or a tissue."""
    return concept(ABNORMALITY if name in lesions else (ANATOMY if code else TISSUE))


def _check(mask: np.ndarray, grid: Grid, sources: Sequence[Dataset], labels: Mapping[str, int]) -> None:
    slices = sum(int(source.get("NumberOfFrames", 1)) for source in sources)
    if mask.dtype != np.uint8 or mask.shape != grid.shape_zyx or slices != len(mask):
        raise ShapeError(
            f"mask is {mask.dtype} of shape {mask.shape} with a series of {slices} slices, "
            f"expected uint8 (z, y, x) of {grid.shape_zyx} and one slice per z"
        )
    found = set(np.flatnonzero(np.bincount(mask.ravel(), minlength=256)).tolist()) - {0}
    if unknown := sorted(found - set(labels.values())):
        raise ShapeError(f"mask holds the values {unknown}, which labels lacks: name them or clear them")


def _description(
    number: int, name: str, code: str | None, header: SegmentationHeader
) -> "SegmentDescription":
    """One segment, as highdicom wants it."""
    import highdicom as hd

    return hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=name,
        segmented_property_category=category_of(name, code, header.lesions),
        segmented_property_type=concept(code or TISSUE),
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=hd.AlgorithmIdentificationSequence(
            name=header.algorithm, version=header.software, family=concept(header.algorithm_family, "DCM")
        ),
    )


def _completed(dataset: Dataset, source: Dataset, header: SegmentationHeader) -> Dataset:
    """Replace what highdicom draws at random, and add what it does not copy."""
    organisation = uid_of(header.series_uid, "dimensions")
    dataset.DimensionOrganizationSequence[0].DimensionOrganizationUID = organisation
    for item in dataset.DimensionIndexSequence:
        item.DimensionOrganizationUID = organisation
    if "BodyPartExamined" in source:
        dataset.BodyPartExamined = source.BodyPartExamined
    if "PatientOrientation" in source:  # a projection has no place in space
        dataset.PatientOrientation = source.PatientOrientation
    if header.deidentification is not None:
        header.deidentification.apply(dataset)
    return dataset

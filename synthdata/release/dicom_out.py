"""Synthetic cases as DICOM: a study per case, an image series per channel, a SEG, a report; all marked as synthetic."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import numpy as np
from pydicom.dataset import Dataset

import synthdata
from synthdata.dicom import (
    ReportHeader,
    SeriesHeader,
    encode,
    image_datasets,
    measurement_report,
    multiframe_dataset,
    uid_of,
)
from synthdata.dicom.segmentation import SegmentationHeader, segmentation_dataset
from synthdata.dicom.texts import long_string
from synthdata.provenance.dicom_marks import mark
from synthdata.records.case import Case, Value
from synthdata.records.training import ChannelScale
from synthdata.spec import DicomOutput

SEXES: Mapping[str, Literal["M", "F", "O"]] = {
    "m": "M", "male": "M", "f": "F", "female": "F", "o": "O", "other": "O", "divers": "O",
}  # fmt: skip
PROJECTIONS = ("CR", "DX")


@dataclass(frozen=True, kw_only=True, slots=True)
class DicomProfile:
    """What all DICOM objects of a release share."""

    dataset: str
    version: str
    title: str
    body_part: str
    scales: tuple[ChannelScale, ...]
    labels: Mapping[str, int]
    codes: Mapping[str, str]
    output: DicomOutput = field(default_factory=DicomOutput)


def dicom_members(case: Case, profile: DicomProfile) -> Iterator[tuple[str, bytes]]:
    """Files of one case, by name and bytes: `<case>/<channel>/0000.dcm` per slice, `<case>/seg.dcm`, `<case>/sr.dcm`.

    An enhanced series is one file, `0000.dcm`. The report is written where the profile asks for it and the case has
    a segmentation.

    The stored values are the released ones (HU for CT, arbitrary units for others). A projection cannot hold negative
    values in DICOM: those below zero, which the 5 % margin of the encoding allows, become zero.

    Raises:
        MarkError: The patient id is not that of a synthetic case.
        ShapeError: The arrays do not fit the modality.
    """
    marked = partial(mark, dataset_name=profile.dataset, version=profile.version)
    first: list[Dataset] = []
    for number, scale in enumerate(profile.scales):
        image = np.ascontiguousarray(case.image[number])
        if scale.modality in PROJECTIONS:
            image = np.maximum(image, 0)
        header = _header(case, profile, number)
        if scale.modality in profile.output.enhanced:
            finish = partial(marked, kind="enhanced")
            datasets = [multiframe_dataset(image, case.grid, header, finish=finish)]
        else:
            datasets = image_datasets(image, case.grid, header, finish=marked)
        first = first or datasets
        for index, dataset in enumerate(datasets):
            yield f"{case.case_id}/{scale.channel}/{index:04d}.dcm", encode(dataset)
    segmentation = _segmentation(case, profile, first) if profile.labels else None
    if segmentation is None:
        return
    marked(segmentation, kind="segmentation")
    yield f"{case.case_id}/seg.dcm", encode(segmentation)
    if profile.output.measurements:
        report = _report(case, profile, segmentation, first)
        marked(report, kind="report")
        yield f"{case.case_id}/sr.dcm", encode(report)


def _header(case: Case, profile: DicomProfile, number: int) -> SeriesHeader:
    scale = profile.scales[number]
    names = ("synthdata", profile.dataset, profile.version, case.case_id)
    modality = scale.modality
    return SeriesHeader(
        modality=modality,  # type: ignore[arg-type] # the spec allows no other than these four
        patient_id=case.patient_id,
        patient_name="",  # the mark sets it
        sex=_sex(case.record),
        age_years=_age(case.record),
        study_uid=uid_of(*names, "study"),
        series_uid=uid_of(*names, scale.channel),
        frame_of_reference_uid=uid_of(*names, "frame"),
        series_description=scale.channel,
        series_number=number + 1,
        body_part=profile.body_part,
        unit="[hnsf'U]" if modality == "CT" else "1",
        window=(scale.low, scale.high),
        study_description=long_string(profile.title),
        manufacturer="synthdata",
        model_name="synthdata",
        software=synthdata.__version__,
    )


def _segmentation(case: Case, profile: DicomProfile, sources: list[Dataset]) -> Dataset | None:
    return segmentation_dataset(
        case.mask,
        case.grid,
        sources,
        labels=profile.labels,
        codes=profile.codes,
        header=SegmentationHeader(
            series_uid=uid_of("synthdata", profile.dataset, profile.version, case.case_id, "segmentation"),
            software=synthdata.__version__,
        ),
    )


def _report(case: Case, profile: DicomProfile, segmentation: Dataset, sources: list[Dataset]) -> Dataset:
    return measurement_report(
        case.mask,
        case.grid,
        segmentation,
        sources,
        labels=profile.labels,
        codes=profile.codes,
        header=ReportHeader(
            series_uid=uid_of("synthdata", profile.dataset, profile.version, case.case_id, "measurements"),
            software=synthdata.__version__,
        ),
    )


def _sex(record: Mapping[str, Value]) -> Literal["M", "F", "O", ""]:
    return SEXES.get(str(record.get("sex") or "").lower(), "")


def _age(record: Mapping[str, Value]) -> float | None:
    age = next((record[name] for name in ("age", "age_years") if record.get(name) is not None), None)
    return float(age) if isinstance(age, int | float) and not isinstance(age, bool) else None

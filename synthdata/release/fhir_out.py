"""Synthetic records as HL7 FHIR R4: a patient, its observations and its imaging study, a resource a line.

Source: HL7 FHIR R4 (4.0.1), http://hl7.org/fhir/R4; tag HTEST of v3-ActReason: test health data, about no real person.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from synthdata.dicom.codes import split_code
from synthdata.dicom.uids import uid_of
from synthdata.records.case import Case, Value
from synthdata.records.case_set import CaseSet, ColumnSpec
from synthdata.release.dicom_out import PROJECTIONS, SEXES, DicomProfile

GENDERS = {"M": "male", "F": "female", "O": "other"}
AGE = {"coding": [{"system": "http://loinc.org", "code": "30525-0", "display": "Age"}], "text": "Age"}
TEST_DATA = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ActReason",
    "code": "HTEST",
    "display": "test health data",
}
UCUM = "http://unitsofmeasure.org"
SNOMED = "http://snomed.info/sct"
DICOM_MODALITIES = "http://dicom.nema.org/resources/ontology/DCM"


def fhir_lines(case: Case, case_set: CaseSet, profile: DicomProfile) -> Iterator[bytes]:
    """The resources of one case, each as one line of JSON without its line feed.

    Args:
        case: The case.
        case_set: Names the record columns and labels.
        profile: Names the dataset, the codes of the labels and the channels.
    """
    resources = [
        _patient(case, profile),
        *_record(case, case_set),
        *_volumes(case, profile),
        _study(case, profile),
    ]
    for resource in resources:
        resource["meta"] = {"tag": [TEST_DATA]}
        yield json.dumps(resource, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _patient(case: Case, profile: DicomProfile) -> dict[str, Any]:
    system = f"urn:synthdata:{profile.dataset}:{profile.version}"
    patient: dict[str, Any] = {
        "resourceType": "Patient",
        "id": _id(case.patient_id),
        "identifier": [{"system": system, "value": case.patient_id}],
        "active": False,
    }
    sex = SEXES.get(str(case.record.get("sex") or "").lower())
    return patient | ({"gender": GENDERS[sex]} if sex else {"gender": "unknown"})


def _record(case: Case, case_set: CaseSet) -> Iterator[dict[str, Any]]:
    """An observation per column of the record that has a value."""
    for column in case_set.columns:
        value = case.record.get(column.name)
        if value is not None:
            code = AGE if column.name in {"age", "age_years"} else {"text": column.description or column.name}
            yield _observation(case, column.name, code) | _value(value, column)


def _volumes(case: Case, profile: DicomProfile) -> Iterator[dict[str, Any]]:
    """An observation per label: its volume in the mask."""
    counts = np.bincount(case.mask.ravel(), minlength=256)
    for label, value in sorted(profile.labels.items()):
        volume = float(counts[value] * case.grid.voxel_mm3)
        found = _observation(case, f"{label}-volume", {"text": f"Volume of {label} in the synthetic mask"})
        if label in profile.codes:
            code, meaning = split_code(profile.codes[label])
            found["bodySite"] = {"coding": [{"system": SNOMED, "code": code, "display": meaning}]}
        yield found | {"valueQuantity": {"value": volume, "unit": "mm3", "system": UCUM, "code": "mm3"}}


def _study(case: Case, profile: DicomProfile) -> dict[str, Any]:
    """The imaging study, with the UIDs of the DICOM files of this release."""
    names = ("synthdata", profile.dataset, profile.version, case.case_id)
    depth = case.grid.shape_zyx[0]
    series = [
        {
            "uid": uid_of(*names, scale.channel),
            "number": number,
            "modality": {"system": DICOM_MODALITIES, "code": scale.modality},
            "description": f"{scale.channel} (synthetic)",
            "numberOfInstances": 1 if scale.modality in (*PROJECTIONS, *profile.output.enhanced) else depth,
        }
        for number, scale in enumerate(profile.scales, start=1)
    ]
    return {
        "resourceType": "ImagingStudy",
        "id": _id(f"{case.case_id}-study"),
        "identifier": [{"system": "urn:dicom:uid", "value": f"urn:oid:{uid_of(*names, 'study')}"}],
        "status": "available",
        "subject": _subject(case),
        "description": f"{profile.title} (synthetic)",
        "numberOfSeries": len(series),
        "series": series,
    }


def _observation(case: Case, name: str, code: dict[str, Any]) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": _id(f"{case.case_id}-{name}"),
        "status": "final",
        "code": code,
        "subject": _subject(case),
    }


def _value(value: Value, column: ColumnSpec) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"valueBoolean": value}
    if isinstance(value, str):
        return {"valueCodeableConcept": {"text": value}}
    if isinstance(value, int) and column.unit == "1":
        return {"valueInteger": value}
    return {"valueQuantity": {"value": value, "unit": column.unit, "system": UCUM, "code": column.unit}}


def _subject(case: Case) -> dict[str, str]:
    return {"reference": f"Patient/{_id(case.patient_id)}"}


def _id(text: str) -> str:
    """An id as FHIR allows it: letters, digits, dash and dot, at most 64; a longer one keeps a digest."""
    plain = re.sub(r"[^A-Za-z0-9.-]", "-", text)
    return plain if len(plain) <= 64 else f"{plain[:47]}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from synthdata.records import CaseSet, ExpectationsReport, TrainingSet, from_json, to_json
from synthdata.spec import DatasetSpec
from synthdata.storage.folder import FolderStore
from synthdata.validation.expectations import check_expectations

Cohort = tuple[FolderStore, TrainingSet]
Synthesise = Callable[..., CaseSet]


def test_sound_cases_meet_all_expectations(spec: DatasetSpec, cohort: Cohort, synthesise: Synthesise) -> None:
    report = check_expectations(spec, cohort[1], synthesise(), cohort[0])
    assert report.failed == ()
    assert all(report.suites.values())
    assert report.evaluated > 60
    assert from_json(ExpectationsReport, to_json(report)) == report


FAULTS = {
    "a real case id": (
        lambda c: replace(c, case_id="real-train-003"),
        "case_id/expect_column_values_to_not_be_in_set",
    ),
    "an id without mark": (
        lambda c: replace(c, patient_id="x-1"),
        "patient_id/expect_column_values_to_match_regex",
    ),
    "one id for all": (lambda c: replace(c, case_id="SYN-1"), "case_id/expect_column_values_to_be_unique"),
    "a blank image": (
        lambda c: replace(c, image=np.zeros_like(c.image)),
        "contrast/expect_column_values_to_be_between",
    ),
    "an unknown label": (
        lambda c: replace(c, mask=c.mask * 3),
        "unknown_labels/expect_column_values_to_be_in_set",
    ),
    "an age out of range": (
        lambda c: replace(c, record={**c.record, "age_years": 130.0}),
        "age_years/expect_column_values_to_be_between",
    ),
    "an unknown sex": (
        lambda c: replace(c, record={**c.record, "sex": "X"}),
        "sex/expect_column_values_to_be_in_set",
    ),
    "an empty cell": (
        lambda c: replace(c, record={**c.record, "marker": None}),
        "marker/expect_column_values_to_not_be_null",
    ),
    "intensities beyond the range": (
        lambda c: replace(c, image=c.image * np.int16(4)),
        "highest/expect_column_values_to_be_between",
    ),
}


def test_each_fault_is_named_without_its_value(
    spec: DatasetSpec, cohort: Cohort, synthesise: Synthesise
) -> None:
    edits = [edit for edit, _ in FAULTS.values()]
    at = iter(range(100))

    def one_fault_each(case):
        return edits[next(at) % len(edits)](case)

    report = check_expectations(spec, cohort[1], synthesise(one_fault_each, n=2 * len(edits)), cohort[0])
    missing = {
        fault: name for fault, (_, name) in FAULTS.items() if not any(f.endswith(name) for f in report.failed)
    }
    assert not missing
    assert not report.suites["synthetic_cases"]
    assert report.suites["real_cases/train"]
    assert not any("real-train" in failed or "130" in failed for failed in report.failed)

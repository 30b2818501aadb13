import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from synthdata.privacy.findings import GATING_TESTS
from synthdata.records import (
    Case,
    CaseSet,
    Estimate,
    ExpectationsReport,
    FidelityReport,
    PrivacyReport,
    PrivacyTest,
    TrainingSet,
    UtilityReport,
    digest_of,
    from_json,
    to_json,
)
from synthdata.records.parquet import commit_shards, read_cases
from synthdata.records.reports import Triple
from synthdata.spec import DatasetSpec
from synthdata.storage.folder import FolderStore
from synthdata.validation.expectations import check_expectations

Cohort = tuple[FolderStore, TrainingSet]
Synthesise = Callable[..., CaseSet]
TOKEN = "PLANTED-TOKEN-4711"


def guess(value: float, n: int = 40) -> Estimate:
    return Estimate(value=value, low=value - 0.05, high=value + 0.05, n=n)


def reports(training_set: TrainingSet, synthetic: CaseSet) -> dict[str, object]:
    """Sound reports on a CaseSet."""
    same = {
        "dataset": "ellipsoids",
        "synthetic": digest_of(synthetic),
        "training_set": digest_of(training_set),
    }
    triple = Triple(
        metric="frechet", family="radiomics", lower_is_better=True,
        generated=guess(0.3), floor=guess(0.2), ceiling=guess(0.9), score=guess(0.14),
    )  # fmt: skip
    tests = tuple(
        PrivacyTest(
            name=name, outcome="PASS", statistic=0.5, p_value=0.4, threshold=0.01, power=None, explanation="-"
        )
        for name in sorted(GATING_TESTS)
    )
    return {
        "fidelity": FidelityReport(
            **same, triples=(triple,), scores={"radiomics": guess(0.14)}, figures={}, encoder="0" * 64
        ),
        "utility": UtilityReport(
            **same, task="segmentation", metric="dice", trtr=guess(0.8), tstr=guess(0.7), ratio=guess(0.88),
            per_label={"organ": (guess(0.9), guess(0.8))}, steps=60, seeds=2, figures={},
        ),
        "privacy": PrivacyReport(
            **same, outcome="PASS", tests=tests, canaries=(), copies=guess(0.0), suspects=(),
            detectable_share=0.06, figures={},
        ),
    }  # fmt: skip


def check(spec: DatasetSpec, cohort: Cohort, synthetic: CaseSet, **others: object) -> ExpectationsReport:
    found = reports(cohort[1], synthetic) | others
    return check_expectations(spec, cohort[1], synthetic, cohort[0], **found)


def test_sound_cases_meet_all_expectations(spec: DatasetSpec, cohort: Cohort, synthesise: Synthesise) -> None:
    report = check(spec, cohort, synthesise())
    assert report.failed == ()
    assert all(report.suites.values())
    assert report.evaluated > 60
    assert from_json(ExpectationsReport, to_json(report)) == report


def test_metrics_that_cannot_be_fail_their_suite(
    spec: DatasetSpec, cohort: Cohort, synthesise: Synthesise
) -> None:
    synthetic = synthesise()
    sound = reports(cohort[1], synthetic)
    report = check(
        spec,
        cohort,
        synthetic,
        fidelity=replace(sound["fidelity"], scores={"radiomics": guess(0.1, n=0)}),
        utility=replace(sound["utility"], tstr=guess(1.4)),
        privacy=replace(sound["privacy"], tests=sound["privacy"].tests[1:]),
    )
    assert set(report.failed) == {
        "metrics/fidelity/n/expect_column_values_to_be_between",
        "metrics/utility/most/expect_column_pair_values_a_to_be_greater_than_b",
        "metrics/privacy/test/expect_column_distinct_values_to_contain_set",
    }


FAULTS = {
    "a real case id": (
        lambda c: replace(c, case_id="real-train-003"),
        "case_id_is_real/expect_column_values_to_be_in_set",
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

    report = check(spec, cohort, synthesise(one_fault_each, n=2 * len(edits)))
    missing = {
        fault: name for fault, (_, name) in FAULTS.items() if not any(f.endswith(name) for f in report.failed)
    }
    assert not missing
    assert not report.suites["synthetic_cases"]
    assert report.suites["real_cases/train"]
    assert not any("real-train" in failed or "130" in failed for failed in report.failed)
    assert set(report.failing_cases) <= {"SYN-1", *(f"SYN-{index:03d}" for index in range(2 * len(edits)))}
    assert len(report.failing_cases) > len(edits)


@pytest.fixture(scope="module")
def planted(spec: DatasetSpec, cohort: Cohort, synthesise: Synthesise) -> tuple[ExpectationsReport, Path]:
    """Real and synthetic cases with a token in ids and records, and values that fail and that raise."""
    store, training_set = cohort

    def mark(index: int, case: Case) -> Case:
        record = {**case.record, "age_years": 133.625 if index == 1 else case.record["age_years"]}
        if index:
            return replace(case, record=record)
        return replace(case, case_id=TOKEN, patient_id=TOKEN, record={**record, "sex": TOKEN})

    marked = {}
    for group in ("train", "control", "test"):
        real = getattr(training_set, group)
        cases = [mark(index, case) for index, case in enumerate(read_cases(store, real))]
        marked[group] = replace(real, shards=commit_shards(store, real, "planted", cases))
    others = replace(training_set, **marked)
    columns = (*spec.clinical, replace(spec.clinical[0], name="not_there"))  # cannot be evaluated
    synthetic = synthesise(lambda case: replace(case, case_id=TOKEN, record={**case.record, "sex": TOKEN}))
    wrong = replace(spec, clinical=columns)
    return check_expectations(
        wrong, others, synthetic, store, **reports(others, synthetic)
    ), store.root  # fmt: skip


def test_data_docs_have_a_page_for_each_suite_and_a_first_page_that_names_them(
    planted: tuple[ExpectationsReport, Path],
) -> None:
    report, root = planted
    first = root / report.figures["data_docs"]
    text = first.read_text(encoding="utf-8")
    for suite, passed in report.suites.items():
        page = root / report.figures[f"data_docs/{suite}"]
        assert f'<a href="{page.name}">{suite}</a>' in text
        assert (first.parent / page.name).read_text(encoding="utf-8").count(">met<") == passed
    assert not report.suites["real_records/train"]
    assert "age_years" in (root / report.figures["data_docs/real_records/train"]).read_text(encoding="utf-8")


def test_data_docs_hold_no_value_of_a_case_even_where_expectations_fail_or_raise(
    planted: tuple[ExpectationsReport, Path],
) -> None:
    report, root = planted
    pages = {key: (root / key).read_text(encoding="utf-8") for key in report.figures.values()}
    assert not [key for key, text in pages.items() if TOKEN in text or "133.6" in text or "real-" in text]
    assert not [key for key, text in pages.items() if "Traceback" in text or "site-packages" in text]
    assert TOKEN not in to_json(report).decode()
    assert "could not be evaluated" in pages[report.figures["data_docs/real_records/train"]]


def test_data_docs_need_no_network(planted: tuple[ExpectationsReport, Path]) -> None:
    report, root = planted
    for key in report.figures.values():
        text = (root / key).read_text(encoding="utf-8")
        assert "<script" not in text
        assert "//" not in text.replace("<!doctype", "")
        assert "Content-Security-Policy" in text


@pytest.mark.service
@pytest.mark.skipif(shutil.which("chromium") is None, reason="Chromium is not installed")
def test_data_docs_load_in_a_browser_without_console_messages(
    planted: tuple[ExpectationsReport, Path], tmp_path: Path
) -> None:
    report, root = planted
    for name in ("data_docs", "data_docs/real_records/train", "data_docs/metrics/fidelity"):
        shot = tmp_path / "page.png"
        command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"]
        command += ["--v=0", f"--user-data-dir={tmp_path}/profile", f"--screenshot={shot}"]
        command += ["--window-size=1100,1400", (root / report.figures[name]).as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        assert "CONSOLE" not in done.stderr
        assert shot.stat().st_size > 20_000

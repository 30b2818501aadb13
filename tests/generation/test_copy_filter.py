"""The copy filter, with generators that replay a known share of their training cases."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from synthdata.errors import ConfigError, GateError
from synthdata.generation import worker
from synthdata.privacy import measure_privacy
from synthdata.privacy.copy_filter import CopyFilter, filter_report_of
from synthdata.records import CaseSet, PrivacyReport, digest_of
from synthdata.records.parquet import read_cases
from synthdata.spec import Gates
from tests.blobs import Cohort
from tests.replaying import Replayer, planned, replay, replaying_cohort

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return replaying_cohort(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def copied(cohort: Cohort) -> CaseSet:
    return replay(cohort, Replayer(cohort, 0.05))


def judged(cohort: Cohort, synthetic: CaseSet) -> PrivacyReport:
    return measure_privacy(cohort.spec, cohort.training_set, synthetic, cohort.store)


def test_what_is_removed_are_the_copies_and_each_is_replaced(cohort: Cohort, copied: CaseSet) -> None:
    report = filter_report_of(copied, cohort.store)
    assert report is not None
    removed = list(read_cases(cohort.store, report.removed))
    originals = np.stack([case.image for case in cohort.train]).astype(float)
    for case in removed:  # the noise of a copy is 5, patients differ by far more
        assert np.abs(originals - case.image).mean(axis=(1, 2, 3, 4)).min() < 6
    assert copied.cases == len({case.case_id for case in read_cases(cohort.store, copied)}) == 200
    for case in read_cases(cohort.store, copied):
        assert np.abs(originals - case.image).mean(axis=(1, 2, 3, 4)).min() > 6
    assert len(removed) > 0
    assert report.draws >= len(removed)
    assert report.kept == 0


def test_a_replacement_keeps_the_condition_and_changes_the_seed(cohort: Cohort, copied: CaseSet) -> None:
    report = filter_report_of(copied, cohort.store)
    assert report is not None
    released = {case.case_id: case for case in read_cases(cohort.store, copied)}
    for case in read_cases(cohort.store, report.removed):
        assert released[case.case_id].record == case.record
        assert released[case.case_id].provenance["seed"] != case.provenance["seed"]


def test_a_generator_that_copies_fails_though_the_filter_removed_all_copies(
    cohort: Cohort, copied: CaseSet
) -> None:
    found = judged(cohort, copied)
    assert not found.suspects
    tests = {test.name: test for test in found.tests}
    assert tests["copy_search"].outcome == "PASS"
    assert tests["before_filter"].outcome == found.outcome == "FAIL"
    assert "more than the 0.01% that chance allows" in tests["before_filter"].explanation
    counts = found.copy_filter
    assert counts is not None
    assert counts.judged == 200
    assert counts.before.value * 200 == counts.removed > 0


def test_the_same_cases_pass_when_nobody_tells_what_was_removed(cohort: Cohort, copied: CaseSet) -> None:
    """So the judgement before the filter is what stops the generator, and nothing else."""
    laundered = replace(copied, parents=copied.parents[:1])
    assert judged(cohort, laundered).outcome == "PASS"


def test_nothing_of_a_clean_generator_is_removed(cohort: Cohort) -> None:
    synthetic = replay(cohort, Replayer(cohort, 0.0))
    report, found = filter_report_of(synthetic, cohort.store), judged(cohort, synthetic)
    assert report is not None
    assert (report.removed.cases, report.draws, report.kept) == (0, 0, 0)
    assert found.outcome == "PASS", [test.explanation for test in found.tests]
    assert found.copy_filter is not None
    assert found.copy_filter.before.value == 0


def test_a_generator_of_copies_alone_is_not_drawn_for_ever(
    cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "REPLACEMENTS", 2)
    synthetic = replay(cohort, Replayer(cohort, 1.0), cases=24)
    report, found = filter_report_of(synthetic, cohort.store), judged(cohort, synthetic)
    assert report is not None
    assert (report.removed.cases, report.draws, report.kept) == (24, 48, 24)
    assert found.outcome == "FAIL"
    assert found.copy_filter is not None
    assert found.copy_filter.kept == len(found.suspects) == 24


KILLED = """
import os, signal, sys
from pathlib import Path
from synthdata.privacy.copy_filter import CopyFilter
from tests.replaying import Replayer, replay, replaying_cohort

turns = int(sys.argv[2])

def shot() -> None:
    global turns
    turns -= 1
    if not turns:
        os.kill(os.getpid(), signal.SIGKILL)

cohort = replaying_cohort(Path(sys.argv[1]))
replay(cohort, Replayer(cohort, 0.2, shot), cases=96)
"""


def test_a_run_that_is_killed_again_and_again_ends_with_the_same_bytes(tmp_path: Path) -> None:
    undisturbed = replaying_cohort(tmp_path / "undisturbed")
    wanted = replay(undisturbed, Replayer(undisturbed, 0.2), cases=96)
    for turns in (2, 4, 5):  # in the middle of a shard; with a fifth of copies most batches have replacements
        command = [sys.executable, "-c", KILLED, str(tmp_path / "killed"), str(turns)]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        ended = subprocess.run(command, env=environment, check=False, capture_output=True)
        assert ended.returncode == -signal.SIGKILL
    disturbed = replaying_cohort(tmp_path / "killed")
    found = replay(disturbed, Replayer(disturbed, 0.2), cases=96)
    assert digest_of(found) == digest_of(wanted)
    report = filter_report_of(found, disturbed.store)
    assert report is not None
    assert report.removed.cases > 0


def test_whether_a_case_is_removed_does_not_depend_on_its_neighbours(cohort: Cohort) -> None:
    judge = CopyFilter.of(cohort.training_set, cohort.store, share=1e-4)
    cases = [*cohort.train[:3], *list(read_cases(cohort.store, cohort.training_set.control))[:5]]
    assert judge.suspects(cases).tolist() == [True] * 3 + [False] * 5
    assert [bool(judge.suspects([case])[0]) for case in cases] == judge.suspects(cases).tolist()


def test_the_plan_names_the_share_and_small_plans_find_what_the_gate_finds(cohort: Cohort) -> None:
    plan, _ = planned(cohort)
    assert plan.copy_share == cohort.spec.gates.copy_share == 1e-4
    few, _ = planned(cohort, cases=10)
    assert few.copy_share == pytest.approx(0.5 * cohort.spec.gates.privacy_alpha / 10)


def test_without_a_share_there_is_no_filter_and_a_large_one_is_refused(cohort: Cohort) -> None:
    off = replace(cohort, spec=replace(cohort.spec, gates=Gates(copy_share=0.0)))
    synthetic = replay(off, Replayer(off, 0.05), cases=16)
    assert filter_report_of(synthetic, off.store) is None
    assert len(synthetic.parents) == 1
    with pytest.raises(ConfigError, match=r"gates.copy_share is 0.2, expected 0"):
        Gates(copy_share=0.2)


def test_a_filter_report_of_other_cases_is_refused(cohort: Cohort, copied: CaseSet) -> None:
    other = replay(cohort, Replayer(cohort, 0.05), cases=16)
    mixed = replace(copied, parents=(copied.parents[0], other.parents[1]))
    with pytest.raises(GateError, match="another plan"):
        filter_report_of(mixed, cohort.store)


def test_too_few_patients_for_a_filter_are_told(cohort: Cohort) -> None:
    few = replace(cohort.training_set, control=replace(cohort.training_set.control, shards=()))
    with pytest.raises(ConfigError, match="the copy filter cannot be made"):
        CopyFilter.of(few, cohort.store, share=1e-4)

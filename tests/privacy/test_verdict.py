import json
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from synthdata.errors import GateError, TrustError
from synthdata.privacy import decide, may_release, sign_waiver
from synthdata.privacy.waivers import Signatory, Waiver, public_key_of
from synthdata.records import (
    CaseSet,
    CopyFilterCounts,
    Estimate,
    ExpectationsReport,
    FaultTest,
    FidelityReport,
    PrivacyReport,
    PrivacyTest,
    UtilityReport,
    Verdict,
    digest_of,
)
from synthdata.storage import keys
from synthdata.storage.folder import FolderStore
from synthdata.validation.faults import fault_names


def estimate(value: float) -> Estimate:
    return Estimate(value=value, low=value - 0.1, high=value + 0.1, n=20)


@pytest.fixture
def reports(cohort):
    synthetic = CaseSet(
        dataset="blobs", origin="synthetic", channels=("T1w",), modalities=("MR",), units=("1",),
        labels={}, columns=(), shards=(),
    )  # fmt: skip
    about = {"dataset": "blobs", "synthetic": digest_of(synthetic)}
    both = about | {"training_set": digest_of(cohort.training_set)}
    primary = PrivacyTest(
        name="ratio_tail",
        outcome="PASS",
        statistic=0.5,
        p_value=0.4,
        threshold=0.01,
        power=0.9,
        explanation="fine",
    )
    faults = tuple(
        FaultTest(name=name, outcome="PASS", value=estimate(0.1), threshold=0.5, explanation="not there")
        for name in fault_names(cohort.training_set)
    )
    return synthetic, {
        "fidelity": FidelityReport(
            **both, triples=(), scores={"radiomics": estimate(0.2), "encoder": estimate(0.3)}, figures={}, encoder="e",
            faults=faults,
        ),
        "utility": UtilityReport(
            **both, task="segmentation", metric="dice", trtr=estimate(0.8), tstr=estimate(0.75), ratio=estimate(0.93),
            per_label={}, steps=300, seeds=2, figures={},
        ),
        "privacy": PrivacyReport(
            **both, outcome="PASS", tests=(primary,), canaries=(), copies=Estimate(value=0, low=0, high=0.01, n=300),
            suspects=(), detectable_share=0.05, figures={},
        ),
        "expectations": ExpectationsReport(**about, suites={"cases": True}, failed=(), evaluated=12),
    }  # fmt: skip


def judge(cohort, reports, **changed) -> Verdict:
    synthetic, parts = reports
    return decide(cohort.spec, cohort.training_set, synthetic, **(parts | changed))


def test_all_gates_passed_is_pass(cohort, reports) -> None:
    verdict = judge(cohort, reports)
    assert verdict.outcome == "PASS"
    assert set(verdict.gates) == {"fidelity", "utility", "privacy", "expectations"}
    assert len(verdict.reasons) >= 4


def test_one_family_above_the_score_fails_fidelity_with_the_interval(cohort, reports) -> None:
    fidelity = replace(reports[1]["fidelity"], scores={"radiomics": estimate(0.2), "encoder": estimate(0.7)})
    verdict = judge(cohort, reports, fidelity=fidelity)
    assert verdict.gates["fidelity"] == verdict.outcome == "FAIL"
    assert any("encoder score is 0.7 [0.6, 0.8]" in reason and "0.5" in reason for reason in verdict.reasons)


@pytest.mark.parametrize("family", ["radiomics", "encoder"])
def test_a_feature_family_without_a_score_is_inconclusive_whatever_the_others_say(
    cohort, reports, family: str
) -> None:
    whole = reports[1]["fidelity"]
    note = f"{family}/frechet is left out: degraded cases are not reliably worse"
    kept = {name: score for name, score in whole.scores.items() if name != family}
    verdict = judge(cohort, reports, fidelity=replace(whole, scores=kept, notes=("method", note)))
    assert verdict.gates["fidelity"] == verdict.outcome == "INCONCLUSIVE"
    assert any(f"{family} has no score" in reason and note in reason for reason in verdict.reasons)


def test_a_failed_family_outweighs_a_missing_one(cohort, reports) -> None:
    fidelity = replace(reports[1]["fidelity"], scores={"radiomics": estimate(0.9)})
    assert judge(cohort, reports, fidelity=fidelity).gates["fidelity"] == "FAIL"


@pytest.mark.parametrize("outcome", ["FAIL", "INCONCLUSIVE"])
def test_a_named_fault_blocks_whatever_the_families_say_and_is_named(cohort, reports, outcome: str) -> None:
    whole = reports[1]["fidelity"]
    faults = tuple(
        replace(test, outcome=outcome, explanation="masks lie elsewhere")
        if test.name == "mask_agreement"
        else test
        for test in whole.faults
    )
    verdict = judge(cohort, reports, fidelity=replace(whole, faults=faults))
    assert verdict.gates["fidelity"] == verdict.outcome == outcome
    assert any(f"mask_agreement is {outcome}: masks lie elsewhere" in reason for reason in verdict.reasons)


def test_a_fault_that_nobody_looked_for_is_inconclusive(cohort, reports) -> None:
    whole = reports[1]["fidelity"]
    verdict = judge(cohort, reports, fidelity=replace(whole, faults=whole.faults[1:]))
    assert verdict.outcome == "INCONCLUSIVE"
    assert any("sharpness is INCONCLUSIVE" in reason for reason in verdict.reasons)


def test_utility_below_the_ratio_fails(cohort, reports) -> None:
    verdict = judge(cohort, reports, utility=replace(reports[1]["utility"], ratio=estimate(0.5)))
    assert verdict.gates["utility"] == "FAIL"


def test_inconclusive_privacy_blocks(cohort, reports) -> None:
    verdict = judge(cohort, reports, privacy=replace(reports[1]["privacy"], outcome="INCONCLUSIVE"))
    assert verdict.outcome == "INCONCLUSIVE"


def test_fail_outweighs_inconclusive(cohort, reports) -> None:
    verdict = judge(
        cohort,
        reports,
        privacy=replace(reports[1]["privacy"], outcome="INCONCLUSIVE"),
        expectations=replace(
            reports[1]["expectations"], suites={"cases": False}, failed=("cases/age/between",)
        ),
    )
    assert verdict.outcome == "FAIL"


def test_a_privacy_report_whose_pass_contradicts_its_tests_fails(cohort, reports) -> None:
    verdict = judge(cohort, reports, privacy=replace(reports[1]["privacy"], suspects=("SYN-0001",)))
    assert verdict.gates["privacy"] == "FAIL"


def test_a_pass_without_power_is_inconclusive(cohort, reports) -> None:
    privacy = reports[1]["privacy"]
    weak = replace(privacy, tests=(replace(privacy.tests[0], power=0.3),))
    assert judge(cohort, reports, privacy=weak).gates["privacy"] == "INCONCLUSIVE"


def test_the_power_of_another_test_does_not_stand_in_for_the_primary_one(cohort, reports) -> None:
    privacy = reports[1]["privacy"]
    weak, other = replace(privacy.tests[0], power=0.3), replace(privacy.tests[0], name="other", power=1.0)
    report = replace(privacy, tests=(weak, other))
    assert judge(cohort, reports, privacy=report).gates["privacy"] == "INCONCLUSIVE"


def test_a_pass_without_a_judgement_before_the_copy_filter_fails(cohort, reports) -> None:
    privacy = reports[1]["privacy"]
    counts = CopyFilterCounts(share=1e-4, judged=300, removed=0, draws=0, kept=0, before=privacy.copies)
    assert judge(cohort, reports, privacy=replace(privacy, copy_filter=counts)).gates["privacy"] == "FAIL"
    judged = replace(privacy.tests[0], name="before_filter", power=None)
    filtered = replace(privacy, copy_filter=counts, tests=(*privacy.tests, judged))
    assert judge(cohort, reports, privacy=filtered).gates["privacy"] == "PASS"
    kept = replace(filtered, copy_filter=replace(counts, kept=1))
    assert judge(cohort, reports, privacy=kept).gates["privacy"] == "FAIL"


def test_nothing_measured_is_inconclusive(cohort, reports) -> None:
    verdict = judge(
        cohort,
        reports,
        fidelity=replace(reports[1]["fidelity"], scores={}),
        expectations=replace(reports[1]["expectations"], suites={}, evaluated=0),
    )
    assert verdict.gates["fidelity"] == verdict.gates["expectations"] == "INCONCLUSIVE"


@pytest.mark.parametrize("gate", ["fidelity", "utility", "privacy", "expectations"])
def test_a_report_about_other_cases_is_refused(cohort, reports, gate: str) -> None:
    with pytest.raises(GateError, match=f"{gate} report is about synthetic"):
        judge(cohort, reports, **{gate: replace(reports[1][gate], synthetic="0" * 64)})


@pytest.mark.parametrize("gate", ["fidelity", "utility", "privacy"])
def test_a_report_about_another_training_set_is_refused(cohort, reports, gate: str) -> None:
    with pytest.raises(GateError, match="training set"):
        judge(cohort, reports, **{gate: replace(reports[1][gate], training_set="0" * 64)})


@pytest.fixture
def store(tmp_path) -> FolderStore:
    return FolderStore(tmp_path)


@pytest.fixture
def officer() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


def allow(key: Ed25519PrivateKey, *gates: str) -> dict[str, Signatory]:
    public = public_key_of(key)
    return {public: Signatory(role="data steward", public_key=public, gates=frozenset(gates))}


def waiver_of(verdict: Verdict, *gates: str, role: str = "data steward") -> Waiver:
    reason = "Texture is not used by the study which asked for this release."
    return Waiver(
        dataset="blobs", verdict=digest_of(verdict), gates=gates, role=role, reason=reason, date="2026-11-22"
    )


@pytest.fixture
def blocked(cohort, reports) -> Verdict:
    return judge(cohort, reports, fidelity=replace(reports[1]["fidelity"], scores={"encoder": estimate(0.9)}))


def test_a_blocked_verdict_is_not_released_without_a_waiver(blocked, store, officer) -> None:
    assert may_release(blocked, store, {}) == (False, ())
    assert may_release(blocked, store, allow(officer, "fidelity")) == (False, ())


def test_a_signed_waiver_of_the_blocking_gate_releases(blocked, store, officer) -> None:
    digest = sign_waiver(store, waiver_of(blocked, "fidelity"), officer)
    assert may_release(blocked, store, allow(officer, "fidelity")) == (True, (digest,))
    assert may_release(blocked, store, {}) == (False, ())  # no allow list, no waiver


def test_a_waiver_of_another_verdict_does_not_count(blocked, store, officer) -> None:
    sign_waiver(store, replace(waiver_of(blocked, "fidelity"), verdict="0" * 64), officer)
    assert may_release(blocked, store, allow(officer, "fidelity"))[0] is False


def test_a_key_that_is_not_allowed_is_not_trusted(blocked, store, officer) -> None:
    sign_waiver(store, waiver_of(blocked, "fidelity"), Ed25519PrivateKey.generate())
    with pytest.raises(TrustError, match="allow list"):
        may_release(blocked, store, allow(officer, "fidelity"))


def test_a_changed_waiver_is_not_trusted(blocked, store, officer) -> None:
    digest = sign_waiver(store, waiver_of(blocked, "fidelity"), officer)
    key = f"{keys.WAIVERS}{digest}.json"
    envelope = json.loads(store.read(key))
    envelope["waiver"] = envelope["waiver"].replace("fidelity", "utility")
    store.write(key, json.dumps(envelope).encode())
    with pytest.raises(TrustError, match="changed after"):
        may_release(blocked, store, allow(officer, "fidelity", "utility"))


def test_a_role_waives_only_its_gates(blocked, store, officer) -> None:
    sign_waiver(store, waiver_of(blocked, "fidelity"), officer)
    with pytest.raises(GateError, match="may not"):
        may_release(blocked, store, allow(officer, "utility"))


def test_a_role_that_is_not_the_keys_is_not_trusted(blocked, store, officer) -> None:
    sign_waiver(store, waiver_of(blocked, "fidelity", role="privacy officer"), officer)
    with pytest.raises(TrustError, match="belongs to"):
        may_release(blocked, store, allow(officer, "fidelity"))


def test_a_failed_privacy_gate_is_never_waived(cohort, reports, store, officer) -> None:
    verdict = judge(cohort, reports, privacy=replace(reports[1]["privacy"], outcome="FAIL"))
    sign_waiver(store, waiver_of(verdict, "privacy"), officer)
    with pytest.raises(GateError, match="cannot be waived"):
        may_release(verdict, store, allow(officer, "privacy"))


def test_a_waiver_without_a_reason_is_refused(blocked) -> None:
    with pytest.raises(GateError, match="say why"):
        replace(waiver_of(blocked, "fidelity"), reason="ok")

"""The verdict: four gates, each PASS, FAIL or INCONCLUSIVE, with the reason in a sentence. It fails closed."""

import hashlib
import json
from dataclasses import asdict

from synthdata.errors import GateError
from synthdata.privacy.findings import BEFORE_FILTER, RATIO_TAIL
from synthdata.records import (
    CaseSet,
    ExpectationsReport,
    FidelityReport,
    PrivacyReport,
    TrainingSet,
    UtilityReport,
    Verdict,
    digest_of,
)
from synthdata.records.reports import FEATURE_FAMILIES, Outcome
from synthdata.spec import DatasetSpec, Gates
from synthdata.validation.faults import fault_names

Report = FidelityReport | UtilityReport | PrivacyReport | ExpectationsReport
Finding = tuple[Outcome, tuple[str, ...]]  # of one gate, with its reasons


def decide(
    spec: DatasetSpec,
    training_set: TrainingSet,
    synthetic: CaseSet,
    *,
    fidelity: FidelityReport,
    utility: UtilityReport,
    privacy: PrivacyReport,
    expectations: ExpectationsReport,
) -> Verdict:
    """Judge one synthetic CaseSet by its four reports.

    Args:
        spec: Names the thresholds.
        training_set: What the generator was trained on.
        synthetic: What shall be released.
        fidelity: Scores per feature family; each must be at most `gates.fidelity_score`, and no named fault be found.
        utility: TSTR over TRTR; must be at least `gates.utility_ratio`.
        privacy: Must be PASS by itself.
        expectations: All suites must have passed, and there must be some.

    Returns:
        PASS where all gates pass; FAIL where one fails; else INCONCLUSIVE, which blocks like FAIL.

    Raises:
        GateError: A report is about another CaseSet, another training set or another dataset.
    """
    reports: dict[str, Report] = {
        "fidelity": fidelity,
        "utility": utility,
        "privacy": privacy,
        "expectations": expectations,
    }
    own, trained = digest_of(synthetic), digest_of(training_set)
    _require("synthetic CaseSet", "dataset", synthetic.dataset, spec.name)
    _require("training set", "dataset", training_set.dataset, spec.name)
    for name, report in reports.items():
        _require(f"{name} report", "dataset", report.dataset, spec.name)
        _require(f"{name} report", "synthetic CaseSet", report.synthetic, own)
        if not isinstance(report, ExpectationsReport):
            _require(f"{name} report", "training set", report.training_set, trained)
    findings = {
        "fidelity": _fidelity(fidelity, spec.gates, fault_names(training_set)),
        "utility": _utility(utility, spec.gates),
        "privacy": _privacy(privacy, spec.gates),
        "expectations": _expectations(expectations),
    }
    gates = {name: finding[0] for name, finding in findings.items()}
    return Verdict(
        dataset=spec.name,
        synthetic=own,
        training_set=trained,
        outcome=overall(tuple(gates.values())),
        gates=gates,
        reasons=tuple(f"{name}: {reason}" for name, finding in findings.items() for reason in finding[1]),
        reports={name: digest_of(report) for name, report in reports.items()},
        thresholds=thresholds_digest(spec.gates),
    )


def overall(outcomes: tuple[Outcome, ...]) -> Outcome:
    """FAIL if any fails, PASS if all pass, else INCONCLUSIVE; no gates at all is INCONCLUSIVE."""
    if "FAIL" in outcomes:
        return "FAIL"
    return "PASS" if outcomes and set(outcomes) == {"PASS"} else "INCONCLUSIVE"


def thresholds_digest(gates: Gates) -> str:
    """SHA-256 of the gates section in canonical JSON."""
    return hashlib.sha256(
        json.dumps(asdict(gates), sort_keys=True, separators=(",", ":")).encode()
    ).hexdigest()


def _require(report: str, what: str, got: str, want: str) -> None:
    if got != want:
        raise GateError(
            f"the {report} is about {what} {got[:12]}, expected {want[:12]}: measure this CaseSet, then decide again"
        )


def _fidelity(report: FidelityReport, gates: Gates, wanted: tuple[str, ...]) -> Finding:
    """Every family as near to real as asked, and no named fault; what is missing cannot be judged by the rest."""
    if not report.scores:
        return "INCONCLUSIVE", ("no feature family was scored, expected one or more: measure fidelity again",)
    missing = [family for family in FEATURE_FAMILIES if family not in report.scores]
    outcomes: list[Outcome] = ["INCONCLUSIVE"] * len(missing)
    reasons = [_unscored(family, report.notes) for family in missing]
    for name, (outcome, reason) in _faults(report, wanted).items():
        outcomes.append(outcome)
        if outcome != "PASS":
            reasons.append(f"{name} is {outcome}: {reason}")
    for family, score in sorted(report.scores.items()):
        fine = score.value <= gates.fidelity_score
        outcomes.append("PASS" if fine else "FAIL")
        advice = (
            ""
            if fine
            else "; train longer, or look at the metrics of this family that are near their ceiling"
        )
        reasons.append(
            f"{family} score is {score}, at most {gates.fidelity_score} was asked (0 real, 1 degraded){advice}"
        )
    return overall(tuple(outcomes)), tuple(reasons)


def _faults(report: FidelityReport, wanted: tuple[str, ...]) -> dict[str, tuple[Outcome, str]]:
    """Outcome and explanation of each named fault; one that was not looked for is INCONCLUSIVE."""
    found: dict[str, tuple[Outcome, str]] = {
        test.name: (test.outcome, test.explanation) for test in report.faults
    }
    lacking: tuple[Outcome, str] = ("INCONCLUSIVE", "it was not tested: measure fidelity again")
    return {name: lacking for name in wanted if name not in found} | found


def _unscored(family: str, notes: tuple[str, ...]) -> str:
    """Why a feature family has no score, as far as the report says it."""
    told = [note for note in notes if note.startswith(f"{family}/")] or ["the report does not say why"]
    return f"{family} has no score, expected one ({'; '.join(told)}): add test patients, or measure fidelity again"


def _utility(report: UtilityReport, gates: Gates) -> Finding:
    """A network trained on synthetic cases works on real ones."""
    ratio = report.ratio
    told = (
        f"{report.task} trained on synthetic cases reaches {report.metric} {report.tstr} on real ones, on real cases "
        f"{report.trtr}, ratio {ratio}, at least {gates.utility_ratio} was asked"
    )
    if report.trtr.value <= 0:
        return "INCONCLUSIVE", (
            f"{told}; training on real cases fails too: give the task more steps or patients",
        )
    if ratio.value < gates.utility_ratio:
        return "FAIL", (f"{told}; train longer, or check that masks agree with images",)
    return "PASS", (told,)


def _privacy(report: PrivacyReport, gates: Gates) -> Finding:
    """The privacy report's own outcome, checked against its tests."""
    asked = f"copies {report.copies} of the cases, detectable from a share of {report.detectable_share:.1%}"
    if report.outcome == "PASS":
        if report.suspects or any(test.outcome == "FAIL" for test in report.tests) or not report.tests:
            return "FAIL", (
                "the privacy report says PASS but holds suspects or a failed test: measure it again",
            )
        seen = {test.name: test.outcome for test in report.tests}
        if report.copy_filter is not None and (report.copy_filter.kept or seen.get(BEFORE_FILTER) != "PASS"):
            return "FAIL", (
                "the privacy report says PASS but the cases before the copy filter did not: measure it again",
            )
        primary = max((test.power or 0.0 for test in report.tests if test.name == RATIO_TAIL), default=0.0)
        if primary < gates.power:
            told = f"the primary test has power {primary:.2f}, asked {gates.power:.2f}: add control patients or cases"
            return "INCONCLUSIVE", (told,)
        return "PASS", (f"no test found copies; {asked}",)
    blocking = [test for test in report.tests if test.outcome != "PASS"]
    sentences = tuple(f"{test.name} is {test.outcome}: {test.explanation}" for test in blocking)
    return report.outcome, (asked, *sentences)


def _expectations(report: ExpectationsReport) -> Finding:
    """All suites over the tables passed."""
    if not report.suites or report.evaluated < 1:
        return "INCONCLUSIVE", ("no expectation was evaluated, expected one or more: check the tables again",)
    if report.failed or not all(report.suites.values()):
        names = ", ".join(report.failed[:5]) or "a suite without a named expectation"
        return "FAIL", (
            f"{len(report.failed)} of {report.evaluated} expectations failed ({names}): correct the cases",
        )
    return "PASS", (f"all {report.evaluated} expectations of {len(report.suites)} suites passed",)

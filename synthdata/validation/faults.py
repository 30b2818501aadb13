"""Tests which each name one fault of a generator: blur, offset, collapse, artefacts, dropped modes, mixed-up masks and
records.

The scores of the feature families say whether cases look real. These say what is wrong, and each looks at one thing
alone. Where one fault makes another test meaningless (masks which lie elsewhere follow no record), that test is
INCONCLUSIVE and names what it follows from. Tolerances and their reasons: docs/adr/0013-named-faults.md.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from synthdata.records.reports import FaultTest
from synthdata.records.training import TrainingSet
from synthdata.validation.artefacts import artefacts
from synthdata.validation.content_faults import masks, modes, record_coupling
from synthdata.validation.fault_evidence import (
    ARTEFACTS,
    DIVERSITY,
    MASKS,
    MODES,
    OFFSET,
    RECORDS,
    SHARPNESS,
    Evidence,
)
from synthdata.validation.image_faults import diversity, layout_of, offset, sharpness
from synthdata.validation.joint_review import joint_coupling
from synthdata.validation.resampling import Plan

FOLLOWS = {  # a test says nothing by itself once one of these has failed
    ARTEFACTS: (DIVERSITY, SHARPNESS, OFFSET),
    MODES: (DIVERSITY, SHARPNESS, OFFSET),
    MASKS: (DIVERSITY, SHARPNESS),
    RECORDS: (DIVERSITY, MODES, MASKS, SHARPNESS, OFFSET),
}


def find_faults(evidence: Evidence, plan: Plan, reviews: tuple[FaultTest, ...]) -> tuple[FaultTest, ...]:
    """Run all tests which the dataset allows.

    Args:
        evidence: Of one synthetic CaseSet and its training set.
        plan: Subsamples of patients, for the intervals.
        reviews: What `review` says of the same evidence.

    Returns:
        One test per fault. PASS where the fault is not there, or the dataset has nothing that it could harm.
    """
    layout = layout_of(evidence)
    tests: dict[str, Callable[[], FaultTest]] = {
        SHARPNESS: lambda: sharpness(evidence, plan),
        OFFSET: lambda: offset(evidence, plan),
        DIVERSITY: lambda: diversity(layout, plan),
        ARTEFACTS: lambda: artefacts(evidence, plan),
        MODES: lambda: modes(evidence, layout),
        MASKS: lambda: masks(evidence, plan),
        RECORDS: lambda: _worse(record_coupling(evidence, layout, plan), reviews),
    }
    found: dict[str, FaultTest] = {}
    for name in fault_names(evidence.training_set):
        test = tests[name]()
        cause = next((other for other in FOLLOWS.get(name, ()) if _failed(found, other)), None)
        found[name] = _following(test, cause) if cause and test.outcome != "PASS" else test
    return tuple(found.values())


def review(evidence: Evidence, plan: Plan) -> tuple[FaultTest, ...]:
    """Tests which are reported beside the faults; what fails here fails the fault it belongs to (ADR 0025)."""
    found = joint_coupling(evidence, layout_of(evidence), plan)
    return () if found is None else (found,)


def fault_names(training_set: TrainingSet) -> tuple[str, ...]:
    """The tests which a verdict on this dataset needs."""
    names = [SHARPNESS, OFFSET, DIVERSITY, ARTEFACTS, MODES]
    names += [MASKS] if training_set.labels else []
    return (*names, RECORDS) if training_set.columns else tuple(names)


def _worse(pairs: FaultTest, whole: tuple[FaultTest, ...]) -> FaultTest:
    """Pair by pair, or the record with the image as a whole where that alone fails."""
    failed = next((test for test in whole if test.outcome == "FAIL"), None)
    if failed is None or pairs.outcome == "FAIL":
        return pairs
    return replace(
        failed, name=RECORDS, explanation=f"{failed.explanation}; pair by pair: {pairs.explanation}"
    )


def _failed(found: Mapping[str, FaultTest], name: str) -> bool:
    return name in found and found[name].outcome == "FAIL"


def _following(test: FaultTest, cause: str) -> FaultTest:
    """The same numbers without a judgement of their own."""
    told = f"not judged by itself, because {cause} failed; {test.explanation}"
    return replace(test, outcome="INCONCLUSIVE", explanation=told, follows=cause)

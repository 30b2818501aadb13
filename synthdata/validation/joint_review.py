"""A test of the whole record with the whole image, a part of the fault `record_coupling`; ADR 0023 and 0025."""

from collections.abc import Mapping

import numpy as np

from synthdata.records.reports import FaultTest
from synthdata.validation.case_mix import strata_of
from synthdata.validation.coupling import as_column
from synthdata.validation.fault_evidence import HALF_WAY, Evidence, judged, undecided
from synthdata.validation.joint import Joint, Widths, chance_of, likeness
from synthdata.validation.resampling import Plan, estimate

JOINT = "joint_coupling"
LEVEL = 0.01  # at which train and test must show that anything can be lost
ROLES = ("generated", "train", "test")


def joint_coupling(
    evidence: Evidence, layout: Mapping[str, np.ndarray], plan: Plan, *, seed: int = 0
) -> FaultTest | None:
    """Whether records go with images as a whole: 0 as in training cases, 1 as in shuffled records.

    Args:
        evidence: Of one synthetic CaseSet.
        layout: Role to main directions of the image.
        plan: Subsamples of patients.
        seed: Of the shuffles.

    Returns:
        A test that fails `record_coupling` where it fails; None where there is no record.
    """
    if not evidence.training_set.columns:
        return None
    sets = joint_sets(evidence, layout)
    patients = {role: _first_of_patients(evidence, role) for role in ROLES}
    single = {role: sets[role].take(patients[role]) for role in ROLES}
    widths, rng = Widths.of(single["train"]), np.random.default_rng(seed)
    if not min(widths.record, widths.image) > 0:
        return undecided(
            JOINT, "all training patients have the same record or look, so that nothing could be lost"
        )
    visible = chance_of(single["train"], single["test"], widths, rng)
    if visible >= LEVEL:
        told = (
            f"records of training and test patients do not show that they go with images (p {visible:.2g}), so that "
            "nothing could be lost"
        )
        return undecided(JOINT, told)
    left = chance_of(single["generated"], single["test"], widths, rng)
    shares = estimate(_lost(sets, widths, plan), plan)
    told = (
        f"of what records and images of real cases have in common, all columns and directions at once, a share of "
        f"{shares} is lost, at most {HALF_WAY} is allowed; shuffled records would have as much in common as these with "
        f"p {left:.2g}"
    )
    return judged(JOINT, shares, HALF_WAY, told)


def joint_sets(evidence: Evidence, layout: Mapping[str, np.ndarray]) -> dict[str, Joint]:
    """Record and image of every case by role; generated cases weigh so that they have the mix of training cases."""
    columns = evidence.training_set.columns
    known = {
        role: [as_column([row.get(one.name) for row in evidence.records[role]], one.kind) for one in columns]
        for role in ROLES
    }
    categories = {
        place: sorted({str(value) for role in ROLES for value in known[role][place] if value is not None})
        for place, one in enumerate(columns)
        if one.kind in {"category", "boolean"}
    }
    weights = _weights(evidence)
    return {
        role: Joint.of(
            known[role],
            np.column_stack([layout[role], *evidence.volumes[role].values()]),
            weights[role],
            categories,
        )
        for role in ROLES
    }


def _weights(evidence: Evidence) -> dict[str, np.ndarray]:
    """Real cases count alike; generated ones by how much rarer the plan made their conditions than they really are."""
    records = [record for role in ROLES for record in evidence.records[role]]
    strata = strata_of(records, evidence.counts)
    sizes = [len(evidence.records[role]) for role in ROLES]
    parts = dict(zip(ROLES, np.split(strata, np.cumsum(sizes)[:-1]), strict=True))
    count = int(strata.max()) + 1
    real = np.bincount(np.concatenate([parts["train"], parts["test"]]), minlength=count)
    made = np.bincount(parts["generated"], minlength=count)
    ratio = real / np.maximum(made, 1)
    weights = {role: np.ones(len(parts[role])) for role in ROLES}
    if ratio[parts["generated"]].any():
        weights["generated"] = ratio[parts["generated"]]
    return weights


def _first_of_patients(evidence: Evidence, role: str) -> np.ndarray:
    return np.unique(evidence.structure[role].patient_ids, return_index=True)[1]


def _lost(sets: Mapping[str, Joint], widths: Widths, plan: Plan) -> np.ndarray:
    """Share of the dependence of training cases that generated ones lack, in each draw, beside test cases."""
    held = []
    for draw in plan.draws:
        test = sets["test"].take(draw["test"])
        held.append([likeness(sets[role].take(draw[role]), test, widths) for role in ("generated", "train")])
    made, real = np.array(held).T
    lost: np.ndarray = 1 - made / max(float(np.median(real)), 1e-12)
    return lost

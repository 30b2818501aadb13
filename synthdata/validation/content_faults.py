"""Faults of what belongs together: kinds of cases which are missing, masks and records of other cases."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats

from synthdata.records.case_set import ColumnSpec
from synthdata.records.estimate import Estimate
from synthdata.records.reports import FaultTest, Outcome
from synthdata.validation.case_mix import (
    LEVEL,
    Kind,
    column_kinds,
    kinds_of,
    look_alikes,
    thirds,
    weights_of,
)
from synthdata.validation.coupling import as_column, association, coupled_pairs
from synthdata.validation.fault_evidence import (
    HALF_WAY,
    MASKS,
    MODES,
    RECORDS,
    Evidence,
    judged,
    undecided,
)
from synthdata.validation.mask_fit import LabelFit, fits_of
from synthdata.validation.resampling import Plan, estimate

IMAGE_DIRECTIONS = 4  # main directions of the layout that a record may go with


def modes(evidence: Evidence, layout: Mapping[str, np.ndarray]) -> FaultTest:
    """Whether a kind of real case is missing among the generated ones."""
    kinds = _kinds(evidence, layout)
    if not kinds:
        return undecided(MODES, "too few real patients to tell kinds of cases apart: add patients")
    level = LEVEL / len(kinds)
    worst = min(kinds, key=lambda kind: kind.p_value)
    told = (
        f"of {len(kinds)} kinds of cases, {worst.name} is missed most: {worst.generated / worst.cases:.1%} of the "
        f"generated cases, {worst.real:.1%} of the real ones (p {worst.p_value:.2g} at level {level:.2g} for less "
        "than half)"
    )
    outcome: Outcome = "PASS"
    if worst.p_value < level:
        outcome = "FAIL"
    elif min((kind.attainable for kind in kinds if kind.real <= HALF_WAY), default=1.0) >= level:
        outcome, told = "INCONCLUSIVE", f"{told}; so few cases could miss any kind by chance: draw more"
    return FaultTest(
        name=MODES,
        outcome=outcome,
        value=_missed(worst),
        threshold=HALF_WAY,
        explanation=told,
        follows=None,
    )


def _missed(kind: Kind) -> Estimate:
    """Share of a kind which is missing; below 0 where there are more than real ones."""
    count, rest = kind.generated, kind.cases - kind.generated
    low = float(stats.beta.ppf(0.025, count, rest + 1)) if count else 0.0
    high = float(stats.beta.ppf(0.975, count + 1, rest)) if rest else 1.0
    return Estimate(
        value=1 - count / kind.cases / kind.real,
        low=1 - high / kind.real,
        high=1 - low / kind.real,
        n=kind.cases,
    )


def _kinds(evidence: Evidence, layout: Mapping[str, np.ndarray]) -> tuple[Kind, ...]:
    """All kinds of cases; columns whose mix the plan sets are no kinds, but weigh the real cases."""
    members = dict[str, tuple[np.ndarray, np.ndarray]]()
    records = [*evidence.records["train"], *evidence.records["test"]]
    for label in evidence.training_set.labels:
        real = np.concatenate([evidence.volumes["train"][label], evidence.volumes["test"][label]])
        made = evidence.volumes["generated"][label]
        members |= {f"with {label}": (real > 0, made > 0), f"without {label}": (real == 0, made == 0)}
        sizes = (np.where(volume > 0, volume, np.nan) for volume in (real, made))
        members |= thirds(label, *sizes)
    for column in evidence.training_set.columns:
        if column.name not in evidence.counts:
            sides = (
                [record.get(column.name) for record in rows]
                for rows in (records, evidence.records["generated"])
            )
            members |= column_kinds(column, *sides)
    members |= look_alikes(np.concatenate([layout["train"], layout["test"]]), layout["generated"])
    return kinds_of(members, weights_of(records, evidence.counts))


def masks(evidence: Evidence, plan: Plan) -> FaultTest:
    """Whether masks lie on their images: 0 as in real cases, 1 as with masks of other cases; the worst label."""
    fits = [fit for fit in fits_of(evidence.agreement, tuple(evidence.training_set.labels)) if fit.visible]
    if not fits:
        told = "no label of real cases fits its own image better than another one, or too few cases have it"
        return undecided(MASKS, told)
    scores = {fit.label: estimate(_misfit(fit, plan), plan) for fit in fits}
    label = max(scores, key=lambda name: scores[name].value)
    fit = next(fit for fit in fits if fit.label == label)
    share = float(np.nanmean(fit.better["generated"]))
    told = (
        f"{share:.0%} of the generated images fit their own mask of {label} better than another case's, "
        f"{fit.real_share:.0%} of the real ones: {scores[label]} of the way to masks by lot, at most {HALF_WAY} is "
        "allowed"
    )
    return judged(MASKS, scores[label], HALF_WAY, told)


def _misfit(fit: LabelFit, plan: Plan) -> np.ndarray:
    """Loss of fit in each draw; draws without the label among generated cases say what all of them say."""
    whole = float(np.nanmean(fit.better["generated"]))
    shares = []
    for draw in plan.draws:
        made = fit.better["generated"][draw["generated"]]
        shares.append(float(np.nanmean(made)) if np.isfinite(made).any() else whole)
    losses: np.ndarray = (fit.real_share - np.array(shares)) / (fit.real_share - 0.5)
    return losses


def record_coupling(evidence: Evidence, layout: Mapping[str, np.ndarray], plan: Plan) -> FaultTest:
    """Whether columns follow each other and the labels: 0 as in real cases, 1 as in shuffled records."""
    columns = evidence.training_set.columns
    known = {role: _known(evidence, layout, role, columns) for role in ("generated", "train", "test")}
    pairs = coupled_pairs(known["train"], known["test"], [column.name for column in columns])
    if not pairs:
        told = (
            "no column of real cases goes with another one or with a label, so that nothing could be broken"
        )
        return undecided(RECORDS, told, outcome="PASS")
    scores = {pair: estimate(_decoupling(pair, known, plan), plan) for pair in pairs}
    pair = max(scores, key=lambda key: scores[key].value)
    strengths = {role: association(known[role][pair[0]], known[role][pair[1]]) for role in known}
    made, real = float(np.nan_to_num(strengths["generated"])), strengths["test"]
    told = (
        f"of {len(pairs)} couplings, {pair[0]} with {pair[1]} is lost most: {made:.2f} in generated cases, {real:.2f} "
        f"in real ones; a share of {scores[pair]} of it is lost, at most {HALF_WAY} is allowed"
    )
    return judged(RECORDS, scores[pair], HALF_WAY, told)


def _known(
    evidence: Evidence, layout: Mapping[str, np.ndarray], role: str, columns: Sequence[ColumnSpec]
) -> dict[str, np.ndarray]:
    """Record columns, volumes of the labels, and what the image shows without them."""
    rows = evidence.records[role]
    found = {
        column.name: as_column([row.get(column.name) for row in rows], column.kind) for column in columns
    }
    found |= {f"volume of {label}": volume for label, volume in evidence.volumes[role].items()}
    return found | {
        f"image direction {index + 1}": values
        for index, values in enumerate(layout[role].T[:IMAGE_DIRECTIONS])
    }


def _decoupling(
    pair: tuple[str, str], known: Mapping[str, Mapping[str, np.ndarray]], plan: Plan
) -> np.ndarray:
    """Share of an association which is lost beyond what chance gives, in each draw."""
    first, second = pair
    rng = np.random.default_rng(0)
    losses = []
    for draw in plan.draws:
        sides = {role: (known[role][first][draw[role]], known[role][second][draw[role]]) for role in known}
        real, made = (association(*sides[role]) for role in ("train", "generated"))
        chance = association(sides["train"][0], rng.permutation(sides["train"][1]))
        losses.append((real - made) / max(real - chance, 1e-6))
    found: np.ndarray = np.nan_to_num(np.array(losses), nan=1.0)  # no generated case has both values
    return found

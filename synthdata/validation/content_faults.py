"""Faults of what belongs together: kinds of cases which are missing, masks and records of other cases."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from synthdata.records.case_set import ColumnSpec
from synthdata.records.reports import FaultTest, Outcome
from synthdata.validation.case_mix import LEVEL, RARE, CasePool, asked_values, case_mix, strata_of
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
from synthdata.validation.features.structure import QUANTILES
from synthdata.validation.image_faults import tolerance
from synthdata.validation.mask_fit import LabelFit, fits_of
from synthdata.validation.mask_place import ALLOWED_VOXELS, length, moves_of
from synthdata.validation.resampling import Plan, estimate

IMAGE_DIRECTIONS = 4  # main directions of the layout that a record may go with


def modes(evidence: Evidence, layout: Mapping[str, np.ndarray]) -> FaultTest:
    """Whether a kind of real case is missing: fewer than chance allows among all kinds, and surely less than half."""
    if lacking := _lacking(evidence):
        return lacking
    found = _kinds_missing(evidence, layout)
    unseen = _without_test_cases(evidence)
    if found.outcome == "PASS" and unseen:
        told = f"no real test case has {', '.join(unseen)}, so that nothing shows what these cases should be like"
        return replace(
            found, outcome="INCONCLUSIVE", explanation=f"{told}: add patients; {found.explanation}"
        )
    return found


def _kinds_missing(evidence: Evidence, layout: Mapping[str, np.ndarray]) -> FaultTest:
    """The kinds of all cases beside random splits."""
    mix = case_mix(_pool(evidence, layout), allowed=HALF_WAY)
    if not mix.kinds:
        return undecided(MODES, "too few real patients to tell kinds of cases apart: add patients")
    fewer = [kind for kind in mix.kinds if kind.p_value < LEVEL]
    lost = [kind for kind in fewer if kind.missed.low > HALF_WAY]
    worst = max(lost or mix.kinds, key=lambda kind: kind.deficit)
    told = (
        f"of {len(mix.kinds)} kinds of cases, {worst.name} is missed most: {worst.generated / worst.cases:.1%} of the "
        f"generated cases, {worst.real:.1%} of the real ones (p {worst.p_value:.2g} among all kinds, level {LEVEL:g}); "
        f"a share of {worst.missed} of it is missing, a lower end of at most {HALF_WAY} is allowed; a kind of "
        f"{mix.visible:.1%} of the real cases would be seen if none were drawn"
    )
    outcome: Outcome = "FAIL" if lost else "PASS"
    if not lost and mix.visible > max(
        (kind.real for kind in mix.kinds if kind.real <= HALF_WAY), default=0.0
    ):
        outcome, told = "INCONCLUSIVE", f"{told}; so few cases could miss any kind by chance: draw more"
    return FaultTest(
        name=MODES,
        outcome=outcome,
        value=worst.missed,
        threshold=HALF_WAY,
        explanation=told,
        follows=None,
    )


def _lacking(evidence: Evidence) -> FaultTest | None:
    """FAIL where surely more than half of what the plan asks of a value was not drawn; within it kinds say nothing."""
    asked = asked_values(evidence.records["generated"], evidence.counts, evidence.planned)
    worst = max(asked, key=lambda one: one.missed.low, default=None)
    if worst is None or worst.missed.low <= HALF_WAY:
        return None
    told = (
        f"{worst.name} is {worst.generated / worst.cases:.1%} of the generated cases, {worst.share:.1%} were asked for "
        f"by the plan: a share of {worst.missed} is missing, a lower end of at most {HALF_WAY} is allowed"
    )
    return FaultTest(
        name=MODES, outcome="FAIL", value=worst.missed, threshold=HALF_WAY, explanation=told, follows=None
    )


def _without_test_cases(evidence: Evidence) -> list[str]:
    """What the plan asks for, and what a twentieth of the training cases have, and no test case has."""
    asked = asked_values([], evidence.counts, evidence.planned)
    wanted = dict.fromkeys(one.name for one in asked)
    for column in evidence.training_set.columns:
        if column.kind in {"category", "boolean"} and column.role == "condition":
            said = [
                str(row.get(column.name))
                for row in evidence.records["train"]
                if row.get(column.name) is not None
            ]
            common = {value for value in said if said.count(value) >= RARE * len(evidence.records["train"])}
            wanted |= dict.fromkeys(f"{column.name} {value}" for value in sorted(common))
    tested = {f"{name} {value}" for row in evidence.records["test"] for name, value in row.items()}
    labels = [
        label
        for label, volume in evidence.volumes["train"].items()
        if (volume > 0).mean() >= RARE and not (evidence.volumes["test"][label] > 0).any()
    ]
    return [*(name for name in wanted if name not in tested), *labels]


def _pool(evidence: Evidence, layout: Mapping[str, np.ndarray]) -> CasePool:
    """Real and generated cases and all that makes them a kind; columns whose mix the plan sets are strata instead."""
    roles = ("train", "test", "generated")
    records = [record for role in roles for record in evidence.records[role]]
    labels, columns = evidence.training_set.labels, evidence.training_set.columns
    volumes = {name: np.concatenate([evidence.volumes[role][name] for role in roles]) for name in labels}
    free = [column for column in columns if column.name not in evidence.counts]
    categories = {
        column.name: (column, [record.get(column.name) for record in records])
        for column in free
        if column.kind in {"category", "boolean"}
    }
    numbers = {
        column.name: as_column([record.get(column.name) for record in records], column.kind)
        for column in free
        if column.name not in categories
    }
    sizes = volumes | ({"all labels": np.sum(list(volumes.values()), axis=0)} if len(volumes) > 1 else {})
    numbers |= {name: np.where(volume > 0, volume, np.nan) for name, volume in sizes.items()}
    numbers |= _contrasts(evidence, roles)
    owners = [patient for role in roles for patient in evidence.structure[role].patient_ids]
    return CasePool(
        flags={name: volume > 0 for name, volume in volumes.items()},
        numbers=numbers,
        categories=categories,
        layout=np.concatenate([layout[role] for role in roles]),
        strata=strata_of(records, evidence.counts),
        patients=np.unique(owners, return_inverse=True)[1],
        generated=np.repeat([False, False, True], [len(layout[role]) for role in roles]),
    )


def _contrasts(evidence: Evidence, roles: Sequence[str]) -> dict[str, np.ndarray]:
    """Contrast in the body of each channel whose real cases differ by more than the tolerance of intensities."""
    low, high = (f"quantile/{percent:02d}" for percent in (QUANTILES[0], QUANTILES[-1]))
    found = {}
    for scale in evidence.training_set.scales:
        spans = {
            role: evidence.column(role, f"{scale.channel}/{high}")
            - evidence.column(role, f"{scale.channel}/{low}")
            for role in roles
        }
        real = np.concatenate([spans["train"], spans["test"]])
        if np.subtract(*np.percentile(real, (200 / 3, 100 / 3))) > tolerance(scale):
            found[f"contrast of {scale.channel}"] = np.concatenate([spans[role] for role in roles])
    return found


def masks(evidence: Evidence, plan: Plan) -> FaultTest:
    """Whether masks lie on their own images: neither on those of other cases, nor moved by half a voxel or more."""
    mixed = _mixed_up(evidence, plan)
    moves = moves_of(evidence.agreement, tuple(evidence.training_set.labels))
    if not moves:
        unseen = "real cases do not show where a mask lies to half a voxel"
        return replace(mixed, explanation=f"{mixed.explanation}; {unseen}")
    far = length(moves)
    along = ", ".join(f"{move.generated} along {move.axis}" for move in moves)
    told = (
        f"masks lie {far} voxels beside those of real cases ({along}), an interval beyond {ALLOWED_VOXELS} is not "
        "allowed"
    )
    if mixed.outcome == "FAIL" or far.low <= ALLOWED_VOXELS:
        return replace(mixed, explanation=f"{mixed.explanation}; {told}")
    return FaultTest(
        name=MASKS,
        outcome="FAIL",
        value=far,
        threshold=ALLOWED_VOXELS,
        explanation=f"{told}; {mixed.explanation}",
        follows=None,
    )


def _mixed_up(evidence: Evidence, plan: Plan) -> FaultTest:
    """Whether images fit masks of other cases as well as their own: 0 as in real cases, 1 by lot; the worst label."""
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

"""Every metric that gates, in the subgroups of the record: sex, age band, class, scanner; reported, no gate."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from synthdata.records.case import Value
from synthdata.records.case_set import ColumnSpec
from synthdata.records.estimate import Estimate
from synthdata.records.reports import Outcome, Subgroup
from synthdata.validation.case_mix import column_kinds
from synthdata.validation.gating_metrics import Measure
from synthdata.validation.resampling import FEWEST, Plan, Scored, family_score, plan_resamples

RESAMPLES = 60
Rows = Mapping[str, np.ndarray]  # role to the rows of a subgroup in the tables


def subgroups_of(
    measures: Sequence[Measure],
    patients: Mapping[str, Sequence[str]],
    records: Mapping[str, Sequence[Mapping[str, Value]]],
    columns: Sequence[ColumnSpec],
    *,
    allowed: float,
    seed: int,
) -> tuple[Subgroup, ...]:
    """Measure every subgroup: values of a category, thirds of an age by training cases.

    Args:
        measures: What is asked of each, on rows of the tables that `patients` and `records` follow.
        patients: Role to the patient of each row: generated, train, degraded and test.
        records: Role to record of each row; degraded cases have the records of train.
        columns: Conditions and outcomes.
        allowed: Median score that the gate asks of all cases; a subgroup PASSes where the interval of every family ends
            below it, FAILs where that of one begins above it, and is INCONCLUSIVE else.
        seed: Of the draws.

    Returns:
        One entry per subgroup, also of those with too few cases, which are INCONCLUSIVE with the reason.
    """
    return tuple(
        _subgroup(name, rows, measures, patients, allowed=allowed, seed=seed)
        for name, rows in _members(records, columns, tuple(patients))
    )


def _subgroup(
    name: str,
    rows: Rows,
    measures: Sequence[Measure],
    patients: Mapping[str, Sequence[str]],
    *,
    allowed: float,
    seed: int,
) -> Subgroup:
    cases = {role: len(index) for role, index in rows.items()}
    empty = Subgroup(name=name, cases=cases, outcome="INCONCLUSIVE", told="", triples=(), scores={})
    owners = {role: len({patients[role][row] for row in index}) for role, index in rows.items()}
    fewest = min(owners, key=lambda role: owners[role])
    if (known := owners[fewest]) < FEWEST:
        told = f"{cases[fewest]} {fewest} cases of {known} patients, at least {FEWEST} are needed: nothing can be said"
        return replace(empty, told=told)
    plan = _plan_within(rows, patients, seed)
    outcomes = [measure.over(plan, gating=False) for measure in measures]
    found = [outcome for outcome in outcomes if isinstance(outcome, Scored)]
    if not found:
        told = f"at n = {plan.n} no metric tells degraded cases from training cases: nothing can be said"
        return replace(empty, told=told)
    families = dict.fromkeys(scored.triple.family for scored in found)
    scores = {
        family: family_score([one for one in found if one.triple.family == family], plan)
        for family in families
    }
    outcome, told = _judged(scores, allowed)
    unmeasured = sorted({measure.family for measure in measures} - set(scores))
    if unmeasured and outcome == "PASS":
        outcome, told = "INCONCLUSIVE", f"too few cases to tell anything of {', '.join(unmeasured)}"
    if left_out := len(measures) - len(found):
        told += f"; {left_out} of {len(measures)} metrics say nothing at n = {plan.n}"
    return replace(
        empty, outcome=outcome, told=told, triples=tuple(one.triple for one in found), scores=scores
    )


def _judged(scores: Mapping[str, Estimate], allowed: float) -> tuple[Outcome, str]:
    """Surely beyond what is allowed, surely not, or too few cases to tell."""
    beyond = {family: score for family, score in scores.items() if score.low > allowed}
    unsure = {family: score for family, score in scores.items() if score.high > allowed}
    if beyond:
        return "FAIL", f"{', '.join(beyond)} lies above {allowed:g}"
    if unsure:
        return "INCONCLUSIVE", f"too few cases to tell {', '.join(unsure)} from above {allowed:g}"
    return "PASS", f"every family lies below {allowed:g}"


def worst_of(found: Sequence[Subgroup]) -> str:
    """The subgroup with the highest median score of each family, and those of which nothing is known, as a sentence.

    Empty where there are no subgroups.
    """
    families = dict.fromkeys(family for subgroup in found for family in subgroup.scores)
    told = []
    for family in families:
        measured = [subgroup for subgroup in found if family in subgroup.scores]
        worst = max(measured, key=lambda subgroup: subgroup.scores[family].value)
        told.append(f"{worst.name} in {family} {worst.scores[family]}")
    sentences = [f"worst subgroup by median score: {', '.join(told)}"] if told else []
    unknown = [f"{subgroup.name} ({_fewest(subgroup)})" for subgroup in found if not subgroup.scores]
    sentences += [f"nothing is known of subgroups {', '.join(unknown)}"] if unknown else []
    return "; ".join(sentences)


def _fewest(subgroup: Subgroup) -> str:
    """The role with the fewest cases, and how many these are."""
    role = min(subgroup.cases, key=lambda one: subgroup.cases[one])
    return f"{subgroup.cases[role]} {role} cases"


def _plan_within(rows: Rows, patients: Mapping[str, Sequence[str]], seed: int) -> Plan:
    """Draws of equally many cases of each role of a subgroup, as rows of the whole tables."""
    own = {role: [patients[role][row] for row in index] for role, index in rows.items()}
    plan = plan_resamples(own, seed=seed, resamples=RESAMPLES)
    draws = tuple({role: rows[role][index] for role, index in draw.items()} for draw in plan.draws)
    return replace(plan, draws=draws)


def _members(
    records: Mapping[str, Sequence[Mapping[str, Value]]],
    columns: Sequence[ColumnSpec],
    roles: Sequence[str],
) -> Iterator[tuple[str, Rows]]:
    """Name of each subgroup and the rows of each role; bounds of an age come from training cases."""
    for column in columns:
        if column.kind not in {"category", "boolean"} and "age" not in column.name.lower().split("_"):
            continue
        values = {
            role: [row.get(column.name) for row in records["train" if role == "degraded" else role]]
            for role in roles
        }
        members = {role: column_kinds(column, values["train"], values[role]) for role in roles}
        for name in members["train"]:
            yield name, {role: np.flatnonzero(members[role][name][1]) for role in roles}

"""Triples at equal n with intervals from subsamples of patients.

Duplicates of a bootstrap shrink the distances to neighbours and swell a Frechet distance, so patients are
drawn without replacement. A subsample of m of n scatters by (1/m - 1/n), the full sample by 1/n: deviations
are scaled by sqrt(m / (n - m)). Source: Politis and Romano, Annals of Statistics 22 (1994), with the finite
population correction.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from synthdata.errors import ConfigError
from synthdata.records.estimate import Estimate
from synthdata.records.reports import Triple

ROLES = ("generated", "train", "degraded", "test")
RESAMPLES = 200
SHARE = 0.8  # of the smallest group, per resample
LEVEL = 0.95
FEWEST = 12  # cases in the smallest group
UNBOUNDED = (-math.inf, math.inf)
SURE = 0.95  # share of resamples in which the ceiling must be worse than the floor

Draw = Mapping[str, np.ndarray]  # role to row indices
Metric = Callable[[str, Draw], float]  # (role, draw) to the number of that role against test


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """Which rows each resample uses: the same for all metrics of all families."""

    draws: tuple[Draw, ...]
    n: int  # cases per group
    widen: float  # from the scatter of subsamples to that of the full sample


@dataclass(frozen=True, kw_only=True, slots=True)
class Scored:
    """A triple and its score in each resample, shape (resamples,)."""

    triple: Triple
    scores: np.ndarray


def plan_resamples(
    patients: Mapping[str, Sequence[str]], *, seed: int = 0, resamples: int = RESAMPLES
) -> Plan:
    """Draw equally many cases of each role, patient by patient.

    Args:
        patients: Role to the patient of each case.
        seed: Of the draws.
        resamples: How many.

    Raises:
        ConfigError: The smallest group has fewer than `FEWEST` cases, or cases of fewer patients.
    """
    n = min(len(rows) for rows in patients.values())
    few = min(patients, key=lambda role: len(set(patients[role])))
    if n < FEWEST:
        raise ConfigError(
            f"the smallest of {', '.join(patients)} has {n} cases, expected at least {FEWEST}: "
            "no interval would mean anything; add patients or draw more cases"
        )
    if (known := len(set(patients[few]))) < FEWEST:
        raise ConfigError(
            f"the {n} or more cases of {few} are of {known} patients, expected at least {FEWEST}: no interval over "
            "patients would mean anything; add patients"
        )
    m = int(SHARE * n)
    rng = np.random.default_rng(seed)
    groups = {role: _rows_of_patients(rows) for role, rows in patients.items()}
    draws = tuple({role: _draw(rows, m, rng) for role, rows in groups.items()} for _ in range(resamples))
    return Plan(draws=draws, n=n, widen=float(np.sqrt(m / (n - m))))


def measure_triple(
    name: str,
    family: str,
    metric: Metric,
    plan: Plan,
    *,
    lower_is_better: bool,
    bounds: tuple[float, float] = UNBOUNDED,
    gating: bool = True,
) -> Scored | str:
    """One triple over all resamples, or a sentence why the metric says nothing here.

    Args:
        name: Of the metric.
        family: Of features.
        metric: Number of one role against test in one draw.
        plan: The draws.
        lower_is_better: Whether a smaller number is nearer to real.
        bounds: Of the number, such as 0 and 1 of a fraction: an interval stays within.
        gating: Whether the median of the family counts it.
    """
    values = {role: np.array([metric(role, draw) for draw in plan.draws]) for role in ROLES[:3]}
    worse = (values["degraded"] - values["train"]) * (1 if lower_is_better else -1)
    span = float(np.median(values["degraded"] - values["train"]))
    if not all(np.isfinite(found).all() for found in values.values()):
        return f"{family}/{name} is left out: it has no finite value in some subsamples"
    if (worse > 0).mean() < SURE or abs(span) < 1e-9:
        return (
            f"{family}/{name} is left out: degraded cases are not reliably worse than training cases "
            f"at n = {plan.n}, so that a score would say nothing"
        )
    scores = (values["generated"] - values["train"]) / span
    estimates = {role: estimate(found, plan, bounds=bounds) for role, found in values.items()}
    triple = Triple(
        metric=name,
        family=family,
        lower_is_better=lower_is_better,
        generated=estimates["generated"],
        floor=estimates["train"],
        ceiling=estimates["degraded"],
        score=estimate(scores, plan),
        gating=gating,
    )
    return Scored(triple=triple, scores=scores)


def estimate(values: np.ndarray, plan: Plan, *, bounds: tuple[float, float] = UNBOUNDED) -> Estimate:
    """Median of the resamples, with an interval widened to the scatter of the full sample, within the bounds."""
    centre = float(np.median(values))
    tail = 100 * (1 - LEVEL) / 2
    ends = [centre + plan.widen * (float(end) - centre) for end in np.percentile(values, (tail, 100 - tail))]
    low, high = (float(np.clip(end, *bounds)) for end in ends)
    return Estimate(value=centre, low=min(low, centre), high=max(high, centre), level=LEVEL, n=plan.n)


def family_score(found: Sequence[Scored], plan: Plan) -> Estimate:
    """Median score over the metrics of a family, resample by resample."""
    return estimate(np.median([scored.scores for scored in found], axis=0), plan)


def _rows_of_patients(patients: Sequence[str]) -> list[np.ndarray]:
    names = np.asarray(patients)
    return [np.flatnonzero(names == name) for name in dict.fromkeys(patients)]


def _draw(groups: Sequence[np.ndarray], count: int, rng: np.random.Generator) -> np.ndarray:
    """Rows of patients in random order, cut to `count` cases."""
    order = rng.permutation(len(groups))
    return np.concatenate([groups[index] for index in order])[:count]

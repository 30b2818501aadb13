"""Search for single copies: generated cases that lie nearer to one training patient than any chance allows.

Where the density of patients is locally even in D dimensions, r = d1 / d2 of a case that belongs to nobody follows
P(r < x) = x^D, whatever the density and whatever the generator's spread. D is estimated from real cases, each
searched in the other group (control in train, train in control), with its lower confidence bound. The threshold is
the r that one clean release in 1/rate would reach in any case and view, and never above the least real ratio.

Source: Facco et al., "Estimating the intrinsic dimension of datasets by a minimal neighborhood information",
Sci. Rep. 7:12140 (2017), eq. 3 (TwoNN); the threshold from it is ours, checked in `benchmarks/privacy_gate.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

from synthdata.privacy.cohort import Embedded, Pool
from synthdata.privacy.ratio_tail import Matches
from synthdata.records import Estimate

DIMENSION_LEVEL = 0.05  # one-sided, of the lower bound of D


@dataclass(frozen=True, kw_only=True, slots=True)
class CopyThreshold:
    """Below which ratio a case of one view is a suspected copy."""

    view: str
    ratio: float
    least_real: float  # smallest ratio of a real case searched in the other group
    dimension: float  # lower bound of D


def real_ratios(pool: Pool, real: Embedded) -> dict[str, np.ndarray]:
    """Ratios of all real cases, each searched in the group that it is not in; per view, shape (n,)."""
    train, control = np.flatnonzero(pool.in_train), np.flatnonzero(~pool.in_train)
    in_train = pool.in_train[pool.patient]
    ratios = {name: np.ones(len(pool.patient)) for name in pool.views}
    for people, rows in ((train, ~in_train), (control, in_train)):
        for name, found in real.take(rows).matches(pool.restricted(people)).items():
            ratios[name][rows] = found.ratio
    return ratios


def thresholds_of(
    ratios: Mapping[str, np.ndarray], patient: np.ndarray, *, cases: int, rate: float
) -> dict[str, CopyThreshold]:
    """Thresholds per view.

    Args:
        ratios: View to the ratios of real cases, shape (n,).
        patient: Patient of each real case; the confidence of D counts patients, not cases.
        cases: How many generated cases will be searched.
        rate: Share of clean releases that may hold one or more suspects, 0..1.
    """
    people = len(np.unique(patient))
    shrink = stats.chi2.ppf(DIMENSION_LEVEL, 2 * people) / (2 * people)
    thresholds = {}
    for view, values in ratios.items():
        logs = -np.log(np.clip(values, 1e-12, 1.0))
        dimension = float(shrink / max(logs.mean(), 1e-9))
        chance = float((rate / (cases * len(ratios))) ** (1 / dimension))
        least = float(values.min())
        thresholds[view] = CopyThreshold(
            view=view, ratio=min(chance, least), least_real=least, dimension=dimension
        )
    return thresholds


def suspected(matches: Mapping[str, Matches], thresholds: Mapping[str, CopyThreshold]) -> np.ndarray:
    """Which cases are suspected copies in any view, bool (m,)."""
    flags: np.ndarray = np.any(
        [found.ratio < thresholds[view].ratio for view, found in matches.items()], axis=0
    )
    return flags


def copy_share(count: int, cases: int, *, level: float = 0.95) -> Estimate:
    """Share of suspects with its Clopper-Pearson interval; at none found the upper end is about 3 / cases."""
    tail = (1 - level) / (2 if count else 1)  # none found: one-sided, the rule of three
    low = float(stats.beta.ppf(tail, count, cases - count + 1)) if count else 0.0
    high = float(stats.beta.ppf(1 - tail, count + 1, cases - count)) if count < cases else 1.0
    return Estimate(value=count / cases, low=low, high=high, level=level, n=cases)

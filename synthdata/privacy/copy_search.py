"""Search for single copies: generated cases that lie nearer to one training patient than any chance allows.

Where the density of patients is locally even in D dimensions, r = d1 / d2 of a case that belongs to nobody follows
P(r < x) = x^D, whatever the density and whatever the generator's spread. Data are not even, so the tail is measured:
the smallest fifth of the ratios that cannot be copies of training patients (real cases without their own patient, and
generated cases that match a control patient) gives its own D, the Hill estimate. The lower confidence bounds of both
D give two thresholds, the r that one clean release in 1/rate would reach in any case and view; the lower one counts,
and never more than the least ratio that cannot be a copy. The search runs in train and control together: a rare
anatomy that has a like in control is then no suspect.

Source: Facco et al., "Estimating the intrinsic dimension of datasets by a minimal neighborhood information",
Sci. Rep. 7:12140 (2017), eq. 3 (TwoNN); Hill, Ann. Stat. 3:1163 (1975). The thresholds are ours, checked in
`benchmarks/privacy_gate.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

from synthdata.privacy.ratio_tail import Matches
from synthdata.records import Estimate

DIMENSION_LEVEL = 0.05  # one-sided, of the lower bound of D
TAIL_SHARE = 0.2  # of the ratios, from which the tail's own D is estimated
COPY_RATE = 0.5  # of the gate's level: clean releases with one or more suspects by chance


@dataclass(frozen=True, kw_only=True, slots=True)
class CopyThreshold:
    """Below which ratio a case of one view is a suspected copy."""

    view: str
    ratio: float
    least: float  # smallest ratio that cannot be a copy
    dimension: float  # lower bound of D, of the law that set the threshold


def harmless_ratios(
    real: Mapping[str, Matches], generated: Mapping[str, Matches], in_train: np.ndarray
) -> dict[str, np.ndarray]:
    """Ratios that cannot be copies of training patients, per view.

    Args:
        real: View to matches of real cases, each without its own patient.
        generated: View to matches of generated cases in the same pool.
        in_train: Of each patient of the pool, shape (P,).
    """
    return {
        view: np.concatenate([found.ratio, generated[view].ratio[~in_train[generated[view].patient]]])
        for view, found in real.items()
    }


def thresholds_of(
    harmless: Mapping[str, np.ndarray], *, units: int, cases: int, rate: float
) -> dict[str, CopyThreshold]:
    """Thresholds per view.

    Args:
        harmless: View to ratios that cannot be copies, shape (n,).
        units: Independent units behind them, at most n: patients, not cases; they set the confidence of D.
        cases: How many generated cases will be searched.
        rate: Share of clean releases that may hold one or more suspects, 0..1.
    """
    return thresholds_at(harmless, units=units, share=rate / cases)


def thresholds_at(
    harmless: Mapping[str, np.ndarray], *, units: int, share: float
) -> dict[str, CopyThreshold]:
    """Thresholds per view that a case of nobody reaches in any view with a probability of at most `share`, 0..1."""
    chance = share / len(harmless)
    thresholds = {}
    for view, values in harmless.items():
        logs = np.sort(-np.log(np.clip(values, 1e-12, 1.0)))[::-1]
        tail = max(5, int(TAIL_SHARE * len(logs)))
        start = logs[min(tail, len(logs) - 1)]  # -log of the ratio where the tail begins
        whole = _lower_bound(float(logs.mean()), units)
        end = _lower_bound(float((logs[:tail] - start).mean()), max(1, round(TAIL_SHARE * units)))
        by_whole = float(chance ** (1 / whole))
        by_tail = float(np.exp(-start) * min(1.0, chance * len(logs) / tail) ** (1 / end))
        least = float(values.min())
        thresholds[view] = CopyThreshold(
            view=view,
            ratio=min(by_whole, by_tail, least),
            least=least,
            dimension=whole if by_whole < by_tail else end,
        )
    return thresholds


def _lower_bound(mean: float, units: int) -> float:
    """Lower bound of the rate of an exponential law with this mean of `units` values."""
    return float(stats.chi2.ppf(DIMENSION_LEVEL, 2 * units) / (2 * units) / max(mean, 1e-9))


def suspected(
    matches: Mapping[str, Matches], thresholds: Mapping[str, CopyThreshold], in_train: np.ndarray
) -> np.ndarray:
    """Which cases are suspected copies of a training patient in any view, bool (m,)."""
    flags: np.ndarray = np.any(
        [(found.ratio < thresholds[view].ratio) & in_train[found.patient] for view, found in matches.items()],
        axis=0,
    )
    return flags


def copy_share(count: int, cases: int, *, level: float = 0.95) -> Estimate:
    """Share of suspects with its Clopper-Pearson interval; at none found the upper end is about 3 / cases."""
    tail = (1 - level) / (2 if count else 1)  # none found: one-sided, the rule of three
    low = float(stats.beta.ppf(tail, count, cases - count + 1)) if count else 0.0
    high = float(stats.beta.ppf(1 - tail, count + 1, cases - count)) if count < cases else 1.0
    return Estimate(value=count / cases, low=low, high=high, level=level, n=cases)

"""Which kinds of real patients the generated cases leave out: a test for modes which were dropped.

Kinds are plain: cases with and without a label, small, middle and large ones of each label, the values of a category,
the thirds of a number, and groups of images which look alike. A kind is missing where far fewer generated cases than
asked for are of it, beyond chance.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from synthdata.records.case import Value
from synthdata.records.case_set import ColumnSpec

LEVEL = 0.01  # of the whole test, divided by the number of kinds
ENOUGH = 0.5  # of the real share of a kind must be there
RARE = 0.05  # kinds with a smaller real share are not judged
GROUPS = 6  # of images which look alike
THIRDS = ("small", "middle", "large")


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """One kind of case, and how often it is real and generated."""

    name: str
    real: float  # share of real cases, reweighted to the asked mix
    least: float  # lower bound of it, at level 0.95
    generated: int  # cases of the kind
    cases: int  # generated cases
    p_value: float  # of no more generated cases, if half of `least` were of the kind

    @property
    def attainable(self) -> float:
        """The p value if no generated case were of the kind."""
        return float((1 - ENOUGH * self.least) ** self.cases)


def kinds_of(members: Mapping[str, tuple[np.ndarray, np.ndarray]], weights: np.ndarray) -> tuple[Kind, ...]:
    """Count each kind.

    Args:
        members: Name to bool arrays, of real cases (n,) and of generated ones (m,).
        weights: Of the real cases, (n,): above 1 where the plan asks for more of their condition.
    """
    found = []
    effective = float(weights.sum() ** 2 / (weights**2).sum())
    for name, (real, generated) in members.items():
        share = float((weights * real).sum() / weights.sum())
        if not RARE <= share <= 1:
            continue
        hits = share * effective
        least = float(stats.beta.ppf(0.05, hits, max(effective - hits, 0) + 1))
        count, cases = int(generated.sum()), len(generated)
        p_value = float(stats.binom.cdf(count, cases, ENOUGH * least))
        found.append(Kind(name=name, real=share, least=least, generated=count, cases=cases, p_value=p_value))
    return tuple(found)


def weights_of(records: Sequence[Mapping[str, Value]], counts: Mapping[str, Mapping[str, int]]) -> np.ndarray:
    """Weight of each real case so that its conditions are as frequent as the sampling plan asks for, (n,).

    Args:
        records: Of the real cases.
        counts: Column to value to number of cases that the plan asks for.
    """
    weights = np.ones(len(records))
    for column, asked in counts.items():
        total = sum(asked.values())
        values = [str(record.get(column)) for record in records]
        real = {value: values.count(value) / len(values) for value in set(values)}
        weights *= [asked.get(value, 0) / total / real[value] for value in values]
    return weights if weights.sum() > 0 else np.ones(len(records))


def column_kinds(
    column: ColumnSpec, real: Sequence[Value], generated: Sequence[Value]
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Values of a category, thirds of a number."""
    if column.kind in {"category", "boolean"}:
        values = sorted({str(value) for value in real if value is not None})
        return {f"{column.name} {value}": (_is(real, value), _is(generated, value)) for value in values}
    numbers = [np.array([np.nan if v is None else float(v) for v in side]) for side in (real, generated)]
    return thirds(column.name, numbers[0], numbers[1])


def _is(values: Sequence[Value], wanted: str) -> np.ndarray:
    return np.array([str(value) == wanted for value in values])


def thirds(name: str, real: np.ndarray, generated: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Small, middle and large values by the terciles of the real ones; none where these are equal or few."""
    known = real[np.isfinite(real)]
    if len(known) < 3 * len(THIRDS):
        return {}
    low, high = np.percentile(known, (100 / 3, 200 / 3))
    if not known.min() <= low < high <= known.max():
        return {}
    bounds = ((-np.inf, low), (low, high), (high, np.inf))
    return {
        f"{name} {third}": ((real > a) & (real <= b), (generated > a) & (generated <= b))
        for third, (a, b) in zip(THIRDS, bounds, strict=True)
    }


def look_alikes(real: np.ndarray, generated: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Groups of images by k-means of their layout (n, d) and (m, d).

    Both are first brought to mean 0 and deviation 1 along each direction, so that an offset or a loss of contrast which
    all generated cases share is not taken for missing cases: other tests are there for it.
    """
    from scipy.cluster.vq import kmeans2

    count = min(GROUPS, len(real) // 10)
    if count < 2:
        return {}
    standard = [(side - side.mean(axis=0)) / np.maximum(side.std(axis=0), 1e-9) for side in (real, generated)]
    centres, group = kmeans2(standard[0], count, minit="++", rng=np.random.default_rng(0))
    assigned = ((standard[1][:, None] - centres[None]) ** 2).sum(axis=2).argmin(axis=1)
    return {f"look-alikes {index + 1}": (group == index, assigned == index) for index in range(count)}

"""Which kinds of real patients the generated cases leave out: a test for modes which were dropped.

Kinds are plain: cases with and without a label, small, middle and large ones of each label and of all together, the
values of a category, the thirds of a number and of the contrast, and groups of images which look alike. All are judged
at once beside random splits of the same cases into real and generated ones, whole patients together and within what
the plan asked for, so that neither many kinds nor kinds that overlap cost the level.
Source: Westfall and Young, Resampling-based Multiple Testing, Wiley 1993, section 2.3 (single-step maxT).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from synthdata.records.case import Value
from synthdata.records.case_set import ColumnSpec
from synthdata.records.estimate import Estimate

LEVEL = 0.01  # of the whole test
TAIL = 0.025  # of the interval of what is missing, on either side
RARE = 0.05  # kinds with a smaller real share are not judged
GROUPS = 6  # of images which look alike
THIRDS = ("small", "middle", "large")
SHUFFLES = 999


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CasePool:
    """Real and generated cases together, (n,) each; a split says which are the generated ones."""

    flags: Mapping[str, np.ndarray]  # bool: a kind, and `without` it another one
    numbers: Mapping[str, np.ndarray]  # NaN where unknown; their thirds are kinds
    categories: Mapping[str, tuple[ColumnSpec, Sequence[Value]]]  # their values are kinds
    layout: np.ndarray  # (n, d)
    strata: np.ndarray  # int: cases with the same conditions of the plan
    patients: np.ndarray  # int
    generated: np.ndarray  # bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """One kind of case, and how often it is real and generated."""

    name: str
    real: float  # share of real cases, in the asked mix
    patients: float  # real patients, as many as the asked mix leaves
    generated: int  # cases of the kind
    cases: int  # generated cases
    deficit: float  # how many fewer than expected, in standard deviations of random splits
    p_value: float = 1.0  # share of random splits in which any kind has such a deficit

    @property
    def missed(self) -> Estimate:
        """Share of the kind which is missing; below 0 where there are more than real ones.

        The exact interval of a ratio of two rates: given both counts together, one is binomial. A patient counts once.
        """
        real, made = self.real * self.patients, self.generated
        scale = self.patients / self.cases
        low = _odds(stats.beta.ppf(TAIL, made, real + 1)) if made else 0.0
        high = _odds(stats.beta.ppf(1 - TAIL, made + 1, real))
        value = 1 - made / self.cases / self.real
        return Estimate(value=value, low=1 - high * scale, high=1 - low * scale, n=self.cases)


def _odds(share: float) -> float:
    return float(share / (1 - share))


@dataclass(frozen=True, kw_only=True, slots=True)
class AskedValue:
    """One value of a condition, how often the plan asks for it, and how often it was drawn."""

    name: str  # such as `diagnosis infarct`
    share: float  # of the cases, as asked
    generated: int  # cases that have it
    cases: int  # generated cases

    @property
    def missed(self) -> Estimate:
        """Share of what was asked that is missing, with the exact interval of a binomial share."""
        made, rest = self.generated, self.cases - self.generated
        low = float(stats.beta.ppf(TAIL, made, rest + 1)) if made else 0.0
        high = float(stats.beta.ppf(1 - TAIL, made + 1, rest)) if rest else 1.0
        value = 1 - made / self.cases / self.share
        return Estimate(value=value, low=1 - high / self.share, high=1 - low / self.share, n=self.cases)


def asked_values(
    records: Sequence[Mapping[str, Value]], counts: Mapping[str, Mapping[str, int]], planned: int
) -> list[AskedValue]:
    """Every value that the plan asks for, beside what generated cases have.

    Args:
        records: Of generated cases.
        counts: Column to value to number of cases that the plan asks for.
        planned: Cases of the plan; those beyond the counts have any value.
    """
    return [
        AskedValue(
            name=f"{column} {value}",
            share=count / max(planned, sum(values.values())),
            generated=sum(str(record.get(column)) == value for record in records),
            cases=len(records),
        )
        for column, values in counts.items()
        for value, count in values.items()
        if count
    ]


@dataclass(frozen=True, kw_only=True, slots=True)
class CaseMix:
    """All kinds, and how rare one may be to be found missing."""

    kinds: tuple[Kind, ...]
    visible: float  # smallest real share of a kind that would be found missing if no case were of it


def case_mix(pool: CasePool, *, allowed: float, seed: int = 0, shuffles: int = SHUFFLES) -> CaseMix:
    """Judge every kind.

    Args:
        pool: Of all cases.
        allowed: Share of a kind that may be missing.
        seed: Of the random splits.
        shuffles: How many.

    Returns:
        Kinds with p values that hold for all of them at once; none where real cases are too few to tell kinds apart.
    """
    rng = np.random.default_rng(seed)
    splits = _splits(pool, shuffles, rng)
    largest = np.array([max((kind.deficit for kind in _kinds(pool, one)), default=0.0) for one in splits])
    kinds = [
        replace(kind, p_value=float((1 + (largest >= kind.deficit).sum()) / (1 + shuffles)))
        for kind in _kinds(pool, pool.generated)
    ]
    critical = float(np.quantile(largest, 1 - LEVEL, method="higher"))
    return CaseMix(kinds=tuple(kinds), visible=_visible(pool, critical, allowed))


def _splits(pool: CasePool, count: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Random splits into real and generated cases: whole patients, as many of each as there are in every stratum."""
    pairs = np.stack([pool.strata, pool.patients], axis=1)
    clusters, first, cluster = np.unique(pairs, axis=0, return_index=True, return_inverse=True)
    made, stratum = pool.generated[first], clusters[:, 0]
    found = []
    for _ in range(count):
        shuffled = made.copy()
        for one in np.unique(stratum):
            rows = np.flatnonzero(stratum == one)
            shuffled[rows] = made[rng.permutation(rows)]
        found.append(shuffled[cluster.ravel()])
    return found


def _kinds(pool: CasePool, generated: np.ndarray) -> list[Kind]:
    """Every kind under one split."""
    members = _members(pool, generated)
    if not members:
        return []
    of_kind = np.stack(list(members.values())).astype(np.float64)  # (kinds, n)
    expected, made, mean, variance = np.zeros((4, len(of_kind)))
    cases, effective = int(generated.sum()), 0.0
    for stratum in np.unique(pool.strata):
        here = pool.strata == stratum
        real, drawn = here & ~generated, here & generated
        m, r = int(drawn.sum()), int(real.sum())
        if not m or not r:
            continue
        of_real, of_drawn = of_kind[:, real].sum(axis=1), of_kind[:, drawn].sum(axis=1)
        expected += m * of_real / r
        effective += (m / cases) ** 2 / len(np.unique(pool.patients[real]))
        made += of_drawn
        share = (of_real + of_drawn) / (m + r)
        mean += m * share  # of the hypergeometric count of a kind among m of m + r cases
        variance += m * share * (1 - share) * r / (m + r - 1)
    deficits = (mean - made) / np.sqrt(np.maximum(variance, 1e-12))
    return [
        Kind(
            name=name,
            real=float(expected[row] / cases),
            patients=1 / effective,
            generated=int(made[row]),
            cases=cases,
            deficit=float(deficits[row]),
        )
        for row, name in enumerate(members)
        if expected[row] >= RARE * cases and variance[row] > 0
    ]


def _visible(pool: CasePool, critical: float, allowed: float) -> float:
    """Real share from which a kind is found missing if no generated case is of it; 1 if none is.

    As if there were one stratum. Its deficit must reach the critical one: m q / (1 - q) (N - 1) / (N - m) = critical
    squared, with q = share (N - m) / N. And the lower end of what is missing must exceed what is allowed:
    (TAIL^(-1 / (share patients)) - 1) patients / m = 1 - allowed.
    """
    n, m = len(pool.generated), int(pool.generated.sum())
    odds = critical**2 * (n - m) / (m * (n - 1))
    patients = len(np.unique(pool.patients[~pool.generated]))
    sure = -np.log(TAIL) / np.log1p((1 - allowed) * m / patients) / patients
    return float(min(1.0, max(odds / (1 + odds) * n / (n - m), sure)))


def _members(pool: CasePool, generated: np.ndarray) -> dict[str, np.ndarray]:
    """Kind to which cases of the pool are of it; bounds come from the real cases of the split."""
    found: dict[str, np.ndarray] = {}
    for name, flag in pool.flags.items():
        found |= {f"with {name}": flag, f"without {name}": ~flag}
    for name, values in pool.numbers.items():
        found |= {kind: sides[1] for kind, sides in thirds(name, values[~generated], values).items()}
    for column, said in pool.categories.values():
        found |= {kind: sides[1] for kind, sides in column_kinds(column, said, said).items()}
    return found | look_alikes(pool.layout, generated)


def strata_of(records: Sequence[Mapping[str, Value]], counts: Mapping[str, Mapping[str, int]]) -> np.ndarray:
    """Number of the combination of conditions which the plan sets, int (n,).

    Args:
        records: Of real and generated cases.
        counts: Column to value to number of cases that the plan asks for.
    """
    combinations = [tuple(str(record.get(column)) for column in counts) for record in records]
    place = {combination: index for index, combination in enumerate(sorted(set(combinations)))}
    return np.array([place[combination] for combination in combinations])


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


def look_alikes(layout: np.ndarray, generated: np.ndarray) -> dict[str, np.ndarray]:
    """Groups of images by k-means of the layout (n, d) of the real ones; which cases are of each.

    Both sides are first brought to mean 0 and deviation 1 along each direction, so that an offset or a loss of contrast
    which all generated cases share is not taken for missing cases: other tests are there for it.
    """
    from scipy.cluster.vq import kmeans2

    count = min(GROUPS, int((~generated).sum()) // 10)
    if count < 2 or not generated.any() or not layout[~generated].std(axis=0).any():
        return {}  # a random split of few patients with many cases may leave one side empty
    standard = np.empty_like(layout, dtype=np.float64)
    for side in (generated, ~generated):
        part = layout[side]
        standard[side] = (part - part.mean(axis=0)) / np.maximum(part.std(axis=0), 1e-9)
    centres, _ = kmeans2(standard[~generated], count, minit="++", rng=np.random.default_rng(0))
    apart = (centres**2).sum(
        axis=1
    ) - 2 * standard @ centres.T  # squared distance but for what all centres share
    nearest = apart.argmin(axis=1)
    return {f"look-alikes {index + 1}": nearest == index for index in range(count)}

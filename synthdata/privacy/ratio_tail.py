"""The primary test: do the closest matches of generated cases fall on training patients more often than chance?

Pool the patients of train and control. For each generated case r = d1 / d2, the distance to the nearest patient over
the distance to the nearest other one: small only where a case belongs to one patient, whatever the generator's
spread. In a tail of small r count the distinct matched patients, n, and those of train, k. If the generator does not
remember which patients it was trained on, the labels train/control are exchangeable given everything else, so
k ~ Hypergeometric(N, n_train, n) exactly. Everything before the labels must treat both groups alike.

Source: the recommended gate G-b of our notes (`docs/privacy.md`); minP: Westfall & Young, "Resampling-Based Multiple
Testing", Wiley 1993, section 2.
"""

from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import dataclass

import numpy as np
from scipy import stats

from synthdata.errors import ConfigError
from synthdata.privacy.neighbours import Nearest

TAIL_SHARES = (0.01, 0.02, 0.05, 0.10)
TIE = 1e-12  # p values closer than this are equal
RELABELLED = 1 << 20  # labels that are drawn at once


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Matches:
    """For each case the ratio d1 / d2 and the patient that it matches."""

    ratio: np.ndarray  # float64 (m,), 0..1; small is suspicious
    patient: np.ndarray  # int64 (m,), index of the nearest patient in the pool
    case: np.ndarray  # int64 (m,), row of the nearest case in the pool
    distance: np.ndarray  # float64 (m,), d1

    def take(self, index: np.ndarray) -> "Matches":
        """Some of the cases."""
        return Matches(
            ratio=self.ratio[index],
            patient=self.patient[index],
            case=self.case[index],
            distance=self.distance[index],
        )


def matches_of(nearest: Nearest) -> Matches:
    """Ratios of the two nearest patients; 1, no evidence, where both are at distance 0."""
    first, second = nearest.distance[:, 0], nearest.distance[:, 1]
    ratio = np.divide(first, second, out=np.ones_like(first), where=second > 0)
    return Matches(ratio=ratio, patient=nearest.patient[:, 0], case=nearest.case[:, 0], distance=first)


def floors_of(real: Mapping[str, Matches]) -> dict[str, float]:
    """Least ratio per view among real cases, each matched in the other patients."""
    return {name: float(found.ratio.min()) for name, found in real.items()}


def replaced(base: Matches, index: np.ndarray, planted: Matches) -> Matches:
    """The same set with some of its cases replaced."""
    parts = {}
    for name in ("ratio", "patient", "case", "distance"):
        values = getattr(base, name).copy()
        values[index] = getattr(planted, name)
        parts[name] = values
    return Matches(**parts)


@dataclass(frozen=True, kw_only=True, slots=True)
class Tail:
    """One tail of one view."""

    view: str
    name: str  # such as 5 %, or `beyond real`
    cases: int
    distinct: int  # patients matched
    in_train: int  # of them
    p_value: float  # exact, hypergeometric, one-sided
    attainable: float  # the least p value that this tail could have had


@dataclass(frozen=True, kw_only=True, slots=True)
class TailResult:
    """The test over all tails and views."""

    tails: tuple[Tail, ...]
    p_value: float  # adjusted over tails and views by minP over label shuffles
    p_holm: float  # the same by Holm's first step, without shuffles
    attainable: float  # the least adjusted p value that was possible

    @property
    def best(self) -> Tail:
        """The tail that says most."""
        return min(self.tails, key=lambda tail: tail.p_value)


class LabelShuffles:
    """Random relabellings of the patients as train or control, drawn once and used for all tests of a pool."""

    def __init__(self, in_train: np.ndarray, *, count: int = 4999, rng: np.random.Generator) -> None:
        """Draw `count` relabellings of patients; in_train is bool (P,)."""
        if not in_train.any() or in_train.all():
            raise ConfigError(
                f"the pool has {int(in_train.sum())} training and {int((~in_train).sum())} control patients: "
                "expected both, so give the split a control group"
            )
        self.in_train = in_train
        self.labels = np.concatenate([_packed(part) for part in _relabellings(in_train, count, rng)], axis=1)
        self._tables: dict[int, np.ndarray] = {}

    def relabelled(self, rng: np.random.Generator) -> "LabelShuffles":
        """The same test where other patients, as many, are the training ones; the true labels have no say in it."""
        other = copy(self)  # shares relabellings and tables, which know of the labels only how many there are
        other.in_train = rng.permutation(np.sort(self.in_train))
        return other

    def test(self, matches: Mapping[str, Matches], floors: Mapping[str, float]) -> TailResult:
        """Run the test.

        Args:
            matches: View to matches of the generated cases in the pooled patients.
            floors: View to the smallest ratio among real cases, each against the other patients of the pool.

        Returns:
            Tails with exact p values, and the p value adjusted for having looked at several.
        """
        chosen = [
            (view, name, np.unique(found.patient[index]), len(index))
            for view, found in matches.items()
            for name, index in _tails(found.ratio, floors[view])
            if len(index)
        ]
        member = np.zeros((len(chosen), len(self.in_train)), bool)
        for row, (_, _, patients, _) in enumerate(chosen):
            member[row, patients] = True
        tables = [self._table(len(patients)) for _, _, patients, _ in chosen]
        tails = tuple(
            self._tail(view, name, patients, cases, table)
            for (view, name, patients, cases), table in zip(chosen, tables, strict=True)
        )
        least = self._least_under_shuffles(member, tables)
        best, possible = min(tail.p_value for tail in tails), min(tail.attainable for tail in tails)
        return TailResult(
            tails=tails,
            p_value=_adjusted(best, least),
            p_holm=min(1.0, best * len(tails)),
            attainable=_adjusted(possible, least),
        )

    def _table(self, distinct: int) -> np.ndarray:
        """P(K >= k) for k = 0..distinct, shape (distinct + 1,). K ~ Hypergeometric(N, n_train, distinct)."""
        if distinct not in self._tables:
            people, train = len(self.in_train), int(self.in_train.sum())
            self._tables[distinct] = stats.hypergeom.sf(np.arange(-1, distinct), people, train, distinct)
        return self._tables[distinct]

    def _tail(self, view: str, name: str, patients: np.ndarray, cases: int, table: np.ndarray) -> Tail:
        hits = int(self.in_train[patients].sum())
        best = min(len(patients), int(self.in_train.sum()))
        return Tail(
            view=view,
            name=name,
            cases=cases,
            distinct=len(patients),
            in_train=hits,
            p_value=float(table[hits]),
            attainable=float(table[best]),
        )

    def _least_under_shuffles(self, member: np.ndarray, tables: list[np.ndarray]) -> np.ndarray:
        """Smallest p value over the tails for each relabelling, shape (B,)."""
        least = np.ones(self.labels.shape[1])
        for tail, table in zip(_packed(member).T, tables, strict=True):
            hits = np.bitwise_count(self.labels & tail[:, None]).sum(axis=0, dtype=np.int32)
            np.minimum(least, table[hits], out=least)
        return least


def _relabellings(in_train: np.ndarray, count: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Some relabellings of the patients at a time, bool (s, P)."""
    step = max(1, RELABELLED // len(in_train))
    for start in range(0, count, step):
        yield rng.permuted(np.tile(in_train, (min(step, count - start), 1)), axis=1)


def _packed(flags: np.ndarray) -> np.ndarray:
    """Rows of flags (s, P), as columns of bits, uint64 (words, s)."""
    bits = np.packbits(flags, axis=1)
    words: np.ndarray = np.pad(bits, ((0, 0), (0, -bits.shape[1] % 8))).view(np.uint64)
    return np.ascontiguousarray(words.T)


def _tails(ratio: np.ndarray, floor: float) -> list[tuple[str, np.ndarray]]:
    """Indices of the cases of each tail: the smallest 1, 2, 5, 10 %, and all below any real case's ratio."""
    order = np.argsort(ratio, kind="stable")
    tails = [(f"{share:.0%}", order[: int(np.ceil(share * len(ratio)))]) for share in TAIL_SHARES]
    return [*tails, ("beyond real", np.flatnonzero(ratio < floor))]


def _adjusted(p_value: float, least: np.ndarray) -> float:
    """Share of relabellings whose least p value is no larger, the observed one counted. Phipson & Smyth 2010."""
    return float((1 + (least <= p_value + TIE).sum()) / (1 + len(least)))

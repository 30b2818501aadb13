"""How strongly two columns go together, whatever their kinds: one number from 0, not at all, to 1."""

from collections.abc import Mapping, Sequence

import numpy as np

from synthdata.records.case import Value

WEAK = 0.3  # associations of real cases below this are no coupling to keep
FEWEST = 8  # cases which have both values


def association(first: np.ndarray, second: np.ndarray) -> float:
    """Strength of the association of two columns; higher is stronger.

    Args:
        first: Numbers, float (n,), NaN where unknown; or categories, object (n,), None where unknown.
        second: The same.

    Returns:
        0 to 1. Two numbers: absolute rank correlation. A category and a number: correlation ratio of the ranks.
        Two categories: Cramer's V. NaN where fewer than `FEWEST` cases have both.
    """
    known = _known(first) & _known(second)
    if known.sum() < FEWEST:
        return float("nan")
    a, b = first[known], second[known]
    if a.dtype == object and b.dtype == object:
        return _cramers_v(a, b)
    if a.dtype == object:
        return _correlation_ratio(a, b.astype(np.float64))
    if b.dtype == object:
        return _correlation_ratio(b, a.astype(np.float64))
    return _rank_correlation(a.astype(np.float64), b.astype(np.float64))


def as_column(values: Sequence[Value], kind: str) -> np.ndarray:
    """A record column as `association` takes it."""
    if kind in {"category", "boolean"}:
        return np.array([None if value is None else str(value) for value in values], object)
    return np.array([np.nan if value is None else float(value) for value in values], np.float64)


def coupled_pairs(
    train: Mapping[str, np.ndarray], test: Mapping[str, np.ndarray], columns: Sequence[str]
) -> list[tuple[str, str]]:
    """Pairs of a record column and another column or quantity which go together in train and in test."""
    names = list(train)
    pairs = [
        (a, b)
        for a in columns
        for b in names
        if a != b and (b not in columns or columns.index(a) < columns.index(b))
    ]
    return [(a, b) for a, b in pairs if min(association(side[a], side[b]) for side in (train, test)) >= WEAK]


def _known(column: np.ndarray) -> np.ndarray:
    if column.dtype == object:
        return np.array([value is not None for value in column])
    known: np.ndarray = np.isfinite(column)
    return known


def _rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    from scipy.stats import rankdata

    x, y = rankdata(a), rankdata(b)
    if x.std() == 0 or y.std() == 0:
        return 0.0
    return abs(float(np.corrcoef(x, y)[0, 1]))


def _correlation_ratio(groups: np.ndarray, numbers: np.ndarray) -> float:
    """Root of the share of the variance of the ranks which lies between groups."""
    from scipy.stats import rankdata

    ranks = rankdata(numbers)
    total = ranks.var()
    if total == 0:
        return 0.0
    names = sorted(set(groups))
    between = sum(
        (groups == name).mean() * (ranks[groups == name].mean() - ranks.mean()) ** 2 for name in names
    )
    return float(np.sqrt(between / total))


def _cramers_v(a: np.ndarray, b: np.ndarray) -> float:
    """Root of chi squared over its largest value. Source: Cramer, Mathematical Methods of Statistics, 1946, 21.9."""
    rows, columns = sorted(set(a)), sorted(set(b))
    if min(len(rows), len(columns)) < 2:
        return 0.0
    table = np.array([[((a == row) & (b == column)).sum() for column in columns] for row in rows], float)
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0, keepdims=True) / table.sum()
    chi = ((table - expected) ** 2 / expected).sum()
    return float(np.sqrt(chi / (table.sum() * (min(table.shape) - 1))))

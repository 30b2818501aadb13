"""Does a record go with its image as a whole? The joint law of all columns with all that the image shows.

Pairs of columns may go together one by one while their combination does not. Here the dependence of a set is one
object, the cross-covariance operator of two Gaussian kernels: one over the whole record, one over layout and labels.
How much of the real one a set has is its inner product with that of held-out patients; 0 in the mean where records are
shuffled, whatever the marginal laws are. These have no say: numbers count by their ranks within their own set, and
cases are weighted so that the mix that a plan asks for is the mix of real cases.
Source: Gretton et al., "Measuring Statistical Dependence with Hilbert-Schmidt Norms", ALT 2005, section 2.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy import stats

from synthdata.validation.discrepancy import gaussian_kernel
from synthdata.validation.metrics import distances

SHUFFLES = 999


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Joint:
    """One set of cases: both sides as points, shape (n, d) and (n, e), and a weight of each case (n,)."""

    record: np.ndarray
    image: np.ndarray
    weights: np.ndarray

    @classmethod
    def of(
        cls,
        columns: Sequence[np.ndarray],
        image: np.ndarray,
        weights: np.ndarray,
        categories: Mapping[int, Sequence[str]],
    ) -> Self:
        """Bring both sides to comparable points.

        Args:
            columns: Of the record: numbers (n,), NaN where unknown, or objects (n,), None where unknown.
            image: Numbers (n, e).
            weights: Of the cases (n,), at least 0.
            categories: Position of a column of objects to its values, in one order for all sets.
        """
        sides = [
            _one_hot(column, categories[place])
            if place in categories
            else normal_scores(column, weights)[:, None]
            for place, column in enumerate(columns)
        ]
        scores = [normal_scores(values, weights) for values in image.T]
        return cls(record=np.concatenate(sides, axis=1), image=np.stack(scores, axis=1), weights=weights)

    def take(self, rows: np.ndarray) -> Self:
        """Some of the cases."""
        return type(self)(record=self.record[rows], image=self.image[rows], weights=self.weights[rows])


@dataclass(frozen=True, kw_only=True, slots=True)
class Widths:
    """Of both Gaussian kernels."""

    record: float
    image: float

    @classmethod
    def of(cls, real: Joint) -> Self:
        """Median distances of real cases; of those that differ where most are equal, 0 where all are."""
        return cls(record=_width(real.record), image=_width(real.image))


def _width(points: np.ndarray) -> float:
    apart = distances(points, points)[np.triu_indices(len(points), 1)]
    different = apart[apart > 0]
    if not len(different):
        return 0.0
    return float(np.median(apart)) or float(np.median(different))


def normal_scores(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Normal quantiles of weighted mid-ranks within a set, shape (n,); 0 where unknown or where all are equal."""
    found = np.zeros(len(values))
    known = np.isfinite(values)
    if not known.any() or np.ptp(values[known]) == 0:
        return found
    levels, place = np.unique(values[known], return_inverse=True)
    mass = np.bincount(place, weights=weights[known], minlength=len(levels))
    middle = (np.cumsum(mass) - mass / 2) / mass.sum()
    found[known] = stats.norm.ppf(np.clip(middle, 1e-6, 1 - 1e-6))[place]
    return found


def _one_hot(column: np.ndarray, values: Sequence[str]) -> np.ndarray:
    return np.array([[said == value for value in values] for said in column], float).reshape(
        len(column), len(values)
    )


def likeness(first: Joint, second: Joint, widths: Widths) -> float:
    """Inner product of the dependences of two sets; 0 in the mean where one has none, above 0 where they agree.

    Args:
        first: A set.
        second: Another one, whose cases are no cases of the first.
        widths: Of the kernels.

    Returns:
        The Hilbert-Schmidt inner product of both cross-covariance operators, without unit.
    """
    products = _products(first, second, widths)
    return float(np.diag(products).sum())


def chance_of(
    first: Joint, second: Joint, widths: Widths, rng: np.random.Generator, *, shuffles: int = SHUFFLES
) -> float:
    """P value of `likeness` beside the same with the records of the first set dealt out anew; a case is a patient."""
    products = _products(first, second, widths)
    rows = np.arange(len(products))
    seen = np.diag(products).sum()
    dealt = np.array([products[rows, rng.permutation(rows)].sum() for _ in range(shuffles)])
    return float((1 + (dealt >= seen).sum()) / (1 + shuffles))


def _products(first: Joint, second: Joint, widths: Widths) -> np.ndarray:
    """Share of each pair of a record and an image of the first set in `likeness`, (n, n); its own are the diagonal."""
    record = _centred(first.record, second.record, widths.record, first.weights, second.weights)
    image = _centred(first.image, second.image, widths.image, first.weights, second.weights)
    weighted = first.weights[:, None] * record * second.weights
    found: np.ndarray = weighted @ image.T / (first.weights.sum() * second.weights.sum())
    return found


def _centred(a: np.ndarray, b: np.ndarray, width: float, of_a: np.ndarray, of_b: np.ndarray) -> np.ndarray:
    """Kernel between two sets, with the weighted mean of each set at the origin."""
    kernel = gaussian_kernel(distances(a, b), width)
    kernel = kernel - of_a @ kernel / of_a.sum()
    centred: np.ndarray = kernel - (kernel @ of_b / of_b.sum())[:, None]
    return centred

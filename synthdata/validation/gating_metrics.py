"""The metrics whose medians gate, as functions of a draw: on all cases, or on those of a subgroup."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from synthdata.validation.embedding import Embedding
from synthdata.validation.features.table import Features
from synthdata.validation.measures import Quantity, distance, rank_correlation, spread_of
from synthdata.validation.metrics import (
    coverage_of,
    cubic_kernel,
    distances,
    frechet_distance,
    kernel_distance_of,
    precision_of,
)
from synthdata.validation.resampling import (
    UNBOUNDED,
    Draw,
    Metric,
    Plan,
    Scored,
    measure_triple,
)

NEIGHBOURS = 5
AT_LEAST_NONE = (0.0, math.inf)
SHARE = (0.0, 1.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Measure:
    """One metric of one family; the plan that it is asked for says which cases count."""

    name: str
    family: str
    metric: Metric
    lower_is_better: bool
    bounds: tuple[float, float] = UNBOUNDED
    more_than: int = 1  # cases that a draw must have more than, such as features of a covariance

    def over(self, plan: Plan, *, gating: bool = True) -> Scored | str:
        """The triple over all draws of a plan, or a sentence why there is none."""
        cases = min(len(rows) for rows in plan.draws[0].values())
        if cases <= self.more_than:
            return (
                f"{self.family}/{self.name} is left out: a draw has {cases} cases, and more than {self.more_than} are "
                "needed"
            )
        return measure_triple(
            self.name,
            self.family,
            self.metric,
            plan,
            lower_is_better=self.lower_is_better,
            bounds=self.bounds,
            gating=gating,
        )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Space:
    """One feature family as points: generated, train, degraded and test by role."""

    family: str
    flat: Mapping[str, np.ndarray]  # standardised features (n, d)
    few: Mapping[str, np.ndarray]  # of few directions (n, e)
    apart: Mapping[str, np.ndarray]  # distances of test cases to those of a role (m, n)

    @classmethod
    def of(cls, family: str, tables: Mapping[str, Features]) -> Self:
        """Fit the embedding on the tables of all roles."""
        embedding = Embedding.fit(tables["train"].values, tables["degraded"].values)
        flat = {role: embedding.standardised(table.values) for role, table in tables.items()}
        return cls(
            family=family,
            flat=flat,
            few={role: embedding.reduced(table.values) for role, table in tables.items()},
            apart={role: distances(flat["test"], x) for role, x in flat.items()},
        )


def feature_measures(space: Space) -> Iterator[Measure]:
    """Frechet distance, KID, coverage and precision of one feature family."""
    flat, few, apart = space.flat, space.few, space.apart
    own = {role: cubic_kernel(x, x) for role, x in flat.items()}
    cross = {role: cubic_kernel(x, flat["test"]) for role, x in flat.items()}

    def frechet(role: str, draw: Draw) -> float:
        return frechet_distance(few[role][draw[role]], few["test"][draw["test"]])

    def kernel(role: str, draw: Draw) -> float:
        a, b = draw[role], draw["test"]
        return kernel_distance_of(
            own[role][np.ix_(a, a)], own["test"][np.ix_(b, b)], cross[role][np.ix_(a, b)]
        )

    def covered(role: str, draw: Draw) -> float:
        a, b = draw[role], draw["test"]
        return coverage_of(apart["test"][np.ix_(b, b)], apart[role][np.ix_(b, a)], k=NEIGHBOURS)

    def precise(role: str, draw: Draw) -> float:
        a, b = draw[role], draw["test"]
        return precision_of(apart["test"][np.ix_(b, b)], apart[role][np.ix_(b, a)], k=NEIGHBOURS)

    for name, metric, lower, bounds, more_than in (
        ("frechet", frechet, True, AT_LEAST_NONE, few["train"].shape[1]),
        ("kid", kernel, True, UNBOUNDED, 1),
        ("coverage", covered, False, SHARE, NEIGHBOURS),
        ("precision", precise, False, SHARE, NEIGHBOURS),
    ):
        yield Measure(
            name=name,
            family=space.family,
            metric=metric,
            lower_is_better=lower,
            bounds=bounds,
            more_than=more_than,
        )


def quantity_measure(quantity: Quantity) -> Measure:
    """Wasserstein distance of one quantity over its spread in the test patients."""
    spread = spread_of(quantity.values["test"])

    def metric(role: str, draw: Draw) -> float:
        values = quantity.values
        return distance(values[role][draw[role]], values["test"][draw["test"]], spread)

    return Measure(
        name=f"wasserstein/{quantity.name}",
        family=quantity.family,
        metric=metric,
        lower_is_better=True,
        bounds=AT_LEAST_NONE,
    )


def coupling_measure(first: str, second: str, known: Mapping[str, Mapping[str, np.ndarray]]) -> Measure:
    """Difference of a rank correlation to that of the test patients.

    Args:
        first: A record column.
        second: Another one, or a volume.
        known: Role to column or volume to numbers: generated, train and test.
    """
    rng = np.random.default_rng(0)
    shuffled = rng.permutation(known["train"][second])

    def metric(role: str, draw: Draw) -> float:
        source = "train" if role == "degraded" else role
        other = shuffled if role == "degraded" else known[source][second]
        mine = rank_correlation(known[source][first][draw[role]], other[draw[role]])
        real = rank_correlation(known["test"][first][draw["test"]], known["test"][second][draw["test"]])
        return abs(mine - real)

    return Measure(
        name=f"correlation/{first}~{second}",
        family="record",
        metric=metric,
        lower_is_better=True,
        bounds=(0.0, 2.0),
    )

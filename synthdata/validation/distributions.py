"""Single quantities beside held-out patients: how far apart, where, and beyond chance? Reported, and no gate.

Density of tissue, size, count, shape, topology and contrast of labels. Each has the Wasserstein distance over the
spread of real cases with its floor, the gaps of the 5 and 95 % quantiles, and a Kolmogorov-Smirnov test on one case
per patient whose p values are Holm's over all quantities.
"""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from scipy import stats

from synthdata.records.reports import Distribution
from synthdata.records.training import TrainingSet
from synthdata.validation.features.agreement import OWN
from synthdata.validation.features.table import Features
from synthdata.validation.measures import Quantity, distance, quantities, spread_of
from synthdata.validation.resampling import Plan, estimate

SHAPES = {"surface_mm2": "mm2", "elongation": "1", "flatness": "1"}
ROLES = ("generated", "train", "test")
FEWEST = 8  # patients with a value, in each role
ENDS = (5, 95)  # percent
AT_LEAST_NONE = (0.0, math.inf)


def compared(
    radiomics: Mapping[str, Features],
    agreement: Mapping[str, Features],
    training_set: TrainingSet,
    plan: Plan,
) -> tuple[Distribution, ...]:
    """Compare every quantity which enough patients have.

    Args:
        radiomics: Role to table: generated, train and test.
        agreement: The same; empty without labels.
        training_set: Names channels and labels.
        plan: Subsamples of patients.
    """
    patients = {role: np.asarray(radiomics[role].patient_ids) for role in ROLES}
    found = [
        quantity
        for quantity in _all(radiomics, agreement, training_set)
        if min(len(_one_per_patient(quantity.values[role], patients[role])) for role in ROLES) >= FEWEST
    ]
    tests = [
        stats.ks_2samp(
            _one_per_patient(quantity.values["generated"], patients["generated"]),
            _one_per_patient(quantity.values["test"], patients["test"]),
        )
        for quantity in found
    ]
    adjusted = holm([float(test.pvalue) for test in tests])
    return tuple(
        _distribution(quantity, float(test.statistic), p_value, plan)
        for quantity, test, p_value in zip(found, tests, adjusted, strict=True)
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """P values which hold for all of them together, in the same order.

    Source:
        Holm, Scandinavian Journal of Statistics 6 (1979), 65-70.
    """
    order = np.argsort(p_values)
    steps = np.array([p_values[index] * (len(p_values) - step) for step, index in enumerate(order)])
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(steps)) if len(steps) else steps
    return [float(value) for value in adjusted]


def _distribution(quantity: Quantity, ks: float, p_value: float, plan: Plan) -> Distribution:
    values, spread = quantity.values, spread_of(quantity.values["test"])

    def apart(role: str) -> np.ndarray:
        return np.array(
            [distance(values[role][draw[role]], values["test"][draw["test"]], spread) for draw in plan.draws]
        )

    ends = {
        role: np.percentile(known[np.isfinite(known)], ENDS)
        for role, known in values.items()
        if role in {"generated", "test"}
    }
    low, high = (ends["generated"] - ends["test"]) / spread
    return Distribution(
        quantity=quantity.name,
        family=quantity.family,
        unit=quantity.unit,
        distance=estimate(_known(apart("generated")), plan, bounds=AT_LEAST_NONE),
        floor=estimate(_known(apart("train")), plan, bounds=AT_LEAST_NONE),
        ks=ks,
        p_value=p_value,
        low_gap=float(low),
        high_gap=float(high),
    )


def _known(distances: np.ndarray) -> np.ndarray:
    """Draws in which both roles have the quantity."""
    finite: np.ndarray = distances[np.isfinite(distances)]
    return finite if len(finite) else np.zeros(1)


def _one_per_patient(values: np.ndarray, patients: np.ndarray) -> np.ndarray:
    """The first known value of each patient."""
    known = np.isfinite(values)
    _, first = np.unique(patients[known], return_index=True)
    found: np.ndarray = values[known][first]
    return found


def _all(
    radiomics: Mapping[str, Features], agreement: Mapping[str, Features], training_set: TrainingSet
) -> Iterator[Quantity]:
    """The quantities which gate, then shape, topology and contrast of each label; NaN where it is absent."""
    yield from quantities({role: radiomics[role] for role in ROLES}, training_set)
    for label in training_set.labels:
        for shape, unit in SHAPES.items():
            values = {
                role: _where(radiomics[role], f"{label}/shape/{shape}", f"{label}/present") for role in ROLES
            }
            yield Quantity(
                name=f"{shape.removesuffix('_mm2')}/{label}", family="lesion", unit=unit, values=values
            )
        present = f"{label}/{OWN}/present"
        topology = {role: _where(agreement[role], f"{label}/euler", present) for role in ROLES}
        yield Quantity(name=f"euler_number/{label}", family="lesion", unit="1", values=topology)
        for scale in training_set.scales:
            name = f"{label}/{OWN}/{scale.channel}/contrast"
            values = {role: _where(agreement[role], name, present) for role in ROLES}
            yield Quantity(name=f"contrast/{label}/{scale.channel}", family="lesion", unit="1", values=values)


def _where(table: Features, name: str, present: str) -> np.ndarray:
    columns = {column: index for index, column in enumerate(table.names)}
    found: np.ndarray = np.where(
        table.values[:, columns[present]] > 0, table.values[:, columns[name]], np.nan
    )
    return found

"""Plain quantities of cases: tissue density, size of labels, and how the record follows them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from synthdata.records.case_set import ColumnSpec
from synthdata.records.training import TrainingSet
from synthdata.validation.features.radiomics import FOREGROUND, WHOLE
from synthdata.validation.features.table import Features

OFFSET = 0.05  # of a channel's range: the degraded tissue density
SWELLING = 1.25  # factor of the degraded volume of a label
WEAK = 0.3  # correlations of real cases below this are no coupling to keep


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Quantity:
    """One number per case, NaN where a case has none, and what a degraded case would have."""

    name: str
    family: str  # tissue or lesion
    unit: str
    values: Mapping[str, np.ndarray]  # role to (n,)


def quantities(tables: Mapping[str, Features], training_set: TrainingSet) -> Iterator[Quantity]:
    """Tissue densities and label sizes, from radiomics of generated, training and test cases.

    Args:
        tables: Radiomics by role: generated, train and test.
        training_set: Names channels and labels.

    Yields:
        Quantities with values for generated, train, test and degraded: training cases with an offset of 5 %
        of the range (density), 25 % more volume, or one more component.
    """
    regions = [*training_set.labels, FOREGROUND] if training_set.labels else [WHOLE]
    for scale in training_set.scales:
        offset = OFFSET * (scale.high - scale.low)
        for region in regions:
            values = _columns(tables, region, f"{scale.channel}/first_order/mean")
            values["degraded"] = values["train"] + offset
            name = f"mean_intensity/{region}/{scale.channel}"
            yield Quantity(name=name, family="tissue", unit=scale.unit, values=values)
    for label in training_set.labels:
        volume = _columns(tables, label, "shape/volume_mm3", absent=0.0)
        volume["degraded"] = volume["train"] * SWELLING
        yield Quantity(name=f"volume/{label}", family="lesion", unit="mm3", values=volume)
        parts = _columns(tables, label, "shape/components", absent=0.0)
        parts["degraded"] = parts["train"] + 1
        yield Quantity(name=f"components/{label}", family="lesion", unit="1", values=parts)


def distance(first: np.ndarray, second: np.ndarray, spread: float) -> float:
    """Wasserstein-1 distance of two samples over the spread of real cases; lower is better; NaN left out."""
    from scipy.stats import wasserstein_distance

    a, b = first[np.isfinite(first)], second[np.isfinite(second)]
    return float(wasserstein_distance(a, b)) / spread if len(a) and len(b) else float("nan")


def spread_of(values: np.ndarray) -> float:
    """Interquartile range of real values; their deviation where it is 0, and 1 where they are constant."""
    known = values[np.isfinite(values)]
    if not len(known):
        return 1.0
    spread = float(np.subtract(*np.percentile(known, (75, 25))))
    return spread or float(known.std()) or 1.0


def coupled_columns(
    records: Mapping[str, Mapping[str, np.ndarray]], volumes: Mapping[str, Mapping[str, np.ndarray]]
) -> list[tuple[str, str]]:
    """Pairs of (column, column or label) whose rank correlation in the training cases is at least `WEAK`.

    Args:
        records: Role to column to numbers (n,), NaN where unknown.
        volumes: Role to label to volume in mm3 (n,).
    """
    train = {**records["train"], **{f"volume/{label}": found for label, found in volumes["train"].items()}}
    columns = list(records["train"])
    pairs = [(a, b) for i, a in enumerate(columns) for b in [*columns[i + 1 :], *(set(train) - set(columns))]]
    return [(a, b) for a, b in sorted(pairs) if abs(rank_correlation(train[a], train[b])) >= WEAK]


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's rank correlation over the cases which have both; 0 where one is constant."""
    from scipy.stats import rankdata

    known = np.isfinite(first) & np.isfinite(second)
    if known.sum() < 3:
        return 0.0
    a, b = rankdata(first[known]), rankdata(second[known])
    if a.std() == 0 or b.std() == 0:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def numeric_columns(columns: tuple[ColumnSpec, ...]) -> list[str]:
    """Names of the number and integer columns."""
    return [column.name for column in columns if column.kind in {"number", "integer"}]


def _columns(
    tables: Mapping[str, Features], region: str, feature: str, *, absent: float = float("nan")
) -> dict[str, np.ndarray]:
    """One feature by role; `absent` where a case lacks the region."""
    found = {}
    for role, table in tables.items():
        values = table.values[:, table.names.index(f"{region}/{feature}")]
        present = table.values[:, table.names.index(f"{region}/present")] > 0
        found[role] = np.where(present, values, absent)
    return found

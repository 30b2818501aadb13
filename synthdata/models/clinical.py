"""The law of the clinical record: conditions before the image, outcomes to match it.

No row of a patient is stored: categories by smoothed cell frequencies, numbers by a Gaussian copula with a
mean per cell, outcomes by ridge regression on the volumes in the mask and the conditions, their errors added or, where
that is likelier, proportional (`models.outcomes`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm, rankdata

from synthdata.errors import ConfigError
from synthdata.models.outcomes import fit_outcome, medians
from synthdata.records import ColumnSpec, Record
from synthdata.records.case import Value

KNOTS = 17  # of a marginal's quantile function
SHRINK = 4.0  # patients' worth of trust in the pooled mean of a cell


@dataclass(frozen=True, kw_only=True, slots=True)
class ClinicalLaw(Record):
    """Fitted on the training patients; travels in the checkpoint's config."""

    cells: tuple[tuple[str, ...], ...]  # joint values of the discrete conditions
    shares: tuple[float, ...]  # of each cell
    means: tuple[tuple[float, ...], ...]  # normal scores of the numbers, per cell
    root: tuple[tuple[float, ...], ...]  # Cholesky factor of their covariance within cells
    quantiles: Mapping[str, tuple[float, ...]]  # marginal of each number, KNOTS values
    outcomes: Mapping[str, tuple[float, ...]]  # coefficients of the standardised predictors, intercept last
    spread: tuple[tuple[float, ...], ...]  # Cholesky factor of the outcomes' residual covariance
    centre: tuple[float, ...]  # of the predictors
    width: tuple[float, ...]
    proportional: tuple[str, ...] = ()  # outcomes that are a median times the exponential of their error


def fit_law(
    columns: Sequence[ColumnSpec], records: Sequence[Mapping[str, Value]], volumes: np.ndarray
) -> ClinicalLaw:
    """Fit the law.

    Args:
        columns: Of the record.
        records: One per training case.
        volumes: Label volumes in mm3, shape (n, l).
    """
    discrete, numbers, outcomes = _roles(columns)
    keys = [tuple(str(record.get(column.name)) for column in discrete) for record in records]
    cells = sorted(set(keys))
    counts = np.array([keys.count(cell) for cell in cells], dtype=float)
    scores = (
        np.column_stack([_normal_scores(records, c.name) for c in numbers])
        if numbers
        else np.zeros((len(keys), 0))
    )
    index = np.array([cells.index(key) for key in keys], dtype=int)
    means = np.array([scores[index == i].sum(0) / (counts[i] + SHRINK) for i in range(len(cells))])
    within = scores - means[index]
    covariance = np.cov(within, rowvar=False).reshape(len(numbers), len(numbers)) + 1e-3 * np.eye(
        len(numbers)
    )
    predictors = np.array([_predictors(columns, r, v) for r, v in zip(records, volumes, strict=True)])
    centre, width = predictors.mean(0), predictors.std(0) + 1e-6
    standard = (predictors - centre) / width
    fits, residuals = {}, np.zeros((len(records), len(outcomes)))
    for place, column in enumerate(outcomes):
        target = np.array([_float(record.get(column.name)) for record in records])
        known = np.isfinite(target)
        if known.sum() < 3:
            raise ConfigError(f"column {column.name} is known for {known.sum()} cases, expected 3 or more")
        fits[column.name] = fit_outcome(standard[known], target[known])
        residuals[known, place] = fits[column.name].residuals
    spread = _covariance(residuals, floor=1e-12)
    return ClinicalLaw(
        cells=tuple(cells),
        shares=tuple(float(value) for value in counts / counts.sum()),
        means=_rows(means),
        root=_rows(np.linalg.cholesky(covariance)) if numbers else (),
        quantiles={c.name: _quantiles(c, records) for c in numbers},
        outcomes={name: tuple(fit.coefficients.tolist()) for name, fit in fits.items()},
        spread=_rows(np.linalg.cholesky(spread)) if outcomes else (),
        centre=tuple(float(value) for value in centre),
        width=tuple(float(value) for value in width),
        proportional=tuple(name for name, fit in fits.items() if fit.proportional),
    )


def draw_conditions(
    law: ClinicalLaw,
    columns: Sequence[ColumnSpec],
    rng: np.random.Generator,
    fixed: Mapping[str, str] | None = None,
) -> dict[str, Value]:
    """Draw the condition columns of one record, some of them fixed to a value.

    Raises:
        ConfigError: No training patient has the fixed values, so nothing is known of such cases.
    """
    discrete, numbers, _ = _roles(columns)
    fixed = fixed or {}
    names = [column.name for column in discrete]
    fits = [all(fixed.get(n, v) == v for n, v in zip(names, cell, strict=True)) for cell in law.cells]
    shares = np.array(law.shares) * fits
    if shares.sum() <= 0:
        raise ConfigError(
            f"condition {dict(fixed)} was seen in no training case: ask for values that the data hold"
        )
    chosen = int(rng.choice(len(shares), p=shares / shares.sum()))
    record: dict[str, Value] = {}
    for column, value in zip(discrete, law.cells[chosen], strict=True):
        if value == "None":
            record[column.name] = None
        else:
            record[column.name] = value == "True" if column.kind == "boolean" else value
    if numbers:
        scores = np.array(law.means[chosen]) + np.array(law.root) @ rng.standard_normal(len(numbers))
        for column, score in zip(numbers, scores, strict=True):
            level = float(norm.cdf(score))
            number = float(np.interp(level, np.linspace(0, 1, KNOTS), law.quantiles[column.name]))
            record[column.name] = _typed(column, number)
    return record


def draw_outcomes(
    law: ClinicalLaw,
    columns: Sequence[ColumnSpec],
    record: Mapping[str, Value],
    volumes: np.ndarray,
    rng: np.random.Generator,
) -> dict[str, Value]:
    """Draw the outcome columns to match the label volumes in mm3 (l,) and the conditions."""
    outcomes = _roles(columns)[2]
    if not outcomes:
        return {}
    standard = (_predictors(columns, record, volumes) - np.array(law.centre)) / np.array(law.width)
    noise = np.array(law.spread) @ rng.standard_normal(len(outcomes))
    drawn: dict[str, Value] = {}
    for column, error in zip(outcomes, noise, strict=True):
        coefficients, design = np.array(law.outcomes[column.name]), np.append(standard, 1.0)
        if column.name in law.proportional:
            value = medians(design[None], coefficients)[0] * np.exp(error)
        else:
            value = design @ coefficients + error
        drawn[column.name] = _typed(column, float(value))
    return drawn


def _roles(
    columns: Sequence[ColumnSpec],
) -> tuple[list[ColumnSpec], list[ColumnSpec], list[ColumnSpec]]:
    """Discrete conditions, numeric conditions, numeric outcomes."""
    discrete = [c for c in columns if c.role == "condition" and c.kind in {"category", "boolean"}]
    numbers = [c for c in columns if c.role == "condition" and c.kind in {"number", "integer"}]
    outcomes = [c for c in columns if c.role == "outcome"]
    if wrong := [c.name for c in outcomes if c.kind not in {"number", "integer"}]:
        raise ConfigError(f"columns {wrong} are outcomes and no numbers: make them conditions")
    return discrete, numbers, outcomes


def _predictors(
    columns: Sequence[ColumnSpec], record: Mapping[str, Value], volumes: np.ndarray
) -> np.ndarray:
    """Volumes in mL and conditions as one row; categories as 0 or 1 per value."""
    parts = [float(volume) / 1000 for volume in volumes]
    discrete, numbers, _ = _roles(columns)
    for column in discrete:
        values = column.values or ("True",)
        parts += [float(str(record.get(column.name)) == value) for value in values]
    for column in numbers:
        value = _float(record.get(column.name))
        low, high = column.minimum or 0.0, column.maximum or 1.0
        parts.append(value if np.isfinite(value) else (low + high) / 2)
    return np.array(parts)


def _covariance(rows: np.ndarray, *, floor: float) -> np.ndarray:
    """Covariance (k, k) of rows (n, k) with a floor on the diagonal; empty for no columns."""
    count = rows.shape[1]
    if not count:
        return np.zeros((0, 0))
    covariance: np.ndarray = np.cov(rows, rowvar=False).reshape(count, count) + floor * np.eye(count)
    return covariance


def _normal_scores(records: Sequence[Mapping[str, Value]], name: str) -> np.ndarray:
    values = np.array([_float(record.get(name)) for record in records])
    known = np.isfinite(values)
    scores = np.zeros(len(values))
    scores[known] = norm.ppf((rankdata(values[known]) - 0.5) / max(1, known.sum()))
    return scores


def _quantiles(column: ColumnSpec, records: Sequence[Mapping[str, Value]]) -> tuple[float, ...]:
    """Smoothed quantile function, so that no extreme patient is repeated exactly."""
    values = np.array([_float(record.get(column.name)) for record in records])
    values = values[np.isfinite(values)]
    if not len(values):
        raise ConfigError(f"column {column.name} is empty in every training case: leave it out of the spec")
    width = 0.9 * values.std() * len(values) ** -0.2  # Silverman's rule
    grid = np.linspace(values.min() - 2 * width, values.max() + 2 * width, 400)
    cdf = norm.cdf((grid[:, None] - values[None]) / (width + 1e-9)).mean(1)
    knots = np.interp(np.linspace(0.002, 0.998, KNOTS), cdf, grid)
    low = -np.inf if column.minimum is None else column.minimum
    high = np.inf if column.maximum is None else column.maximum
    return tuple(float(value) for value in np.clip(knots, low, high))


def _typed(column: ColumnSpec, value: float) -> Value:
    low = -np.inf if column.minimum is None else column.minimum
    high = np.inf if column.maximum is None else column.maximum
    clipped = float(np.clip(value, low, high))
    return round(clipped) if column.kind == "integer" else round(clipped, 4)


def _float(value: Value) -> float:
    return float("nan") if value is None or isinstance(value, str) else float(value)


def _rows(matrix: np.ndarray) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(float(value) for value in row) for row in np.atleast_2d(matrix))

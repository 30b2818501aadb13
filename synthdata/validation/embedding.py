"""Features made comparable: a robust scale of real cases, and few directions where a covariance is needed."""

from dataclasses import dataclass
from typing import Self

import numpy as np

MOST_DIRECTIONS = 16


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Embedding:
    """Maps raw features to standardised ones, and these to a few directions and a residual."""

    centre: np.ndarray  # (d,), median of the real cases
    scale: np.ndarray  # (d,)
    mean: np.ndarray  # (d,) of the standardised fit
    directions: np.ndarray  # (d, p), orthonormal
    residual: tuple[float, float]  # median and scale of the real cases' logarithmic residual

    @classmethod
    def fit(cls, real: np.ndarray, degraded: np.ndarray) -> Self:
        """Fit to real training cases (n, d) and degraded ones (m, d); generated cases have no say.

        The directions are the main ones of both together, so that a loss of quality lies within them. What a
        generated case has outside of them is kept as the length of its residual.
        """
        centre = np.median(real, axis=0)
        spread = np.subtract(*np.percentile(real, (75, 25), axis=0)) / 1.349
        scale = np.where(spread > 1e-9 * (1 + np.abs(centre)), spread, real.std(axis=0))
        constant = scale <= 1e-9 * (1 + np.abs(centre))  # a change of a constant feature must stay visible
        scale = np.where(constant, np.where(np.abs(centre) > 1e-9, np.abs(centre), 1.0), scale)
        pooled = np.concatenate([_standardise(x, centre, scale) for x in (real, degraded)])
        count = max(1, min(MOST_DIRECTIONS, len(real) // 5, pooled.shape[1]))
        mean = pooled.mean(axis=0)
        directions = np.linalg.svd(pooled - mean, full_matrices=False)[2][:count].T
        lengths = _log_residual(_standardise(real, centre, scale) - mean, directions)
        residual = (float(np.median(lengths)), float(max(lengths.std(), 1e-6)))
        return cls(centre=centre, scale=scale, mean=mean, directions=directions, residual=residual)

    def standardised(self, values: np.ndarray) -> np.ndarray:
        """Features (n, d) in robust units of the real cases; large values are compressed by asinh."""
        return _standardise(values, self.centre, self.scale)

    def reduced(self, values: np.ndarray) -> np.ndarray:
        """Main directions and residual of raw features (n, d), shape (n, p + 1)."""
        centred = self.standardised(values) - self.mean
        length = (_log_residual(centred, self.directions) - self.residual[0]) / self.residual[1]
        return np.column_stack([centred @ self.directions, length])


def _standardise(values: np.ndarray, centre: np.ndarray, scale: np.ndarray) -> np.ndarray:
    standard: np.ndarray = np.arcsinh((values - centre) / scale)
    return standard


def _log_residual(centred: np.ndarray, directions: np.ndarray) -> np.ndarray:
    outside = centred - (centred @ directions) @ directions.T
    length: np.ndarray = np.log(np.linalg.norm(outside, axis=1) + 1e-6)
    return length

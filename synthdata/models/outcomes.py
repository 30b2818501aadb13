"""What was measured of a patient, given the volumes in the mask and the conditions: laws of single outcomes."""

from dataclasses import dataclass

import numpy as np

RIDGE = 1.0
ROUNDS = 12
LEAST = 0.05  # of the expectation at mean predictors: no median of a proportional law is below
SMALLEST = 1e-12  # variance


@dataclass(frozen=True, kw_only=True, slots=True)
class OutcomeFit:
    """Expectation or median of an outcome, linear in standardised predictors, and what is left of each patient."""

    coefficients: np.ndarray  # (p + 1,), intercept last
    residuals: np.ndarray  # (n,), of logarithms where proportional
    proportional: bool  # the error grows with the median, as that of concentrations does


def fit_outcome(predictors: np.ndarray, values: np.ndarray) -> OutcomeFit:
    """The likelier of two laws: value = expectation + error, or value = median * exp(error), the error normal.

    Concentrations in serum are positive, skewed, and vary the more, the higher they are: the second law. It is
    fitted by Gauss-Newton steps on the logarithms of value over median.

    Args:
        predictors: Standardised, shape (n, p).
        values: Shape (n,).

    Source:
        Carroll and Ruppert, "Transformation and Weighting in Regression", 1988, chapter 4: transform both sides.
    """
    design = np.column_stack([predictors, np.ones(len(predictors))])
    plain = _solved(design, values, np.ones(len(values)))
    residuals = values - design @ plain
    additive = OutcomeFit(coefficients=plain, residuals=residuals, proportional=False)
    if values.min() <= 0:
        return additive
    coefficients = plain
    for _ in range(ROUNDS):
        median = medians(design, coefficients)
        coefficients = _solved(design, median * (1 + np.log(values / median)), 1 / median**2)
    left = np.log(values / medians(design, coefficients))
    gain = np.log(max(residuals.var(), SMALLEST)) - np.log(
        max(left.var(), SMALLEST)
    )  # of the likelihood, by n / 2
    if gain <= 2 * np.log(values).mean():
        return additive
    return OutcomeFit(coefficients=coefficients, residuals=left, proportional=True)


def medians(design: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    """Medians (n,) of a proportional law at rows (n, p + 1) of predictors, the last of them 1."""
    least = LEAST * max(float(coefficients[-1]), SMALLEST)
    found: np.ndarray = np.maximum(design @ coefficients, least)
    return found


def _solved(design: np.ndarray, target: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Ridge regression (p + 1,) of a target (n,) with weights (n,); the intercept is free."""
    penalty = RIDGE * np.eye(design.shape[1])
    penalty[-1, -1] = 0
    weighted = design * (weights / weights.mean())[:, None]
    solution: np.ndarray = np.linalg.solve(weighted.T @ design + penalty, weighted.T @ target)
    return solution

import numpy as np
import pytest
from scipy import linalg

from synthdata.errors import ConfigError, ShapeError
from synthdata.validation.embedding import Embedding
from synthdata.validation.metrics import coverage, frechet_distance, kernel_distance, precision


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def test_frechet_distance_of_gaussians_has_its_closed_form(rng: np.random.Generator) -> None:
    a = rng.normal(size=(200_000, 3)) * [1, 2, 3] + [1, 0, 0]
    b = rng.normal(size=(200_000, 3)) * [2, 2, 1]
    want = (
        1 + (1 - 2) ** 2 + 0 + (3 - 1) ** 2
    )  # diagonal covariances: squared difference of means and of deviations
    assert frechet_distance(a, b) == pytest.approx(want, rel=0.02)


def test_frechet_distance_equals_the_one_by_matrix_square_root(rng: np.random.Generator) -> None:
    a, b = rng.normal(size=(60, 8)), rng.normal(size=(50, 8)) @ rng.normal(size=(8, 8))
    root = linalg.sqrtm(np.cov(a.T) @ np.cov(b.T)).real
    want = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(np.cov(a.T) + np.cov(b.T) - 2 * root)
    assert frechet_distance(a, b) == pytest.approx(want, rel=1e-6)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)


def test_kernel_distance_is_zero_in_the_mean_for_one_law(rng: np.random.Generator) -> None:
    values = [kernel_distance(rng.normal(size=(40, 5)), rng.normal(size=(40, 5))) for _ in range(300)]
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(300)
    assert kernel_distance(rng.normal(size=(40, 5)), rng.normal(size=(40, 5)) + 1) > max(values)


def test_coverage_of_one_law_is_one_minus_two_to_the_minus_k(rng: np.random.Generator) -> None:
    values = [coverage(rng.normal(size=(200, 6)), rng.normal(size=(200, 6)), k=5) for _ in range(30)]
    assert np.mean(values) == pytest.approx(1 - 2**-5, abs=0.01)


def test_coverage_falls_when_the_generator_collapses_while_precision_stays(rng: np.random.Generator) -> None:
    real = rng.normal(size=(64, 8))
    collapsed = real[:1] + rng.normal(size=(64, 8)) * 0.01
    assert coverage(real, collapsed) < 0.25
    assert precision(real, collapsed) > 0.9


def test_precision_falls_when_cases_lie_outside(rng: np.random.Generator) -> None:
    assert precision(rng.normal(size=(64, 8)), rng.normal(size=(64, 8)) + 9) == 0


def test_a_direction_that_real_cases_lack_stays_visible_in_few_directions(rng: np.random.Generator) -> None:
    real = np.column_stack([rng.normal(size=(200, 30)), np.full(200, 3.0)])
    odd = real.copy()
    odd[:, -1] = 6.0
    embedding = Embedding.fit(real, real * 1.1)
    assert frechet_distance(embedding.reduced(real), embedding.reduced(odd)) > 0.05


def test_features_which_cannot_be_compared_are_refused() -> None:
    with pytest.raises(ShapeError, match="one extractor"):
        frechet_distance(np.zeros((9, 8)), np.zeros((9, 4)))
    with pytest.raises(ConfigError, match="at least 2"):
        kernel_distance(np.zeros((1, 8)), np.zeros((9, 8)))
    with pytest.raises(ConfigError, match="1 <= k < 4"):
        coverage(np.zeros((4, 2)), np.zeros((9, 2)), k=5)

"""Each metric beside an independent implementation or a closed form; the table is in docs/figures.md."""

import warnings

import numpy as np
import pytest
import torch
from scipy import linalg, ndimage, stats
from scipy.spatial.distance import cdist

from synthdata.errors import ConfigError, ShapeError
from synthdata.validation.coupling import association
from synthdata.validation.discrepancy import (
    frechet_at_infinity,
    gaussian_discrepancy,
    median_bandwidth,
)
from synthdata.validation.distributions import holm
from synthdata.validation.diversity import density, recall, scales_of, structural_similarity, vendi_score
from synthdata.validation.features.agreement import euler_number
from synthdata.validation.measures import distance, rank_correlation
from synthdata.validation.metrics import (
    coverage,
    distances,
    frechet_distance,
    kernel_distance,
    precision,
)

SAME = 1e-6  # relative


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(8)


@pytest.fixture
def samples(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Real and generated features which overlap in part."""
    return rng.normal(size=(180, 12)), rng.normal(size=(150, 12)) * 0.9 + 0.4


@pytest.mark.parametrize("k", [1, 3, 5])
def test_precision_recall_density_and_coverage_are_those_of_prdc(samples, k: int) -> None:
    from prdc import compute_prdc

    real, fake = samples
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of scikit-learn
        want = compute_prdc(real_features=real, fake_features=fake, nearest_k=k)
    got = {
        "precision": precision(real, fake, k=k),
        "recall": recall(real, fake, k=k),
        "density": density(real, fake, k=k),
        "coverage": coverage(real, fake, k=k),
    }
    assert 0.05 < got["recall"] < 0.95, "a case in which all is 0 or 1 shows nothing"
    assert got == pytest.approx({name: float(want[name]) for name in got}, rel=SAME)


def test_frechet_distance_is_that_of_torchmetrics_and_of_scipy(samples) -> None:
    from torchmetrics.image.fid import _compute_fid

    real, fake = samples
    moments = [torch.from_numpy(x) for s in samples for x in (s.mean(axis=0), np.cov(s.T))]
    assert frechet_distance(real, fake) == pytest.approx(float(_compute_fid(*moments)), rel=SAME)
    root = linalg.sqrtm(np.cov(real.T) @ np.cov(fake.T)).real
    shift = ((real.mean(0) - fake.mean(0)) ** 2).sum()
    want = shift + np.trace(np.cov(real.T) + np.cov(fake.T) - 2 * root)
    assert frechet_distance(real, fake) == pytest.approx(want, rel=SAME)


def test_frechet_distance_of_moments_that_are_exact_has_its_closed_form() -> None:
    def with_moments(mean: float, deviation: np.ndarray) -> np.ndarray:
        """A sample whose covariance is diagonal, exactly."""
        hadamard = linalg.hadamard(8)[:, 1:4].astype(float)
        return hadamard * np.sqrt(7 / 8) * deviation + mean

    a, b = with_moments(0.0, np.array([1.0, 2.0, 3.0])), with_moments(0.5, np.array([2.0, 2.0, 1.0]))
    assert frechet_distance(a, b) == pytest.approx(3 * 0.25 + 1 + 0 + 4, rel=SAME)


def test_kernel_distance_is_that_of_torchmetrics(samples) -> None:
    from torchmetrics.image.kid import poly_mmd

    real, fake = samples[0][: len(samples[1])], samples[1]  # torchmetrics wants equal sizes
    want = poly_mmd(torch.from_numpy(real), torch.from_numpy(fake))
    assert kernel_distance(real, fake) == pytest.approx(float(want), rel=SAME)


def test_gaussian_discrepancy_is_that_of_kernels_by_scikit_learn(samples) -> None:
    from sklearn.metrics.pairwise import rbf_kernel

    real, fake = samples
    width = median_bandwidth(real)
    kernels = [
        rbf_kernel(a, b, gamma=1 / (2 * width**2)).mean() for a, b in ((real, real), (fake, fake), samples)
    ]
    want = 1000 * (kernels[0] + kernels[1] - 2 * kernels[2])
    assert gaussian_discrepancy(real, fake, width) == pytest.approx(want, rel=SAME)
    assert width == pytest.approx(np.median(cdist(real, real)[np.triu_indices(len(real), 1)]), rel=SAME)
    assert gaussian_discrepancy(real, real, width) == pytest.approx(0, abs=1e-9)


def test_gaussian_discrepancy_of_two_points_has_its_closed_form() -> None:
    a, b = np.array([[0.0], [0.0]]), np.array([[2.0], [2.0]])
    assert gaussian_discrepancy(a, b, 1.0) == pytest.approx(1000 * (2 - 2 * np.exp(-2)), rel=SAME)


def test_the_extrapolated_frechet_distance_is_less_biased_than_the_plain_one(
    rng: np.random.Generator,
) -> None:
    want = 12 * 0.25  # two unit Gaussians, moved by 0.5 along 12 axes
    plain, extrapolated = [], []
    for _ in range(20):
        a, b = rng.normal(size=(120, 12)), rng.normal(size=(120, 12)) + 0.5
        plain.append(frechet_distance(a, b))
        extrapolated.append(frechet_at_infinity(a, b, rng=rng))
    assert np.mean(plain) - want > 0.5
    assert abs(np.mean(extrapolated) - want) < (np.mean(plain) - want) / 3


def test_the_extrapolation_is_the_intercept_by_scipy_and_the_same_for_one_seed(samples) -> None:
    from synthdata.validation import discrepancy

    got = frechet_at_infinity(*samples, rng=np.random.default_rng(1))
    assert got == frechet_at_infinity(*samples, rng=np.random.default_rng(1))
    draws, points = np.random.default_rng(1), []
    for size in np.unique(np.linspace(75, 150, discrepancy.SIZES).astype(int)):
        for _ in range(discrepancy.REPEATS if size < 150 else 1):
            rows = [x[draws.permutation(len(x))[:size]] for x in samples]
            points.append((1 / size, frechet_distance(*rows)))
    assert got == pytest.approx(stats.linregress(*np.array(points).T).intercept, rel=SAME)


def test_the_vendi_score_has_its_closed_forms_and_is_the_entropy_by_scipy(samples) -> None:
    assert vendi_score(np.eye(9)) == pytest.approx(9, rel=SAME)
    assert vendi_score(np.ones((9, 4))) == pytest.approx(1, rel=SAME)
    assert vendi_score(np.repeat(np.eye(2), 5, axis=0)) == pytest.approx(2, rel=SAME)
    for wide in (samples[0], samples[0][:8]):
        unit = wide / np.linalg.norm(wide, axis=1, keepdims=True)
        spectrum = linalg.eigvalsh(unit @ unit.T / len(unit))
        want = np.exp(stats.entropy(np.maximum(spectrum, 0)))
        assert vendi_score(wide) == pytest.approx(want, rel=SAME)


@pytest.mark.parametrize("size", [28, 60, 176])
def test_structural_similarity_is_that_of_torchmetrics_where_whole_windows_lie_in_the_slice(
    rng: np.random.Generator, size: int
) -> None:
    """torchmetrics 1.9 lets mirrored borders into the similarity of the last scale, but not into the contrast."""
    from torchmetrics.functional.image.ssim import _ssim_update

    from synthdata.validation.diversity import BETAS

    a = rng.normal(size=(2, size, size + 3)).cumsum(axis=1).cumsum(axis=2) / size
    b = a + rng.normal(size=a.shape) * 0.3
    betas = np.array(BETAS[: scales_of(*a.shape[1:])])
    x, y, want = torch.from_numpy(a)[:, None], torch.from_numpy(b)[:, None], np.ones(2)
    for scale, weight in enumerate(betas / betas.sum()):
        _, contrast = _ssim_update(x, y, data_range=4.0, return_contrast_sensitivity=True)
        _, whole = _ssim_update(x, y, data_range=4.0, return_full_image=True)
        last = scale == len(betas) - 1
        want *= (whole[..., 5:-5, 5:-5].mean(dim=(1, 2, 3)) if last else contrast).numpy() ** weight
        x, y = (torch.nn.functional.avg_pool2d(z, 2) for z in (x, y))
    assert structural_similarity(a, b, span=4.0) == pytest.approx(want.mean(), rel=SAME)
    assert structural_similarity(a, a, span=4.0) == pytest.approx(1, rel=SAME)


def test_wasserstein_distance_and_rank_correlation_are_those_of_scipy(rng: np.random.Generator) -> None:
    a, b = rng.normal(size=80), rng.gamma(2, size=80)
    assert distance(a, b, 2.0) == pytest.approx(stats.wasserstein_distance(a, b) / 2, rel=SAME)
    assert rank_correlation(a, a + b) == pytest.approx(stats.spearmanr(a, a + b).statistic, rel=SAME)
    moved = distance(a, a + 3, 1.5)  # closed form: a shift moves all mass by itself
    assert moved == pytest.approx(2, rel=SAME)


def test_associations_are_those_of_scipy(rng: np.random.Generator) -> None:
    """The correlation ratio of ranks is Kruskal and Wallis's H over n - 1, as a root."""
    number, other = rng.integers(0, 9, 120).astype(float), rng.normal(size=120)
    group, second = (np.array(rng.choice(["a", "b", "c"], 120), object) for _ in range(2))
    table = stats.contingency.crosstab(group.astype(str), second.astype(str)).count
    assert association(group, second) == pytest.approx(stats.contingency.association(table), rel=SAME)
    h = stats.kruskal(*(number[group == name] for name in "abc")).statistic
    assert association(group, number) == pytest.approx(np.sqrt(h / 119), rel=SAME)
    assert association(number, other) == pytest.approx(
        abs(stats.spearmanr(number, other).statistic), rel=SAME
    )


def test_holm_is_that_of_its_definition_and_ends_at_one() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02], rel=SAME)
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


def test_the_euler_number_is_that_of_balls_rings_and_shells() -> None:
    ball, ring, shell = np.ones((5, 5, 5), bool), np.ones((1, 3, 3), bool), np.ones((3, 3, 3), bool)
    ring[0, 1, 1], shell[1, 1, 1] = False, False
    two = np.zeros((3, 3, 9), bool)
    two[:, :, :2] = two[:, :, 5:] = True
    assert [euler_number(region) for region in (ball, ring, shell, two)] == [1, 0, 2, 2]


def test_the_euler_number_is_parts_minus_tunnels_plus_cavities(rng: np.random.Generator) -> None:
    """In the plane tunnels are the parts of the outside beyond the first, which touch at edges alone."""
    for _ in range(20):
        region = rng.random((1, 12, 12)) < 0.6
        parts = ndimage.label(region[0], np.ones((3, 3)))[1]
        holes = ndimage.label(np.pad(~region[0], 1, constant_values=True))[1] - 1
        assert euler_number(region) == parts - holes


def test_distances_near_zero_keep_their_digits(rng: np.random.Generator) -> None:
    a = rng.normal(size=(5, 40)) + 1000
    b = a + 1e-6
    assert np.diag(distances(a, b)) == pytest.approx(np.full(5, 1e-6 * np.sqrt(40)), rel=1e-3)


def test_what_cannot_be_measured_is_refused_with_the_reason(rng: np.random.Generator) -> None:
    a = rng.normal(size=(30, 20))
    with pytest.raises(ConfigError, match="more than twice as many"):
        frechet_at_infinity(a, a, rng=rng)
    with pytest.raises(ConfigError, match="no kernel width"):
        median_bandwidth(np.ones((6, 3)))
    with pytest.raises(ShapeError, match="not finite"):
        precision(a, np.where(a > 2, np.nan, a))
    with pytest.raises(ConfigError, match="1 <= k < 4"):
        recall(a, a[:4], k=5)
    with pytest.raises(ShapeError, match="more than 10"):
        structural_similarity(np.zeros((1, 9, 30)), np.zeros((1, 9, 30)), span=1.0)

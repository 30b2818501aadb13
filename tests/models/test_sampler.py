import itertools

import torch

from synthdata.models.sampler import integrate, sample_times


def test_times_run_from_noise_to_data() -> None:
    times = sample_times(8)
    assert times[0] == 0
    assert times[-1] == 1
    assert (times.diff() > 0).all()


def gaussian_denoiser(mean: float, std: float):
    """E[data | x_t] in closed form for data ~ N(mean, std^2)."""

    def denoise(state: torch.Tensor, t: float) -> torch.Tensor:
        variance = (t * std) ** 2 + (1 - t) ** 2
        return mean + t * std**2 * (state - t * mean) / variance

    return denoise


def test_the_flow_of_a_gaussian_is_its_closed_form() -> None:
    """The probability flow maps noise e to mean + std * e."""
    noise = torch.linspace(-2, 2, 9, dtype=torch.float64).view(-1, 1, 1, 1, 1)
    errors = []
    for steps in (16, 32, 64, 128):
        drawn = integrate(gaussian_denoiser(3.0, 0.5), noise, steps)
        errors.append(float((drawn - (3.0 + 0.5 * noise)).abs().max()))
    assert errors[0] < 0.05
    ratios = [coarse / fine for coarse, fine in itertools.pairwise(errors)]
    assert min(ratios) > 2.5  # second order: towards 4


def test_one_step_gives_the_mean() -> None:
    drawn = integrate(gaussian_denoiser(3.0, 0.5), torch.randn(4, 1, 1, 1, 1), 1)
    assert torch.allclose(drawn, torch.full_like(drawn, 3.0))

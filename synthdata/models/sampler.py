"""Few-step sampling of x_t = (1 - t) noise + t data from a prediction of the clean data."""

import itertools
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def sample_times(steps: int, start: float = 0.0, stop: float = 1.0) -> Tensor:
    """Times t_0 = start ... t_steps = stop, denser near both ends, float64 (steps + 1,).

    The cosine spacing puts more steps where the coarse anatomy is decided and where detail appears.
    """
    uniform = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
    return start + (stop - start) * (0.5 * uniform + 0.5 * (1 - torch.cos(math.pi * uniform)) / 2)


def integrate(
    denoise: Callable[[Tensor, float], Tensor],
    state: Tensor,
    steps: int,
    *,
    start: float = 0.0,
    stop: float = 1.0,
) -> Tensor:
    """Second-order multistep sampler, one network call per step, and one more for a stop before 1.

    Returns the expected clean data at the stop.

    Args:
        denoise: Maps (x_t, t) to the expected clean data.
        state: The state at t = start, (b, k, z, y, x); standard normal for start 0.
        steps: Network calls.
        start: Time of the state.
        stop: Time at which to end.

    Source:
        Lu et al., "DPM-Solver++", arXiv:2211.01095, equation (13) and algorithm 2 (2M), with alpha = t and
        sigma = 1 - t, that is for the linear path of Lipman et al., ICLR 2023, arXiv:2210.02747.
    """
    times = [float(t) for t in sample_times(steps, start, stop)]
    previous, previous_step = None, 0.0
    for now, following in itertools.pairwise(times):
        clean = denoise(state, now)
        if following >= 1:
            return clean
        step = _log_snr(following) - _log_snr(now)
        blended = clean
        if previous is not None and math.isfinite(previous_step) and previous_step > 0:
            blended = clean + (clean - previous) * (step / (2 * previous_step))
        # For t = 0 the step is infinite and exp(-step) is 0: the state is replaced, noise part aside.
        shrink = (1 - following) / (1 - now)
        state = shrink * state + following * (1 - math.exp(-step)) * blended
        previous, previous_step = clean, step
    return denoise(state, times[-1])


def guided(expected: Callable[[Tensor], Tensor], told: Tensor, guidance: float) -> Tensor:
    """Expected clean data, moved away from what is expected without conditions; a weight of 1 leaves it as it is.

    Args:
        expected: Maps conditions and their flag (b, c + 1) to the expected clean data.
        told: Conditions, flag 1.
        guidance: Weight.

    Source:
        Ho and Salimans, arXiv:2207.12598, equation (6).
    """
    clean = expected(told)
    if guidance == 1:
        return clean
    free = expected(torch.zeros_like(told))
    return free + guidance * (clean - free)


def _log_snr(t: float) -> float:
    return math.log(t / (1 - t)) if t > 0 else -math.inf


def along(values: Tensor, like: Tensor) -> Tensor:
    """(b,) as (b, 1, ...), to be multiplied with a tensor (b, ...)."""
    return values.view(-1, *(1 for _ in like.shape[1:]))


def errors_on_path(
    errors: Callable[[Tensor, Tensor], Tensor], codes: Tensor, times: Sequence[float], seeds: Sequence[int]
) -> Tensor:
    """Errors of codes (b, ...) at times of the path, (b, times), as a mean over seeds.

    Each seed gives the same noise to every code, so that codes differ in themselves alone.

    Args:
        errors: Of noisy codes (b, ...) at times (b,); (b,).
        codes: Clean ones (b, ...).
        times: From 0 to 1.
        seeds: Of noise.
    """
    found = codes.new_zeros((len(codes), len(times)))
    for seed in seeds:
        noise = torch.randn(codes.shape[1:], generator=torch.Generator().manual_seed(seed)).to(codes)
        for column, at in enumerate(times):
            noisy = (1 - at) * noise + at * codes
            found[:, column] += errors(noisy, codes.new_full((len(codes),), at)) / len(seeds)
    return found

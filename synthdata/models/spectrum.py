"""Stationary Gaussian fields: a spectrum measured on residuals, noise of that spectrum, and smooth noise."""

import torch
from torch import Tensor
from torch.nn import functional

AXES = (2, 3, 4)


def spectrum_of(white: Tensor) -> Tensor:
    """Amplitudes (1, c, z, y, x // 2 + 1) of residuals (n, c, z, y, x), such that unit white noise keeps its variance.

    Random phases: where things lie in the residuals is not kept.
    """
    power = torch.fft.rfftn(white - white.mean(dim=AXES, keepdim=True), dim=AXES).abs().square()
    power = power.mean(0, keepdim=True)
    mirrored = power[..., 1 : (white.shape[-1] + 1) // 2]  # the half which is left out
    mean = torch.cat([power, mirrored], dim=-1).mean(dim=AXES, keepdim=True)
    amplitude: Tensor = (power / mean.clamp_min(1e-12)).sqrt()
    return amplitude


def coloured(white: Tensor, amplitude: Tensor) -> Tensor:
    """White noise (b, c, z, y, x) with a spectrum of `spectrum_of`."""
    shape = white.shape[2:]
    field: Tensor = torch.fft.irfftn(torch.fft.rfftn(white.float(), dim=AXES) * amplitude, s=shape, dim=AXES)
    return field


def smooth_noise(white: Tensor) -> Tensor:
    """Standard normal noise (b, c, z, y, x) whose neighbours agree, of white noise."""
    kernel = tuple(3 if side > 2 else 1 for side in white.shape[2:])
    padding = tuple(side // 2 for side in kernel)
    smooth = functional.avg_pool3d(white, kernel, 1, padding, count_include_pad=False)
    once = functional.avg_pool3d(torch.ones_like(white[:1, :1]), kernel, 1, padding, divisor_override=1)
    return smooth * once.sqrt()  # a mean over n values has a variance of 1 / n

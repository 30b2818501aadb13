"""Gaussian fields of a measured spectrum: periodic ones for grain, and cosine waves for what is smooth."""

import torch
from torch import Tensor, nn

from synthdata.models.cosine import cosines

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


class WaveNoise(nn.Module):
    """Gaussian fields of independent cosine waves (DCT-II), with a standard deviation of 1 at every place.

    How loud each wave is, is measured; where its crests lie is not kept. So a drawn field is as smooth as those that
    were measured, and like none of them. Cosines know no neighbourhood of opposite borders.

    Source:
        Ahmed, Natarajan and Rao, "Discrete Cosine Transform", IEEE Trans. Computers, 1974: close to the principal
        components of smooth fields.
    """

    loudness: Tensor

    def __init__(self, shape: tuple[int, int, int, int]) -> None:
        """Build for fields (c, z, y, x); white noise until it is fitted."""
        super().__init__()
        self.register_buffer("loudness", torch.ones(1, *shape))  # standard deviation of each wave
        self.waves = [cosines(side).float() for side in shape[1:]]

    def fit(self, fields: Tensor) -> None:
        """Measure fields (n, c, z, y, x) that vary alike at every place."""
        waves = torch.einsum("nczyx,az,by,dx->ncabd", fields, *self.waves)
        self.loudness.copy_(waves.square().mean(0, keepdim=True).sqrt())

    def forward(self, white: Tensor) -> Tensor:
        """Fields of white noise (b, c, z, y, x)."""
        waves = [wave.to(white) for wave in self.waves]
        fields = torch.einsum("ncabd,az,by,dx->nczyx", white * self.loudness, *waves)
        squared = [wave.square() for wave in waves]
        variance = torch.einsum("ncabd,az,by,dx->nczyx", self.loudness.square(), *squared)
        drawn: Tensor = fields * variance.clamp_min(1e-12).rsqrt()
        return drawn

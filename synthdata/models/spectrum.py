"""Gaussian fields of a measured spectrum: periodic ones for grain, and cosine waves for what is smooth."""

import torch
from torch import Tensor, nn

from synthdata.models.cosine import cosines, squared_orders

AXES = (2, 3, 4)
LOW = 4  # squared half waves along the axes up to which waves are drawn together
DOUBT = 2.0  # standard errors below which a correlation is taken for chance
LEAST_VARIANCE = 0.02  # of a direction of waves of variance 1
LONG = 16  # up to which they are drawn at all: shorter ones by lot would break an outline into pieces


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
    """Gaussian fields of the longer cosine waves (DCT-II) of fields with a standard deviation of 1 at every place.

    How loud each wave is, is measured; where its crests lie is not kept. So a drawn field is as smooth as those that
    were measured, and like none of them. Only the lowest waves of all channels are drawn together, by those
    correlations that cannot be chance: a larger organ is larger along all axes. Cosines know no neighbourhood
    of opposite borders.

    Source:
        Ahmed, Natarajan and Rao, "Discrete Cosine Transform", IEEE Trans. Computers, 1974: close to the principal
        components of smooth fields.
    """

    loudness: Tensor
    joint: Tensor
    gain: Tensor

    def __init__(self, shape: tuple[int, int, int, int]) -> None:
        """Build for fields (c, z, y, x); white noise until it is fitted."""
        super().__init__()
        self.waves = [cosines(side).float() for side in shape[1:]]
        squared = squared_orders(shape[1:])
        self.long = (squared <= LONG).float()
        self.low = (squared.flatten() <= LOW).nonzero().flatten()
        self.register_buffer("loudness", torch.ones(1, *shape))  # standard deviation of each wave
        # root of the correlation of low waves
        self.register_buffer("joint", torch.eye(shape[0] * len(self.low)))
        self.register_buffer("gain", torch.ones(1, *shape))

    def fit(self, fields: Tensor, patient: Tensor) -> None:
        """Measure fields (n, c, z, y, x) that vary alike at every place, of patients (n,)."""
        waves = torch.einsum("nczyx,az,by,dx->ncabd", fields, *self.waves)
        self.loudness.copy_(waves.square().mean(0, keepdim=True).sqrt().clamp_min(1e-6))
        low = (waves / self.loudness).flatten(2)[:, :, self.low].flatten(1)
        self.joint.copy_(torch.linalg.cholesky(shrunk_correlation(low, patient)))
        self.gain.copy_(self._variance().clamp_min(1e-12).rsqrt())
        self.loudness *= self.long

    def forward(self, white: Tensor) -> Tensor:
        """Fields of white noise (b, c, z, y, x)."""
        drawn: Tensor = self.added(self._told_of_each_other(white) * self.loudness) * self.gain
        return drawn

    def _told_of_each_other(self, white: Tensor) -> Tensor:
        flat = white.flatten(2).clone()
        few = flat[:, :, self.low]
        flat[:, :, self.low] = (few.flatten(1) @ self.joint.T).view(few.shape)
        return flat.view(white.shape)

    def added(self, waves: Tensor) -> Tensor:
        """Fields (b, c, z, y, x) of loudnesses of waves, of the same shape."""
        return torch.einsum("ncabd,az,by,dx->nczyx", waves, *(wave.to(waves) for wave in self.waves))

    def _variance(self) -> Tensor:
        """At each place (1, c, z, y, x)."""
        alone = self.loudness.square().flatten(2).clone()
        alone[:, :, self.low] = 0
        squared = [wave.square() for wave in self.waves]
        high = torch.einsum("ncabd,az,by,dx->nczyx", alone.view(self.loudness.shape), *squared)
        sources = self.loudness.new_zeros(len(self.joint), *self.loudness.flatten(2).shape[1:])
        sources[:, :, self.low] = torch.eye(len(self.joint)).view(-1, sources.shape[1], len(self.low))
        each = self._told_of_each_other(sources.view(-1, *self.loudness.shape[1:])) * self.loudness
        return high + self.added(each).square().sum(0, keepdim=True)


def shrunk_correlation(values: Tensor, patient: Tensor) -> Tensor:
    """Correlation (d, d) of values (n, d) of mean square 1; what may be chance is shrunk to 0, one by one.

    Args:
        values: (n, d).
        patient: Which rows are of one patient (n,): patients are the independent ones.

    Returns:
        r (1 - (2 se / r)^2) or 0 off the diagonal, the nearest positive definite ones by their eigenvalues.

    Source:
        Cai and Liu, "Adaptive Thresholding for Sparse Covariance Matrix Estimation", JASA 106, 2011, equation (3) with
        the rule of the adaptive lasso and a threshold of `DOUBT` standard errors.
    """
    count, size = values.shape
    values = values.double()
    found = values.T @ values / count
    people = torch.unique(patient).tolist()
    error = torch.zeros_like(found)
    for person in people:
        rows = values[patient == person]
        error += (rows.T @ rows - len(rows) * found).square() / count**2
    error *= len(people) / max(len(people) - 1, 1)
    kept = (1 - DOUBT**2 * error / found.square().clamp_min(1e-12)).clamp_min(0)
    believed = torch.where(torch.eye(size, dtype=torch.bool), 1.0, found * kept)
    variance, vectors = torch.linalg.eigh(believed)
    positive = (vectors * variance.clamp_min(LEAST_VARIANCE)) @ vectors.T
    scale = positive.diagonal().rsqrt()
    correlation: Tensor = (positive * scale[:, None] * scale).float()
    return correlation

"""From a decoded estimate to image and mask at full resolution: sharp edges by a small network, then the noise.

The network is trained to give the expected image, so what it leaves out is noise and texture. These are drawn as a
Gaussian random field with the spectrum that they have in the training cases (stationary, random phases), scaled by a
standard deviation per voxel and per intensity.
"""

import itertools
import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from synthdata.models.patches import join, split

BINS = 32  # intensities in [-1, 1] at which the residual's standard deviation is kept
FEWEST_IN_BIN = 50  # weight of the pooled value
ONE_SIGMA = math.erf(math.sqrt(0.5))  # share of a normal variable within one standard deviation
MOST_RESIDUALS = 1 << 20  # per channel
LEAST_STD = 1e-3  # of standardised voxels


class Refiner(nn.Module):
    """Map standardised images and fields to the expected ones; add texture to drawn images."""

    texture_map: Tensor
    texture_bins: Tensor
    amplitude: Tensor

    def __init__(
        self, *, channels: int, labels: int, shape_zyx: tuple[int, int, int], widths: tuple[int, ...]
    ) -> None:
        """Build with zero output: it begins as the identity.

        Args:
            channels: Image channels c.
            labels: Mask fields l.
            shape_zyx: Voxels of an image.
            widths: Feature maps per level; the first has half of the resolution, each next one halves it.
        """
        super().__init__()
        flat = shape_zyx[0] == 1
        self.channels, self.shape = channels, shape_zyx
        self.step = (1, 2, 2) if flat else (2, 2, 2)
        voxels = self.step[0] * 4
        self.enter = _conv((2 * channels + labels) * voxels, widths[0], flat=flat)
        pairs = list(itertools.pairwise(widths))
        self.shrink = nn.ModuleList(_conv(a, b, flat=flat, stride=self.step) for a, b in pairs)
        self.grow = nn.ModuleList(nn.Conv3d(b, a, 1) for a, b in pairs)
        self.blocks = nn.ModuleList(_Block(width, flat=flat) for width in (*widths, *widths[:-1]))
        self.leave = _conv(widths[0], (channels + labels) * voxels, flat=flat)
        nn.init.zeros_(self.leave.weight)
        self.register_buffer("texture_map", torch.zeros(1, channels, *shape_zyx))
        self.register_buffer("texture_bins", torch.ones(channels, BINS))
        half = (*shape_zyx[:2], shape_zyx[2] // 2 + 1)
        self.register_buffer(
            "amplitude", torch.zeros(1, channels, *half)
        )  # of the spectrum of unit white noise

    def forward(self, standard: Tensor, image: Tensor, fields: Tensor) -> tuple[Tensor, Tensor]:
        """Expected standardised image and fields.

        Args:
            standard: Decoded standardised image (b, c, z, y, x).
            image: The same, restored to intensities.
            fields: Decoded fields (b, l, z, y, x).
        """
        features = self.enter(split(torch.cat([standard, image, fields], dim=1), self.step))
        levels, skips = len(self.shrink), []
        for level in range(levels):
            features = self.blocks[level](features)
            skips.append(features)
            features = self.shrink[level](features)
        features = self.blocks[levels](features)
        for level in reversed(range(levels)):
            grown = functional.interpolate(
                self.grow[level](features), size=skips[level].shape[2:], mode="nearest"
            )
            features = self.blocks[levels + 1 + level](grown + skips[level])
        change = join(self.leave(functional.silu(features)), self.step)
        return standard + change[:, : self.channels], fields + change[:, self.channels :]

    def fit_texture(self, residuals: Tensor, images: Tensor) -> None:
        """Fit on residuals of standardised images (n, c, z, y, x) and the images that they are left of."""
        sizes, bins = residuals.abs(), _bin_of(images).round().long()
        # The 68 % point and not the root mean square: misplaced edges are outliers, not texture.
        spread = torch.quantile(sizes, ONE_SIGMA, dim=0, keepdim=True)
        kernel = tuple(min(3, side) for side in self.shape)
        smooth = functional.avg_pool3d(
            spread, kernel, stride=1, padding=tuple(side // 2 for side in kernel), count_include_pad=False
        )
        self.texture_map.copy_(functional.interpolate(smooth, size=self.shape).clamp_min(LEAST_STD))
        unit = sizes / self.texture_map
        every = max(1, unit[:, 0].numel() // MOST_RESIDUALS)
        for channel in range(self.channels):
            self.texture_bins[channel] = _spread_by_bin(
                unit[:, channel].flatten()[::every], bins[:, channel].flatten()[::every]
            )
        white = (residuals / self._texture_std(images)).clamp(-3, 3)
        power = torch.fft.rfftn(white - white.mean(dim=(2, 3, 4), keepdim=True), dim=(2, 3, 4)).abs().square()
        power = power.mean(0, keepdim=True)
        whole = torch.cat(
            [power, power[..., 1 : (self.shape[2] + 1) // 2]], dim=-1
        )  # the half left out, mirrored
        self.amplitude.copy_((power / whole.mean(dim=(2, 3, 4), keepdim=True).clamp_min(1e-12)).sqrt())

    def texture(self, image: Tensor, noise: Tensor) -> Tensor:
        """Residuals to add to a standardised image (b, c, z, y, x).

        Args:
            image: Expected images, in intensities.
            noise: Standard normal, same shape.
        """
        spectrum = torch.fft.rfftn(noise.float(), dim=(2, 3, 4)) * self.amplitude
        field = torch.fft.irfftn(spectrum, s=self.shape, dim=(2, 3, 4))
        texture: Tensor = field * self._texture_std(image)
        return texture

    def _texture_std(self, image: Tensor) -> Tensor:
        position = _bin_of(image)
        low = position.floor().long().clamp(0, BINS - 2)
        part, channel = position - low, torch.arange(self.channels, device=image.device).view(1, -1, 1, 1, 1)
        table = self.texture_bins
        factor = table[channel, low] * (1 - part) + table[channel, low + 1] * part
        std: Tensor = self.texture_map * factor
        return std


class _Block(nn.Module):
    """A residual block of two convolutions."""

    def __init__(self, width: int, *, flat: bool) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(4, width)
        self.first, self.second = _conv(width, width, flat=flat), _conv(width, width, flat=flat)

    def forward(self, features: Tensor) -> Tensor:
        """Map features (b, width, z, y, x) to the same shape."""
        output: Tensor = features + self.second(
            functional.silu(self.first(functional.silu(self.norm(features))))
        )
        return output


def _conv(before: int, after: int, *, flat: bool, stride: tuple[int, ...] = (1, 1, 1)) -> nn.Conv3d:
    kernel, padding = ((1, 3, 3), (0, 1, 1)) if flat else ((3, 3, 3), (1, 1, 1))
    return nn.Conv3d(before, after, kernel, stride=(stride[0], stride[1], stride[2]), padding=padding)


def _bin_of(image: Tensor) -> Tensor:
    """Position of an intensity among the bins, 0 to BINS - 1."""
    return (image.clamp(-1, 1) + 1) / 2 * (BINS - 1)


def _spread_by_bin(sizes: Tensor, bins: Tensor) -> Tensor:
    """Standard deviation per bin, drawn towards that of all bins where a bin is nearly empty."""
    pooled = torch.quantile(sizes, ONE_SIGMA)
    found = torch.empty(BINS)
    for index in range(BINS):
        inside = sizes[bins == index]
        own = torch.quantile(inside, ONE_SIGMA) if len(inside) else pooled
        found[index] = pooled.lerp(own, len(inside) / (len(inside) + FEWEST_IN_BIN))
    return found

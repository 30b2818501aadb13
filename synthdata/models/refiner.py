"""From a decoded estimate to image and mask at full resolution: sharp edges by a small network, then the noise.

The network is trained to give the expected image and how far the truth lies from it, voxel by voxel. What it leaves
out is noise and texture, drawn as a Gaussian random field of that spread, with the spectrum that the residuals of the
training cases have (stationary, random phases).
"""

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from synthdata.models.convolution import Size, conv, kernel_of
from synthdata.models.patches import join, split
from synthdata.models.spectrum import coloured, spectrum_of

FIRST_LOG_STD = -1.0  # of standardised voxels, before the first step
LOG_STD = (-5.0, 1.0)  # range
CAUCHY = 0.612  # scale of the likeliest Cauchy law of a standard normal variable


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawn:
    """Codes as volumes of the patient."""

    standard: Tensor  # standardised image (b, c, z, y, x)
    image: Tensor  # the same, restored to intensities
    fields: Tensor  # (b, l, z, y, x)
    centre: Tensor  # mean image given the mask, (b, c, z, y, x)
    spread: Tensor  # standard deviation around it, likewise


@dataclass(frozen=True, kw_only=True, slots=True)
class Refined:
    """What the refiner expects."""

    standard: Tensor
    fields: Tensor
    log_std: Tensor  # of the standardised image


class Refiner(nn.Module):
    """Map standardised images and fields to the expected ones; draw the texture that these leave out."""

    amplitude: Tensor
    loudness: Tensor

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
        self.channels, self.labels, self.shape = channels, labels, shape_zyx
        self.step = (1, 2, 2) if flat else (2, 2, 2)
        voxels = self.step[0] * 4
        kernel = kernel_of(flat=flat)
        self.enter = conv((4 * channels + labels) * voxels, widths[0], (1, 1, 1))
        pairs = list(itertools.pairwise(widths))
        self.shrink = nn.ModuleList(conv(a, b, kernel, self.step) for a, b in pairs)
        self.grow = nn.ModuleList(nn.Conv3d(b, a, 1) for a, b in pairs)
        self.blocks = nn.ModuleList(_Block(width, kernel) for width in (*widths, *widths[:-1]))
        self.leave = conv(widths[0], (2 * channels + labels) * voxels, (1, 1, 1))
        self.norm = nn.GroupNorm(4, widths[0])
        for value in self.leave.parameters():
            nn.init.zeros_(value)
        half = (*shape_zyx[:2], shape_zyx[2] // 2 + 1)
        self.register_buffer(
            "amplitude", torch.zeros(1, channels, *half)
        )  # of the spectrum of unit white noise
        self.register_buffer("loudness", torch.zeros(channels))  # standard deviation of its logarithm

    def forward(self, drawn: Drawn) -> Refined:
        """Expected standardised image and fields, and the spread of the image around it."""
        given = [drawn.standard, drawn.image, drawn.fields, drawn.centre, drawn.spread]
        features = self.enter(split(torch.cat(given, dim=1), self.step))
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
        change = join(self.leave(functional.silu(self.norm(features))), self.step)
        moved, log_std, fields = torch.split(change, [self.channels, self.channels, self.labels], dim=1)
        return Refined(
            standard=drawn.standard + moved,
            fields=drawn.fields + fields,
            log_std=(log_std + FIRST_LOG_STD).clamp(*LOG_STD),
        )

    def loss(self, refined: Refined, standard: Tensor, fields: Tensor) -> Tensor:
        """Squared error of the expected volumes, and how unlikely the image's residuals are; one number.

        Residuals are told by a Cauchy law, which a few misplaced edges do not widen: they are errors, not texture.
        """
        residual = refined.standard - standard
        ratio = residual.detach() * (-refined.log_std).exp() / CAUCHY
        surprise = refined.log_std + torch.log1p(ratio.square())
        image = (residual.square() + surprise).mean()
        return image + (refined.fields - fields).square().mean() if self.labels else image

    def fit_texture(self, white: Tensor) -> None:
        """Fit spectrum and loudness on residuals of standardised images over their spread, (n, c, z, y, x).

        Scanners differ in noise, so the loudness differs between patients: log-normal, of mean square 1.
        """
        white = white.clamp(-3, 3)
        self.loudness.copy_(white.square().mean(dim=(2, 3, 4)).clamp_min(1e-6).log().std(0) / 2)
        self.amplitude.copy_(spectrum_of(white))

    def texture(self, refined: Refined, noise: Tensor, patient: Tensor) -> Tensor:
        """Residuals to add to a refined standardised image.

        Args:
            refined: What is expected.
            noise: Standard normal, (b, c, z, y, x).
            patient: Standard normal, (b, c): how loud the texture is.
        """
        gain = (self.loudness * patient - self.loudness.square()).exp()
        texture: Tensor = (
            coloured(noise, self.amplitude) * refined.log_std.exp() * gain[:, :, None, None, None]
        )
        return texture


class _Block(nn.Module):
    """A residual block of two convolutions."""

    def __init__(self, width: int, kernel: Size) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(4, width)
        self.first, self.second = conv(width, width, kernel), conv(width, width, kernel)
        nn.init.zeros_(self.second.weight)

    def forward(self, features: Tensor) -> Tensor:
        """Map features (b, width, z, y, x) to the same shape."""
        output: Tensor = features + self.second(
            functional.silu(self.first(functional.silu(self.norm(features))))
        )
        return output

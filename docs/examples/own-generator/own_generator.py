"""A generator of one's own: a Gaussian law of image and mask fields, voxel by voxel, with a learned mean."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from synthdata.models import Family, Geometry


@dataclass(frozen=True, kw_only=True, slots=True)
class MixtureConfig:
    """All that is needed to build a `MixtureGenerator`."""

    smallest: float = 0.02  # least standard deviation, in network scale


class MixtureGenerator(nn.Module):
    """Learn a mean that depends on the conditions, and draw around it."""

    spread: Tensor

    def __init__(self, config: MixtureConfig, geometry: Geometry) -> None:
        super().__init__()
        self.config, self.geometry = config, geometry
        self.shape = (geometry.channels + geometry.labels, *geometry.grid.shape_zyx)
        size = geometry.grid.shape_zyx[0] * geometry.grid.shape_zyx[1] * geometry.grid.shape_zyx[2]
        self.mean = nn.Parameter(torch.zeros(self.shape))
        self.slope = nn.Linear(geometry.conditions, self.shape[0] * size, bias=False)
        self.register_buffer("spread", torch.ones(self.shape))

    def fit_codec(self, images: Tensor, fields: Tensor) -> None:
        """Standard deviation of each voxel."""
        both = torch.cat([images, fields], dim=1)
        self.spread.copy_(both.std(0).clamp_min(self.config.smallest))

    def fit_law(self, items: Tensor, conditions: Tensor, case: Tensor) -> None:
        """Start from the mean of the items."""
        with torch.no_grad():
            self.mean.copy_(items.mean(0))
            self.slope.weight.zero_()

    def settle(self, items: Tensor, conditions: Tensor, rng: torch.Generator) -> None:
        """Nothing is left to fit."""

    def encode(self, image: Tensor, fields: Tensor) -> Tensor:
        """Items are image and fields as they are."""
        return torch.cat([image, fields], dim=1)

    def expected(self, conditions: Tensor) -> Tensor:
        """Mean of image and fields given conditions (b, k)."""
        return self.mean + self.slope(conditions).view(-1, *self.shape)

    def loss(self, items: Tensor, conditions: Tensor, rng: torch.Generator) -> Tensor:
        """Squared error of the mean, in standard deviations."""
        return ((self.expected(conditions) - items) / self.spread).square().mean()

    @torch.inference_mode()
    def sample(
        self, conditions: Tensor, seeds: Sequence[int], *, steps: int, guidance: float
    ) -> tuple[Tensor, Tensor]:
        """Images (b, c, z, y, x) and fields (b, l, z, y, x); row i depends on seeds[i] alone."""
        rngs = [torch.Generator().manual_seed(seed) for seed in seeds]
        noise = torch.stack([torch.randn(self.shape, generator=rng) for rng in rngs]).to(self.spread)
        drawn = self.expected(conditions.to(self.spread)) + self.spread * noise
        return drawn[:, : self.geometry.channels], drawn[:, self.geometry.channels :]


FAMILY = Family(config=MixtureConfig, presets={"plain": MixtureConfig()}, build=MixtureGenerator)

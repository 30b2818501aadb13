"""Diffusion as flow matching on a linear code of image and mask, predicting the clean code."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from synthdata.errors import ConfigError
from synthdata.models.codec import PatchCodec
from synthdata.models.gaussian import GaussianLaw
from synthdata.models.nets import UNet, UNetConfig
from synthdata.models.protocol import Family, Geometry
from synthdata.models.sampler import integrate

MAX_TIME = 0.995  # of training: at 1 nothing is left to predict
START_MARGIN = 0.05  # training begins this much before the start of sampling
MAX_WEIGHT = 10.0  # of the loss near the clean end


@dataclass(frozen=True, kw_only=True, slots=True)
class FlowConfig:
    """All that is needed to build a `FlowGenerator`."""

    patch: int = 4  # voxels of a patch per axis; 1 along z where there is one slice
    image_components: int = 24  # per image channel
    field_components: int = 8  # per label
    network: UNetConfig = field(default_factory=UNetConfig)
    drop_conditions: float = 0.1  # share of training items without conditions, for guidance
    time_mean: float = -0.2  # of the logit-normal law of the training times, between start_time and 1
    time_std: float = 1.2
    start_time: float = 0.25  # the path before it is drawn from a Gaussian in closed form


class FlowGenerator(nn.Module):
    """Learn the expected clean code given a noisy one and the conditions; draw by integrating the flow.

    Source:
        Flow matching: Lipman et al., ICLR 2023, arXiv:2210.02747. Weight of the loss: Karras et al., NeurIPS 2022,
        arXiv:2206.00364, table 1, with sigma = (1 - t) / t, cut off at `MAX_WEIGHT`. Prediction of the clean data:
        Li and He, arXiv:2511.13720. Logit-normal times: Esser et al., ICML 2024, arXiv:2403.03206. Guidance: Ho and
        Salimans, arXiv:2207.12598, equation (6).
    """

    def __init__(self, config: FlowConfig, geometry: Geometry) -> None:
        super().__init__()
        self.config, self.geometry = config, geometry
        z, y, x = geometry.grid.shape_zyx
        patch = (1 if z == 1 else config.patch, config.patch, config.patch)
        if any(side % step for side, step in zip((z, y, x), patch, strict=True)):
            raise ConfigError(
                f"grid.shape_zyx is {(z, y, x)}, expected multiples of the patch {patch}: "
                "pad the grid, or choose a preset with another patch"
            )
        self.codec = PatchCodec(
            channels=geometry.channels,
            labels=geometry.labels,
            shape_zyx=(z, y, x),
            patch_zyx=patch,
            components=(
                config.image_components * geometry.channels,
                config.field_components * geometry.labels,
            ),
        )
        self.latent = (self.codec.width, z // patch[0], y // patch[1], x // patch[2])
        self.law = GaussianLaw(self.latent, geometry.conditions)
        self.network = UNet(
            config.network,
            channels=2 * self.codec.width,
            out=self.codec.width,
            conditions=geometry.conditions,
            flat=z == 1,
        )

    def fit_codec(self, items: Sequence[tuple[Tensor, Tensor]]) -> None:
        """Fit the linear code on training images and fields."""
        self.codec.fit(items)

    def fit_law(self, items: Tensor, conditions: Tensor, *, cases: int) -> None:
        """Fit the Gaussian law on codes (m, k, z, y, x) and conditions (m, c) of so many cases."""
        self.law.fit(items, conditions, cases=cases)

    def encode(self, image: Tensor, fields: Tensor) -> Tensor:
        """Codes of images and fields."""
        return self.codec.encode(image, fields)

    def loss(self, items: Tensor, conditions: Tensor, rng: torch.Generator) -> Tensor:
        """Flow-matching loss of codes (b, k, z, y, x) with conditions (b, c); one number."""
        batch = items.shape[0]
        logits = torch.randn(batch, generator=rng) * self.config.time_std + self.config.time_mean
        first = max(0.0, self.config.start_time - START_MARGIN)
        time = (first + (1 - first) * torch.sigmoid(logits)).clamp_max(MAX_TIME).to(items.device)
        noise = torch.randn(items.shape, generator=rng).to(items.device)
        keep = (torch.rand(batch, 1, generator=rng) >= self.config.drop_conditions).to(items)
        noisy = _along(1 - time, items) * noise + _along(time, items) * items
        told = torch.cat([conditions * keep, keep], dim=1)
        error = (self.denoise(noisy, time, told) - items).square().mean(dim=(1, 2, 3, 4))
        weight = (1 + (time / (1 - time)).square()).clamp_max(MAX_WEIGHT)
        loss: Tensor = (weight * error).mean()
        return loss

    def denoise(self, noisy: Tensor, time: Tensor, told: Tensor) -> Tensor:
        """Expected clean codes of noisy ones (b, k, z, y, x) at times (b,); told (b, c + 1) ends in a flag.

        The Gaussian law gives a first guess and its error; the network, which sees both the noisy code and the guess
        with variance 1, tells how many of those errors the truth lies away from it.
        """
        guess, error = self.law.denoise(noisy, time, told)
        std = self.codec.std.view(1, -1, 1, 1, 1)
        t = _along(time, noisy)
        scaled = noisy * ((t * std).square() + (1 - t).square()).rsqrt()
        clean: Tensor = guess + error * self.network(torch.cat([scaled, guess / std], dim=1), time, told)
        return clean

    @torch.inference_mode()
    def sample(
        self, conditions: Tensor, seeds: Sequence[int], *, steps: int, guidance: float
    ) -> tuple[Tensor, Tensor]:
        """Draw images (b, c, z, y, x) and fields (b, l, z, y, x); row i depends on seeds[i] alone."""
        rngs = [torch.Generator().manual_seed(seed) for seed in seeds]
        device = self.codec.scale.device
        noise = torch.stack([torch.randn(self.latent, generator=rng) for rng in rngs]).to(device)
        told = torch.cat([conditions, torch.ones(len(seeds), 1)], dim=1).to(device)
        untold = torch.zeros_like(told)

        def denoise(state: Tensor, time: float) -> Tensor:
            moment = torch.full((len(seeds),), time, device=device)
            clean = self.denoise(state, moment, told)
            if guidance == 1:
                return clean
            free = self.denoise(state, moment, untold)
            return free + guidance * (clean - free)

        first = self.config.start_time
        if first > 0:
            drawn = [self.law.draw(row, rng) for row, rng in zip(conditions, rngs, strict=True)]
            noise = first * torch.stack(drawn) + (1 - first) * noise
        image, fields = self.codec.decode(integrate(denoise, noise, steps, start=first))
        grain = torch.stack([torch.randn(image.shape[1:], generator=rng) for rng in rngs]).to(device)
        return self.codec.add_texture(image, grain), fields


def _along(values: Tensor, like: Tensor) -> Tensor:
    """(b,) as (b, 1, 1, 1, 1)."""
    return values.view(-1, *(1 for _ in like.shape[1:]))


FAMILY = Family(
    config=FlowConfig,
    presets={
        "small": FlowConfig(),
        "tiny": FlowConfig(network=UNetConfig(widths=(32, 96), blocks=(1, 2), heads=4)),
        "compact": FlowConfig(  # coarse voxels: a patch holds more anatomy, so more of it is kept
            image_components=48,
            field_components=12,
            network=UNetConfig(widths=(48, 128), blocks=(1, 3), heads=4),
        ),
        "small-2d": FlowConfig(patch=2, network=UNetConfig(widths=(64, 128), blocks=(1, 3), heads=4)),
    },
    build=FlowGenerator,
)

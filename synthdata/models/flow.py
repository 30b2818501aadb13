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
from synthdata.models.refiner import Refiner
from synthdata.models.sampler import integrate

MARGIN = 0.05  # training covers this much more than the path of sampling at both ends
MAX_WEIGHT = 10.0  # of the loss near the clean end
REFINE_TIME = 0.75  # the flow ends here: anatomy is decided, detail is left to the refiner
REFINED_SHARE = 4  # one in so many items of a batch trains the refiner too
TEXTURED_CASES = 64  # from which the texture is measured


@dataclass(frozen=True, kw_only=True, slots=True)
class FlowConfig:
    """All that is needed to build a `FlowGenerator`."""

    patch: int = 4  # voxels of a patch per axis; 1 along z where there is one slice
    image_components: int = 24  # per image channel
    field_components: int = 8  # per label
    network: UNetConfig = field(default_factory=UNetConfig)
    refiner: tuple[int, ...] = (64, 96)  # widths of its levels
    drop_conditions: float = 0.1  # share of training items without conditions, for guidance
    time_mean: float = -0.2  # of the logit-normal law of the training times along the path
    time_std: float = 1.2
    start_time: float = 0.25  # the path before it is drawn from a Gaussian in closed form


class FlowGenerator(nn.Module):
    """Learn the expected clean code given a noisy one and the conditions; draw by integrating the flow.

    The flow ends at `REFINE_TIME`, where anatomy is decided and detail is not; a small network at full resolution
    takes its estimate from there, and what that leaves out is drawn as texture.

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
        self.refiner = Refiner(
            channels=geometry.channels,
            labels=geometry.labels,
            shape_zyx=(z, y, x),
            widths=config.refiner,
        )

    def fit_codec(self, items: Sequence[tuple[Tensor, Tensor]]) -> None:
        """Fit the linear code on training images and fields."""
        self.codec.fit(items)

    def fit_law(self, items: Tensor, conditions: Tensor, *, cases: int) -> None:
        """Fit the Gaussian law on items (m, k + rest, z, y, x) and conditions (m, c) of so many cases."""
        self.law.fit(items[:, : self.codec.width], conditions, cases=cases)

    @torch.inference_mode()
    def settle(self, items: Tensor, conditions: Tensor, rng: torch.Generator) -> None:
        """Measure the texture that is left to draw, once the learning is over."""
        every = -(-len(items) // TEXTURED_CASES)
        residuals, images = [], []
        for item, row in zip(items[::every, None], conditions[::every, None], strict=True):
            told = torch.cat([row, torch.ones(1, 1)], dim=1).to(item)
            expected, _ = self.refiner(*self._estimate(item, told, rng))
            residuals.append(self._whole(item)[0] - expected)
            images.append(self.codec.restore(expected))
        self.refiner.fit_texture(torch.cat(residuals), torch.cat(images))

    def encode(self, image: Tensor, fields: Tensor) -> Tensor:
        """Items of images and fields."""
        return self.codec.encode(image, fields)

    def loss(self, items: Tensor, conditions: Tensor, rng: torch.Generator) -> Tensor:
        """Flow-matching loss, and squared error of the refiner, of items with conditions (b, c); one number."""
        batch, codes = items.shape[0], items[:, : self.codec.width]
        logits = torch.randn(batch, generator=rng) * self.config.time_std + self.config.time_mean
        first, last = max(0.0, self.config.start_time - MARGIN), REFINE_TIME + MARGIN
        time = (first + (last - first) * torch.sigmoid(logits)).to(items.device)
        noise = torch.randn(codes.shape, generator=rng).to(items.device)
        keep = (torch.rand(batch, 1, generator=rng) >= self.config.drop_conditions).to(items)
        noisy = _along(1 - time, codes) * noise + _along(time, codes) * codes
        told = torch.cat([conditions * keep, keep], dim=1)
        error = (self.denoise(noisy, time, told) - codes).square().mean(dim=(1, 2, 3, 4))
        weight = (1 + (time / (1 - time)).square()).clamp_max(MAX_WEIGHT)
        loss: Tensor = (weight * error).mean() + self._refiner_loss(items, told, rng)
        return loss

    def _refiner_loss(self, items: Tensor, told: Tensor, rng: torch.Generator) -> Tensor:
        few = max(1, len(items) // REFINED_SHARE)
        refined = self.refiner(*self._estimate(items[:few], told[:few], rng))
        wrong = [got - true for got, true in zip(refined, self._whole(items[:few]), strict=True)]
        return torch.cat(wrong, dim=1).square().mean()

    @torch.no_grad()
    def _estimate(self, items: Tensor, told: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """What the flow tells the refiner of items: standardised image, image, fields."""
        codes = items[:, : self.codec.width]
        time = torch.full((len(codes),), REFINE_TIME, device=codes.device)
        noise = torch.randn(codes.shape, generator=rng).to(codes.device)
        return self._handed_over(self.denoise((1 - REFINE_TIME) * noise + REFINE_TIME * codes, time, told))

    def _handed_over(self, codes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        standard, fields = self.codec.decode(codes)
        return standard, self.codec.restore(standard), fields

    def _whole(self, items: Tensor) -> tuple[Tensor, Tensor]:
        """Standardised image and fields of items, nothing left out."""
        return self.codec.decode(items[:, : self.codec.width], items[:, self.codec.width :])

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
        codes = integrate(denoise, noise, steps, start=first, stop=REFINE_TIME)
        standard, fields = self.refiner(*self._handed_over(codes))
        grain = torch.stack([torch.randn(standard.shape[1:], generator=rng) for rng in rngs]).to(device)
        texture = self.refiner.texture(self.codec.restore(standard), grain)
        return self.codec.restore(standard + texture), fields


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

"""Flow matching on a fixed code: patients reach it through the gradients of its network and in no other way."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from synthdata.models.cosine import CosineCode, positions
from synthdata.models.nets import UNet, UNetConfig
from synthdata.models.patches import patch_of
from synthdata.models.protocol import Family, Geometry
from synthdata.models.sampler import along, errors_on_path, guided, integrate

FIELD_LOUDNESS = 2.0  # of codes of masks beside those of images, so that outlines are decided first
MAX_WEIGHT = 10.0  # of the loss near the clean end
WAVES = 3  # cosines of the place along each axis, told to the network
PROBES = (0.25, 0.5, 0.75)  # times at which a case's own error is told


@dataclass(frozen=True, kw_only=True, slots=True)
class PlainFlowConfig:
    """All that is needed to build a `PlainFlow`."""

    patch: int = 4  # voxels of a patch per axis; 1 along z where there is one slice
    image_components: int = 24  # per image channel
    field_components: int = 12  # per label
    network: UNetConfig = field(default_factory=UNetConfig)
    drop_conditions: float = 0.1  # share of training items without conditions, for guidance
    time_mean: float = 0.0  # of the logit-normal law of the training times
    time_std: float = 1.0


class PlainFlow(nn.Module):
    """Learn the expected clean code given a noisy one and the conditions; draw by integrating the flow from noise.

    The first guess is that of codes which are independent Gaussians of fixed variance; the network tells how many of
    its standard deviations the truth lies away. No template, no principal components, no law of patients: what is not
    in the weights is the same for all data.

    Source:
        Lipman et al., ICLR 2023, arXiv:2210.02747; prediction of the clean data: Li and He, arXiv:2511.13720; scaling
        of input, output and loss: Karras et al., NeurIPS 2022, arXiv:2206.00364, table 1, with sigma = (1 - t) / t;
        logit-normal times: Esser et al., ICML 2024, arXiv:2403.03206; guidance: Ho and Salimans, arXiv:2207.12598.
    """

    loudness: Tensor
    std: Tensor
    place: Tensor

    def __init__(self, config: PlainFlowConfig, geometry: Geometry) -> None:
        super().__init__()
        self.config, self.geometry = config, geometry
        z, y, x = geometry.grid.shape_zyx
        patch = patch_of((z, y, x), config.patch)
        points = (z // patch[0], y // patch[1], x // patch[2])
        self.image = CosineCode(channels=geometry.channels, patch_zyx=patch, kept=config.image_components)
        self.fields = CosineCode(channels=geometry.labels, patch_zyx=patch, kept=config.field_components)
        self.width = self.image.width + self.fields.width
        self.latent = (self.width, *points)
        loudness = torch.ones(1, self.width, 1, 1, 1)
        loudness[:, self.image.width :] = FIELD_LOUDNESS
        self.register_buffer("loudness", loudness, persistent=False)
        std = torch.cat([self.image.std, self.fields.std], dim=1) * loudness
        self.register_buffer("std", std, persistent=False)
        self.register_buffer("place", positions(points, WAVES), persistent=False)
        self.network = UNet(
            config.network,
            channels=self.width + self.place.shape[1],
            out=self.width,
            conditions=geometry.conditions,
            flat=z == 1,
        )

    def fit_codec(self, images: Tensor, fields: Tensor) -> None:
        """Nothing: the code is fixed."""

    def fit_law(self, items: Tensor, conditions: Tensor, case: Tensor) -> None:
        """Nothing: there is no law but the network's."""

    def settle(self, items: Tensor, conditions: Tensor, rng: torch.Generator) -> None:
        """Nothing: the weights are all there is."""

    def encode(self, image: Tensor, fields: Tensor) -> Tensor:
        """Codes (b, k, z, y, x) of images (b, c, z, y, x) and fields (b, l, z, y, x)."""
        parts = [self.image.encode(image)]
        if self.geometry.labels:
            parts.append(self.fields.encode(fields))
        return torch.cat(parts, dim=1) * self.loudness

    def loss(self, items: Tensor, conditions: Tensor, rng: torch.Generator) -> Tensor:
        """Mean flow-matching loss of items with conditions (b, c)."""
        seeds = [int(torch.randint(1 << 62, (), generator=rng)) for _ in items]
        return self.item_losses(items, conditions, seeds).mean()

    def item_losses(self, items: Tensor, conditions: Tensor, seeds: Sequence[int]) -> Tensor:
        """Flow-matching loss of each item, (b,); row i depends on item, conditions and seed i alone."""
        rngs = [torch.Generator().manual_seed(seed) for seed in seeds]
        logits = torch.stack([torch.randn((), generator=rng) for rng in rngs])
        time = torch.sigmoid(logits * self.config.time_std + self.config.time_mean).to(items)
        noise = torch.stack([torch.randn(self.latent, generator=rng) for rng in rngs]).to(items)
        kept = torch.stack([torch.rand(1, generator=rng) for rng in rngs]) >= self.config.drop_conditions
        keep = kept.to(items)
        noisy = along(1 - time, items) * noise + along(time, items) * items
        told = torch.cat([conditions * keep, keep], dim=1)
        weight = (1 + (time / (1 - time)).square()).clamp_max(MAX_WEIGHT)
        return weight * self._errors(items, noisy, time, told)

    @torch.inference_mode()
    def case_losses(self, items: Tensor, conditions: Tensor, seeds: Sequence[int]) -> Tensor:
        """Matching error of items (b, ...) with conditions (b, c) at `PROBES` of the path, (b, probes).

        Mean over seeds, each of which gives the same noise to every item, so that items differ in themselves alone.
        """
        told = torch.cat([conditions, conditions.new_ones(len(conditions), 1)], dim=1)
        return errors_on_path(
            lambda noisy, time: self._errors(items, noisy, time, told), items, PROBES, seeds
        )

    def _errors(self, codes: Tensor, noisy: Tensor, time: Tensor, told: Tensor) -> Tensor:
        """Mean squared error of the expected clean codes, per item (b,)."""
        wrong = (self.denoise(noisy, time, told) - codes) / self.loudness
        return wrong.square().mean(dim=(1, 2, 3, 4))

    def denoise(self, noisy: Tensor, time: Tensor, told: Tensor) -> Tensor:
        """Expected clean codes of noisy ones (b, k, z, y, x) at times (b,); told (b, c + 1) ends in a flag."""
        t, variance = along(time, noisy), self.std.square()
        total = t.square() * variance + (1 - t).square()
        guess, error = noisy * (t * variance / total), self.std * (1 - t) * total.rsqrt()
        place = self.place.expand(len(noisy), *self.place.shape[1:])
        inputs = torch.cat([noisy * total.rsqrt(), place], dim=1)
        clean: Tensor = guess + error * self.network(inputs, time, told)
        return clean

    @torch.inference_mode()
    def sample(
        self, conditions: Tensor, seeds: Sequence[int], *, steps: int, guidance: float
    ) -> tuple[Tensor, Tensor]:
        """Draw images (b, c, z, y, x) and fields (b, l, z, y, x); row i depends on seeds[i] alone."""
        noise = [torch.randn(self.latent, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        conditions = conditions.to(self.std)
        told = torch.cat([conditions, conditions.new_ones(len(seeds), 1)], dim=1)

        def denoise(state: Tensor, time: float) -> Tensor:
            moment = torch.full((len(seeds),), time, device=state.device)
            return guided(lambda known: self.denoise(state, moment, known), told, guidance)

        codes = integrate(denoise, torch.stack(noise).to(self.std), steps) / self.loudness
        image = self.image.decode(codes[:, : self.image.width])
        if not self.geometry.labels:
            return image, image.new_zeros((len(image), 0, *image.shape[2:]))
        return image, self.fields.decode(codes[:, self.image.width :])


FAMILY = Family(
    config=PlainFlowConfig,
    presets={
        "small": PlainFlowConfig(),
        "tiny": PlainFlowConfig(network=UNetConfig(widths=(32, 64), blocks=(1, 1), heads=4)),
        "small-2d": PlainFlowConfig(patch=2, network=UNetConfig(widths=(64, 128), blocks=(1, 3), heads=4)),
        "tiny-2d": PlainFlowConfig(patch=2, network=UNetConfig(widths=(32, 64), blocks=(1, 1), heads=4)),
    },
    build=PlainFlow,
    tells_losses=True,
    only_gradients=True,
)

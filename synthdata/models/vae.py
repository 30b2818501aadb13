"""A variational autoencoder of codes, with the aggregated posterior as prior."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from synthdata.errors import ConfigError
from synthdata.models.coded import CodedGenerator
from synthdata.models.convolution import conv, kernel_of
from synthdata.models.flow import FAMILY as FLOW
from synthdata.models.flow_config import FlowConfig
from synthdata.models.gaussian import GaussianLaw
from synthdata.models.nets import EMBEDDING, GROUPS, Level, ResBlock
from synthdata.models.protocol import Family, Geometry

LOG_VARIANCE = (-8.0, 4.0)  # of the posterior
CHUNK = 64  # items encoded at once


@dataclass(frozen=True, kw_only=True, slots=True)
class VaeConfig:
    """All that is needed to build a `VaeGenerator`."""

    codes: FlowConfig = field(
        default_factory=FlowConfig
    )  # patch, components and refiner; its network is not used
    widths: tuple[int, ...] = (64, 128)  # feature maps per level; each level halves the grid
    latents: int = 8  # channels of the latent at the lowest level

    def __post_init__(self) -> None:
        if len(self.widths) < 2 or any(width % GROUPS for width in self.widths) or self.latents < 1:
            raise ConfigError(
                f"the vae has widths {self.widths} and {self.latents} latents: expected two or more widths that "
                f"{GROUPS} divides, and a latent"
            )


class VaeGenerator(CodedGenerator):
    """Compress codes to a small grid of latents, and draw from the law that these have over all patients.

    The prior is fitted after the learning on posterior draws of all training items, as a Gaussian with regression on
    the conditions, so that the decoder sees what it was trained on. What the decoder leaves out of the codes is drawn
    too, by a Gaussian law of the rest: a mean code alone is blur.

    Source:
        Kingma and Welling, ICLR 2014, arXiv:1312.6114; scale of the reconstruction in closed form: Rybkin et al., ICML
        2021, arXiv:2006.13202, equation (6); prior by the aggregated posterior: Tomczak and Welling, AISTATS 2018,
        arXiv:1705.07120, and in two stages: Dai and Wipf, ICLR 2019, arXiv:1903.05789.
    """

    def __init__(self, config: VaeConfig, geometry: Geometry) -> None:
        super().__init__(config.codes, geometry)
        del self.network  # of the flow
        self.options = config
        flat = geometry.grid.shape_zyx[0] == 1
        kernel, stride = kernel_of(flat=flat), (1, 2, 2) if flat else (2, 2, 2)
        widths, step = config.widths, stride
        self.tell = nn.Sequential(
            nn.Linear(geometry.conditions + 1, EMBEDDING), nn.SiLU(), nn.Linear(EMBEDDING, EMBEDDING)
        )
        pairs = list(itertools.pairwise(widths))
        self.enter = conv(self.width + self.given, widths[0], kernel)
        self.down = nn.ModuleList(Level([ResBlock(w, w, kernel, 0.0, 0)]) for w in widths)
        self.shrink = nn.ModuleList(conv(a, b, kernel, step) for a, b in pairs)
        self.posterior = conv(widths[-1], 2 * config.latents, (1, 1, 1))
        self.begin = conv(config.latents, widths[-1], (1, 1, 1))
        self.up = nn.ModuleList(Level([ResBlock(w, w, kernel, 0.0, 0)]) for w in widths)
        self.grow = nn.ModuleList(conv(b, a, (1, 1, 1)) for a, b in pairs)
        self.told_of = conv(self.given, widths[0], kernel) if self.given else None
        self.leave = conv(widths[0], self.width, kernel)
        sizes = [tuple(self.latent[1:])]
        for _ in pairs:
            sizes.append(tuple(-(-side // n) for side, n in zip(sizes[-1], stride, strict=True)))
        self.sizes = sizes
        self.prior = GaussianLaw((config.latents, *sizes[-1]), geometry.conditions)
        self.rest = GaussianLaw(self.latent, geometry.conditions)
        self.case = torch.zeros(0, dtype=torch.int64)

    def fit_law(self, items: Tensor, conditions: Tensor, case: Tensor) -> None:
        """Fit the law of findings, and keep which item is whose for the prior."""
        super().fit_law(items, conditions, case)
        self.case = case

    def compress(self, codes: Tensor, told: Tensor, given: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of the latents (b, l, z, y, x) of codes."""
        embedding = functional.silu(self.tell(told))
        features = self.enter(torch.cat([codes / self.std, given], dim=1))
        for level, blocks in enumerate(self.down):
            features = blocks(features, embedding)
            if level < len(self.shrink):
                features = self.shrink[level](features)
        mean, log_variance = self.posterior(features).chunk(2, dim=1)
        return mean, log_variance.clamp(*LOG_VARIANCE)

    def expand(self, latents: Tensor, told: Tensor, given: Tensor) -> Tensor:
        """Expected codes of latents."""
        embedding = functional.silu(self.tell(told))
        features = self.begin(latents)
        for level in reversed(range(len(self.up))):
            if level == 0 and self.told_of is not None:
                features = features + self.told_of(given)
            features = self.up[level](features, embedding)
            if level > 0:
                grown = self.grow[level - 1](features)
                features = functional.interpolate(grown, size=self.sizes[level - 1], mode="nearest")
        codes: Tensor = self.leave(functional.silu(features)) * self.std
        return codes

    def code_loss(self, codes: Tensor, told: Tensor, given: Tensor, rng: torch.Generator) -> Tensor:
        """Negative evidence per value of the codes; lower is better."""
        mean, log_variance = self.compress(codes, told, given)
        noise = torch.randn(mean.shape, generator=rng).to(mean)
        expected = self.expand(mean + (0.5 * log_variance).exp() * noise, told, given)
        error = ((expected - codes) / self.loudness).square().mean()
        distance = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).flatten(1).sum(1).mean()
        return 0.5 * error.clamp_min(1e-8).log() + distance / math.prod(self.latent)

    def reconstruct(self, codes: Tensor, told: Tensor, given: Tensor) -> Tensor:
        """Codes after the mean latent and back."""
        return self.expand(self.compress(codes, told, given)[0], told, given)

    @torch.inference_mode()
    def settle(self, items: Tensor, conditions: Tensor, rng: torch.Generator) -> None:
        """Fit the prior and the law of the rest, then the texture."""
        device, latents, rest = self.std.device, [], []
        for part, row in zip(torch.split(items, CHUNK), torch.split(conditions, CHUNK), strict=True):
            codes, given = part[:, : self.width].to(device), self._given(part).to(device)
            told = torch.cat([row, torch.ones(len(row), 1)], dim=1).to(device)
            mean, log_variance = self.compress(codes, told, given)
            noise = torch.randn(mean.shape, generator=rng).to(mean)
            drawn = mean + (0.5 * log_variance).exp() * noise
            latents.append(drawn.cpu())
            rest.append((codes - self.expand(drawn, told, given)).cpu())
        for law, values in ((self.prior, latents), (self.rest, rest)):
            law.cpu().fit(torch.cat(values), conditions, self.case)
            law.to(device)
        super().settle(items, conditions, rng)

    def draw_codes(self, conditions: Tensor, given: Tensor, rngs: Sequence[torch.Generator]) -> Tensor:
        """Codes of drawn latents, and the rest."""
        told = torch.cat([conditions, conditions.new_ones(len(conditions), 1)], dim=1)
        pairs = list(zip(conditions, rngs, strict=True))
        latents = torch.stack([self.prior.draw(row, rng) for row, rng in pairs])
        rest = torch.stack([self.rest.draw(row, rng) for row, rng in pairs])
        return self.expand(latents, told, given) + rest


def _preset(name: str, widths: tuple[int, ...], latents: int = 8) -> VaeConfig:
    return VaeConfig(codes=FLOW.presets[name], widths=widths, latents=latents)


FAMILY = Family(
    config=VaeConfig,
    presets={
        "small": _preset("small", (64, 128)),
        "tiny": _preset("tiny", (32, 64)),
        "compact": _preset("compact", (48, 96)),
        "small-2d": _preset("small-2d", (64, 96)),
    },
    build=VaeGenerator,
)

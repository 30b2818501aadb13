"""Source channels in, target channels out: a supervised network, or a flow that draws an ensemble."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor, nn

from synthdata.errors import ConfigError
from synthdata.models.local_regression import LocalRegression
from synthdata.models.nets import UNet, UNetConfig
from synthdata.models.patches import join, split
from synthdata.models.sampler import integrate
from synthdata.models.translation_loss import image_loss, intensity_jitter

THICK = 2.0  # slices that many times as far apart as voxels are not put into one patch
ATTENDED = 2048  # places of the coarsest grid up to which attention pays; beyond, it takes most of the time
LOG_SPREAD = (-6.0, 1.0)
COVERED = 0.95  # share of voxels whose error is within twice the spread, once it is calibrated
LEAST_SPREAD = 1e-4  # in network scale
MAX_WEIGHT = 10.0  # of the flow's loss near the clean end
OUTSIDE = 0.1  # weight of a voxel outside of the body


@dataclass(frozen=True, kw_only=True, slots=True)
class TranslatorConfig:
    """All that is needed to build a `Translator`."""

    law: Literal["mean", "flow"] = "mean"  # one expected image, or draws around it
    patch: int = 2  # voxels per axis that the network takes as one
    network: UNetConfig = field(
        default_factory=lambda: UNetConfig(widths=(32, 64, 128), blocks=(1, 1, 2), heads=4)
    )
    jitter: float = 0.5  # strength of the random changes of the source's intensities, 0 for none
    mirror: bool = (
        False  # average with the translation of the mirrored source: for anatomy with two like sides
    )
    steps: int = 8  # of the flow
    degree: int = 3  # of the powers of the sources in the regression that the network starts from


@dataclass(frozen=True, kw_only=True, slots=True)
class Translated:
    """Target channels, and how far the truth may lie from them."""

    image: Tensor  # (b, t, z, y, x)
    spread: Tensor  # standard deviation of the truth around the image, likewise


class Translator(nn.Module):
    """Predict targets by a regression on what lies around each place, plus what a network adds.

    Source:
        Ronneberger et al., MICCAI 2015, arXiv:1505.04597 (U-Net); Shi et al., CVPR 2016, arXiv:1609.05158 (patches
        as channels); Lipman et al., ICLR 2023, arXiv:2210.02747 (flow); Liu et al., arXiv:1810.02244 (coordinates).
    """

    spread_scale: Tensor

    def __init__(
        self,
        config: TranslatorConfig,
        *,
        shape_zyx: tuple[int, int, int],
        spacing_mm: tuple[float, float, float],
        channels: tuple[int, int],
        conditions: int,
        slab: int = 1,
    ) -> None:
        """Build an unfitted translator.

        Args:
            config: Law and size.
            shape_zyx: Voxels of an image.
            spacing_mm: Their distances; thick slices are not joined in a patch.
            channels: Of the source s and of the target t.
            conditions: Width of the condition vector.
            slab: Slices of which one was measured; they make a patch, so that their order in it is known.
        """
        super().__init__()
        self.config, self.shape = config, shape_zyx
        self.sources, self.targets = channels
        thick = shape_zyx[0] == 1 or spacing_mm[0] > THICK * spacing_mm[1]
        deep = slab if slab > 1 and shape_zyx[0] % slab == 0 else 1 if thick else config.patch
        self.step = (deep, config.patch, config.patch)
        if any(side % step for side, step in zip(shape_zyx, self.step, strict=True)):
            raise ConfigError(
                f"grid.shape_zyx is {shape_zyx}, expected multiples of the patch {self.step}: pad the grid"
            )
        voxels = math.prod(self.step)
        flow = config.law == "flow"
        self.network = UNet(
            _affordable(config.network, [side // n for side, n in zip(shape_zyx, self.step, strict=True)]),
            channels=(self.sources + self.targets * (1 + flow)) * voxels + 3,
            out=self.targets * (1 if flow else 2) * voxels,
            conditions=conditions,
            flat=shape_zyx[0] == 1,
        )
        self.start = LocalRegression(
            shape_zyx=shape_zyx, step=self.step, channels=channels, degree=config.degree
        )
        self.register_buffer("spread_scale", torch.ones(1, self.targets, 1, 1, 1))

    def fit(self, source: Tensor, target: Tensor, body: Tensor) -> None:
        """Fit the regression on sources (n, s, z, y, x) and targets (n, t, z, y, x) within bodies (n, 1, z, y, x)."""
        self.start.fit(source, target, body)

    def calibrate(self, found: Translated, target: Tensor, body: Tensor) -> None:
        """Scale all later spreads so that twice the spread holds COVERED of the voxels of the bodies.

        Args:
            found: Translations (n, t, z, y, x) of patients who were not learnt from, as spread as they are now.
            target: The truth, likewise.
            body: (n, 1, z, y, x).

        Source:
            Papadopoulos et al., ECML 2002 (split conformal prediction with normalised errors); patients weigh alike,
            and the scale is the mean over them of the quantile of each.
        """
        ratio = (found.image - target).abs() / (2 * found.spread.clamp_min(LEAST_SPREAD))
        for channel in range(self.targets):
            each = [
                one[inside > 0].quantile(COVERED)
                for one, inside in zip(ratio[:, channel], body[:, 0], strict=True)
            ]
            self.spread_scale[:, channel] *= torch.stack(each).mean()

    @property
    def residual_std(self) -> Tensor:
        """Error that the regression leaves, (1, t, 1, 1, 1)."""
        error: Tensor = self.start.residual_std
        return error

    def loss(
        self,
        source: Tensor,
        target: Tensor,
        told: Tensor,
        context: tuple[Tensor, Tensor],
        rng: torch.Generator,
    ) -> Tensor:
        """Loss of a batch; one number.

        Args:
            source: (b, s, z, y, x).
            target: (b, t, z, y, x).
            told: Conditions and their flag, (b, c + 1).
            context: Fields of the labels (b, l, z, y, x) and body (b, 1, z, y, x).
            rng: Decides times, noise and changes of the source.
        """
        fields, body = context
        if self.config.jitter:
            source = intensity_jitter(source, rng, self.config.jitter)
        if self.config.law == "flow":
            return self._flow_loss(source, target, told, body, rng)
        guess = self._expected(source, told)
        wrong = (guess.image.detach() - target).abs()
        width = guess.spread / math.sqrt(2)
        surprise = (wrong / width + width.log()).mean()  # a Laplace law of the error
        return image_loss(guess.image, target, fields, body) + 0.1 * surprise

    def translate(
        self, source: Tensor, told: Tensor, seeds: Sequence[int], *, members: int = 8
    ) -> Translated:
        """Expected targets (b, t, z, y, x) and their spread; the flow averages `members` draws per case."""
        found = self._found(source, told, seeds, members)
        return Translated(image=found.image, spread=found.spread * self.spread_scale)

    def _found(self, source: Tensor, told: Tensor, seeds: Sequence[int], members: int) -> Translated:
        """The translation with its spread as it was learnt."""
        if self.config.law == "mean":
            guess = self._expected(source, told)
            if not self.config.mirror:
                return guess
            other = self._expected(source.flip(-1), told)
            return Translated(
                image=(guess.image + other.image.flip(-1)) / 2,
                spread=(guess.spread + other.spread.flip(-1)) / 2,
            )
        drawn = torch.stack(
            [self.draw(source, told, [seed * members + m for seed in seeds]) for m in range(members)]
        )
        return Translated(image=drawn.mean(0), spread=drawn.std(0))

    def draw(self, source: Tensor, told: Tensor, seeds: Sequence[int]) -> Tensor:
        """One plausible target (b, t, z, y, x) per source; row i depends on seeds[i] alone."""
        if self.config.law == "mean":
            return self.translate(source, told, seeds).image
        start, given = self.start(source), self._given(source)
        rngs = [torch.Generator().manual_seed(seed % (1 << 63)) for seed in seeds]
        shape = (self.targets * math.prod(self.step), *given.shape[2:])
        noise = torch.stack([torch.randn(shape, generator=rng) for rng in rngs]).to(source.device)

        def denoise(state: Tensor, time: float) -> Tensor:
            moment = torch.full((len(seeds),), time, device=state.device)
            return self._clean(state, moment, told, given)

        residual = join(integrate(denoise, noise, self.config.steps), self.step)
        drawn: Tensor = start + residual * self.residual_std
        return drawn

    def _expected(self, source: Tensor, told: Tensor) -> Translated:
        time = source.new_ones(len(source))
        change = join(self.network(self._given(source), time, told), self.step)
        moved, log_spread = change.chunk(2, dim=1)
        spread = math.sqrt(2) * (log_spread - 2).clamp(*LOG_SPREAD).exp()
        return Translated(image=self.start(source) + moved * self.residual_std, spread=spread)

    def _flow_loss(
        self, source: Tensor, target: Tensor, told: Tensor, body: Tensor, rng: torch.Generator
    ) -> Tensor:
        clean = split((target - self.start(source)) / self.residual_std, self.step)
        noise = torch.randn(clean.shape, generator=rng).to(clean)
        time = torch.sigmoid(torch.randn(len(clean), generator=rng)).to(clean).clamp(max=0.98)
        t = time.view(-1, 1, 1, 1, 1)
        guess = self._clean((1 - t) * noise + t * clean, time, told, self._given(source))
        weight = (1 + (time / (1 - time)).square()).clamp_max(MAX_WEIGHT)
        where = split((OUTSIDE + (1 - OUTSIDE) * body).expand(-1, self.targets, -1, -1, -1), self.step)
        error = ((guess - clean).square() * where).mean(dim=(1, 2, 3, 4))
        return (weight * error).mean()

    def _clean(self, noisy: Tensor, time: Tensor, told: Tensor, given: Tensor) -> Tensor:
        """Expected clean residual; at high noise the mean of the law, 0, is the best guess."""
        t = time.view(-1, 1, 1, 1, 1)
        variance = t.square() + (1 - t).square()
        guess: Tensor = noisy * (t / variance) + ((1 - t) / variance.sqrt()) * self.network(
            torch.cat([noisy / variance.sqrt(), given], dim=1), time, told
        )
        return guess

    def _given(self, source: Tensor) -> Tensor:
        """Sources and mean target as patches, and where each patch lies."""
        atlas = self.start.atlas.expand(len(source), -1, -1, -1, -1)
        patches = split(torch.cat([source, atlas], dim=1), self.step)
        axes = [torch.linspace(-1, 1, side, device=source.device) for side in patches.shape[2:]]
        where = torch.stack(torch.meshgrid(*axes, indexing="ij")).expand(len(source), -1, -1, -1, -1)
        return torch.cat([patches, where], dim=1)


def _affordable(network: UNetConfig, grid: Sequence[int]) -> UNetConfig:
    """The network without attention where its coarsest grid has too many places."""
    shrunk = 2 ** (len(network.widths) - 1)
    places = math.prod(math.ceil(side / shrunk) for side in grid)
    return replace(network, heads=0) if places > ATTENDED else network

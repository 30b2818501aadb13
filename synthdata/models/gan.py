"""A generative adversarial network on codes: one step from a Gaussian draw to a code that a critic takes for real."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from synthdata.models.coded import CodedGenerator
from synthdata.models.convolution import conv, kernel_of
from synthdata.models.flow import FAMILY as FLOW
from synthdata.models.flow_config import FlowConfig
from synthdata.models.protocol import Family, Geometry

SLOPE = 0.2  # of the leaky rectifier
SHIFT = 1  # patches by which the critic's inputs are moved at most
CUT = 0.25  # share of the sides of the box that is cut out of the critic's inputs


@dataclass(frozen=True, kw_only=True, slots=True)
class GanConfig:
    """All that is needed to build a `GanGenerator`."""

    codes: FlowConfig = field(
        default_factory=FlowConfig
    )  # patch, components, refiner, and the generator's network
    critic: tuple[int, ...] = (64, 128)  # feature maps per level of the critic
    penalty: float = 1.0  # weight of the squared gradients, R1 and R2


class GanGenerator(CodedGenerator):
    """Correct a draw of the Gaussian law of the codes until a critic cannot tell it from a patient's.

    The critic compares pairs of a real and a drawn code (relativistic), with penalties on its gradients at both, which
    makes the game converge locally; what it sees is moved and cut at random, real and drawn alike, so that few patients
    do not teach it their faces. Both learn at once: the gradients of either's loss reach only its own weights.

    Source:
        Huang et al., "The GAN is dead; long live the GAN!", NeurIPS 2024, arXiv:2501.05441, equations (2) to (4);
        Zhao et al., NeurIPS 2020, arXiv:2006.10738 (augmentation); Miyato and Koyama, ICLR 2018, arXiv:1802.05637.
    """

    def __init__(self, config: GanConfig, geometry: Geometry) -> None:
        super().__init__(config.codes, geometry)
        self.options = config
        flat = geometry.grid.shape_zyx[0] == 1
        self.critic = Critic(
            channels=self.width + self.given, widths=config.critic, conditions=geometry.conditions, flat=flat
        )

    def code_loss(self, codes: Tensor, told: Tensor, given: Tensor, rng: torch.Generator) -> Tensor:
        """Losses of critic and generator; one number, which does not fall: it is a game."""
        rngs = [rng] * len(codes)
        drawn = self.draw_codes(told[:, :-1], given, rngs)
        seed = int(torch.randint(1 << 62, (), generator=rng))
        real_seen = self._seen(codes, given, seed).detach().requires_grad_()
        drawn_seen = self._seen(drawn.detach(), given, seed).detach().requires_grad_()
        real, fake = self.critic(real_seen, told), self.critic(drawn_seen, told)
        penalty = sum(
            torch.autograd.grad(says.sum(), seen, create_graph=True)[0].square().flatten(1).sum(1).mean()
            for says, seen in ((real, real_seen), (fake, drawn_seen))
        )
        size = real_seen[0].numel()
        judged = functional.softplus(fake - real).mean() + 0.5 * self.options.penalty * penalty * (
            size / 1000
        )
        self.critic.requires_grad_(requires_grad=False)  # the generator's loss does not teach the critic
        fooled = functional.softplus(
            self.critic(real_seen.detach(), told) - self.critic(self._seen(drawn, given, seed), told)
        ).mean()
        self.critic.requires_grad_(requires_grad=True)
        return judged + fooled

    def draw_codes(self, conditions: Tensor, given: Tensor, rngs: Sequence[torch.Generator]) -> Tensor:
        """A draw of the Gaussian law, corrected by the network."""
        told = torch.cat([conditions, conditions.new_ones(len(conditions), 1)], dim=1)
        pairs = zip(conditions, rngs, strict=True)
        start = torch.stack([self.law.draw(row, rng) for row, rng in pairs]) / self.std
        noise = torch.stack([torch.randn(self.latent, generator=rng) for rng in rngs]).to(start)
        time = start.new_ones(len(start))
        change: Tensor = self.network(torch.cat([start, noise, given], dim=1), time, told)
        return (start + change) * self.std

    def _seen(self, codes: Tensor, given: Tensor, seed: int) -> Tensor:
        """What the critic sees: moved by a patch, and with a box cut out, as the seed says."""
        rng = torch.Generator().manual_seed(seed)
        seen = torch.cat([codes / self.std, given], dim=1)
        axes = [axis for axis in (2, 3, 4) if seen.shape[axis] > 2 * SHIFT + 1]
        for axis in axes:
            move = int(torch.randint(-SHIFT, SHIFT + 1, (), generator=rng))
            seen = seen.roll(move, dims=axis)
        mask = torch.zeros(seen.shape[2:])
        places = [slice(None)] * 3
        for axis in axes:
            side = max(1, round(CUT * seen.shape[axis]))
            first = int(torch.randint(seen.shape[axis] - side + 1, (), generator=rng))
            places[axis - 2] = slice(first, first + side)
        mask[tuple(places)] = 1
        return seen * (1 - mask.to(seen)) if axes else seen


class Critic(nn.Module):
    """Tell how real codes look, given their conditions; no norms, so that its gradients mean something."""

    def __init__(self, *, channels: int, widths: tuple[int, ...], conditions: int, flat: bool) -> None:
        super().__init__()
        kernel, stride = kernel_of(flat=flat), (1, 2, 2) if flat else (2, 2, 2)
        layers: list[nn.Module] = []
        before = channels
        for level, width in enumerate(widths):
            layers += [conv(before, width, kernel, stride if level else (1, 1, 1)), nn.LeakyReLU(SLOPE)]
            layers += [conv(width, width, kernel), nn.LeakyReLU(SLOPE)]
            before = width
        self.body = nn.Sequential(*layers)
        self.plain = nn.Linear(before, 1)
        self.match = nn.Linear(conditions + 1, before)

    def forward(self, seen: Tensor, told: Tensor) -> Tensor:
        """Scores (b,) of codes (b, k, z, y, x) with conditions and flag (b, c + 1)."""
        features = self.body(seen).mean(dim=(2, 3, 4))
        score: Tensor = self.plain(features)[:, 0] + (features * self.match(told)).sum(1)
        return score


def _preset(name: str, critic: tuple[int, ...]) -> GanConfig:
    return GanConfig(codes=FLOW.presets[name], critic=critic)


FAMILY = Family(
    config=GanConfig,
    presets={
        "small": _preset("small", (64, 128)),
        "tiny": _preset("tiny", (32, 64)),
        "compact": _preset("compact", (48, 96)),
        "small-2d": _preset("small-2d", (48, 96, 96)),
    },
    build=GanGenerator,
    adversarial=True,
)

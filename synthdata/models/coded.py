"""What families on the codes of the flow share with it: alignment, linear code, findings, refiner and texture."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from synthdata.models.flow import FlowGenerator
from synthdata.models.refiner import Drawn


class CodedGenerator(FlowGenerator, ABC):
    """Draw codes in one step, by a law of one's own; all before and after the codes is as in the flow."""

    @abstractmethod
    def code_loss(self, codes: Tensor, told: Tensor, given: Tensor, rng: torch.Generator) -> Tensor:
        """Loss of codes (b, k, z, y, x) with conditions and flag (b, c + 1) and what is told of findings."""

    @abstractmethod
    def draw_codes(self, conditions: Tensor, given: Tensor, rngs: Sequence[torch.Generator]) -> Tensor:
        """Codes (b, k, z, y, x) for conditions (b, c), row i by rngs[i] alone."""

    def reconstruct(self, codes: Tensor, told: Tensor, given: Tensor) -> Tensor:  # noqa: ARG002 - for those who need it
        """What the law makes of true codes; the refiner learns to take images from there."""
        return codes

    def loss(self, items: Tensor, conditions: Tensor, rng: torch.Generator) -> Tensor:
        """Loss of the codes and of the refiner of items with conditions (b, c); one number."""
        told = torch.cat([conditions, conditions.new_ones(len(conditions), 1)], dim=1)
        wrong = self.code_loss(items[:, : self.width], told, self._given(items), rng)
        return wrong + self._refiner_loss(items, told, rng)

    @torch.inference_mode()
    def sample(
        self, conditions: Tensor, seeds: Sequence[int], *, steps: int, guidance: float
    ) -> tuple[Tensor, Tensor]:
        """Draw images (b, c, z, y, x) and fields (b, l, z, y, x) in one step; row i depends on seeds[i] alone.

        Steps and guidance are of other families, and ignored.
        """
        del steps, guidance
        rngs = [torch.Generator().manual_seed(seed) for seed in seeds]
        device = self.std.device
        focal = [self.focal.draw(row, rng) for row, rng in zip(conditions, rngs, strict=True)]
        placed = torch.stack(focal).to(device) * (1 - self._common)
        given = self._told(placed)
        codes = self.draw_codes(conditions.to(device), given, rngs)
        drawn = self._decoded(
            codes, self.alignment.push(placed, self._shape(codes)) if self.given else placed
        )
        refined = self.refiner(drawn)
        grain = torch.stack([torch.randn(drawn.standard.shape[1:], generator=rng) for rng in rngs])
        standard = refined.standard + self.refiner.texture(refined, grain.to(device))
        return self.saturation.closed(drawn.centre + drawn.spread * standard), refined.fields

    @torch.no_grad()
    def _estimate(self, items: Tensor, told: Tensor, rng: torch.Generator) -> Drawn:  # noqa: ARG002 - as the base has it
        """What the law hands over of items."""
        codes = self.reconstruct(items[:, : self.width], told, self._given(items))
        return self._decoded(codes, self._truth(items)[1] * (1 - self._common))

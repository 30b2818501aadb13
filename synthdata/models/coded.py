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

    def _codes(
        self,
        conditions: Tensor,
        given: Tensor,
        rngs: Sequence[torch.Generator],
        *,
        steps: int,
        guidance: float,
    ) -> Tensor:
        """Codes in one step; steps and guidance are of other families, and ignored."""
        del steps, guidance
        return self.draw_codes(conditions, given, rngs)

    @torch.no_grad()
    def _estimate(self, items: Tensor, told: Tensor, rng: torch.Generator) -> Drawn:  # noqa: ARG002 - as the base has it
        """What the law hands over of items."""
        codes = self.reconstruct(items[:, : self.width], told, self._given(items))
        return self._decoded(codes, self._truth(items)[1] * (1 - self._common))

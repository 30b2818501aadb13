"""The gradient of a step with differential privacy: one share per patient, none longer than the clip, and noise."""

import warnings
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from synthdata.errors import TrainingError
from synthdata.models.protocol import ItemLossTeller
from synthdata.models.sampler import along
from synthdata.training.accounting import require_opacus
from synthdata.training.optimizers import Named

PART_BYTES = 1 << 28  # of gradients of single patients that are held at once
ROUNDING = 1e-5  # by which a share stays below the clip, so that float32 does not exceed it


class PrivateGradient:
    """Gaussian mechanism on the sum of the patients' clipped gradients.

    Source:
        Abadi et al., CCS 2016, arXiv:1607.00133, algorithm 1; gradients of single items by the hooks of Opacus,
        Yousefpour et al., arXiv:2109.12298.
    """

    def __init__(self, model: ItemLossTeller, named: Named, *, clip: float, sigma: float) -> None:
        """Watch the network of a model.

        Args:
            model: Whose items are patients.
            named: All its learned tensors; they must lie in its network.
            clip: Norm to which a patient's gradient is cut, over all tensors together.
            sigma: Standard deviation of the noise over the clip.
        """
        require_opacus()
        from opacus.grad_sample import GradSampleModule

        inside = {id(value) for value in model.network.parameters()}
        if outside := [name for name, value in named if id(value) not in inside]:
            raise TrainingError(
                f"the generator learns {', '.join(outside)} outside its network, where gradients of single patients "
                "are not known: it cannot be trained with differential privacy"
            )
        self.model, self.values, self.clip, self.sigma = model, [value for _, value in named], clip, sigma
        size = 4 * sum(value.numel() for value in self.values)
        self.rows = max(1, PART_BYTES // size)  # of items at once
        self.hooks = GradSampleModule(model.network, loss_reduction="sum")

    def close(self) -> None:
        """Take the hooks away."""
        self.hooks.remove_hooks()

    def gradient(
        self, items: Tensor, conditions: Tensor, seeds: Sequence[int], rng: np.random.Generator
    ) -> list[Tensor]:
        """Noisy sum over patients, one tensor per learned tensor.

        Args:
            items: One of each patient who was drawn, (b, ...); b may be 0, then there is noise alone.
            conditions: (b, k).
            seeds: Of each patient's loss.
            rng: Of the noise; secret.
        """
        total = self.clipped_sum(items, conditions, seeds)
        for value in total:
            white = rng.standard_normal(tuple(value.shape)) * (self.sigma * self.clip)
            value.add_(torch.from_numpy(white).to(value))
        return total

    def clipped_sum(self, items: Tensor, conditions: Tensor, seeds: Sequence[int]) -> list[Tensor]:
        """Sum over patients, without noise; each one's share has at most the norm of the clip."""
        total = [torch.zeros_like(value) for value in self.values]
        for start in range(0, len(items), self.rows):
            part = slice(start, start + self.rows)
            for value, shares in zip(
                total, self._shares(items[part], conditions[part], seeds[part]), strict=True
            ):
                value.add_(shares.sum(0))
        return total

    def _shares(self, items: Tensor, conditions: Tensor, seeds: Sequence[int]) -> list[Tensor]:
        """Clipped gradients of each item, (b, ...) per learned tensor; zero where one is not finite."""
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", message="Full backward hook is firing"
            )  # codes need no gradient
            self.model.item_losses(items, conditions, seeds).sum().backward()  # type: ignore[no-untyped-call]
        found = [_taken(value) for value in self.values]
        norm = torch.stack([each.double().flatten(1).square().sum(1) for each in found]).sum(0).sqrt()
        finite = torch.isfinite(norm)
        factor = (self.clip * (1 - ROUNDING) / norm.clamp_min(1e-30)).clamp_max(1.0).float()
        factor = torch.where(finite, factor, 0)
        return [torch.where(along(finite, each), each, 0) * along(factor, each) for each in found]


def _taken(value: torch.nn.Parameter) -> Tensor:
    """Gradients (b, ...) of single items that the hooks left at a learned tensor, which is cleared."""
    found: Tensor | None = getattr(value, "grad_sample", None)
    if not isinstance(found, Tensor):
        raise TrainingError(
            "the network has a learned tensor without a gradient per patient: it cannot be trained with "
            "differential privacy"
        )
    value.grad_sample, value.grad = None, None  # type: ignore[attr-defined]
    return found

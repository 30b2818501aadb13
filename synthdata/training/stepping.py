"""One step of the weights: the loss of a batch, in as many parts as fit into memory."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from synthdata.errors import TrainingError
from synthdata.models import Generator
from synthdata.training.optimizers import Named
from synthdata.training.ranks import Ranks

GRADIENT_NORM = 1.0
OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "cannot allocate memory")


class Stepper:
    """Adds up the gradients of the parts of a batch, over the parts and over the processes.

    A batch which does not fit into memory is halved until it does; its gradients are added up, so that the effective
    batch stays what the spec says.
    """

    def __init__(
        self, model: Generator, named: Named, optimizers: Sequence[torch.optim.Optimizer], ranks: Ranks
    ) -> None:
        self.model, self.named, self.optimizers, self.ranks = model, named, optimizers, ranks
        self.parts = 1  # into which a batch is cut

    def step(self, items: Tensor, conditions: Tensor, seed: int, *, rate: float, batch: int) -> float:
        """Change the weights by one batch; the mean loss, not finite where nothing was changed.

        Args:
            items: This process's part of the batch, (b, ...).
            conditions: (b, k).
            seed: Of the loss's random numbers.
            rate: Learning rate.
            batch: Items of the whole batch, over all processes.
        """
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
        value = self._backward(items, conditions, seed, batch)
        total = torch.tensor([value], dtype=torch.float64, device=items.device)
        self.ranks.add_up([total])
        if not math.isfinite(float(total)):
            return float(total)
        gradients = [p.grad for _, p in self.named if p.grad is not None]
        self.ranks.add_up(gradients)
        norm = torch.nn.utils.clip_grad_norm_([p for _, p in self.named], GRADIENT_NORM)
        if not torch.isfinite(norm):
            return math.nan
        for optimizer in self.optimizers:
            optimizer.step()
        return float(total)

    def _backward(self, items: Tensor, conditions: Tensor, seed: int, batch: int) -> float:
        """Gradients of this process's part; its share of the mean loss."""
        while True:
            for _, value in self.named:
                # zeros and not nothing, so that all processes add up the same tensors
                value.grad = torch.zeros_like(value) if self.ranks.count > 1 else None
            try:
                return self._in_parts(items, conditions, seed, batch)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if self.parts >= len(items):
                    raise TrainingError(
                        "one training volume alone does not fit into memory: choose a smaller preset or grid, "
                        "or a machine with more memory"
                    ) from error
            self.parts = min(2 * self.parts, len(items))
            if torch.cuda.is_available():
                torch.cuda.empty_cache()

    def _in_parts(self, items: Tensor, conditions: Tensor, seed: int, batch: int) -> float:
        rng, total = torch.Generator().manual_seed(seed), 0.0
        size = math.ceil(len(items) / self.parts)
        for part, told in zip(torch.split(items, size), torch.split(conditions, size), strict=True):
            with torch.autocast("cuda", dtype=torch.bfloat16, enabled=items.device.type == "cuda"):
                loss = self.model.loss(part, told, rng) * (len(part) / batch)
            value = float(loss.detach())
            total += value
            if not math.isfinite(value):
                return value
            loss.backward()  # type: ignore[no-untyped-call]
        return total


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory is full, on a GPU or on the CPU."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(
        words in str(error).lower() for words in OUT_OF_MEMORY
    )

"""Muon: momentum whose matrices are made orthogonal; it learns more from each of few steps than AdamW."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic Newton-Schulz iteration
ITERATIONS = 5


class Muon(torch.optim.Optimizer):
    """Momentum, then the nearest semi-orthogonal matrix, scaled to the size of an AdamW step.

    Convolution kernels (out, in, z, y, x) are seen as matrices (out, in * z * y * x).

    Source:
        Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024 (Newton-Schulz coefficients);
        Liu et al., "Muon is Scalable for LLM Training", arXiv:2502.16982, equation (4) (scale and weight decay).
    """

    def __init__(
        self, params: Iterable[Tensor], *, lr: float, momentum: float = 0.95, weight_decay: float = 0.01
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:  # noqa: ARG002 - as the base has it
        """One update of every parameter that has a gradient; a closure is not supported and ignored."""
        for group in self.param_groups:
            for value in group["params"]:
                if value.grad is None:
                    continue
                buffer = self.state[value].setdefault("momentum", torch.zeros_like(value.grad))
                buffer.lerp_(value.grad, 1 - group["momentum"])
                ahead = value.grad.lerp(buffer, group["momentum"])  # Nesterov
                matrix = ahead.reshape(ahead.shape[0], -1)
                scale = 0.2 * max(matrix.shape) ** 0.5
                value.mul_(1 - group["lr"] * group["weight_decay"])
                value.add_(orthogonal(matrix).view_as(value), alpha=-group["lr"] * scale)


def orthogonal(matrix: Tensor) -> Tensor:
    """About U V^T of matrix = U S V^T (m, n): singular values between 0.7 and 1.2, in the same type.

    The Newton-Schulz steps X' = (a + b A + c A^2) X with A = X X^T are polynomials in A, so they are multiplied up
    on the short side, and the long side is touched twice and not ten times.
    """
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / (x.norm() + 1e-7)
    a, b, c = COEFFICIENTS
    gram, total = x @ x.T, torch.eye(x.shape[0], dtype=x.dtype, device=x.device)
    identity = total
    for _ in range(ITERATIONS):
        factor = a * identity + b * gram + c * gram @ gram
        gram, total = factor @ gram @ factor, factor @ total
    nearest: Tensor = (total @ x).T if tall else total @ x
    return nearest

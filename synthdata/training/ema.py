"""Averages of weights whose memory grows with training."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn


class PowerAverage:
    """Power-function moving average of the learned weights.

    Source:
        Karras et al., "Analyzing and Improving the Training Dynamics of Diffusion Models", CVPR 2024,
        arXiv:2312.02696, equations (1) and (2): beta(t) = (1 - 1/t)^(gamma + 1).
    """

    def __init__(self, model: nn.Module, *, gamma: float = 6.94) -> None:
        """Start from the model's weights. The default gamma is a relative width of 10 %."""
        self.gamma = gamma
        self.average = {name: value.detach().clone() for name, value in model.named_parameters()}

    @torch.no_grad()
    def update(self, parameters: Iterable[tuple[str, Tensor]], step: int) -> None:
        """Take in the weights after `step` steps, step >= 1."""
        beta = (1 - 1 / step) ** (self.gamma + 1)
        for name, value in parameters:
            self.average[name].lerp_(value.detach(), 1 - beta)

"""A closed-form start: the Gaussian law of the codes given the conditions.

At high noise the best denoiser of any data is close to that of a Gaussian with the data's mean and covariance (Wang
and Vastola, "The Hidden Linear Structure in Score-Based Models", arXiv:2311.10892). So the noisy part of the path
needs no network: coarse anatomy is drawn from the Gaussian in one step, and all of a small training budget goes to
the part where the network is needed.
"""

import math

import torch
from torch import Tensor, nn

COMPONENTS = 128
RIDGE = 1e-2  # on standardised conditions, in units of the number of items


class GaussianStart(nn.Module):
    """Mean, principal components and their regression on the conditions; all state in buffers."""

    mean: Tensor
    basis: Tensor
    root: Tensor
    slope: Tensor
    centre: Tensor
    leftover: Tensor

    def __init__(self, shape: tuple[int, ...], conditions: int) -> None:
        """Build for codes of a shape (k, z, y, x) and condition vectors (conditions,)."""
        super().__init__()
        self.shape = shape
        size = math.prod(shape)
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("basis", torch.zeros(COMPONENTS, size, dtype=torch.float16))
        self.register_buffer("root", torch.zeros(COMPONENTS, COMPONENTS))
        self.register_buffer("slope", torch.zeros(COMPONENTS, conditions))
        self.register_buffer("centre", torch.zeros(conditions))
        self.register_buffer("leftover", torch.zeros(shape[0]))  # std of what the components leave out

    def fit(self, items: Tensor, conditions: Tensor) -> None:
        """Fit on codes (m, k, z, y, x) with conditions (m, c)."""
        rows = items.flatten(1)
        self.mean.copy_(rows.mean(0))
        rows = rows - self.mean
        values, vectors = torch.linalg.eigh((rows @ rows.T).double())
        kept = min(COMPONENTS, len(items) - 1)
        values, vectors = values.flip(0)[:kept].clamp_min(1e-9), vectors.flip(1)[:, :kept]
        basis = (vectors / values.sqrt()).T.float() @ rows  # orthonormal rows
        self.basis[:kept] = basis.half()
        scores = rows @ basis.T
        self.centre.copy_(conditions.mean(0))
        told = conditions - self.centre
        penalty = RIDGE * len(items) * torch.eye(told.shape[1])
        slope = torch.linalg.solve(told.T @ told + penalty, told.T @ scores).T
        residual = (scores - told @ slope.T).double()
        covariance = residual.T @ residual / len(items) + 1e-6 * torch.eye(kept)
        self.slope[:kept], self.root[:kept, :kept] = slope, torch.linalg.cholesky(covariance).float()
        rest = (rows - scores @ basis).view(len(items), *self.shape)
        self.leftover.copy_(rest.square().mean(dim=(0, 2, 3, 4)).sqrt())

    def draw(self, condition: Tensor, rng: torch.Generator) -> Tensor:
        """One code (k, z, y, x) given a condition vector (c,)."""
        device = self.mean.device
        normal = torch.randn(COMPONENTS, generator=rng).to(device)
        scores = self.slope @ (condition.to(device) - self.centre) + self.root @ normal
        coarse = (self.mean + scores @ self.basis.float()).view(self.shape)
        grain = torch.randn(self.shape, generator=rng).to(device)
        code: Tensor = coarse + self.leftover.view(-1, 1, 1, 1) * grain
        return code

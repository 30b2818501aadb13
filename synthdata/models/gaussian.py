"""The Gaussian law of the codes: a start and a first guess in closed form.

At high noise the best denoiser of any data is close to that of a Gaussian with the data's mean and covariance (Wang
and Vastola, "The Hidden Linear Structure in Score-Based Models", arXiv:2311.10892), and at no noise it passes its input
on. So the noisy end of the path is drawn in one step, everywhere the network learns only what the Gaussian does not
know, and all of a small training budget goes there.
"""

import math

import torch
from torch import Tensor, nn

COMPONENTS = 128
CASES_PER_COMPONENT = 3  # with fewer, directions between cases would pass for directions of the law
RIDGE = 1e-2  # on standardised conditions, in units of the number of items


class GaussianLaw(nn.Module):
    """Mean, principal components, their regression on the conditions, and a variance per channel for the rest.

    Codes are x = mean + W (a + slope (c - centre)) + e with orthonormal columns of W (here: rows of `basis`),
    a ~ N(0, covariance) and e ~ N(0, leftover^2) per channel. All state is in buffers.
    """

    mean: Tensor
    basis: Tensor
    root: Tensor
    precision: Tensor
    grams: Tensor
    slope: Tensor
    centre: Tensor
    leftover: Tensor

    def __init__(self, shape: tuple[int, ...], conditions: int) -> None:
        """Build for codes of a shape (k, z, y, x) and condition vectors (conditions,)."""
        super().__init__()
        self.shape = shape
        size, channels = math.prod(shape), shape[0]
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("basis", torch.zeros(COMPONENTS, size))
        self.register_buffer("root", torch.zeros(COMPONENTS, COMPONENTS))  # Cholesky factor of the covariance
        self.register_buffer("precision", torch.eye(COMPONENTS))
        self.register_buffer("grams", torch.zeros(channels, COMPONENTS * COMPONENTS))  # basis_k basis_k^T
        self.register_buffer("slope", torch.zeros(COMPONENTS, conditions))
        self.register_buffer("centre", torch.zeros(conditions))
        self.register_buffer("leftover", torch.ones(channels))

    def fit(self, items: Tensor, conditions: Tensor, *, cases: int) -> None:
        """Fit on codes (m, k, z, y, x) with conditions (m, c) of so many different cases."""
        rows = items.flatten(1)
        self.mean.copy_(rows.mean(0))
        rows = rows - self.mean
        values, vectors = torch.linalg.eigh((rows @ rows.T).double())
        kept = max(1, min(COMPONENTS, cases // CASES_PER_COMPONENT, len(items) - 1))
        values, vectors = values.flip(0)[:kept].clamp_min(1e-9), vectors.flip(1)[:, :kept]
        basis = (vectors / values.sqrt()).T.float() @ rows  # orthonormal rows
        self.basis[:kept] = basis
        scores = rows @ basis.T
        self.centre.copy_(conditions.mean(0))
        told = conditions - self.centre
        penalty = RIDGE * len(items) * torch.eye(told.shape[1])
        slope = torch.linalg.solve(told.T @ told + penalty, told.T @ scores).T
        residual = (scores - told @ slope.T).double()
        covariance = residual.T @ residual / len(items) + 1e-6 * torch.eye(kept)
        self.slope[:kept], self.root[:kept, :kept] = slope, torch.linalg.cholesky(covariance).float()
        self.precision[:kept, :kept] = torch.linalg.inv(covariance).float()
        rest = (rows - scores @ basis).view(len(items), *self.shape)
        unseen = max(1 - kept / cases, 0.1)  # the components were fitted to these very cases
        self.leftover.copy_((rest.square().mean(dim=(0, 2, 3, 4)) / unseen).sqrt().clamp_min(1e-3))
        parts = self.basis.view(COMPONENTS, self.shape[0], -1).transpose(0, 1)  # (k, components, voxels)
        self.grams.copy_((parts @ parts.transpose(1, 2)).flatten(1))

    def draw(self, condition: Tensor, rng: torch.Generator) -> Tensor:
        """One code (k, z, y, x) given a condition vector (c,)."""
        device = self.mean.device
        normal = torch.randn(COMPONENTS, generator=rng).to(device)
        scores = self.slope @ (condition.to(device) - self.centre) + self.root @ normal
        coarse = (self.mean + scores @ self.basis).view(self.shape)
        grain = torch.randn(self.shape, generator=rng).to(device)
        code: Tensor = coarse + self.leftover.view(-1, 1, 1, 1) * grain
        return code

    def denoise(self, noisy: Tensor, time: Tensor, told: Tensor) -> tuple[Tensor, Tensor]:
        """Expected clean codes under the law, and how far the truth lies from them.

        Args:
            noisy: time * code + (1 - time) * noise, (b, k, z, y, x).
            time: (b,), in [0, 1).
            told: Conditions (b, c + 1); the last column is 0 where they are not told.

        Returns:
            Posterior mean (b, k, z, y, x), and posterior standard deviation per channel (b, k, 1, 1, 1), both exact.
        """
        with torch.autocast(noisy.device.type, enabled=False):  # the inverse needs single precision
            return self._posterior(noisy.float(), time.float(), told.float())

    def _posterior(self, noisy: Tensor, time: Tensor, told: Tensor) -> tuple[Tensor, Tensor]:
        batch, t = len(noisy), time[:, None]
        known = (told[:, :-1] - self.centre) * told[:, -1:]
        mean = self.mean + known @ self.slope.T @ self.basis
        variance = self.leftover.square()[None]  # (1, k)
        noise = t.square() * variance + (1 - t).square()  # of what the components do not explain, (b, k)
        apart = (noisy.flatten(1) - t * mean).view(batch, self.shape[0], -1)
        weighted = (apart / noise[:, :, None]).flatten(1)
        inverse = torch.linalg.inv(
            self.precision
            + t[:, :, None].square() * ((1 / noise) @ self.grams).view(batch, COMPONENTS, COMPONENTS)
        )
        scores = (inverse @ (t * (weighted @ self.basis.T))[:, :, None])[:, :, 0]
        coarse = scores @ self.basis
        gain = (t * variance / noise)[:, :, None]
        fine = gain * (apart - (t * coarse).view_as(apart))
        clean = (mean + coarse).view(noisy.shape) + fine.view(noisy.shape)
        voxels = self.mean.numel() / self.shape[0]
        # (1 - t^2 l^2 / noise)^2 of the components' posterior variance, and that of the rest
        shrunk = (1 - t * gain[:, :, 0]).square()
        spread = shrunk * (inverse.flatten(1) @ self.grams.T) / voxels + variance * (1 - t).square() / noise
        return clean, spread.clamp_min(1e-8).sqrt()[:, :, None, None, None]

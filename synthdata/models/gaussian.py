"""The Gaussian law of the codes: a start and a first guess in closed form.

At high noise the best denoiser of any data is close to that of a Gaussian with the data's mean and covariance (Wang
and Vastola, "The Hidden Linear Structure in Score-Based Models", arXiv:2311.10892), and at no noise it passes its input
on. So the noisy end of the path is drawn in one step, everywhere the network learns only what the Gaussian does not
know, and all of a small training budget goes there.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

COMPONENTS = 128
LEVELS = 32  # of variance that the components leave, so that the posterior stays cheap
HELD_OUT_SHARE = 0.85  # of the variance of components that patients who were left out must show too
MOST_ITEMS = 2048  # from which the law is fitted: its cost grows with their cube
RIDGE = 1e-2  # on standardised conditions, in units of the number of items


class GaussianLaw(nn.Module):
    """Mean, its regression on the conditions, principal components of the rest, and a variance per value beyond them.

    Codes are x = mean + slope (c - centre) + W a + e with orthonormal columns of W (here: rows of `basis`),
    a ~ N(0, covariance) and e_i ~ N(0, leftover[level[i]]^2), independent. All state is in buffers.
    """

    mean: Tensor
    basis: Tensor
    root: Tensor
    precision: Tensor
    level: Tensor
    grams: Tensor
    counts: Tensor
    slope: Tensor
    centre: Tensor
    leftover: Tensor
    dropped: Tensor

    def __init__(self, shape: tuple[int, ...], conditions: int) -> None:
        """Build for codes of a shape (k, z, y, x) and condition vectors (conditions,)."""
        super().__init__()
        self.shape = shape
        size = math.prod(shape)
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("basis", torch.zeros(COMPONENTS, size))
        self.register_buffer("root", torch.zeros(COMPONENTS, COMPONENTS))  # Cholesky factor of the covariance
        self.register_buffer("precision", torch.eye(COMPONENTS))
        self.register_buffer("level", torch.zeros(size, dtype=torch.int64))
        self.register_buffer("grams", torch.zeros(LEVELS, COMPONENTS * COMPONENTS))  # basis basis^T per level
        self.register_buffer("counts", torch.ones(LEVELS))
        self.register_buffer("slope", torch.zeros(size, conditions))
        self.register_buffer("centre", torch.zeros(conditions))
        self.register_buffer("leftover", torch.ones(LEVELS))
        self.register_buffer("dropped", torch.zeros(shape))

    def fit(
        self, items: Tensor, conditions: Tensor, case: Tensor, *, grain: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Fit; what the components leave of up to `MOST_ITEMS` items (m, k, z, y, x), and whose they are (m,).

        Args:
            items: Codes (m, k, z, y, x).
            conditions: Conditions (m, c).
            case: Which items are of one case (m,).
            grain: Share of what the components leave that is kept, per channel of a code (k,): what is drawn there
                knows nothing of its neighbours. All by default; `dropped` tells the variance of the rest.
        """
        if len(items) > MOST_ITEMS:
            chosen = torch.randperm(len(items), generator=torch.Generator().manual_seed(0))[:MOST_ITEMS]
            items, conditions, case = items[chosen], conditions[chosen], case[chosen]
        rows = items.flatten(1)
        self.mean.copy_(rows.mean(0))
        self.centre.copy_(conditions.mean(0))
        told = conditions - self.centre
        penalty = RIDGE * len(items) * torch.eye(told.shape[1])
        rows = rows - self.mean
        self.slope.copy_(torch.linalg.solve(told.T @ told + penalty, told.T @ rows).T)
        rows -= told @ self.slope.T
        basis = _components(rows, shared_components(rows, case))
        kept = len(basis)
        self.basis[:kept] = basis
        scores = rows @ basis.T
        covariance = scores.T.double() @ scores.double() / len(items) + 1e-6 * torch.eye(kept)
        self.root[:kept, :kept] = torch.linalg.cholesky(covariance).float()
        self.precision[:kept, :kept] = torch.linalg.inv(covariance).float()
        rows -= scores @ basis
        left = rows.square().mean(0)
        if grain is not None:
            self.dropped.copy_(left.view(self.shape) * (1 - grain.view(-1, 1, 1, 1)))
            left = left - self.dropped.flatten()
        self._fit_leftover(left)
        return rows.view(-1, *self.shape), case

    def _fit_leftover(self, variance: Tensor) -> None:
        """Levels of the variance (size,) that the components leave."""
        variance = variance.clamp_min(1e-6)
        low, high = float(variance.min().log()), float(variance.max().log())
        step = max((high - low) / (LEVELS - 1), 1e-6)
        self.level.copy_(((variance.log() - low) / step).round().long())
        self.leftover.copy_(torch.exp(0.5 * (low + step * torch.arange(LEVELS))))
        for index in range(LEVELS):
            part = self.basis[:, self.level == index]
            self.grams[index] = (part @ part.T).flatten()
            self.counts[index] = max(part.shape[1], 1)

    def draw(self, condition: Tensor, rng: torch.Generator) -> Tensor:
        """One code (k, z, y, x) given a condition vector (c,)."""
        device = self.mean.device
        normal = torch.randn(COMPONENTS, generator=rng).to(device)
        told = self.slope @ (condition.to(device) - self.centre)
        coarse = (self.mean + told + (self.root @ normal) @ self.basis).view(self.shape)
        grain = torch.randn(self.shape, generator=rng).to(device)
        code: Tensor = coarse + self.leftover[self.level].view(self.shape) * grain
        return code

    def denoise(self, noisy: Tensor, time: Tensor, told: Tensor) -> tuple[Tensor, Tensor]:
        """Expected clean codes under the law, and how far the truth lies from them.

        Args:
            noisy: time * code + (1 - time) * noise, (b, k, z, y, x).
            time: (b,), in [0, 1).
            told: Conditions (b, c + 1); the last column is 0 where they are not told.

        Returns:
            Posterior mean and standard deviation, both (b, k, z, y, x); exact, the latter as the mean of its level.
        """
        with torch.autocast(noisy.device.type, enabled=False):  # the inverse needs single precision
            return self._posterior(noisy.float(), time.float(), told.float())

    def _posterior(self, noisy: Tensor, time: Tensor, told: Tensor) -> tuple[Tensor, Tensor]:
        t = time[:1, None] if bool((time == time[0]).all()) else time[:, None]  # one time needs one inverse
        kept = int(
            (self.root.diagonal() > 0).sum()
        )  # the buffers have room for more components than there are
        basis, grams = (
            self.basis[:kept],
            self.grams.view(-1, COMPONENTS, COMPONENTS)[:, :kept, :kept].flatten(1),
        )
        known = (told[:, :-1] - self.centre) * told[:, -1:]
        mean = self.mean + known @ self.slope.T
        variance = self.leftover.square()[None]  # (1, levels)
        noise = t.square() * variance + (1 - t).square()  # of what the components do not explain, (b, levels)
        apart = noisy.flatten(1) - t * mean
        weighted = apart / noise[:, self.level]
        evidence = ((1 / noise) @ grams).view(-1, kept, kept)
        inverse = torch.linalg.inv(self.precision[:kept, :kept] + t[:, :, None].square() * evidence)
        scores = (inverse @ (t * (weighted @ basis.T))[:, :, None])[:, :, 0]
        coarse = scores @ basis
        gain = t * variance / noise  # of the rest
        clean = mean + coarse + gain[:, self.level] * (apart - t * coarse)
        explained = (inverse.flatten(1) @ grams.T) / self.counts
        spread = (1 - t * gain).square() * explained + variance * (1 - t).square() / noise
        error = spread.clamp_min(1e-8).sqrt()[:, self.level]
        return clean.view(noisy.shape), error.view(-1, *self.shape).expand(noisy.shape)


def shared_components(rows: Tensor, case: Tensor) -> int:
    """Number of leading principal components that patients share; the later ones are single patients.

    One half of the cases gives components, the other half shows how much it varies along them, and in turn. Components
    count up to the first, with its neighbours, along which the others vary less than `HELD_OUT_SHARE` as much.

    Args:
        rows: Centred codes (m, size).
        case: Which rows are of one case (m,).
    """
    shares = []
    for parity in (0, 1):
        fitted, left_out = rows[case % 2 == parity], rows[case % 2 != parity]
        if min(len(fitted), len(left_out)) < 2:
            return 1
        basis = _components(fitted - fitted.mean(0), COMPONENTS)
        own = ((fitted - fitted.mean(0)) @ basis.T).square().mean(0)
        shares.append(((left_out - fitted.mean(0)) @ basis.T).square().mean(0) / own.clamp_min(1e-9))
    few = min(len(share) for share in shares)
    share = (shares[0][:few] + shares[1][:few]) / 2
    smooth = functional.avg_pool1d(share[None, None], 3, stride=1, padding=1, count_include_pad=False)[0, 0]
    alone = (smooth < HELD_OUT_SHARE).nonzero()
    return max(1, int(alone[0, 0]) if len(alone) else few)


def _components(rows: Tensor, most: int) -> Tensor:
    """Principal components of centred rows (m, size), the largest first: orthonormal rows (k, size), k <= most."""
    values, vectors = torch.linalg.eigh((rows @ rows.T).double())
    values, vectors = values.flip(0), vectors.flip(1)
    kept = max(1, min(most, COMPONENTS, len(rows) - 1, int((values > 1e-6 * values[0]).sum())))
    basis: Tensor = (vectors[:, :kept] / values[:kept].clamp_min(1e-9).sqrt()).T.float() @ rows
    return basis

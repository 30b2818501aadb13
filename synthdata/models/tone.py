"""The last correction of intensities: drawn ones get the distribution of the patients', class by class of voxels.

A mean over aligned patients smooths edges, and noise added to it widens what is narrow and fills what is empty: the gap
between bone and brain, the quiet air. So the quantiles of drawn intensities are moved to those of the training cases in
each label and each class of tissue. A map is one for all cases, it has a few dozen numbers and keeps the order of
intensities, so that it tells nothing of a single patient, and what differs between patients stays.
"""

import torch
from torch import Tensor, nn

LEVELS = 64
FEWEST_VOXELS = 500  # of a class, in drawn and in true cases each; below, its intensities stay as they are
MOST_VOXELS = 1 << 20  # of which quantiles are taken


class Tone(nn.Module):
    """Monotone maps of intensities, one per class and channel; begins as the identity."""

    drawn: Tensor
    true: Tensor
    enough: Tensor

    def __init__(self, *, channels: int, classes: int) -> None:
        """Build for images of c channels whose voxels are of k classes."""
        super().__init__()
        knots = torch.linspace(-2, 2, LEVELS).repeat(classes, channels, 1)
        self.register_buffer("drawn", knots)
        self.register_buffer("true", knots.clone())
        self.register_buffer("enough", torch.zeros(classes, dtype=torch.bool))

    def fit_true(self, images: Tensor, classes: Tensor) -> None:
        """Where intensities shall go, of true images (n, c, z, y, x) and classes of their voxels (n, z, y, x)."""
        for index in range(len(self.true)):
            inside = classes == index
            self.enough[index] = int(inside.sum()) >= FEWEST_VOXELS
            if self.enough[index]:
                for channel in range(images.shape[1]):
                    self.true[index, channel] = _quantiles(images[:, channel][inside]).to(self.true)

    def fit_drawn(self, images: Tensor, classes: Tensor) -> None:
        """Where intensities come from, of drawn images and classes of their voxels, likewise."""
        for index in range(len(self.drawn)):
            inside = classes == index
            if not self.enough[index] or int(inside.sum()) < FEWEST_VOXELS:
                self.true[index] = self.drawn[index]
                continue
            for channel in range(images.shape[1]):
                self.drawn[index, channel] = _quantiles(images[:, channel][inside]).to(self.drawn)

    def forward(self, images: Tensor, classes: Tensor) -> Tensor:
        """Images (b, c, z, y, x) with corrected intensities, given classes of their voxels (b, z, y, x)."""
        corrected = images.clone()
        for index in range(len(self.drawn)):
            inside = classes == index
            for channel in range(images.shape[1]):
                corrected[:, channel][inside] = _moved(
                    images[:, channel][inside], self.drawn[index, channel], self.true[index, channel]
                )
        return corrected


def _quantiles(values: Tensor) -> Tensor:
    """`LEVELS` quantiles of values (m,), closer to each other at both ends."""
    shares = 0.5 * (1 - torch.cos(torch.pi * torch.linspace(0, 1, LEVELS, dtype=torch.float64)))
    values = values[:: -(-len(values) // MOST_VOXELS)].sort().values
    return values[(shares.to(values.device) * (len(values) - 1)).round().long()]


def _moved(values: Tensor, knots: Tensor, targets: Tensor) -> Tensor:
    """Piecewise linear from knots (k,) to targets (k,), both ascending; as far beyond the ends as before."""
    index = torch.searchsorted(knots, values.contiguous(), right=True).clamp(1, len(knots) - 1)
    low, high = knots[index - 1], knots[index]
    share = ((values - low) / (high - low).clamp_min(1e-6)).clamp(0, 1)
    inner = targets[index - 1] + share * (targets[index] - targets[index - 1])
    beyond = (values - knots[-1]).clamp_min(0) - (knots[0] - values).clamp_min(0)
    return inner + beyond

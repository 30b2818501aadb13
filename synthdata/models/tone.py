"""The last correction of intensities: drawn ones get the distribution of the patients', class by class of voxels.

A mean over aligned patients smooths edges, and noise added to it widens what is narrow and fills what is empty: the gap
between bone and brain, the quiet air. So the quantiles of drawn intensities are moved to those of the training cases:
in each label, and elsewhere among voxels of which like intensities were expected. A map is one for all cases, it has a
few dozen numbers and keeps the order of intensities, so that it tells nothing of a single patient, and what differs
between patients stays.
"""

import torch
from torch import Tensor, nn

EDGES = (-0.9, -0.6, -0.3, 0.0, 0.3, 0.6, 0.9)  # of classes of expected intensity, in network scale
LEVELS = 64
FEWEST_VOXELS = 2000  # of a class, in drawn and in true cases each; below, its intensities stay as they are
MOST_VOXELS = 1 << 20  # of which quantiles are taken


class Tone(nn.Module):
    """Monotone maps of intensities, one per class and channel; begins as the identity."""

    drawn: Tensor
    true: Tensor

    def __init__(self, *, channels: int, labels: int) -> None:
        """Build for images of c channels and masks of l labels."""
        super().__init__()
        knots = torch.linspace(-2, 2, LEVELS).repeat(len(EDGES) + 1 + labels, channels, 1)
        self.register_buffer("drawn", knots)
        self.register_buffer("true", knots.clone())

    def classes(self, expected: Tensor, fields: Tensor) -> Tensor:
        """Class of each voxel and channel (b, c, z, y, x), of expected images and fields (b, l, z, y, x)."""
        found = torch.bucketize(expected, torch.tensor(EDGES, device=expected.device))
        if not fields.shape[1]:
            return found
        depth, index = fields.max(dim=1, keepdim=True)
        return torch.where(depth > 0, index + len(EDGES) + 1, found)

    def fit(self, drawn: tuple[Tensor, Tensor], true: tuple[Tensor, Tensor]) -> None:
        """Fit on drawn and true images (n, c, z, y, x), each with the classes of its voxels, likewise."""
        shares = 0.5 * (1 - torch.cos(torch.pi * torch.linspace(0, 1, LEVELS, dtype=torch.float64)))
        for index in range(len(self.drawn)):
            for channel in range(self.drawn.shape[1]):
                found = [images[:, channel][kind[:, channel] == index] for images, kind in (drawn, true)]
                if min(len(values) for values in found) >= FEWEST_VOXELS:
                    self.drawn[index, channel] = _quantiles(found[0], shares).to(self.drawn)
                    self.true[index, channel] = _quantiles(found[1], shares).to(self.true)

    def forward(self, image: Tensor, classes: Tensor) -> Tensor:
        """Images (b, c, z, y, x), whose saturated ends are still open, with corrected intensities."""
        corrected = image.clone()
        for index in range(len(self.drawn)):
            for channel in range(image.shape[1]):
                inside = classes[:, channel] == index
                corrected[:, channel][inside] = _moved(
                    image[:, channel][inside], self.drawn[index, channel], self.true[index, channel]
                )
        return corrected


def _quantiles(values: Tensor, shares: Tensor) -> Tensor:
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

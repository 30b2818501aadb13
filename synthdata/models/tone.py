"""The last correction of intensities: drawn ones get the distribution of the patients', class by class of voxels.

A mean over aligned patients smooths edges, and noise added to it widens what is narrow and fills what is empty: the gap
between bone and brain, the quiet air. So the quantiles of drawn intensities are moved to those of the training cases in
each label and each class of tissue. A map is one for all cases, it has a few dozen numbers and keeps the order of
intensities, so that it tells nothing of a single patient, and what differs between patients stays.

Some tissues border sharply on each other, others pass into each other. So the maps of classes are mixed near a border,
over a width that is chosen for each channel: the one for which intensities at borders, and their jumps, are distributed
most like those of the patients (Wasserstein distance).
"""

import torch
from torch import Tensor, nn

LEVELS = 64
FEWEST_VOXELS = 500  # of a class, in drawn and in true cases each; below, its intensities stay as they are
MOST_VOXELS = 1 << 20  # of which quantiles are taken
WIDTHS = (0.0, 0.01, 0.02, 0.035, 0.05, 0.1)  # of borders, in units of the fields of tissues
BORDER_LEVELS = 256


class Tone(nn.Module):
    """Monotone maps of intensities, one per class and channel; begins as the identity."""

    drawn: Tensor
    true: Tensor
    enough: Tensor
    borders: Tensor
    width: Tensor

    def __init__(self, *, channels: int, tissues: int, labels: int) -> None:
        """Build for images of c channels whose voxels are of k tissues or l labels: class k and on for a label."""
        super().__init__()
        self.tissues = tissues
        knots = torch.linspace(-2, 2, LEVELS).repeat(max(tissues, 1) + labels, channels, 1)
        self.register_buffer("drawn", knots)
        self.register_buffer("true", knots.clone())
        self.register_buffer("enough", torch.zeros(len(knots), dtype=torch.bool))
        self.register_buffer("borders", torch.zeros(channels, 2, BORDER_LEVELS))  # true jumps, intensities
        self.register_buffer("width", torch.zeros(channels))

    def fit_true(self, images: Tensor, classes: Tensor) -> None:
        """Where intensities shall go, of true images (n, c, z, y, x) and classes of their voxels (n, z, y, x)."""
        for index in range(len(self.true)):
            inside = classes == index
            self.enough[index] = int(inside.sum()) >= FEWEST_VOXELS
            if self.enough[index]:
                for channel in range(images.shape[1]):
                    self.true[index, channel] = _quantiles(images[:, channel][inside]).to(self.true)
        for channel in range(images.shape[1]):
            self.borders[channel] = _at_borders(images[:, channel], classes)

    def fit_drawn(self, images: Tensor, classes: Tensor, tissues: Tensor) -> None:
        """Where intensities come from, of drawn images, classes of their voxels and fields (n, k, z, y, x)."""
        for index in range(len(self.drawn)):
            inside = classes == index
            if not self.enough[index] or int(inside.sum()) < FEWEST_VOXELS:
                self.true[index] = self.drawn[index]
                continue
            for channel in range(images.shape[1]):
                self.drawn[index, channel] = _quantiles(images[:, channel][inside]).to(self.drawn)
        apart = []
        for width in WIDTHS if self.tissues > 1 else ():
            self.width.fill_(width)
            toned = self(images, classes, tissues)
            found = torch.stack([_at_borders(toned[:, c], classes) for c in range(toned.shape[1])])
            apart.append((found - self.borders.cpu()).abs().mean(2).sum(1))
        if apart:
            self.width.copy_(torch.tensor(WIDTHS)[torch.stack(apart).argmin(0)])

    def forward(self, images: Tensor, classes: Tensor, tissues: Tensor) -> Tensor:
        """Images with corrected intensities, given classes and tissues.

        Args:
            images: (b, c, z, y, x).
            classes: Of their voxels, (b, z, y, x).
            tissues: Fields (b, k, z, y, x) of which the classes came.
        """
        corrected = torch.empty_like(images)
        for channel, width in enumerate(self.width.tolist()):
            maps = _Maps(self.drawn[:, channel], self.true[:, channel])
            for case in range(len(images)):
                place, own = classes[case].flatten(), tissues[case].flatten(1)
                shares = (own / width).softmax(0) if width > 0 else own[:0]
                moved = maps(images[case, channel].flatten(), place, shares)
                corrected[case, channel] = moved.view_as(classes[case])
        return corrected


class _Maps:
    """The maps of all classes for one channel, on the knots of all of them, so that a voxel looks its place up once."""

    def __init__(self, drawn: Tensor, true: Tensor) -> None:
        """Of knots and targets (k, `LEVELS`), ascending; a map is linear between its own knots, so between all."""
        self.knots = drawn.flatten().sort().values
        pairs = list(zip(drawn, true, strict=True))
        after = [_moved(self.knots, *pair, right=True) for pair in pairs]
        before = [_moved(self.knots, *pair, right=False) for pair in pairs]
        self.first = torch.stack(after, dim=1)[:-1]  # of each interval, (m - 1, k)
        self.rise = torch.stack(before, dim=1)[1:] - self.first

    def __call__(self, values: Tensor, classes: Tensor, shares: Tensor) -> Tensor:
        """Values (n,) after the map of their class (n,), or mixed by shares (t, n) where that is one of t tissues."""
        cell = torch.searchsorted(self.knots, values, right=True).sub_(1).clamp_(0, len(self.rise) - 1)
        low, high = self.knots[cell], self.knots[cell + 1]
        share = ((values - low) / (high - low).clamp_min(1e-6)).clamp_(0, 1)
        beyond = (values - self.knots[-1]).clamp_min(0) - (self.knots[0] - values).clamp_min(0)
        place = cell * self.first.shape[1] + classes
        moved = self.first.flatten()[place] + share * self.rise.flatten()[place]
        if len(shares):
            tissues = len(shares)
            all_first, all_rise = (table[:, :tissues].contiguous() for table in (self.first, self.rise))
            rows = all_first[cell] + share[:, None] * all_rise[cell]
            moved = torch.where(classes < tissues, (rows * shares.T).sum(1), moved)
        return moved + beyond


def _at_borders(image: Tensor, classes: Tensor) -> Tensor:
    """Quantiles of jumps across borders of classes, and of intensities beside them, (2, `BORDER_LEVELS`)."""
    jumps, values = [], []
    for axis in range(1, image.ndim):
        if image.shape[axis] > 1:
            border = torch.diff(classes, dim=axis) != 0
            jumps.append(torch.diff(image, dim=axis).abs()[border])
            first = image.narrow(axis, 0, image.shape[axis] - 1)
            values += [first[border], image.narrow(axis, 1, image.shape[axis] - 1)[border]]
    found = torch.zeros(2, BORDER_LEVELS)
    for row, parts in zip(found, (jumps, values), strict=True):
        joined = torch.cat(parts).cpu() if parts else torch.zeros(0)
        if len(joined):
            row.copy_(joined.sort().values[torch.linspace(0, len(joined) - 1, BORDER_LEVELS).long()])
    return found


def _quantiles(values: Tensor) -> Tensor:
    """`LEVELS` quantiles of values (m,), closer to each other at both ends."""
    shares = 0.5 * (1 - torch.cos(torch.pi * torch.linspace(0, 1, LEVELS, dtype=torch.float64)))
    values = values[:: -(-len(values) // MOST_VOXELS)].sort().values
    return values[(shares.to(values.device) * (len(values) - 1)).round().long()]


def _moved(values: Tensor, knots: Tensor, targets: Tensor, *, right: bool = True) -> Tensor:
    """Piecewise linear from knots (k,) to targets (k,), both ascending; as far beyond the ends as before.

    Where knots coincide the map jumps: `right` tells which side of a jump a value on it takes.
    """
    index = torch.searchsorted(knots, values.contiguous(), right=right).clamp(1, len(knots) - 1)
    low, high = knots[index - 1], knots[index]
    share = ((values - low) / (high - low).clamp_min(1e-6)).clamp(0, 1)
    inner = targets[index - 1] + share * (targets[index] - targets[index - 1])
    beyond = (values - knots[-1]).clamp_min(0) - (knots[0] - values).clamp_min(0)
    return inner + beyond

"""Classes of tissue that nobody labelled: clusters of intensities, told as smooth fields beside image and mask.

A mean over what is possible makes a border grey; the mean of a field of distances to the border is a border. So bone,
air, fluid and the like are found by their intensities over all channels, and learnt and drawn as masks are. Drawn
images take the intensities of the class which a voxel lies in. Projections have no such classes: each ray crosses many
tissues, so presets for them have none.

Source:
    k-means++: Arthur and Vassilvitskii, SODA 2007. Random borders by the largest of several Gaussian fields:
    plurigaussian simulation, Armstrong et al., "Plurigaussian Simulations in Geosciences", Springer 2011.
"""

import numpy as np
import torch
from torch import Tensor, nn

from synthdata.models.fields import mask_fields

SAMPLED = 60_000  # voxels of all images that are clustered
ROUNDS = 30
SEED = 0


class Tissues(nn.Module):
    """Find classes of like intensities, and where they lie."""

    centres: Tensor

    def __init__(self, *, channels: int, classes: int) -> None:
        super().__init__()
        self.register_buffer("centres", torch.zeros(classes, channels))

    @property
    def count(self) -> int:
        """Number of classes, k."""
        return len(self.centres)

    def fit(self, images: Tensor) -> None:
        """Fit on images without noise, (n, c, z, y, x)."""
        if not self.count:
            return
        rng = torch.Generator().manual_seed(SEED)
        values = images.transpose(0, 1).flatten(1).T
        values = values[torch.randint(len(values), (min(SAMPLED, len(values)),), generator=rng)]
        centres = values[:1]
        while len(centres) < self.count:
            apart = torch.cdist(values, centres).amin(1).square() + 1e-12
            centres = torch.cat([centres, values[torch.multinomial(apart, 1, generator=rng)]])
        for _ in range(ROUNDS):
            nearest = torch.cdist(values, centres).argmin(1)
            sums = torch.zeros_like(centres).index_add_(0, nearest, values)
            counts = torch.bincount(nearest, minlength=self.count)[:, None]
            centres = torch.where(counts > 0, sums / counts.clamp_min(1), centres)
        self.centres.copy_(centres[centres.sum(1).argsort()])

    def fields(self, images: Tensor) -> Tensor:
        """Distances (b, k, z, y, x) to the borders of the classes in images without noise (b, c, z, y, x)."""
        if not self.count:
            return images[:, :0]
        apart = (images[:, None] - self.centres[None, :, :, None, None, None]).square().sum(2)
        places = apart.argmin(1).numpy().astype(np.uint8) + 1
        values = tuple(range(1, self.count + 1))
        return torch.from_numpy(np.stack([mask_fields(place, values) for place in places]))

    def classes(self, tissues: Tensor, fields: Tensor) -> Tensor:
        """Class of each voxel (b, z, y, x), of `fields` and those of l labels: a tissue, or k and on for a label.

        Without tissues there is one class beside the labels.
        """
        found = torch.zeros((len(fields), *fields.shape[2:]), dtype=torch.int64, device=fields.device)
        if self.count:
            found = _largest(tissues)[1]
        if not fields.shape[1]:
            return found
        depth, label = _largest(fields)
        return torch.where(depth > 0, label + max(self.count, 1), found)


def _largest(fields: Tensor) -> tuple[Tensor, Tensor]:
    """Largest of few fields (b, k, z, y, x) at each voxel, and its first index; on a CPU faster than `max`."""
    best, index = fields[:, 0], torch.zeros_like(fields[:, 0], dtype=torch.int64)
    for k in range(1, fields.shape[1]):
        larger = fields[:, k] > best
        best = torch.where(larger, fields[:, k], best)
        index = index.masked_fill(larger, k)
    return best, index

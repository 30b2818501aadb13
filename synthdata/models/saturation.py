"""Ends of the intensity scale at which many voxels lie: air, or bone out of the window."""

import torch
from torch import Tensor, nn

OVERSHOOT = 0.5  # beyond the end of the scale, for voxels that lie at the end
NEAR = 0.0025  # of the scale: smoothing takes voxels that lie at an end as far from it
MASS = 0.01  # share of voxels at an end of the scale from which on that end counts as saturated


class Saturation(nn.Module):
    """Move voxels at a saturated end beyond it, so that noise on a drawn one is cut off again."""

    ends: Tensor
    beyond: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("ends", torch.tensor([-torch.inf, torch.inf]).repeat(channels, 1))
        self.register_buffer("beyond", torch.zeros(channels, 2))

    def fit(self, images: Tensor) -> None:
        """Fit lowest and highest value of images (n, c, z, y, x), and whether a part of the voxels lies there."""
        values = images.transpose(0, 1).flatten(1)
        low, high = values.min(dim=1, keepdim=True).values, values.max(dim=1, keepdim=True).values
        self.ends.copy_(torch.cat([low, high], dim=1))
        near = NEAR * (high - low)
        mass = [(values <= low + near).float().mean(1), (values >= high - near).float().mean(1)]
        self.beyond.copy_((torch.stack(mass, dim=1) > MASS) * OVERSHOOT * torch.tensor([-1.0, 1.0]))

    def opened(self, images: Tensor) -> Tensor:
        """Images (b, c, z, y, x) with the voxels at a saturated end moved beyond it."""
        low, high = self._columns(self.ends)
        below, above = self._columns(self.beyond)
        near = torch.where(torch.isfinite(high - low), NEAR * (high - low), 0.0)
        moved: Tensor = images + below * (images <= low + near) + above * (images >= high - near)
        return moved

    def closed(self, images: Tensor) -> Tensor:
        """Images (b, c, z, y, x) cut at the ends."""
        low, high = self._columns(self.ends)
        return images.clamp(low, high)

    def _columns(self, pairs: Tensor) -> tuple[Tensor, Tensor]:
        low, high = pairs.T.reshape(2, 1, -1, 1, 1, 1)
        return low, high

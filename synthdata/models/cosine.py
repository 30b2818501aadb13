"""Patches as their lowest cosine frequencies: a code which is the same for all data, so no patient is in it."""

import math

import torch
from torch import Tensor, nn

from synthdata.models.patches import join, split

HALF_RANGE = 0.5  # typical standard deviation of a voxel in network scale [-1, 1]


class CosineCode(nn.Module):
    """Encode volumes (b, c, z, y, x) to codes (b, c * kept, z/p, y/q, x/r) and back; nothing is fitted.

    Coefficients of an orthonormal DCT-II of each patch, lowest frequencies first, over (1 + k^2)^(1/2): half-way
    between their natural scale and the whitened one, where natural images fall off as 1 + k^2.

    Source:
        Ahmed, Natarajan and Rao, "Discrete Cosine Transform", IEEE Trans. Computers, 1974, equation (1). Power of
        natural images over the frequency: Field, JOSA A 4, 1987.
    """

    basis: Tensor
    scale: Tensor
    std: Tensor

    def __init__(self, *, channels: int, patch_zyx: tuple[int, int, int], kept: int) -> None:
        """Build the code.

        Args:
            channels: c, may be 0.
            patch_zyx: Voxels (p, q, r) of a patch.
            kept: Coefficients per channel, at most the voxels of a patch.
        """
        super().__init__()
        self.channels, self.patch = channels, patch_zyx
        voxels = math.prod(patch_zyx)
        self.kept = min(kept, voxels)
        self.width = channels * self.kept
        basis, squared = _frequencies(patch_zyx)
        scale = HALF_RANGE * math.sqrt(voxels) / (1 + squared[: self.kept]).sqrt()
        std = (1 + squared[: self.kept]).rsqrt()
        self.register_buffer("basis", basis[: self.kept], persistent=False)
        self.register_buffer("scale", scale.view(-1, 1, 1, 1), persistent=False)
        # what a code is taken to vary by, of each channel of a code
        self.register_buffer("std", std.repeat(channels).view(1, -1, 1, 1, 1), persistent=False)

    def encode(self, volumes: Tensor) -> Tensor:
        """Codes of volumes (b, c, z, y, x)."""
        patches = split(volumes, self.patch)
        patches = patches.reshape(len(patches), self.channels, -1, *patches.shape[2:])
        return (torch.einsum("bcvzyx,kv->bckzyx", patches, self.basis) / self.scale).flatten(1, 2)

    def decode(self, codes: Tensor) -> Tensor:
        """Volumes of codes (b, c * kept, z, y, x); the frequencies that were left out are 0."""
        values = codes.reshape(len(codes), self.channels, self.kept, *codes.shape[2:]) * self.scale
        return join(torch.einsum("bckzyx,kv->bcvzyx", values, self.basis).flatten(1, 2), self.patch)


def positions(points: tuple[int, int, int], waves: int) -> Tensor:
    """Cosines of the place (1, waves * axes, z, y, x) along each axis that has more than one point."""
    axes = [(torch.arange(side) + 0.5) / side for side in points]
    grid = torch.meshgrid(*axes, indexing="ij")
    return torch.stack(
        [
            (math.pi * wave * place).cos()
            for place, side in zip(grid, points, strict=True)
            if side > 1
            for wave in range(1, waves + 1)
        ]
    )[None]


def _frequencies(patch: tuple[int, int, int]) -> tuple[Tensor, Tensor]:
    """Orthonormal basis (v, v) of patches of v voxels, lowest frequencies first, and k^2 of each (v,)."""
    waves = [cosines(side) for side in patch]
    basis = torch.einsum("ai,bj,ck->abcijk", *waves).flatten(3).flatten(0, 2)
    squared = squared_orders(patch).flatten()
    order = torch.sort(squared, stable=True).indices
    return basis[order].float(), squared[order].float()


def squared_orders(sides: tuple[int, int, int]) -> Tensor:
    """k^2 of each wave of a grid, half waves along each axis squared and added up: int64 (z, y, x)."""
    orders = torch.meshgrid(*(torch.arange(side) for side in sides), indexing="ij")
    return torch.stack(orders).square().sum(0)


def cosines(side: int) -> Tensor:
    """DCT-II of a side, orthonormal, float64 (frequency, voxel)."""
    place = torch.arange(side, dtype=torch.float64)
    waves = (math.pi * (place[None] + 0.5) * place[:, None] / side).cos() * math.sqrt(2 / side)
    waves[0] /= math.sqrt(2)
    return waves

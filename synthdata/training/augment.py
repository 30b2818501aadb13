"""Small random deformations, the same for image and mask fields."""

import math

import torch
from torch import Tensor
from torch.nn import functional

ROTATION_DEGREES = 6.0
SCALING = 0.06
SHIFT_VOXELS = 1.5
ELASTIC_VOXELS = 1.0  # standard deviation at the knots
KNOT_VOXELS = 12  # distance of the elastic knots
GAMMA = 0.1  # log of the exponent on intensities


def deform(
    image: Tensor, fields: Tensor, rng: torch.Generator, strength: float, *, flip_x: bool
) -> tuple[Tensor, Tensor]:
    """Warp one case by a random affine and elastic map, and bend its intensities a little.

    Args:
        image: (c, z, y, x) in [-1, 1].
        fields: (l, z, y, x).
        rng: Decides everything.
        strength: 1 for the constants above, 0 for nothing.
        flip_x: Mirror left and right in half of the draws, for anatomy that allows it.
    """
    both = torch.cat([image, fields])[None]
    if flip_x and torch.rand((), generator=rng) < 0.5:
        both = both.flip(-1)
    shape = both.shape[2:]
    grid = _identity(shape) @ _affine(shape, rng, strength).T
    grid = grid + _elastic(shape, rng, strength)
    if shape[0] == 1:
        grid[..., 2] = 0
    warped = functional.grid_sample(
        both, grid[None], mode="bilinear", padding_mode="border", align_corners=True
    )[0]
    channels = image.shape[0]
    gamma = torch.exp(torch.randn((channels, 1, 1, 1), generator=rng) * GAMMA * strength)
    unit = ((warped[:channels] + 1) / 2).clamp(0, 1)
    return unit.pow(gamma) * 2 - 1, warped[channels:]


def _identity(shape: torch.Size) -> Tensor:
    """Coordinates (z, y, x, 3) in [-1, 1], last axis (x, y, z) as grid_sample asks."""
    axes = [torch.linspace(-1, 1, side) if side > 1 else torch.zeros(1) for side in shape]
    z, y, x = torch.meshgrid(*axes, indexing="ij")
    return torch.stack([x, y, z], dim=-1)


def _affine(shape: torch.Size, rng: torch.Generator, strength: float) -> Tensor:
    """Rotation and scaling (3, 3) on coordinates (x, y, z) of a unit cube with unequal sides."""
    angles = (torch.rand(3, generator=rng) * 2 - 1) * math.radians(ROTATION_DEGREES) * strength
    if shape[0] == 1:
        angles[:2] = 0
    cx, cy, cz = angles.cos()
    sx, sy, sz = angles.sin()
    one, nil = torch.ones(()), torch.zeros(())
    about_x = torch.stack([one, nil, nil, nil, cx, -sx, nil, sx, cx]).view(3, 3)
    about_y = torch.stack([cy, nil, sy, nil, one, nil, -sy, nil, cy]).view(3, 3)
    about_z = torch.stack([cz, -sz, nil, sz, cz, nil, nil, nil, one]).view(3, 3)
    scale = 1 + (torch.rand(3, generator=rng) * 2 - 1) * SCALING * strength
    sides = torch.tensor([max(side - 1, 1) for side in reversed(shape)], dtype=torch.float32)
    turn = about_z @ about_y @ about_x @ torch.diag(scale)
    return torch.diag(1 / sides) @ turn @ torch.diag(sides)


def _elastic(shape: torch.Size, rng: torch.Generator, strength: float) -> Tensor:
    """Smooth displacement plus shift (z, y, x, 3) in grid_sample's units."""
    knots = [max(2, round(side / KNOT_VOXELS) + 1) if side > 1 else 1 for side in shape]
    coarse = torch.randn((1, 3, *knots), generator=rng) * ELASTIC_VOXELS * strength
    shift = (torch.rand((1, 3, 1, 1, 1), generator=rng) * 2 - 1) * SHIFT_VOXELS * strength
    smooth = functional.interpolate(coarse, size=shape, mode="trilinear", align_corners=True) + shift
    sides = torch.tensor([max(side - 1, 1) for side in reversed(shape)], dtype=torch.float32)
    return smooth[0].permute(1, 2, 3, 0) * (2 / sides)

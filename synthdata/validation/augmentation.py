"""Random views of training images: small rotation, shift and zoom, gain, offset and noise."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - torch calls it so


@dataclass(frozen=True, kw_only=True, slots=True)
class Strength:
    """How much a view may differ."""

    rotation: float = 0.17  # radian, about each axis
    zoom: float = 0.06
    shift: float = 0.08  # of half the field of view
    gain: float = 0.15
    offset: float = 0.1  # in network intensities
    noise: float = 0.05  # largest standard deviation, in network intensities
    flip_x: bool = False


def random_affine(count: int, strength: Strength, generator: torch.Generator, *, flat: bool) -> Tensor:
    """Affine maps (b, 3, 4) of normalised (x, y, z) coordinates; within the plane where `flat`."""
    angles = _uniform(generator, count, 3) * strength.rotation
    if flat:
        angles[:, 1:] = 0
    theta = torch.zeros(count, 3, 4)
    theta[:, :, :3] = _rotation(angles) * (1 + strength.zoom * _uniform(generator, count, 1, 1))
    theta[:, :, 3] = _uniform(generator, count, 3) * strength.shift
    if flat:
        theta[:, 2] = torch.tensor([0.0, 0.0, 1.0, 0.0])
        theta[:, :2, 2] = 0
    if strength.flip_x:
        theta[:, 0] *= torch.where(torch.rand(count, 1, generator=generator) < 0.5, -1.0, 1.0)
    return theta


def move(images: Tensor, theta: Tensor, *, mode: str = "bilinear") -> Tensor:
    """Resample images (b, c, z, y, x) along affine maps; beyond the border the nearest voxel counts."""
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode=mode, padding_mode="border", align_corners=False)


def jitter(images: Tensor, strength: Strength, generator: torch.Generator) -> Tensor:
    """Images (b, c, z, y, x) in network intensities with random gain, offset and noise."""
    b = len(images)
    gain = 1 + strength.gain * _uniform(generator, b, 1, 1, 1, 1)
    offset = strength.offset * _uniform(generator, b, 1, 1, 1, 1)
    level = strength.noise * torch.rand(b, 1, 1, 1, 1, generator=generator)
    return images * gain + offset + torch.randn(images.shape, generator=generator) * level


def _uniform(generator: torch.Generator, *shape: int) -> Tensor:
    """Numbers of [-1, 1]."""
    return torch.rand(*shape, generator=generator) * 2 - 1


def _rotation(angles: Tensor) -> Tensor:
    """Rotation matrices (b, 3, 3) of (x, y, z) coordinates from angles (b, 3) about z, y and x, in radian."""
    sine, cosine = angles.sin(), angles.cos()
    zero, one = torch.zeros(len(angles)), torch.ones(len(angles))

    def matrix(rows: list[Tensor]) -> Tensor:
        return torch.stack(rows, dim=1).view(-1, 3, 3)

    about_z = matrix([cosine[:, 0], -sine[:, 0], zero, sine[:, 0], cosine[:, 0], zero, zero, zero, one])
    about_y = matrix([cosine[:, 1], zero, sine[:, 1], zero, one, zero, -sine[:, 1], zero, cosine[:, 1]])
    about_x = matrix([one, zero, zero, zero, cosine[:, 2], -sine[:, 2], zero, sine[:, 2], cosine[:, 2]])
    return about_z @ about_y @ about_x

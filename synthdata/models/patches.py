"""Volumes as patches and back."""

from torch import Tensor

from synthdata.errors import ConfigError


def patch_of(shape_zyx: tuple[int, int, int], side: int) -> tuple[int, int, int]:
    """Voxels of a patch along z, y, x; one along z where there is one slice.

    Raises:
        ConfigError: The grid is not made of whole patches.
    """
    patch = (1 if shape_zyx[0] == 1 else side, side, side)
    if any(voxels % step for voxels, step in zip(shape_zyx, patch, strict=True)):
        raise ConfigError(
            f"grid.shape_zyx is {shape_zyx}, expected multiples of the patch {patch}: "
            "pad the grid, or choose a preset with another patch"
        )
    return patch


def split(volume: Tensor, patch: tuple[int, int, int]) -> Tensor:
    """(b, c, z, y, x) to (b, c * p * q * r, z / p, y / q, x / r) for patches of (p, q, r) voxels."""
    (b, c, z, y, x), (p, q, r) = volume.shape, patch
    blocks = volume.reshape(b, c, z // p, p, y // q, q, x // r, r)
    return blocks.permute(0, 1, 3, 5, 7, 2, 4, 6).reshape(b, c * p * q * r, z // p, y // q, x // r)


def join(patches: Tensor, patch: tuple[int, int, int]) -> Tensor:
    """The inverse of `split`."""
    (b, width, z, y, x), (p, q, r) = patches.shape, patch
    channels = width // (p * q * r)
    blocks = patches.reshape(b, channels, p, q, r, z, y, x).permute(0, 1, 5, 2, 6, 3, 7, 4)
    return blocks.reshape(b, channels, z * p, y * q, x * r)

"""Convolutions in 3D and on one slice."""

from torch import nn

Size = tuple[int, int, int]


def conv(before: int, after: int, kernel: Size, stride: Size = (1, 1, 1)) -> nn.Conv3d:
    """A convolution with odd kernel that keeps the grid, apart from its stride."""
    padding = (kernel[0] // 2, kernel[1] // 2, kernel[2] // 2)
    return nn.Conv3d(before, after, kernel, stride=stride, padding=padding)


def kernel_of(*, flat: bool) -> Size:
    """Voxels of a kernel: 3 along each axis that has neighbours."""
    return (1, 3, 3) if flat else (3, 3, 3)

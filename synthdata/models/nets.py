"""The U-Net that denoises codes, in 3D and in 2D (one slice) by one code path."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from synthdata.errors import ConfigError
from synthdata.models.convolution import conv, kernel_of

GROUPS = 8
EMBEDDING = 256  # width of the embedding of time and conditions


@dataclass(frozen=True, kw_only=True, slots=True)
class UNetConfig:
    """Size of the network."""

    widths: tuple[int, ...] = (64, 192)  # feature maps per level; each level halves the grid
    blocks: tuple[int, ...] = (1, 4)  # residual blocks per level and direction
    heads: int = 6  # of the attention at the lowest level
    dropout: float = 0.0
    ends: int = 3  # side of the first and last kernel; 1 where a patch has the neighbours in its channels

    def __post_init__(self) -> None:
        if len(self.widths) != len(self.blocks) or any(width % GROUPS for width in self.widths):
            raise ConfigError(
                f"network has widths {self.widths} and blocks {self.blocks}: "
                f"expected one number of blocks per width, and widths that {GROUPS} divides"
            )


class UNet(nn.Module):
    """Map fields (b, channels, z, y, x), time (b,) and conditions (b, c) to (b, out, z, y, x)."""

    def __init__(self, config: UNetConfig, *, channels: int, out: int, conditions: int, flat: bool) -> None:
        """Build with zero output, so that training starts from the mean.

        Args:
            config: Size.
            channels: Channels of the input.
            out: Channels of the output.
            conditions: Width c of the condition vector; an all-zero row with flag 0 means none.
            flat: One slice: kernels of 1 x 3 x 3.
        """
        super().__init__()
        kernel, stride = kernel_of(flat=flat), (1, 2, 2) if flat else (2, 2, 2)
        self.stride, levels = stride, len(config.widths)
        self.time = nn.Sequential(nn.Linear(64, EMBEDDING), nn.SiLU(), nn.Linear(EMBEDDING, EMBEDDING))
        self.condition = nn.Sequential(
            nn.Linear(conditions + 1, EMBEDDING), nn.SiLU(), nn.Linear(EMBEDDING, EMBEDDING)
        )
        ends = kernel if config.ends > 1 else (1, 1, 1)
        self.enter = conv(channels, config.widths[0], ends)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()  # of Level
        self.shrink, self.grow = nn.ModuleList(), nn.ModuleList()
        for level, (width, count) in enumerate(zip(config.widths, config.blocks, strict=True)):
            last = level == levels - 1
            heads = config.heads if last else 0
            blocks = [ResBlock(width, width, kernel, config.dropout, heads) for _ in range(count)]
            self.down.append(Level(blocks))
            if last:
                continue
            self.shrink.append(conv(width, config.widths[level + 1], kernel, stride))
            self.grow.append(conv(config.widths[level + 1], width, (1, 1, 1)))
            merged = [ResBlock(2 * width, width, kernel, config.dropout, 0)]
            merged += [ResBlock(width, width, kernel, config.dropout, 0) for _ in range(count - 1)]
            self.up.append(Level(merged))
        self.norm = nn.GroupNorm(GROUPS, config.widths[0])
        self.leave = conv(config.widths[0], out, ends)
        for value in self.leave.parameters():
            nn.init.zeros_(value)

    def forward(self, codes: Tensor, time: Tensor, conditions: Tensor) -> Tensor:
        """Run the network; conditions (b, c + 1) end with a flag that is 0 where they are dropped."""
        embedding = functional.silu(self.time(_fourier(time)) + self.condition(conditions))
        features = self.enter(codes)
        skips = []
        for level, blocks in enumerate(self.down):
            features = blocks(features, embedding)
            if level < len(self.shrink):
                skips.append(features)
                features = self.shrink[level](features)
        for level in reversed(range(len(self.up))):
            skip = skips.pop()
            grown = functional.interpolate(self.grow[level](features), size=skip.shape[2:], mode="nearest")
            features = torch.cat([grown, skip], dim=1)
            features = self.up[level](features, embedding)
        output: Tensor = self.leave(functional.silu(self.norm(features)))
        return output


class Level(nn.Module):
    """Residual blocks one after the other."""

    def __init__(self, blocks: "Sequence[ResBlock]") -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)

    def forward(self, features: Tensor, embedding: Tensor) -> Tensor:
        """Run features (b, width, z, y, x) with an embedding (b, EMBEDDING)."""
        for block in self.blocks:
            features = block(features, embedding)
        return features


class ResBlock(nn.Module):
    """Two convolutions with scale and shift from the embedding, and attention where asked for."""

    def __init__(
        self, width_in: int, width: int, kernel: tuple[int, int, int], dropout: float, heads: int
    ) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.GroupNorm(GROUPS, width_in), conv(width_in, width, kernel)
        self.norm2, self.conv2 = nn.GroupNorm(GROUPS, width), conv(width, width, kernel)
        self.modulate = nn.Linear(EMBEDDING, 2 * width)
        self.dropout = nn.Dropout(dropout)
        self.skip = nn.Identity() if width_in == width else conv(width_in, width, (1, 1, 1))
        self.attention = Attention(width, heads) if heads else None
        nn.init.zeros_(self.conv2.weight)

    def forward(self, features: Tensor, embedding: Tensor) -> Tensor:
        """Map features (b, width_in, z, y, x) to (b, width, z, y, x)."""
        hidden = self.conv1(functional.silu(self.norm1(features)))
        scale, shift = self.modulate(embedding)[:, :, None, None, None].chunk(2, dim=1)
        hidden = functional.silu(self.norm2(hidden) * (1 + scale) + shift)
        hidden = self.skip(features) + self.conv2(self.dropout(hidden))
        if self.attention is not None:
            hidden = self.attention(hidden)
        output: Tensor = hidden
        return output


class Attention(nn.Module):
    """Self-attention over all voxels of a small grid."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(GROUPS, width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        nn.init.zeros_(self.out.weight)

    def forward(self, features: Tensor) -> Tensor:
        """Mix features (b, width, z, y, x) over all voxels."""
        b, width = features.shape[:2]
        tokens = self.norm(features).flatten(2).transpose(1, 2)  # (b, n, width)
        parts = self.qkv(tokens).view(b, -1, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(parts[0], parts[1], parts[2])
        output = self.out(mixed.transpose(1, 2).flatten(2)).transpose(1, 2)
        mixed_in: Tensor = features + output.reshape(features.shape)
        return mixed_in


def _fourier(time: Tensor) -> Tensor:
    """Features (b, 64) of a time (b,) in [0, 1]."""
    frequencies = torch.exp(torch.linspace(0, math.log(1000.0), 32, device=time.device))
    angles = time[:, None] * frequencies[None]
    return torch.cat([angles.cos(), angles.sin()], dim=1)

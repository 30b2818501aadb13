"""A small self-supervised encoder, trained on the training patients only, then frozen.

Contrastive learning of two augmented views. Source: Chen et al., "A Simple Framework for Contrastive Learning
of Visual Representations", ICML 2020, arXiv:2002.05709; used to look for memorised patients by Dar et al.,
Nat. Biomed. Eng. 2025. No mixup and no cutmix: they would teach the encoder that two patients are one.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch calls it so

from synthdata.errors import ConfigError
from synthdata.records.training import ChannelScale
from synthdata.validation.augmentation import Strength, jitter, move, random_affine

VERSION = "2"  # a change of network, augmentation or budget is a new version


@dataclass(frozen=True, kw_only=True, slots=True)
class EncoderConfig:
    """All that is needed to build and to train an `Encoder`."""

    channels: int
    flat: bool  # one slice per case: convolve and rotate in the plane only
    pooling: tuple[int, int, int]  # average pooling of the input, z, y, x
    widths: tuple[int, ...] = (16, 32, 64, 64)
    projection: int = 64
    batch: int = 16
    seen: int = 800  # training images seen, two views each
    temperature: float = 0.2
    learning_rate: float = 2e-3
    seed: int = 20261122

    def __post_init__(self) -> None:
        if min(self.channels, self.batch - 1, self.seen, *self.pooling) < 1:
            raise ConfigError("an encoder needs at least one channel and image, and a batch of two or more")

    @classmethod
    def of(cls, channels: int, shape_zyx: Sequence[int]) -> "EncoderConfig":
        """Config for cases of one shape; large ones are pooled so that a view has at most 2^16 voxels."""
        pooling, shape = [1, 1, 1], list(shape_zyx)
        while np.prod(shape) > 1 << 16:
            axis = int(np.argmax(shape))
            pooling[axis] *= 2
            shape[axis] //= 2
        seen = int(np.clip(4e7 / np.prod(shape), 400, 2000))
        return cls(
            channels=channels, flat=shape_zyx[0] == 1, pooling=(pooling[0], pooling[1], pooling[2]), seen=seen
        )

    def plain(self) -> dict[str, object]:
        """Plain values for JSON."""
        return asdict(self)


class Encoder(nn.Module):
    """Strided convolutions with group norm; features from all levels, the contrast from the last one."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        kernel = (1, 3, 3) if config.flat else (3, 3, 3)
        padding = (kernel[0] // 2, 1, 1)
        levels: list[nn.Module] = []
        before = config.channels
        for width in config.widths:
            stride = (1, 2, 2) if config.flat else (2, 2, 2)
            convolution = nn.Conv3d(before, width, kernel, stride=stride, padding=padding)
            levels.append(nn.Sequential(convolution, nn.GroupNorm(8, width), nn.GELU()))
            before = width
        self.levels = nn.ModuleList(levels)
        self.head = nn.Sequential(nn.Linear(before, before), nn.GELU(), nn.Linear(before, config.projection))

    def pool(self, images: Tensor) -> Tensor:
        """Images (b, c, z, y, x) at the resolution that the encoder sees."""
        return F.avg_pool3d(images, self.config.pooling) if max(self.config.pooling) > 1 else images

    def features(self, images: Tensor) -> Tensor:
        """Features (b, d) of pooled images (b, c, z, y, x): mean and deviation of each map of each level.

        The last level alone is blind to texture, because it was taught what stays under augmentation.
        """
        found, x = [], images
        for level in self.levels:
            x = level(x)
            found += [x.mean(dim=(2, 3, 4)), x.std(dim=(2, 3, 4), correction=0)]
        return torch.cat(found[:-1], dim=1)  # the last level may be a single voxel, which has no deviation

    def forward(self, images: Tensor) -> Tensor:
        """Unit vectors (b, p) for the contrastive loss, from the mean of the last level."""
        x = images
        for level in self.levels:
            x = level(x)
        projected: Tensor = self.head(x.mean(dim=(2, 3, 4)))
        return F.normalize(projected, dim=1)


def contrastive_loss(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """Normalised temperature-scaled cross entropy, equation 1 of arXiv:2002.05709; unit vectors (b, p)."""
    both = torch.cat([first, second])
    similarity = both @ both.T / temperature
    similarity.fill_diagonal_(float("-inf"))
    n = len(first)
    partner = torch.cat([torch.arange(n, 2 * n), torch.arange(n)])
    return F.cross_entropy(similarity, partner)


def augment(images: Tensor, generator: torch.Generator, *, flat: bool) -> Tensor:
    """One random view of images (b, c, z, y, x) in network intensities."""
    strength = Strength(flip_x=True)
    moved = move(images, random_affine(len(images), strength, generator, flat=flat))
    return jitter(moved, strength, generator)


def train_encoder(images: np.ndarray, config: EncoderConfig) -> Encoder:
    """Train on encoded images in network intensities; the same images give the same weights on one machine.

    Args:
        images: float32 (n, c, z, y, x), n >= 2.
        config: Network and budget.

    Raises:
        ConfigError: Fewer than two images.
    """
    if len(images) < 2:
        raise ConfigError(
            f"the feature encoder got {len(images)} training cases, expected at least 2: add patients"
        )
    generator = torch.Generator().manual_seed(config.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        encoder = Encoder(config).train()
    data = encoder.pool(torch.from_numpy(images))
    batch = min(config.batch, len(images))
    steps = max(1, config.seen // batch)
    optimiser = torch.optim.AdamW(encoder.parameters(), lr=config.learning_rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=config.learning_rate, total_steps=steps)
    order = torch.randperm(len(images), generator=generator)
    for step in range(steps):
        at = step * batch % len(images)
        if at + batch > len(images):
            order, at = torch.randperm(len(images), generator=generator), 0
        chosen = data[order[at : at + batch]]
        views = [encoder(augment(chosen, generator, flat=config.flat)) for _ in range(2)]
        loss = contrastive_loss(views[0], views[1], config.temperature)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    return encoder.eval()


def encode(encoder: Encoder, images: np.ndarray) -> np.ndarray:
    """Features of a batch float32 (b, c, z, y, x) in network intensities, float64 (b, d)."""
    with torch.inference_mode():
        return encoder.features(encoder.pool(torch.from_numpy(images))).numpy().astype(np.float64)


def to_network(image: np.ndarray, scales: Sequence[ChannelScale]) -> np.ndarray:
    """Encoded image (c, z, y, x) in network intensities, float32."""
    return np.stack([scale.to_network(image[index]) for index, scale in enumerate(scales)])

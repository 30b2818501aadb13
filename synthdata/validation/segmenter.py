"""A small U-Net for 2D and 3D, and its training: the yardstick of utility."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch calls it so

from synthdata.validation.augmentation import Strength, jitter, move, random_affine

STRENGTH = Strength(zoom=0.1)
MOST_VOXELS = 1 << 17  # of a training patch
URGENCY = 0.3  # at the first step; falls to 0 at half of the steps


@dataclass(frozen=True, kw_only=True, slots=True)
class SegmenterConfig:
    """Network and budget."""

    channels: int
    classes: int  # labels and background
    flat: bool
    steps: int
    seed: int
    batch: int = 2
    widths: tuple[int, ...] = (16, 32, 64, 96)
    learning_rate: float = 4e-3


class Segmenter(nn.Module):
    """U-Net with added skips; the full resolution is kept thin because it costs most."""

    def __init__(self, config: SegmenterConfig) -> None:
        super().__init__()
        self.flat = config.flat
        step = (1, 2, 2) if config.flat else (2, 2, 2)
        widths = config.widths
        self.stem = _block(config.channels, widths[0], flat=config.flat)
        pairs = list(pairwise(widths))
        self.down = nn.ModuleList(
            nn.Sequential(_block(a, b, flat=config.flat, stride=step), _block(b, b, flat=config.flat))
            for a, b in pairs
        )
        self.up = nn.ModuleList(nn.ConvTranspose3d(b, a, step, stride=step) for a, b in reversed(pairs))
        self.mix = nn.ModuleList(_block(a, a, flat=config.flat) for a, _ in reversed(pairs))
        self.head = nn.Conv3d(widths[0], config.classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (b, classes, z, y, x) of images (b, c, z, y, x) in network intensities."""
        shape = images.shape[2:]
        multiple = 2 ** len(self.down)
        pad = [0 if self.flat and axis == 0 else -size % multiple for axis, size in enumerate(shape)]
        x = self.stem(F.pad(images, (0, pad[2], 0, pad[1], 0, pad[0]), mode="replicate"))
        skips = []
        for down in self.down:
            skips.append(x)
            x = down(x)
        for up, mix, skip in zip(self.up, self.mix, reversed(skips), strict=True):
            x = mix(up(x) + skip)
        logits: Tensor = self.head(x)
        return logits[:, :, : shape[0], : shape[1], : shape[2]]


def dice_and_cross_entropy(logits: Tensor, target: Tensor, *, urgency: float = 0.0) -> Tensor:
    """Cross entropy plus 1 - soft Dice over the labels that the batch has; target (b, z, y, x) of classes.

    A label that no case of the batch has is left to the cross entropy: its Dice would only say to give it up. The Dice
    of a label that is given up has no slope, so early in the training its own cross entropy counts with `urgency`.
    """
    chance = logits.softmax(dim=1)
    truth = F.one_hot(target, logits.shape[1]).movedim(-1, 1).float()
    axes = (0, 2, 3, 4)
    there = truth.sum(axes)
    overlap = 2 * (chance * truth).sum(axes) + 1e-2
    dice = overlap / (chance.sum(axes) + there + 1e-2)
    surprise = F.cross_entropy(logits, target, reduction="none")
    own = (truth * surprise[:, None]).sum(axes) / there.clamp_min(1)
    missed = (1 - dice + urgency * own) * (there > 0)
    return surprise.mean() + missed[1:].sum() / (there[1:] > 0).sum().clamp_min(1)


def train_segmenter(
    images: Sequence[np.ndarray],
    targets: Sequence[np.ndarray],
    config: SegmenterConfig,
    start: Segmenter | None = None,
) -> Segmenter:
    """Train for a fixed number of steps; the same cases and seed give the same weights on one machine.

    Args:
        images: float32 (c, z, y, x) in network intensities, all of one shape.
        targets: uint8 (z, y, x) class indices.
        config: Network and budget.
        start: A trained network that goes on learning; None: a new one.
    """
    generator = torch.Generator().manual_seed(config.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        network = (Segmenter(config) if start is None else start).train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=config.learning_rate, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=config.learning_rate, total_steps=config.steps, pct_start=0.15
    )
    order: list[int] = []
    holders = _cases_by_label(targets, config.classes)
    for step in range(config.steps):
        while len(order) < config.batch:
            order += torch.randperm(len(images), generator=generator).tolist()
        chosen, order = order[: config.batch], order[config.batch :]
        if holders:  # one case of each batch has the label whose turn it is: rare ones are not given up
            having = holders[step % len(holders)]
            chosen[-1] = having[int(torch.randint(len(having), (1,), generator=generator))]
        image = torch.from_numpy(np.stack([images[i] for i in chosen]))
        target = torch.from_numpy(np.stack([targets[i] for i in chosen]))
        logits, truth = _forward(network, image, target, generator, flat=config.flat)
        loss = dice_and_cross_entropy(logits, truth, urgency=URGENCY * max(0.0, 1 - 2 * step / config.steps))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        schedule.step()
    return network.eval()


def _cases_by_label(targets: Sequence[np.ndarray], classes: int) -> list[list[int]]:
    """For each label that occurs, the cases which have it."""
    found: list[list[int]] = [[] for _ in range(1, classes)]
    for index, target in enumerate(targets):
        for label in np.unique(target):
            if label > 0:
                found[label - 1].append(index)
    return [cases for cases in found if cases]


def segment(network: Segmenter, image: np.ndarray) -> np.ndarray:
    """Class indices uint8 (z, y, x) of one image float32 (c, z, y, x)."""
    return next(segment_all(network, [image]))


def segment_all(network: Segmenter, images: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
    """Class indices uint8 (z, y, x) of each image float32 (c, z, y, x); all have one shape."""
    # two at a time: PyTorch convolves a single volume some six times as slowly as each of two
    for first in range(0, len(images), 2):
        pair = [images[first], images[min(first + 1, len(images) - 1)]]
        with torch.inference_mode():
            logits = network(torch.from_numpy(np.stack(pair)))
        yield from logits.argmax(dim=1).to(torch.uint8).numpy()[: len(images) - first]


def dice(predicted: np.ndarray, truth: np.ndarray, classes: int) -> np.ndarray:
    """Dice per label, shape (classes - 1,); NaN where the truth lacks the label.

    Args:
        predicted: Class indices (z, y, x).
        truth: Class indices (z, y, x).
        classes: Labels and background.
    """
    found = np.full(classes - 1, np.nan)
    for index in range(1, classes):
        a, b = predicted == index, truth == index
        if b.any():
            found[index - 1] = 2 * (a & b).sum() / (a.sum() + b.sum())
    return found


def _forward(
    network: Segmenter, image: Tensor, target: Tensor, generator: torch.Generator, *, flat: bool
) -> tuple[Tensor, Tensor]:
    """Logits and target of one augmented patch."""
    theta = random_affine(len(image), STRENGTH, generator, flat=flat)
    moved = move(image, theta)
    truth = move(target[:, None].float(), theta, mode="nearest")
    box = _patch(tuple(image.shape[2:]), generator)
    return network(jitter(moved[box], STRENGTH, generator)), truth[box][:, 0].long()


def _patch(shape: tuple[int, ...], generator: torch.Generator) -> tuple[slice, ...]:
    """A random box of at most `MOST_VOXELS`, behind two full axes; the whole of a small image."""
    size = list(shape)
    while np.prod(size) > MOST_VOXELS:
        axis = int(np.argmax(size))
        size[axis] = -(-size[axis] // 2)
    starts = [
        int(torch.randint(whole - part + 1, (1,), generator=generator))
        for whole, part in zip(shape, size, strict=True)
    ]
    boxes = [slice(start, start + part) for start, part in zip(starts, size, strict=True)]
    return (slice(None), slice(None), *boxes)


def _block(before: int, after: int, *, flat: bool, stride: tuple[int, ...] = (1, 1, 1)) -> nn.Sequential:
    kernel, padding = ((1, 3, 3), (0, 1, 1)) if flat else ((3, 3, 3), (1, 1, 1))
    step = (stride[0], stride[1], stride[2])
    return nn.Sequential(
        nn.Conv3d(before, after, kernel, stride=step, padding=padding, bias=False),
        nn.InstanceNorm3d(after, affine=True),
        nn.LeakyReLU(0.01, inplace=True),
    )

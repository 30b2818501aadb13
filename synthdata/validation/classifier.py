"""A small image classifier for 2D and 3D, trained with balanced classes: utility without masks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch calls it so

from synthdata.validation.augmentation import Strength, jitter, move, random_affine

STRENGTH = Strength(rotation=0.1)


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassifierConfig:
    """Network and budget."""

    channels: int
    classes: int
    flat: bool
    steps: int
    seed: int
    batch: int = 16
    widths: tuple[int, ...] = (16, 32, 64, 96)
    learning_rate: float = 3e-3


class Classifier(nn.Module):
    """Strided convolutions, mean over space, one linear layer."""

    def __init__(self, config: ClassifierConfig) -> None:
        super().__init__()
        kernel, padding = ((1, 3, 3), (0, 1, 1)) if config.flat else ((3, 3, 3), (1, 1, 1))
        stride = (1, 2, 2) if config.flat else (2, 2, 2)
        layers: list[nn.Module] = []
        before = config.channels
        for width in config.widths:
            layers += [
                nn.Conv3d(before, width, kernel, stride=stride, padding=padding),
                nn.GroupNorm(8, width),
            ]
            layers += [nn.GELU()]
            before = width
        self.body = nn.Sequential(*layers)
        self.drop = nn.Dropout(0.2)
        self.head = nn.Linear(before, config.classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (b, classes) of images (b, c, z, y, x) in network intensities."""
        logits: Tensor = self.head(self.drop(self.body(images).mean(dim=(2, 3, 4))))
        return logits


def train_classifier(
    images: Sequence[np.ndarray],
    classes: Sequence[int],
    config: ClassifierConfig,
    start: Classifier | None = None,
) -> Classifier:
    """Train for a fixed number of steps on batches which hold all classes equally often.

    Args:
        images: float32 (c, z, y, x) in network intensities, all of one shape.
        classes: Index of each image's class.
        config: Network and budget.
        start: A trained network that goes on learning; None: a new one.
    """
    rng = np.random.default_rng(config.seed)
    generator = torch.Generator().manual_seed(config.seed)
    labels = np.asarray(classes)
    present = np.unique(labels)
    members = [np.flatnonzero(labels == value) for value in present]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        network = (Classifier(config) if start is None else start).train()
        optimiser = torch.optim.AdamW(network.parameters(), lr=config.learning_rate, weight_decay=1e-2)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, max_lr=config.learning_rate, total_steps=config.steps, pct_start=0.15
        )
        for _ in range(config.steps):
            kinds = rng.integers(len(present), size=config.batch)
            chosen = [int(rng.choice(members[kind])) for kind in kinds]
            image = torch.from_numpy(np.stack([images[i] for i in chosen]))
            moved = move(image, random_affine(len(image), STRENGTH, generator, flat=config.flat))
            loss = F.cross_entropy(
                network(jitter(moved, STRENGTH, generator)), torch.from_numpy(labels[chosen])
            )
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
    return network.eval()


def classify(network: Classifier, image: np.ndarray) -> int:
    """Index of the likeliest class of one image float32 (c, z, y, x)."""
    with torch.inference_mode():
        return int(network(torch.from_numpy(image)[None])[0].argmax())

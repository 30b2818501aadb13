"""Watch for memorisation on a part of the training patients that is not learnt from."""

import hashlib
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from synthdata.errors import ConfigError
from synthdata.models import Generator
from synthdata.training.data import TrainingCases

CHECKS = 12  # over the budget
SAMPLES = 48  # drawn per check
SUBSETS = 20  # of training cases, each as large as the monitor part
SIDE = 12  # voxels per axis of the images that are compared
STEPS = 4  # of the sampler
Z = 3.0  # standard errors above a half from which on the share counts as risen
FEWEST = 4  # monitor cases
TWICE = 2  # checks in a row which stop the training


@dataclass(frozen=True, kw_only=True, slots=True)
class Watched:
    """What one check found."""

    nearer_to_train: (
        float  # share of samples nearer to a training case than to a monitor case; a half by chance
    )
    limit: float  # above it the share counts as risen
    loss: float  # mean loss of the monitor cases


def part_for_monitor(cases: TrainingCases, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Rows of cases to learn from and of cases to watch, whole patients, by a hash of their pseudonyms.

    Raises:
        ConfigError: Too few cases would be watched.
    """
    names = sorted(set(cases.patients), key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    watched = set(names[: round(share * len(names))])
    rows = np.array([patient in watched for patient in cases.patients])
    if share and rows.sum() < FEWEST:
        raise ConfigError(
            f"generator.monitor is {share:g}, which leaves {int(rows.sum())} cases of {len(rows)} to watch, "
            f"expected {FEWEST} or more: raise it, add patients, or set it to 0"
        )
    return np.flatnonzero(~rows), np.flatnonzero(rows)


class Monitor:
    """Draws samples and compares their distances to training and to monitor cases, equal in number.

    Source:
        The idea of the distance ratio: van den Burg and Williams, NeurIPS 2021, arXiv:2106.03216.
    """

    def __init__(self, learnt: TrainingCases, watched: TrainingCases, items: Tensor, *, seed: int) -> None:
        """Keep coarse images of both, and the items (h, ...) of those watched."""
        self.conditions, self.items, self.seed = watched.conditions, items, seed
        self.train, self.held = _vectors(learnt.images), _vectors(watched.images)

    @torch.inference_mode()
    def check(self, model: Generator, device: torch.device) -> Watched:
        """Draw samples with the weights that the model has, and compare."""
        rng = torch.Generator().manual_seed(self.seed)
        rows = torch.randint(len(self.conditions), (SAMPLES,), generator=rng)
        seeds = [int(torch.randint(1 << 62, (), generator=rng)) for _ in rows]
        drawn = [
            model.sample(self.conditions[part], seeds[start : start + len(part)], steps=STEPS, guidance=1.0)[
                0
            ]
            for start, part in _parts(rows)
        ]
        vectors = _vectors(torch.cat(drawn).float().cpu())
        share = nearer_share(vectors, self.train, self.held, rng)
        loss = model.loss(
            self.items.to(device), self.conditions.to(device), torch.Generator().manual_seed(self.seed)
        )
        # both the samples and the monitor cases are few
        error = math.sqrt(0.25 / SAMPLES + 0.25 / len(self.held))
        return Watched(nearer_to_train=share, limit=min(0.99, 0.5 + Z * error), loss=float(loss))


def nearer_share(drawn: Tensor, train: Tensor, held: Tensor, rng: torch.Generator) -> float:
    """Share of drawn vectors (m, d) nearer to one of train than to any of held (h, d), over subsets of size h."""
    size = min(len(held), len(train))
    to_held = torch.cdist(drawn, held[:size]).amin(1)
    to_train = torch.cdist(drawn, train)
    shares = []
    for _ in range(SUBSETS):
        chosen = torch.randperm(len(train), generator=rng)[:size]
        shares.append(float((to_train[:, chosen].amin(1) < to_held).float().mean()))
    return float(np.mean(shares))


def _vectors(images: Tensor) -> Tensor:
    """Coarse images (n, c, z, y, x) as rows."""
    sides = [min(side, SIDE) for side in images.shape[2:]]
    return functional.interpolate(images, size=sides, mode="area").flatten(1)


def _parts(rows: Tensor, size: int = 16) -> list[tuple[int, Tensor]]:
    return [(start, rows[start : start + size]) for start in range(0, len(rows), size)]

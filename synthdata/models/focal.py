"""Where focal findings lie and how large they are: labels that only some patients have, such as lesions.

A lesion can lie anywhere, so a small network trained for minutes on few patients leaves it out: its mean over all
places is no lesion. Findings are therefore drawn first, as rough ellipsoids on the template, and the network, which is
told them, learns what the image looks like there.
"""

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor, nn
from torch.nn import functional

from synthdata.models.fields import CLIP_VOXELS

MOST_FINDINGS = 512  # per label
FEWEST_VOXELS = 4  # of a finding
FEATURES = 6  # centre (z, y, x) in voxels, logarithms of its standard deviations along z, y and x
RADIUS = 5**0.5  # of an ellipsoid in standard deviations of its voxels
RIDGE = 1e-2
ROUGHNESS_SPACING = 4  # voxels between independent values of the surface's roughness
MOST_PER_CASE = 8


class FocalLaw(nn.Module):
    """Presence given the conditions, and a smoothed bootstrap of place and size of each finding.

    Source:
        Silverman and Young, Biometrika 74(3), 1987 (smoothed bootstrap with the variance kept).
    """

    findings: Tensor
    told: Tensor
    counts: Tensor
    centre: Tensor
    presence: Tensor
    slope: Tensor
    more: Tensor
    rough: Tensor
    scale: Tensor

    def __init__(self, *, labels: int, shape_zyx: tuple[int, int, int], conditions: int) -> None:
        """Build a law which draws nothing.

        Args:
            labels: Mask labels l.
            shape_zyx: Voxels of the template.
            conditions: Width k of a condition vector.
        """
        super().__init__()
        self.labels, self.shape = labels, shape_zyx
        self.register_buffer("findings", torch.zeros(labels, MOST_FINDINGS, FEATURES))
        self.register_buffer("told", torch.zeros(labels, MOST_FINDINGS, conditions))  # conditions of its case
        self.register_buffer("counts", torch.zeros(labels, dtype=torch.int64))  # findings kept
        self.register_buffer("centre", torch.zeros(conditions))
        self.register_buffer("scale", torch.ones(conditions))
        self.register_buffer("presence", torch.zeros(labels))
        self.register_buffer("slope", torch.zeros(labels, conditions))
        self.register_buffer("more", torch.zeros(labels))  # findings beyond the first, on average
        self.register_buffer("rough", torch.zeros(labels))  # voxels

    def fit(self, fields: Tensor, conditions: Tensor, focal: Tensor) -> None:
        """Fit on fields on the template (n, l, z, y, x), conditions (n, k) and which labels are focal (l,)."""
        self.centre.copy_(conditions.mean(0))
        self.scale.copy_((conditions - self.centre).square().mean(0).sqrt().clamp_min(1e-3))
        given = conditions - self.centre
        penalty = RIDGE * len(given) * torch.diag(self.scale.square()) + 1e-6 * torch.eye(given.shape[1])
        for label in focal.nonzero()[:, 0].tolist():
            found = [_measure(field) for field in fields[:, label].numpy()]
            present = torch.tensor([float(len(features) > 0) for features in found])
            if not present.any():
                continue
            self.presence[label] = present.mean()
            self.slope[label] = torch.linalg.solve(
                given.T @ given + penalty, given.T @ (present - present.mean())
            )
            self.more[label] = float(np.mean([len(features) - 1 for features in found if len(features)]))
            rows = [(row, index) for index, features in enumerate(found) for row in features][:MOST_FINDINGS]
            features = torch.tensor(np.array([row for row, _ in rows]), dtype=torch.float32)
            kept = len(features)
            self.counts[label], self.findings[label, :kept] = kept, features
            self.told[label, :kept] = conditions[torch.tensor([index for _, index in rows])]
            self.rough[label] = self._roughness(fields[:, label], found)

    def draw(self, condition: Tensor, rng: torch.Generator) -> Tensor:
        """Fields (l, z, y, x) on the template given a condition vector (k,); -1 where there is no finding."""
        fields = torch.full((self.labels, *self.shape), -1.0)
        given = condition.cpu() - self.centre.cpu()
        for label in range(self.labels):
            chance = torch.rand((), generator=rng)
            likely = self.presence[label].cpu() + self.slope[label].cpu() @ given
            if self.counts[label] == 0 or chance >= likely:
                continue
            extra = int(torch.poisson(self.more[label].cpu(), generator=rng))
            for _ in range(min(1 + extra, MOST_PER_CASE)):
                fields[label] = torch.maximum(fields[label], self._finding(label, condition.cpu(), rng))
        return fields

    def _finding(self, label: int, condition: Tensor, rng: torch.Generator) -> Tensor:
        """Field (z, y, x) of one finding, like those of patients with like conditions."""
        kept = int(self.counts[label])
        features = self.findings[label, :kept].cpu()
        apart = (self.told[label, :kept].cpu() - condition) / self.scale.cpu()
        weights = torch.exp(-0.5 * (apart.square().sum(1) - apart.square().sum(1).min()))
        chosen = features[torch.multinomial(weights, 1, generator=rng)[0]]
        # Scott's factor; axis by axis, as few findings have a singular covariance.
        factor = kept ** (-1 / (FEATURES + 4))
        width = factor * features.std(0, correction=0).clamp_min(0.1)
        moved = chosen + width * torch.randn(FEATURES, generator=rng)
        # Smoothing widens the law; drawing it together again keeps the variance.
        mean = (weights[:, None] * features).sum(0) / weights.sum()
        moved = mean + (moved - mean) / (1 + factor**2) ** 0.5
        low, high = features.min(0).values, features.max(0).values
        return self._ellipsoid(moved.clamp(low, high), self.rough[label].cpu(), rng)

    def _ellipsoid(self, features: Tensor, rough: Tensor, rng: torch.Generator) -> Tensor:
        distance = _distance(features, self.shape)
        size = [max(1, side // ROUGHNESS_SPACING) for side in self.shape]
        bumps = functional.interpolate(
            torch.randn(1, 1, *size, generator=rng), size=self.shape, mode="trilinear"
        )[0, 0]
        return ((distance + rough * bumps / bumps.std().clamp_min(1e-3)) / CLIP_VOXELS).clamp(-1, 1)

    def _roughness(self, fields: Tensor, found: list[np.ndarray]) -> float:
        """Standard deviation in voxels between findings' surfaces and those of their ellipsoids."""
        wrong = []
        for field, features in zip(fields, found, strict=True):
            if len(features) == 1:
                distance = _distance(torch.tensor(features[0], dtype=torch.float32), self.shape)
                near = (field.abs() < 0.5) & (distance.abs() < CLIP_VOXELS)
                wrong.append((field * CLIP_VOXELS - distance)[near])
        values = torch.cat(wrong) if wrong else torch.zeros(0)
        return float(values.std()) if len(values) > 1 else 0.0


def _measure(field: np.ndarray) -> np.ndarray:
    """Features (findings, 6) of a field (z, y, x)."""
    named, count = ndimage.label(field > 0)
    found = []
    for index in range(1, count + 1):
        places = np.argwhere(named == index)
        if len(places) >= FEWEST_VOXELS:
            spread = np.sqrt(places.var(axis=0) + 1 / 12)  # a voxel is not a point
            found.append(np.concatenate([places.mean(axis=0), np.log(spread)]))
    return np.array(found, dtype=np.float64).reshape(-1, FEATURES)


def _distance(features: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Distance in voxels to an ellipsoid along the ray from its centre (z, y, x), positive inside."""
    axes = [torch.arange(side, dtype=torch.float32) for side in shape]
    offsets = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1) - features[:3]
    radii = RADIUS * features[3:].exp()
    unit = (offsets / radii).norm(dim=-1)
    reach = torch.where(unit > 1e-3, offsets.norm(dim=-1) / unit.clamp_min(1e-3), radii.mean())
    distance: Tensor = (1 - unit) * reach
    return distance

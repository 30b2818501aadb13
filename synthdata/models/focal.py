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
from synthdata.models.groups import FEWEST_PATIENTS, MOST_GROUPS, grouped, shrunk_covariance

FEWEST_VOXELS = 4  # of a finding
FEATURES = 6  # centre (z, y, x) in voxels, logarithms of its standard deviations along z, y and x
RADIUS = 5**0.5  # of an ellipsoid in standard deviations of its voxels
RIDGE = 1e-2
ROUGHNESS_SPACING = 4  # voxels between independent values of the surface's roughness
MOST_PER_CASE = 8
FARTHEST = 2.5  # standard deviations that a finding is drawn from the mean of its group


class FocalLaw(nn.Module):
    """Presence given the conditions, and a law of place and size: Gaussians around a few groups of findings.

    A vessel or a side has a group of its own. Means and one covariance are kept, and no finding of a patient: a label
    that fewer than `FEWEST_PATIENTS` have is not learnt, since their mean would tell of single ones.
    """

    groups: Tensor
    means: Tensor
    root: Tensor
    leaning: Tensor
    centre: Tensor
    mean_condition: Tensor
    presence: Tensor
    slope: Tensor
    more: Tensor
    rough: Tensor

    def __init__(self, *, labels: int, shape_zyx: tuple[int, int, int], conditions: int) -> None:
        """Build a law which draws nothing.

        Args:
            labels: Mask labels l.
            shape_zyx: Voxels of the template.
            conditions: Width k of a condition vector.
        """
        super().__init__()
        self.labels, self.shape = labels, shape_zyx
        self.register_buffer("groups", torch.zeros(labels, MOST_GROUPS))  # share of the findings in each
        self.register_buffer("means", torch.zeros(labels, MOST_GROUPS, FEATURES))
        self.register_buffer("root", torch.zeros(labels, FEATURES, FEATURES))  # of the covariance in a group
        self.register_buffer("leaning", torch.zeros(labels, FEATURES, conditions))  # on the conditions
        self.register_buffer("centre", torch.zeros(labels, conditions))  # of patients with findings
        self.register_buffer("mean_condition", torch.zeros(conditions))
        self.register_buffer("presence", torch.zeros(labels))
        self.register_buffer("slope", torch.zeros(labels, conditions))
        self.register_buffer("more", torch.zeros(labels))  # findings beyond the first, on average
        self.register_buffer("rough", torch.zeros(labels))  # voxels

    def fit(self, fields: Tensor, conditions: Tensor, focal: Tensor, patient: Tensor) -> None:
        """Fit on items, of which a patient may have several: deformed, mirrored, or of several visits.

        Args:
            fields: On the template (n, l, z, y, x).
            conditions: Of each item (n, k).
            focal: Which labels are findings (l,).
            patient: Of each item (n,).
        """
        self.mean_condition.copy_(conditions.mean(0))
        given = conditions - self.mean_condition
        for label in focal.nonzero()[:, 0].tolist():
            found = [_measure(field) for field in fields[:, label].numpy()]
            present = torch.tensor([float(len(features) > 0) for features in found])
            if len(torch.unique(patient[present > 0])) < FEWEST_PATIENTS:
                continue
            self.presence[label] = present.mean()
            self.slope[label] = _slopes(given, (present - present.mean())[:, None])[0]
            self.more[label] = float(np.mean([len(features) - 1 for features in found if len(features)]))
            rows = torch.tensor(np.concatenate(found), dtype=torch.float32)
            whose = torch.tensor([index for index, features in enumerate(found) for _ in features])
            self._fit_findings(label, rows, conditions[whose], patient[whose])
            self.rough[label] = self._roughness(fields[:, label], found)

    def _fit_findings(self, label: int, rows: Tensor, conditions: Tensor, patient: Tensor) -> None:
        """Fit on features (n, 6) of findings, and the conditions (n, k) and the patient (n,) of each."""
        groups = grouped(rows, patient)
        kept = len(groups.weights)
        self.groups[label, :kept], self.means[label, :kept] = groups.weights, groups.means
        self.centre[label] = conditions.mean(0)
        apart, given = rows - groups.member @ groups.means, conditions - self.centre[label]
        self.leaning[label] = _slopes(given, apart)
        left = apart - given @ self.leaning[label].T
        self.root[label] = torch.linalg.cholesky(shrunk_covariance(left))

    def draw(self, condition: Tensor, rng: torch.Generator) -> Tensor:
        """Fields (l, z, y, x) on the template given a condition vector (k,); -1 where there is no finding."""
        fields = torch.full((self.labels, *self.shape), -1.0)
        given = condition.cpu() - self.mean_condition.cpu()
        for label in range(self.labels):
            chance = torch.rand((), generator=rng)
            likely = self.presence[label].cpu() + self.slope[label].cpu() @ given
            if self.presence[label] == 0 or chance >= likely:
                continue
            extra = int(torch.poisson(self.more[label].cpu(), generator=rng))
            for _ in range(min(1 + extra, MOST_PER_CASE)):
                fields[label] = torch.maximum(fields[label], self._finding(label, condition.cpu(), rng))
        return fields

    def _finding(self, label: int, condition: Tensor, rng: torch.Generator) -> Tensor:
        """Field (z, y, x) of one finding, like those of patients with like conditions."""
        group = torch.multinomial(self.groups[label].cpu(), 1, generator=rng)[0]
        told = self.leaning[label].cpu() @ (condition - self.centre[label].cpu())
        normal = torch.randn(FEATURES, generator=rng).clamp(-FARTHEST, FARTHEST)
        features = self.means[label].cpu()[group] + told + self.root[label].cpu() @ normal
        return self._ellipsoid(features, self.rough[label].cpu(), rng)

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


def _slopes(given: Tensor, targets: Tensor) -> Tensor:
    """Ridge regression (t, k) of centred targets (n, t) on centred conditions (n, k) of any scale."""
    penalty = RIDGE * len(given) * torch.diag(given.square().mean(0).clamp_min(1e-6))
    slopes: Tensor = torch.linalg.solve(given.T @ given + penalty, given.T @ targets).T
    return slopes


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

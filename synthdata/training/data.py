"""Training cases in memory, as a generator sees them."""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from synthdata.errors import TrainingError
from synthdata.models.conditions import ConditionCode
from synthdata.models.fields import mask_fields
from synthdata.models.protocol import Generator
from synthdata.records import Grid, TrainingSet
from synthdata.records.case import Value
from synthdata.records.parquet import read_cases
from synthdata.storage import ObjectStore
from synthdata.training.augment import deform

POOL_BYTES = 1 << 30  # memory of the deformed variants
MAX_VARIANTS = 24  # deformed variants of one case
CHUNK = 32  # variants encoded at once


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingCases:
    """All training cases, decoded once."""

    images: Tensor  # float32 (n, c, z, y, x) in network scale
    fields: Tensor  # float32 (n, l, z, y, x)
    conditions: Tensor  # float32 (n, k)
    records: tuple[dict[str, Value], ...]
    volumes: np.ndarray  # label volumes in mm3 (n, l)
    patients: tuple[str, ...]  # pseudonym of each case's patient

    def rows(self, chosen: np.ndarray) -> "TrainingCases":
        """Some of the cases."""
        return TrainingCases(
            images=self.images[chosen],
            fields=self.fields[chosen],
            conditions=self.conditions[chosen],
            records=tuple(self.records[row] for row in chosen),
            volumes=self.volumes[chosen],
            patients=tuple(self.patients[row] for row in chosen),
        )


def load_training_cases(private: ObjectStore, training_set: TrainingSet) -> TrainingCases:
    """Read the train group. Raises TrainingError for constant or non-finite images or unnamed labels."""
    values = tuple(training_set.labels.values())
    code = ConditionCode(training_set.columns)
    images, fields, conditions, records, volumes, patients = [], [], [], [], [], []
    for case in read_cases(private, training_set.train):
        scaled = np.stack(
            [
                scale.to_network(channel)
                for scale, channel in zip(training_set.scales, case.image, strict=True)
            ]
        )
        _check(case.case_id, scaled, case.mask, values)
        images.append(torch.from_numpy(scaled))
        fields.append(torch.from_numpy(mask_fields(case.mask, values)))
        conditions.append(torch.from_numpy(code.encode(case.record)))
        records.append(dict(case.record))
        patients.append(case.patient_id)
        volumes.append([float((case.mask == value).sum()) * case.grid.voxel_mm3 for value in values])
    if len(images) < 2:
        raise TrainingError(f"the train group has {len(images)} cases, expected 2 or more: add patients")
    return TrainingCases(
        images=torch.stack(images),
        fields=torch.stack(fields),
        conditions=torch.stack(conditions),
        records=tuple(records),
        volumes=np.array(volumes).reshape(len(images), len(values)),
        patients=tuple(patients),
    )


def without_volumes(cases: TrainingCases, grid: Grid) -> TrainingCases:
    """The same cases with label volumes from nothing to the whole grid, which tell nothing of a patient."""
    volumes = np.zeros_like(cases.volumes)
    volumes[1::2] = math.prod(grid.shape_zyx) * grid.voxel_mm3
    return replace(cases, volumes=volumes)


def encode_pool(
    model: Generator, cases: TrainingCases, *, seen: int, seed: int, strength: float, flip_x: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Items (m, ...), conditions (m, k), case (m,): each deformed in several ways, deterministic in the seed.

    Deforming ahead of time costs a few seconds once; deforming for each step would cost more than the step.
    """
    count = len(cases.images)
    first = model.encode(cases.images[:1], cases.fields[:1])
    room = POOL_BYTES // (first.numel() * 4 * count)
    variants = max(1, min(MAX_VARIANTS, seen // (2 * count), room)) if strength > 0 else 1 + flip_x
    pool = torch.empty((count * variants, *first.shape[1:]))
    for start in range(0, len(pool), CHUNK):
        chosen = [divmod(row, variants) for row in range(start, min(start + CHUNK, len(pool)))]
        changed = [_variant(cases, *which, seed=seed, strength=strength, flip_x=flip_x) for which in chosen]
        images, fields = (torch.stack(parts) for parts in zip(*changed, strict=True))
        pool[start : start + len(chosen)] = model.encode(images, fields)
    case = torch.arange(count).repeat_interleave(variants)
    return pool, cases.conditions[case], case


def _variant(
    cases: TrainingCases, index: int, variant: int, *, seed: int, strength: float, flip_x: bool
) -> tuple[Tensor, Tensor]:
    """Image and fields of one case; variant 0 is the case as it is."""
    image, fields = cases.images[index], cases.fields[index]
    if variant == 0:
        return image, fields
    if strength == 0:
        return image.flip(-1), fields.flip(-1)
    words = np.random.SeedSequence([seed, index, variant]).generate_state(1)
    return deform(image, fields, torch.Generator().manual_seed(int(words[0])), strength, flip_x=flip_x)


def _check(case_id: str, scaled: np.ndarray, mask: np.ndarray, values: tuple[int, ...]) -> None:
    if not np.isfinite(scaled).all():
        raise TrainingError(f"case {case_id} holds NaN or infinity, expected finite voxels: prepare it again")
    if unknown := sorted(set(np.unique(mask).tolist()) - {0, *values}):
        raise TrainingError(
            f"case {case_id} has mask values {unknown}, which the labels of the spec do not name: mend one"
        )

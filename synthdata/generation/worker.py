"""Draw the cases of one shard: sample, check, retry, mark."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from synthdata.generation.plan import fixed_conditions
from synthdata.models.build import ReadyGenerator
from synthdata.models.clinical import draw_conditions, draw_outcomes
from synthdata.models.conditions import ConditionCode
from synthdata.models.fields import fields_mask
from synthdata.provenance.watermark import embed
from synthdata.records import Case, SamplePlan, TrainingSet
from synthdata.records.case import Value

BATCH = 16  # cases sampled at once; part of what decides the bytes
ATTEMPTS = 4  # draws per case before the last one is kept and counted as failed
RANGE_SLACK = 0.5  # a label may be this much smaller or larger than any training one


@dataclass(kw_only=True, slots=True)
class ShardTally:
    """What happened while a shard was drawn."""

    rejected: dict[str, int] = field(default_factory=dict)  # draws thrown away, by reason
    kept_failing: int = 0  # cases whose last draw failed too


class ShardWorker:
    """Holds the weights and draws shards; one per process or actor."""

    def __init__(
        self,
        plan: SamplePlan,
        ready: ReadyGenerator,
        training_set: TrainingSet,
        *,
        watermark_key: bytes | None,
    ) -> None:
        self.plan, self.ready, self.training_set = plan, ready, training_set
        self.watermark_key = watermark_key
        self.code = ConditionCode(training_set.columns)
        self.values = tuple(training_set.labels.values())

    def draw(self, shard: int) -> tuple[list[Case], ShardTally]:
        """All cases of one shard, in order of their index; the same for every call."""
        first = shard * self.plan.shard_size
        indices = range(first, min(first + self.plan.shard_size, self.plan.cases))
        tally, cases = ShardTally(), dict[int, Case]()
        for start in range(0, len(indices), BATCH):
            waiting: Sequence[int] = indices[start : start + BATCH]
            for attempt in range(ATTEMPTS):
                drawn = self._draw_batch(waiting, attempt)
                faults = {index: self._fault(case) for index, case in drawn.items()}
                last = attempt == ATTEMPTS - 1
                cases |= {i: case for i, case in drawn.items() if last or faults[i] is None}
                for fault in filter(None, faults.values()):
                    tally.rejected[fault] = tally.rejected.get(fault, 0) + (not last)
                    tally.kept_failing += last
                waiting = [index for index in waiting if index not in cases]
                if not waiting:
                    break
        return [self._marked(cases[index]) for index in indices], tally

    def _draw_batch(self, indices: Sequence[int], attempt: int) -> dict[int, Case]:
        rngs = [np.random.default_rng([self.plan.seed, index, attempt]) for index in indices]
        records: list[dict[str, Value]] = [
            draw_conditions(
                self.ready.law, self.training_set.columns, rng, fixed_conditions(self.plan, index)
            )
            for rng, index in zip(rngs, indices, strict=True)
        ]
        conditions = torch.from_numpy(np.stack([self.code.encode(record) for record in records]))
        seeds = [int(rng.integers(1 << 62)) for rng in rngs]
        images, fields = self.ready.model.sample(
            conditions, seeds, steps=self.plan.steps, guidance=self.plan.guidance
        )
        masks = fields_mask(fields.float().cpu(), self.values).numpy()
        encoded = np.stack(
            [
                scale.to_encoded(images[:, channel].float().cpu().numpy())
                for channel, scale in enumerate(self.training_set.scales)
            ],
            axis=1,
        )
        parts = zip(indices, rngs, records, seeds, encoded, masks, strict=True)
        return {i: self._case(i, rng, r, seed, image, mask) for i, rng, r, seed, image, mask in parts}

    def _case(
        self,
        index: int,
        rng: np.random.Generator,
        record: Mapping[str, Value],
        seed: int,
        image: np.ndarray,
        mask: np.ndarray,
    ) -> Case:
        grid, columns = self.training_set.grid, self.training_set.columns
        volumes = np.array([float((mask == value).sum()) * grid.voxel_mm3 for value in self.values])
        outcomes = draw_outcomes(self.ready.law, columns, record, volumes, rng)
        name = hashlib.sha256(f"{self.plan.checkpoint}/{self.plan.seed}/{index}".encode()).hexdigest()[:16]
        return Case(
            case_id=f"SYN-{name}",
            patient_id=f"SYN-{name}",
            image=image,
            mask=mask,
            grid=grid,
            record={**record, **outcomes},
            provenance={
                "index": index,
                "seed": seed,
                "steps": self.plan.steps,
                "checkpoint": self.plan.checkpoint,
            },
        )

    def _fault(self, case: Case) -> str | None:
        """Reason to draw a case again, or None: blank, saturated, or a label volume far outside training."""
        for scale, channel in zip(self.training_set.scales, case.image, strict=True):
            unit = scale.to_network(channel)
            if unit.std() < 0.02:
                return "blank_image"
            if (np.abs(unit) > 0.99).mean() > 0.98:
                return "saturated_image"
        for value, (least, greatest) in zip(self.values, self.ready.volume_range, strict=True):
            volume = float((case.mask == value).sum()) * case.grid.voxel_mm3
            if volume < least * (1 - RANGE_SLACK) or volume > greatest * (1 + RANGE_SLACK):
                return "label_volume"
        return None

    def _marked(self, case: Case) -> Case:
        if self.watermark_key is None:
            return case
        image = embed(case.image, self.training_set.scales, key=self.watermark_key, case_id=case.case_id)
        return Case(
            case_id=case.case_id,
            patient_id=case.patient_id,
            image=image,
            mask=case.mask,
            grid=case.grid,
            record=case.record,
            provenance=case.provenance,
        )

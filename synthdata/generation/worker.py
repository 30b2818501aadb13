"""Draw the cases of one shard: sample, check, retry, mark; replace what lies too near to a training patient."""

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
from synthdata.privacy.copy_filter import CopyFilter
from synthdata.provenance.watermark import embed
from synthdata.records import Case, SamplePlan, TrainingSet
from synthdata.records.case import Value

BATCH = 16  # cases sampled at once; part of what decides the bytes
ATTEMPTS = 4  # draws per case before the last one is kept and counted as failed
REPLACEMENTS = (
    8  # of a case that the copy filter removes, before the last one is kept, which the gate then fails
)
RANGE_SLACK = 0.5  # a label may be this much smaller or larger than any training one


@dataclass(kw_only=True, slots=True)
class ShardTally:
    """What happened while a shard was drawn."""

    rejected: dict[str, int] = field(default_factory=dict)  # draws thrown away, by reason
    kept_failing: int = 0  # cases whose last draw failed too
    removed: list[Case] = field(default_factory=list)  # first draws that the copy filter removed
    removed_draws: int = 0  # all draws that it removed
    kept_suspect: int = 0  # cases whose last replacement was suspect too


class ShardWorker:
    """Holds the weights and draws shards; one per process or actor."""

    def __init__(
        self,
        plan: SamplePlan,
        ready: ReadyGenerator,
        training_set: TrainingSet,
        *,
        watermark_key: bytes | None,
        copy_filter: CopyFilter | None = None,
    ) -> None:
        self.plan, self.ready, self.training_set = plan, ready, training_set
        self.watermark_key, self.copy_filter = watermark_key, copy_filter
        self.code = ConditionCode(training_set.columns)
        self.values = tuple(training_set.labels.values())

    def draw(self, shard: int) -> tuple[list[Case], ShardTally]:
        """All cases of one shard, in order of their index; the same for every call."""
        first = shard * self.plan.shard_size
        indices = range(first, min(first + self.plan.shard_size, self.plan.cases))
        tally, cases = ShardTally(), dict[int, Case]()
        for start in range(0, len(indices), BATCH):
            cases |= self._without_copies(indices[start : start + BATCH], tally)
        return [cases[index] for index in indices], tally

    def _without_copies(self, indices: Sequence[int], tally: ShardTally) -> dict[int, Case]:
        """Draw cases; those that the copy filter removes are drawn again from the same condition, with new seeds."""
        waiting, kept = self._checked(indices, tally), dict[int, Case]()
        if self.copy_filter is None:
            return waiting
        for turn in range(1, REPLACEMENTS + 1):
            flags = self.copy_filter.suspects(list(waiting.values()))
            suspect = {i: case for (i, case), flag in zip(waiting.items(), flags, strict=True) if flag}
            kept |= {i: case for i, case in waiting.items() if i not in suspect}
            if not suspect:
                return kept
            if turn == 1:
                tally.removed.extend(suspect.values())
            tally.removed_draws += len(suspect)
            conditions = {i: self._conditions_of(case) for i, case in suspect.items()}
            waiting = self._checked(list(suspect), tally, conditions=conditions, turn=turn)
        tally.kept_suspect += int(self.copy_filter.suspects(list(waiting.values())).sum())
        return kept | waiting

    def _conditions_of(self, case: Case) -> dict[str, Value]:
        """The part of a record that was drawn before the image."""
        names = [column.name for column in self.training_set.columns if column.role == "condition"]
        return {name: case.record[name] for name in names if name in case.record}

    def _checked(
        self,
        indices: Sequence[int],
        tally: ShardTally,
        *,
        conditions: Mapping[int, dict[str, Value]] | None = None,
        turn: int = 0,
    ) -> dict[int, Case]:
        """Draw cases until they pass the quality control, or the last attempt; marked."""
        waiting, cases = indices, dict[int, Case]()
        for attempt in range(ATTEMPTS):
            drawn = self._draw_batch(waiting, (attempt, turn) if turn else (attempt,), conditions)
            faults = {index: self._fault(case) for index, case in drawn.items()}
            last = attempt == ATTEMPTS - 1
            cases |= {i: case for i, case in drawn.items() if last or faults[i] is None}
            for fault in filter(None, faults.values()):
                tally.rejected[fault] = tally.rejected.get(fault, 0) + (not last)
                tally.kept_failing += last
            waiting = [index for index in waiting if index not in cases]
            if not waiting:
                break
        return {index: self._marked(cases[index]) for index in indices}

    def _draw_batch(
        self, indices: Sequence[int], seed: tuple[int, ...], given: Mapping[int, dict[str, Value]] | None
    ) -> dict[int, Case]:
        """Draw cases once; `seed` is added to that of the plan and the index, conditions are given or drawn."""
        rngs = [np.random.default_rng([self.plan.seed, index, *seed]) for index in indices]
        records = [
            self._drawn_conditions(index, rng) if given is None else given[index]
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

    def _drawn_conditions(self, index: int, rng: np.random.Generator) -> dict[str, Value]:
        return draw_conditions(
            self.ready.law, self.training_set.columns, rng, fixed_conditions(self.plan, index)
        )

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

"""What to draw: a plan that gives the same bytes whoever carries it out."""

import json
from collections.abc import Mapping

from synthdata.errors import ConfigError
from synthdata.privacy.copy_filter import removal_share
from synthdata.provenance.keys import key_id
from synthdata.records import Checkpoint, SamplePlan, TrainingSet, digest_of
from synthdata.spec import DatasetSpec

CODE_VERSION = "generation-2"  # changes when the same plan would give other bytes


def plan_samples(
    spec: DatasetSpec, checkpoint: Checkpoint, training_set: TrainingSet, *, watermark_key: bytes | None
) -> SamplePlan:
    """Plan the sampling section of a spec.

    Args:
        spec: Names the cases, the steps, the shard size, the counts per value and the share of the copy filter.
        checkpoint: The generator.
        training_set: Its grid, scales and columns.
        watermark_key: Secret key of the pixel watermark; None for no watermark.

    Raises:
        ConfigError: The checkpoint learnt from another training set, such as one on another grid; a count for a value
            that the spec does not know, or more counts than cases.
    """
    if spec.translates_only:
        raise ConfigError(
            "translation.draw is false, so this dataset translates and draws no cases: set it to true to release it"
        )
    if digest_of(training_set) not in checkpoint.parents:
        raise ConfigError(
            f"the checkpoint of {checkpoint.dataset} learnt from another training set than the one of now, "
            f"whose grid is {training_set.grid.shape_zyx}: train it again"
        )
    _check_counts(spec.sampling.counts, training_set, spec.sampling.cases)
    return SamplePlan(
        dataset=spec.name,
        checkpoint=digest_of(checkpoint),
        training_set=digest_of(training_set),
        seed=spec.sampling.seed,
        cases=spec.sampling.cases,
        shard_size=spec.sampling.shard_size,
        steps=spec.sampling.steps,
        guidance=spec.sampling.guidance,
        conditions=json.dumps({k: dict(v) for k, v in spec.sampling.counts.items()}, sort_keys=True),
        watermark_key="" if watermark_key is None else key_id(watermark_key),
        code_version=CODE_VERSION,
        copy_share=removal_share(spec.gates, spec.sampling.cases),
    )


def fixed_conditions(plan: SamplePlan, index: int) -> dict[str, str]:
    """Values that the plan's counts fix for case `index`: the first cases serve the first value."""
    fixed = {}
    for column, counts in json.loads(plan.conditions).items():
        end = 0
        for value, count in counts.items():
            end += count
            if index < end:
                fixed[column] = value
                break
    return fixed


def _check_counts(counts: Mapping[str, Mapping[str, int]], training_set: TrainingSet, cases: int) -> None:
    columns = {column.name: column for column in training_set.columns}
    for name, wanted in counts.items():
        column = columns.get(name)
        if column is None or column.kind != "category" or column.role != "condition":
            raise ConfigError(f"sampling.counts names {name}, expected a category column with role condition")
        if unknown := sorted(set(wanted) - set(column.values)):
            raise ConfigError(
                f"sampling.counts.{name} names {unknown}, expected values among {column.values}"
            )
        if min(wanted.values(), default=0) < 0 or sum(wanted.values()) > cases:
            raise ConfigError(
                f"sampling.counts.{name} adds up to {sum(wanted.values())}, "
                f"expected 0 to {cases} (sampling.cases)"
            )

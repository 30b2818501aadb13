"""From the generator to synthetic cases: group `generation`."""

from typing import TYPE_CHECKING

import dagster as dg

from assets.describing import describe_cases, describe_rejections
from assets.preparation import training_set_stage
from assets.secret_keys import secret_key
from assets.stage import Stage, working
from assets.training import CRASHED, checkpoint_stage
from assets.translation import check_that_it_translates, translation_stage
from assets.watching import Watcher
from synthdata.records import CaseSet, Checkpoint, SamplePlan, TrainingSet
from synthdata.spec import DatasetSpec
from synthdata.storage import ObjectStore, keys

if TYPE_CHECKING:
    from synthdata.generation.engines import Engine
else:
    Engine = (
        object  # Dagster reads the annotation when the graph is loaded, and the real one would load torch
    )


def plan_stage(spec: DatasetSpec) -> Stage:
    """Name of the plan."""
    return Stage(spec=spec, group="generation", name="plan", kinds=("python", "json"))


def cases_stage(spec: DatasetSpec) -> Stage:
    """Name of the synthetic cases."""
    return Stage(spec=spec, group="generation", name="cases", kinds=("pytorch", "parquet"))


def plan(spec: DatasetSpec) -> dg.AssetsDefinition:
    """What is to be drawn."""
    stage = plan_stage(spec)
    text = "What to draw: one seed per case, so the same plan gives the same bytes, whatever the engine."

    @dg.asset(
        **stage.options(text),
        ins={
            "trained": dg.AssetIn(key=checkpoint_stage(spec).key),
            "prepared": dg.AssetIn(key=training_set_stage(spec).key),
        },
        deps=[translation_stage(spec).key] if spec.translation is not None else [],
    )
    def planned(
        context: dg.AssetExecutionContext,
        trained: Checkpoint,
        prepared: TrainingSet,
        private: dg.ResourceParam[ObjectStore],
        watcher: dg.ResourceParam[Watcher],
    ) -> dg.MaterializeResult[SamplePlan]:
        from synthdata.generation import plan_samples

        with working(context, watcher, stage.key):
            check_that_it_translates(spec, prepared, trained, private)
            watermark_key = secret_key(private, keys.WATERMARK_KEY)
            made = plan_samples(spec, trained, prepared, watermark_key=watermark_key)
        return stage.result(made, {"cases": made.cases, "shards": made.shards, "steps": made.steps})

    return planned


def cases(spec: DatasetSpec) -> dg.AssetsDefinition:
    """The synthetic cases."""
    stage = cases_stage(spec)
    text = (
        "Synthetic cases: image, mask and record drawn together, shard by shard, with the watermark in the pixels. "
        "A killed run loses the shard it was at and doubles none."
    )

    @dg.asset(
        **stage.options(text),
        ins={
            "planned": dg.AssetIn(key=plan_stage(spec).key),
            "trained": dg.AssetIn(key=checkpoint_stage(spec).key),
            "prepared": dg.AssetIn(key=training_set_stage(spec).key),
        },
        retry_policy=CRASHED,
        pool="gpu",
    )
    def synthetic(
        context: dg.AssetExecutionContext,
        planned: SamplePlan,
        trained: Checkpoint,
        prepared: TrainingSet,
        private: dg.ResourceParam[ObjectStore],
        engine: dg.ResourceParam[Engine],
        watcher: dg.ResourceParam[Watcher],
    ) -> dg.MaterializeResult[CaseSet]:
        from synthdata.generation import generate
        from synthdata.generation.receipts import rejections

        with working(context, watcher, stage.key) as progress:
            watermark_key = secret_key(private, keys.WATERMARK_KEY)
            made, was_there = stage.remember(
                private,
                CaseSet,
                (planned, trained, prepared),
                lambda: generate(
                    planned,
                    trained,
                    prepared,
                    private,
                    engine=engine,
                    watermark_key=watermark_key,
                    progress=progress,
                ),
            )
            rejected = rejections(private, planned)
        return stage.result(
            made, {**describe_cases(made), **describe_rejections(rejected)}, was_there=was_there
        )

    return synthetic

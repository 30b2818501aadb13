"""From the training set to a generator: group `model`."""

from typing import Protocol

import dagster as dg

from assets.describing import describe_checkpoint
from assets.preparation import training_set_stage
from assets.stage import Stage, working
from assets.watching import Watcher
from synthdata.progress import Progress
from synthdata.records import Checkpoint, TrainingSet
from synthdata.spec import DatasetSpec
from synthdata.storage import ObjectStore

CRASHED = dg.RetryPolicy(
    max_retries=2, delay=10, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS
)  # a killed process resumes from its last checkpoint
SATURDAY_NIGHT = (  # training costs: once a week, and only on inputs whose checks passed
    dg.AutomationCondition.on_cron("0 2 * * 6")
    & dg.AutomationCondition.all_deps_blocking_checks_passed()
    & ~dg.AutomationCondition.in_progress()
)


class Trainer(Protocol):
    """Trains a generator, in this process or in several."""

    def train(
        self,
        context: dg.AssetExecutionContext,
        spec: DatasetSpec,
        prepared: TrainingSet,
        private: ObjectStore,
        progress: Progress,
    ) -> Checkpoint:
        """The finished checkpoint."""
        ...


def checkpoint_stage(spec: DatasetSpec) -> Stage:
    """Name of the checkpoint."""
    return Stage(spec=spec, group="model", name="checkpoint", kinds=("pytorch", "python"))


def checkpoint(spec: DatasetSpec) -> dg.AssetsDefinition:
    """The trained generator."""
    stage = checkpoint_stage(spec)
    text = (
        f"Generator of family *{spec.generator.family}*, preset *{spec.generator.preset}*, which sees the train group "
        "alone. A killed run goes on where it stopped; nothing is trained twice on the same inputs."
    )

    @dg.asset(
        **stage.options(text),
        ins={"prepared": dg.AssetIn(key=training_set_stage(spec).key)},
        automation_condition=SATURDAY_NIGHT,
        retry_policy=CRASHED,
        pool="gpu",
    )
    def trained(
        context: dg.AssetExecutionContext,
        prepared: TrainingSet,
        private: dg.ResourceParam[ObjectStore],
        trainer: dg.ResourceParam[Trainer],
        watcher: dg.ResourceParam[Watcher],
    ) -> dg.MaterializeResult[Checkpoint]:
        with working(context, watcher, stage.key) as progress:
            made, was_there = stage.remember(
                private,
                Checkpoint,
                (prepared,),
                lambda: trainer.train(context, spec, prepared, private, progress),
            )
        return stage.result(made, describe_checkpoint(made, private), was_there=was_there)

    return trained

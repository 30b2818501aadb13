"""From accepted cases to the training set: group `preparation`."""

import dagster as dg

from assets.describing import describe_training_set
from assets.ingestion import WHEN_INPUT_CHANGES, intake_stage
from assets.secret_keys import secret_key
from assets.stage import Stage, working
from assets.watching import Watcher
from synthdata.records import IntakeReport, TrainingSet
from synthdata.spec import DatasetSpec
from synthdata.storage import ObjectStore, keys


def training_set_stage(spec: DatasetSpec) -> Stage:
    """Name of the training set."""
    return Stage(spec=spec, group="preparation", name="training_set", kinds=("python", "parquet"))


def training_set(spec: DatasetSpec) -> dg.AssetsDefinition:
    """Cases on one grid, split by patient."""
    stage = training_set_stage(spec)
    text = (
        "All cases on one grid with one encoding of intensities, split by patient into train, control (for the "
        "privacy tests alone) and test (for utility and fidelity alone)."
    )

    @dg.asset(
        **stage.options(text),
        ins={"intake": dg.AssetIn(key=intake_stage(spec).key)},
        automation_condition=WHEN_INPUT_CHANGES,
    )
    def prepared(
        context: dg.AssetExecutionContext,
        intake: IntakeReport,
        private: dg.ResourceParam[ObjectStore],
        watcher: dg.ResourceParam[Watcher],
    ) -> dg.MaterializeResult[TrainingSet]:
        from synthdata.preparation import prepare

        with working(context, watcher, stage.key) as progress:
            split_key = secret_key(private, keys.SPLIT_KEY)
            made, was_there = stage.remember(
                private,
                TrainingSet,
                (intake,),
                lambda: prepare(spec, intake, private, split_key=split_key, progress=progress),
            )
        return stage.result(made, describe_training_set(made), was_there=was_there)

    return prepared

"""Test patients translated and compared with their true images, before any case is planned: datasets that translate."""

import dagster as dg

from assets.describing import Row, table
from assets.preparation import training_set_stage
from assets.stage import Stage, working
from assets.training import checkpoint_stage
from assets.watching import Watcher
from synthdata.errors import GateError
from synthdata.records import Checkpoint, TrainingSet
from synthdata.records.translation import TranslationReport
from synthdata.spec import DatasetSpec
from synthdata.storage import ObjectStore


def translation_stage(spec: DatasetSpec) -> Stage:
    """Name of the report."""
    return Stage(spec=spec, group="validation", name="translation", kinds=("pytorch", "python"))


def report(spec: DatasetSpec) -> dg.AssetsDefinition:
    """Errors of the translator on the test group."""
    stage = translation_stage(spec)
    text = "MAE, PSNR and SSIM of translated test patients in the body, beside baselines, with intervals over patients."

    @dg.asset(
        **stage.options(text),
        ins={
            "trained": dg.AssetIn(key=checkpoint_stage(spec).key),
            "prepared": dg.AssetIn(key=training_set_stage(spec).key),
        },
        pool="gpu",
    )
    def translated(
        context: dg.AssetExecutionContext,
        trained: Checkpoint,
        prepared: TrainingSet,
        private: dg.ResourceParam[ObjectStore],
        watcher: dg.ResourceParam[Watcher],
    ) -> dg.MaterializeResult[TranslationReport]:
        from synthdata.validation.translation import measure_translation

        with working(context, watcher, stage.key) as progress:
            made, was_there = stage.remember(
                private,
                TranslationReport,
                (prepared, trained),
                lambda: measure_translation(prepared, trained, private, progress=progress),
            )
        rows: list[Row] = [
            {"metric": metric, "method": method, "mean over patients": str(value)}
            for metric, methods in made.values.items()
            for method, value in methods.items()
        ]
        gains: list[Row] = [{"against": name, "better by": str(gain)} for name, gain in made.gains.items()]
        metadata = {
            "outcome": made.outcome,
            "errors": table(rows),
            "gains": table(gains),
            "reasons": " ".join(made.reasons) or "none",
        }
        return stage.result(made, metadata, was_there=was_there)

    return translated


def beats_its_baselines(spec: DatasetSpec) -> dg.AssetChecksDefinition:
    """The translator is better than the mean target, the source as it is, and interpolation."""

    @dg.asset_check(
        asset=translation_stage(spec).key,
        name="translation_beats_its_baselines",
        blocking=True,
        description="The error in the body is smaller than that of every baseline, with an interval apart from 0.",
    )
    def check(translated: TranslationReport) -> dg.AssetCheckResult:
        return dg.AssetCheckResult(
            passed=translated.outcome == "PASS",
            severity=dg.AssetCheckSeverity.ERROR,
            description=" ".join(translated.reasons) or None,
            metadata={"outcome": translated.outcome},
        )

    return check


def check_that_it_translates(
    spec: DatasetSpec, prepared: TrainingSet, trained: Checkpoint, private: ObjectStore
) -> None:
    """Refuse to plan cases of a translator that is no better than its baselines; a check does not stop a later run.

    Raises:
        GateError: The report of this checkpoint is missing, or did not pass.
    """
    if spec.translation is None:
        return
    found = translation_stage(spec).recall(private, TranslationReport, (prepared, trained))
    if found is None or found.outcome != "PASS":
        outcome = "missing" if found is None else found.outcome
        reasons = "" if found is None else " ".join(found.reasons)
        raise GateError(
            f"the report on translated test patients is {outcome}, expected PASS: train longer, or add patients. "
            f"{reasons}"
        )

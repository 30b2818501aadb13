"""From synthetic cases to the verdict: group `validation`."""

from collections.abc import Iterator

import dagster as dg

from assets.describing import (
    describe_expectations,
    describe_fidelity,
    describe_privacy,
    describe_utility,
    describe_verdict,
)
from assets.generation import cases_stage
from assets.preparation import training_set_stage
from assets.references import ReportFiles
from assets.stage import Stage, working
from assets.training import checkpoint_stage
from assets.watching import Watcher
from synthdata.records import (
    CaseSet,
    Checkpoint,
    ExpectationsReport,
    FidelityReport,
    PrivacyReport,
    TrainingSet,
    UtilityReport,
    Verdict,
    digest_of,
)
from synthdata.spec import DatasetSpec
from synthdata.storage import ObjectStore


def validation_stage(spec: DatasetSpec, name: str) -> Stage:
    """Name of one report, such as `fidelity`."""
    kinds = ("greatexpectations", "python") if name == "expectations" else ("python",)
    return Stage(spec=spec, group="validation", name=name, kinds=kinds)


def real_and_synthetic(spec: DatasetSpec) -> dict[str, dg.AssetIn]:
    """What every report compares."""
    return {
        "prepared": dg.AssetIn(key=training_set_stage(spec).key),
        "synthetic": dg.AssetIn(key=cases_stage(spec).key),
    }


def reports(spec: DatasetSpec) -> dict[str, dg.AssetIn]:
    """What the verdict is made from."""
    names = ("fidelity", "utility", "privacy", "expectations")
    return {name: dg.AssetIn(key=validation_stage(spec, name).key) for name in names}


def expectations(spec: DatasetSpec) -> dg.AssetsDefinition:
    """Suites over the tables."""
    stage = validation_stage(spec, "expectations")
    text = (
        "Great Expectations suites over the tables of cases, records and metrics, as Data Docs; results on cases say "
        "pass or fail, never a value."
    )

    names = ("fidelity", "utility", "privacy")
    measured = {name: dg.AssetIn(key=validation_stage(spec, name).key) for name in names}

    @dg.asset(**stage.options(text), ins={**real_and_synthetic(spec), **measured})
    def expected(  # noqa: PLR0913, PLR0917 - tables of cases and of every report
        context: dg.AssetExecutionContext,
        prepared: TrainingSet,
        synthetic: CaseSet,
        fidelity: FidelityReport,
        utility: UtilityReport,
        privacy: PrivacyReport,
        private: dg.ResourceParam[ObjectStore],
        watcher: dg.ResourceParam[Watcher],
    ) -> dg.MaterializeResult[ExpectationsReport]:
        from synthdata.validation import check_expectations

        with working(context, watcher, stage.key):
            made, was_there = stage.remember(
                private,
                ExpectationsReport,
                (prepared, synthetic, fidelity, utility, privacy),
                lambda: check_expectations(
                    spec,
                    prepared,
                    synthetic,
                    private,
                    fidelity=fidelity,
                    utility=utility,
                    privacy=privacy,
                ),
            )
        return stage.result(made, describe_expectations(made), was_there=was_there)

    return expected


def fidelity(spec: DatasetSpec) -> dg.AssetsDefinition:
    """How much synthetic cases look like real ones."""
    stage = validation_stage(spec, "fidelity")
    text = "Fidelity and diversity against held-out patients, each number between its floor and its ceiling."

    @dg.asset(**stage.options(text), ins=real_and_synthetic(spec))
    def faithful(
        context: dg.AssetExecutionContext,
        prepared: TrainingSet,
        synthetic: CaseSet,
        private: dg.ResourceParam[ObjectStore],
        watcher: dg.ResourceParam[Watcher],
    ) -> dg.MaterializeResult[FidelityReport]:
        from synthdata.validation import measure_fidelity

        with working(context, watcher, stage.key) as progress:
            made, was_there = stage.remember(
                private,
                FidelityReport,
                (prepared, synthetic),
                lambda: measure_fidelity(spec, prepared, synthetic, private, progress=progress),
            )
        return stage.result(made, describe_fidelity(made), was_there=was_there)

    return faithful


def utility(spec: DatasetSpec) -> dg.AssetsDefinition:
    """What synthetic cases are worth to a learner."""
    stage = validation_stage(spec, "utility")
    text = "Train on synthetic, test on real, beside train on real, test on real, with equal steps."

    @dg.asset(**stage.options(text), ins=real_and_synthetic(spec), pool="gpu")
    def useful(
        context: dg.AssetExecutionContext,
        prepared: TrainingSet,
        synthetic: CaseSet,
        private: dg.ResourceParam[ObjectStore],
        watcher: dg.ResourceParam[Watcher],
    ) -> dg.MaterializeResult[UtilityReport]:
        from synthdata.validation import measure_utility

        with working(context, watcher, stage.key) as progress:
            made, was_there = stage.remember(
                private,
                UtilityReport,
                (prepared, synthetic),
                lambda: measure_utility(spec, prepared, synthetic, private, progress=progress),
            )
        return stage.result(made, describe_utility(made), was_there=was_there)

    return useful


def privacy(spec: DatasetSpec) -> dg.AssetsDefinition:
    """Whether training patients were copied."""
    stage = validation_stage(spec, "privacy")
    text = "Are generated cases nearer to training patients than chance allows? With the power of each test."

    trained_by = {"trained": dg.AssetIn(key=checkpoint_stage(spec).key)}

    @dg.asset(**stage.options(text), ins={**real_and_synthetic(spec), **trained_by})
    def private_enough(
        context: dg.AssetExecutionContext,
        prepared: TrainingSet,
        synthetic: CaseSet,
        trained: Checkpoint,
        private: dg.ResourceParam[ObjectStore],
        watcher: dg.ResourceParam[Watcher],
    ) -> dg.MaterializeResult[PrivacyReport]:
        from synthdata.privacy import measure_privacy

        with working(context, watcher, stage.key) as progress:
            made, was_there = stage.remember(
                private,
                PrivacyReport,
                (prepared, synthetic, trained),
                lambda: measure_privacy(
                    spec, prepared, synthetic, private, checkpoint=trained, progress=progress
                ),
            )
        return stage.result(made, describe_privacy(made), was_there=was_there)

    return private_enough


def verdict_and_report(spec: DatasetSpec) -> dg.AssetsDefinition:
    """The decision, and the report for people.

    One step makes both: a gate is a blocking check of the verdict, and the report must be there to be read above all
    when a gate blocks what comes after the verdict.
    """
    verdict_stage, report_stage = validation_stage(spec, "verdict"), validation_stage(spec, "report")
    specs = {
        "verdict": verdict_stage.spec_for(
            "May these cases be released? PASS, FAIL or INCONCLUSIVE, with reasons."
        ),
        "report": report_stage.spec_for(
            "The report for people, with plots and contact sheets, in the private store."
        ),
    }

    @dg.multi_asset(
        name=verdict_stage.key.to_python_identifier(),
        outs={name: dg.AssetOut.from_spec(asset_spec) for name, asset_spec in specs.items()},
        ins={
            **real_and_synthetic(spec),
            **reports(spec),
            "trained": dg.AssetIn(key=checkpoint_stage(spec).key),
        },
    )
    def decided(  # noqa: PLR0913, PLR0917 - the verdict reads every report
        context: dg.AssetExecutionContext,
        prepared: TrainingSet,
        synthetic: CaseSet,
        trained: Checkpoint,
        fidelity: FidelityReport,
        utility: UtilityReport,
        privacy: PrivacyReport,
        expectations: ExpectationsReport,
        private: dg.ResourceParam[ObjectStore],
        watcher: dg.ResourceParam[Watcher],
    ) -> Iterator[dg.MaterializeResult[Verdict] | dg.MaterializeResult[ReportFiles]]:
        from synthdata.privacy import decide
        from synthdata.validation import write_report

        found = {"fidelity": fidelity, "utility": utility, "privacy": privacy, "expectations": expectations}
        with working(context, watcher, verdict_stage.key):
            verdict = decide(
                spec,
                prepared,
                synthetic,
                fidelity=fidelity,
                utility=utility,
                privacy=privacy,
                expectations=expectations,
            )
            files, was_there = report_stage.remember(
                private,
                ReportFiles,
                (prepared, synthetic, trained, verdict, *found.values()),
                lambda: ReportFiles(
                    dataset=spec.name,
                    verdict=digest_of(verdict),
                    files=write_report(
                        spec,
                        private,
                        training_set=prepared,
                        synthetic=synthetic,
                        checkpoint=trained,
                        fidelity=fidelity,
                        utility=utility,
                        privacy=privacy,
                        expectations=expectations,
                        verdict=verdict,
                        edition="private",
                    ),
                ),
            )
        yield verdict_stage.result(verdict, describe_verdict(verdict))
        yield report_stage.result(files, {"files": len(files.files)}, was_there=was_there)

    return decided

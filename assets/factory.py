"""Every spec becomes the same graph under its own name."""

from dataclasses import dataclass

import dagster as dg

from assets import checks, generation, ingestion, preparation, release, training, translation, validation
from synthdata.spec import DatasetSpec


@dataclass(frozen=True, kw_only=True, slots=True)
class DatasetGraph:
    """Assets and checks of one dataset."""

    assets: tuple[dg.AssetsDefinition, ...]
    checks: tuple[dg.AssetChecksDefinition, ...]


def dataset_assets(spec: DatasetSpec) -> DatasetGraph:
    """Build the graph of one dataset, from its source to its release, or to the report of its translator.

    Args:
        spec: The dataset.

    Returns:
        Assets with keys `<name>/<stage>/<record>`, and their checks.
    """
    parts = [_learning(spec)]
    if spec.translation is not None:
        parts.append(_translating(spec))
    if not spec.translates_only:
        parts.append(_releasing(spec))
    return DatasetGraph(
        assets=tuple(asset for part in parts for asset in part.assets),
        checks=tuple(check for part in parts for check in part.checks),
    )


def _learning(spec: DatasetSpec) -> DatasetGraph:
    """From the source to the generator."""
    return DatasetGraph(
        assets=(
            ingestion.scans(spec),
            ingestion.intake_report(spec),
            preparation.training_set(spec),
            training.checkpoint(spec),
        ),
        checks=(
            checks.intake_accepts_cases(spec),
            checks.patients_stay_in_one_group(spec),
            checks.checkpoint_loads(spec),
        ),
    )


def _translating(spec: DatasetSpec) -> DatasetGraph:
    """How well test patients are translated."""
    return DatasetGraph(assets=(translation.report(spec),), checks=(translation.beats_its_baselines(spec),))


def _releasing(spec: DatasetSpec) -> DatasetGraph:
    """From the generator to the release."""
    return DatasetGraph(
        assets=(
            generation.plan(spec),
            generation.cases(spec),
            validation.expectations(spec),
            validation.fidelity(spec),
            validation.utility(spec),
            validation.privacy(spec),
            validation.verdict_and_report(spec),
            release.package(spec),
            release.published(spec),
        ),
        checks=(
            checks.generation_is_complete(spec),
            checks.suites_pass(spec),
            checks.gates(spec),
            checks.release_is_verifiable(spec),
        ),
    )

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
    """Build the graph of one dataset, from its source to its release.

    Args:
        spec: The dataset.

    Returns:
        Assets with keys `<name>/<stage>/<record>`, and their checks.
    """
    return DatasetGraph(
        assets=(
            ingestion.scans(spec),
            ingestion.intake_report(spec),
            preparation.training_set(spec),
            training.checkpoint(spec),
            *([translation.report(spec)] if spec.translation is not None else []),
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
            checks.intake_accepts_cases(spec),
            checks.patients_stay_in_one_group(spec),
            checks.checkpoint_loads(spec),
            *([translation.beats_its_baselines(spec)] if spec.translation is not None else []),
            checks.generation_is_complete(spec),
            checks.suites_pass(spec),
            checks.gates(spec),
            checks.release_is_verifiable(spec),
        ),
    )

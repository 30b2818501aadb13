"""All datasets as one Dagster graph, bound to this installation; made here, loaded by `pipelines.definitions`."""

import dagster as dg
from dagster import DagsterRunStatus

from assets.factory import dataset_assets
from assets.watching import Watcher
from pipelines import jobs, schedules, sensors
from pipelines.resources import default_resources
from synthdata.spec import DatasetSpec


def build_definitions(specs: list[DatasetSpec], *, watcher: Watcher | None = None) -> dg.Definitions:
    """Bind dataset specs to the resources of this installation.

    Args:
        specs: The datasets.
        watcher: Shows progress; None writes it to the log of each run.
    """
    graphs = [dataset_assets(spec) for spec in specs]
    return dg.Definitions(
        assets=[asset for graph in graphs for asset in graph.assets],
        asset_checks=[check for graph in graphs for check in graph.checks],
        jobs=[
            *(job for spec in specs for job in jobs.dataset_jobs(spec)),
            *(jobs.demo_job(spec) for spec in specs if spec.name == jobs.DEMO_DATASET),
            jobs.timestamp,
            jobs.retention,
        ],
        schedules=[*(schedules.weekly_refresh(spec) for spec in specs), schedules.daily_timestamp],
        sensors=[
            *(sensors.new_scans(spec) for spec in specs if spec.source.kind != "phantom"),
            sensors.failed_runs,
            sensors.failed_checks(DagsterRunStatus.SUCCESS),
            sensors.failed_checks(DagsterRunStatus.FAILURE),
            sensors.automation(),
        ],
        resources=default_resources(watcher),
        executor=jobs.ONE_PROCESS_PER_STEP,
    )

"""Jobs of each dataset, and the two that keep the house in order."""

from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster import DagsterInstance, DagsterRunStatus, RunsFilter
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition
from pydantic import Field

from assets.release import SignerSource
from pipelines.naming import job_name
from synthdata.spec import DatasetSpec
from synthdata.storage import ObjectStore

DEMO_DATASET = "phantom-head"
ONE_PROCESS_PER_STEP = dg.multiprocess_executor.configured(
    {"max_concurrent": 1}
)  # a killed step is tried again
DAY_SECONDS = 86400
PARTS = {  # job to the groups of the graph that it runs
    "refresh": ("sources", "intake", "preparation"),
    "train": ("model",),
    "release": ("generation", "validation", "release"),
}
TRANSLATION_PARTS = {"refresh": PARTS["refresh"], "train": ("model", "validation")}  # where no case is drawn
LONGEST_DAYS = {"refresh": 1, "train": 7, "release": 3, "all": 10}


def dataset_jobs(spec: DatasetSpec) -> list[UnresolvedAssetJobDefinition]:
    """Jobs `<dataset>__refresh`, `__train`, `__release` and `__all`; without `__release` where nothing is drawn."""
    whole = whole_graph(spec)
    groups_of = TRANSLATION_PARTS if spec.translates_only else PARTS
    parts = {name: whole & dg.AssetSelection.groups(*groups) for name, groups in groups_of.items()}
    texts = {
        "refresh": "Takes scans in and prepares the training set; no GPU.",
        "train": "Trains the generator; goes on where a killed run stopped.",
        "release": "Draws, validates and publishes; stops at a failed gate with the reason.",
        "all": "From the source to the release; does again only what changed.",
    }
    return [
        dg.define_asset_job(
            job_name(spec, name),
            selection=selection,
            description=f"{spec.title}: {texts[name]}",
            executor_def=dg.in_process_executor if name == "refresh" else ONE_PROCESS_PER_STEP,
            tags={
                "dataset": spec.name,
                "dagster/max_runtime": str(LONGEST_DAYS[name] * DAY_SECONDS),
                **({} if name == "refresh" else {"gpu": "1"}),
            },
        )
        for name, selection in {**parts, "all": whole}.items()
    ]


def demo_job(spec: DatasetSpec) -> UnresolvedAssetJobDefinition:
    """The whole graph of the built-in phantom in one process."""
    return dg.define_asset_job(
        "demo",
        selection=whole_graph(spec),
        description="The newcomer's job: the built-in phantom from scans to a signed release, on a laptop.",
        executor_def=dg.in_process_executor,
        tags={"dataset": spec.name, "dagster/max_runtime": str(3600)},
    )


def whole_graph(spec: DatasetSpec) -> dg.AssetSelection:
    """All assets and checks of a dataset."""
    return dg.AssetSelection.key_prefixes([spec.name])


WARN_DAYS = 21  # a timestamp holds 30 days; less is left where root, targets or snapshot near their end


@dg.op(description="Signs the timestamp of the release store again, so that clients go on to believe it.")
def sign_timestamp_again(
    context: dg.OpExecutionContext,
    releases: dg.ResourceParam[ObjectStore],
    keys_folder: dg.ResourceParam[SignerSource],
) -> None:
    """Keep the release store believed."""
    from synthdata.release.trust import resign_timestamp

    expires = resign_timestamp(releases, keys_folder.signer())
    left = (expires - datetime.now(UTC)).days
    tell = context.log.warning if left < WARN_DAYS else context.log.info
    tell("the signatures of the release store hold until %s, %d days", f"{expires:%Y-%m-%d}", left)


class RetentionConfig(dg.Config):
    """How long finished runs are kept."""

    keep_days: int = Field(default=90, ge=1, description="Runs that ended longer ago may be deleted.")


@dg.op(description="Deletes finished runs that are old and made nothing which is still the newest.")
def delete_old_runs(context: dg.OpExecutionContext, config: RetentionConfig) -> int:
    """Keep the event database small; what a release stands on is in its manifest, not in the event log."""
    before = datetime.now(UTC) - timedelta(days=config.keep_days)
    old = old_runs(context.instance, before)
    for run_id in old:
        context.instance.delete_run(run_id)
    context.log.info("%d runs that ended before %s were deleted", len(old), f"{before:%Y-%m-%d}")
    return len(old)


def old_runs(instance: DagsterInstance, before: datetime) -> list[str]:
    """Runs which ended before a time, without those that made the newest record of an asset."""
    finished = [DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED]
    records = instance.get_run_records(filters=RunsFilter(statuses=finished, updated_before=before))
    newest = instance.get_latest_materialization_events(instance.all_asset_keys())
    needed = {event.run_id for event in newest.values() if event is not None}
    return [record.dagster_run.run_id for record in records if record.dagster_run.run_id not in needed]


@dg.job(description="Signs the timestamp of the release store again; run it daily.")
def timestamp() -> None:
    """Keep the release store believed."""
    sign_timestamp_again()


@dg.job(description="Deletes old runs; run it monthly.")
def retention() -> None:
    """Keep the event database small."""
    delete_old_runs()

"""What may run by itself or raise an alert; all shipped stopped."""

import json
import time

import dagster as dg
from dagster import DagsterEventType, DagsterInstance, DagsterRunStatus

from assets.folders import Folders
from assets.inventory import look_at_source
from pipelines.alerts import alert
from pipelines.naming import job_name
from synthdata.errors import SourceError, StoreError
from synthdata.spec import DatasetSpec

STOPPED = dg.DefaultSensorStatus.STOPPED
STILL_SECONDS = 240.0  # a transfer that pauses is no transfer that has ended


def new_scans(spec: DatasetSpec) -> dg.SensorDefinition:
    """Starts a refresh when the source has changed and has been still since an earlier look.

    The cursor holds what was seen, since when, and what was taken in last; a folder into which a scanner is still
    writing looks different each time, and waits.
    """

    @dg.sensor(
        name=job_name(spec, "new_scans"),
        job_name=job_name(spec, "refresh"),
        minimum_interval_seconds=300,
        default_status=STOPPED,
        description=f"{spec.title}: starts a refresh when new scans have arrived and none arrive any more.",
    )
    def look(
        context: dg.SensorEvaluationContext, folders: dg.ResourceParam[Folders]
    ) -> dg.SensorResult | dg.SkipReason:
        cursor = json.loads(context.cursor or "{}")
        try:
            now = look_at_source(spec, folders.sources)
        except (SourceError, StoreError) as error:
            return dg.SkipReason(str(error))
        if now == cursor.get("taken"):
            return dg.SkipReason("nothing new")
        if now != cursor.get("seen"):
            return dg.SensorResult(
                skip_reason="the source has changed; waiting until it is still",
                cursor=json.dumps({**cursor, "seen": now, "since": time.time()}),
            )
        if time.time() - cursor.get("since", 0.0) < STILL_SECONDS:
            return dg.SkipReason("the source has changed a moment ago; waiting until it is still")
        return dg.SensorResult(
            run_requests=[dg.RunRequest(run_key=now)], cursor=json.dumps({"seen": now, "taken": now})
        )

    return look


@dg.run_failure_sensor(
    default_status=STOPPED, description="Writes an alert when a run fails, with the failed steps."
)
def failed_runs(context: dg.RunFailureSensorContext) -> None:
    """A run has failed; a blocking check which fails fails its run."""
    run = context.dagster_run
    steps = [event.step_key or "" for event in context.get_step_failure_events()]
    alert("run_failed", job=run.job_name, run=run.run_id, names=sorted(steps))
    context.log.error("run %s of %s failed at %s", run.run_id, run.job_name, ", ".join(steps) or "its start")


def failed_checks(status: DagsterRunStatus) -> dg.SensorDefinition:
    """Writes an alert for each check that failed; a failed check which does not block leaves its run green."""
    name = f"failed_checks_of_{'green' if status is DagsterRunStatus.SUCCESS else 'failed'}_runs"

    @dg.run_status_sensor(
        name=name,
        run_status=status,
        default_status=STOPPED,
        description="Writes an alert for each failed check, by its name; without this a failed check is easily missed.",
    )
    def look(context: dg.RunStatusSensorContext) -> None:
        run = context.dagster_run
        failed = failed_check_names(context.instance, run.run_id)
        if failed:
            alert("check_failed", job=run.job_name, run=run.run_id, names=failed)
            context.log.error("run %s of %s: failed checks %s", run.run_id, run.job_name, ", ".join(failed))

    return look


def failed_check_names(instance: DagsterInstance, run_id: str) -> list[str]:
    """Checks of a run that did not pass, as `<asset>:<check>`."""
    records = instance.get_records_for_run(run_id, of_type=DagsterEventType.ASSET_CHECK_EVALUATION).records
    events = [record.event_log_entry.dagster_event for record in records]
    evaluations = [event.asset_check_evaluation_data for event in events if event is not None]
    return sorted(
        f"{item.asset_key.to_user_string()}:{item.check_name}" for item in evaluations if not item.passed
    )


def automation() -> dg.AutomationConditionSensorDefinition:
    """Runs what the conditions of the assets ask for: intake and preparation at once, training on Saturday night."""
    return dg.AutomationConditionSensorDefinition(
        "automation",
        target=dg.AssetSelection.all(),
        default_status=STOPPED,
        description="Runs what the assets' conditions ask for: intake and preparation at once, training weekly.",
    )

"""What may run by itself or raise an alert; all shipped stopped."""

import json
import time
from typing import Any

import dagster as dg
from dagster import DagsterEventType, DagsterInstance, DagsterRunStatus, RunsFilter

from assets.folders import Folders
from assets.ingestion import NOT_WHOLE, scans_stage
from assets.inventory import look_at_source
from pipelines.alerts import alert
from pipelines.naming import job_name
from synthdata.errors import SynthDataError
from synthdata.spec import DatasetSpec

RUN_KEY_TAG = "dagster/run_key"
STOPPED = dg.DefaultSensorStatus.STOPPED
STILL_SECONDS = 240.0  # a transfer that pauses is no transfer that has ended
# Until a refresh that was not whole is tried again; doubled each time.
AGAIN_SECONDS, LONGEST_SECONDS = 3600.0, 86_400.0


def new_scans(spec: DatasetSpec) -> dg.SensorDefinition:
    """Starts a refresh when the source has changed and has been still since an earlier look.

    The cursor holds what was seen, since when, and what was taken in last, by which run; a folder into which a scanner
    is still writing looks different each time, and waits. A refresh that failed or left something out is started again
    after an hour, then two, up to a day.
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
        cursor = _read(context.cursor)
        try:
            now = look_at_source(spec, folders.sources)
        except SynthDataError as error:
            return dg.SkipReason(str(error))
        if now == cursor.get("taken"):
            return _again(context.instance, scans_stage(spec).key, cursor)
        if now != cursor.get("seen"):
            return dg.SensorResult(
                skip_reason="the source has changed; waiting until it is still",
                cursor=json.dumps({**cursor, "seen": now, "since": time.time()}),
            )
        if time.time() - cursor.get("since", 0.0) < STILL_SECONDS:
            return dg.SkipReason("the source has changed a moment ago; waiting until it is still")
        return _start(now, run_key=f"{now}-{int(time.time())}", tries=0)

    return look


def _read(cursor: str | None) -> dict[str, Any]:
    """What a tick left; nothing where that is not of this version."""
    try:
        said = json.loads(cursor or "{}")
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _start(now: str, *, run_key: str, tries: int) -> dg.SensorResult:
    said = {"seen": now, "taken": now, "run": run_key, "at": time.time(), "tries": tries}
    return dg.SensorResult(run_requests=[dg.RunRequest(run_key=run_key)], cursor=json.dumps(said))


def _again(
    instance: DagsterInstance, scans: dg.AssetKey, cursor: dict[str, Any]
) -> dg.SensorResult | dg.SkipReason:
    """Nothing is new; but what was started may have failed, or have left out what the server did not give whole."""
    run_key, tries = str(cursor.get("run", "")), int(cursor.get("tries", 0))
    lacking = _lacking(instance, scans, run_key) if run_key else ""
    if not lacking:
        return dg.SkipReason("nothing new")
    wait_s = min(AGAIN_SECONDS * 2**tries, LONGEST_SECONDS)
    if time.time() - cursor.get("at", 0.0) < wait_s:
        return dg.SkipReason(
            f"nothing new; {lacking}, which is tried again {wait_s / 3600:g} hours after its start"
        )
    now = str(cursor["taken"])
    return _start(now, run_key=f"{now}-{int(time.time())}", tries=tries + 1)


def _lacking(instance: DagsterInstance, scans: dg.AssetKey, run_key: str) -> str:
    """Why a refresh is not whole; empty where it is, still runs, or somebody stopped it."""
    runs = instance.get_runs(RunsFilter(tags={RUN_KEY_TAG: run_key}), limit=1)
    if not runs:
        return ""
    if runs[0].status is DagsterRunStatus.FAILURE:
        return "the last refresh failed"
    if runs[0].status is not DagsterRunStatus.SUCCESS:
        return ""
    event = instance.get_latest_materialization_event(scans)
    made = event.asset_materialization if event is not None and event.run_id == runs[0].run_id else None
    left_out = made.metadata.get(NOT_WHOLE) if made is not None else None
    return "the last refresh left out what could not be fetched whole" if left_out and left_out.value else ""


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

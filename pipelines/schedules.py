"""What may run by the clock; all shipped stopped, so a new install spends nothing by itself."""

import dagster as dg

from pipelines import jobs
from pipelines.naming import job_name
from synthdata.spec import DatasetSpec

STOPPED = dg.DefaultScheduleStatus.STOPPED


def weekly_refresh(spec: DatasetSpec) -> dg.ScheduleDefinition:
    """Takes new scans in on Sunday night."""
    return dg.ScheduleDefinition(
        name=job_name(spec, "weekly_refresh"),
        job_name=job_name(spec, "refresh"),
        cron_schedule="0 3 * * 0",
        execution_timezone="UTC",
        default_status=STOPPED,
        description=f"{spec.title}: takes new scans in every Sunday at 03:00 UTC.",
    )


daily_timestamp = dg.ScheduleDefinition(
    name="daily_timestamp",
    job=jobs.timestamp,
    cron_schedule="30 4 * * *",
    execution_timezone="UTC",
    default_status=STOPPED,
    description="Signs the timestamp of the release store again every day at 04:30 UTC.",
)

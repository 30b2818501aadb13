"""Names of jobs, schedules and sensors: Dagster allows letters, digits and underscores."""

from synthdata.spec import DatasetSpec


def job_name(spec: DatasetSpec, part: str) -> str:
    """Such as `phantom_head__refresh`."""
    return f"{spec.name.replace('-', '_')}__{part}"

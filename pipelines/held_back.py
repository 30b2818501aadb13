"""What of the scans was held back or left out, and what to do about it, for the terminal."""

import dagster as dg
from rich.console import Console
from rich.markup import escape

from assets.ingestion import intake_stage
from assets.preparation import training_set_stage
from pipelines.resources.records import latest_record
from synthdata.preparation.reasons import DROPPED
from synthdata.records import IntakeReport, TrainingSet
from synthdata.spec import DatasetSpec
from synthdata.storage import ObjectStore


def show_held_back(
    spec: DatasetSpec, result: dg.ExecuteInProcessResult, private: ObjectStore, console: Console
) -> None:
    """Print a line per reason, of those stages which this run has been through; nothing where all was taken."""
    made = {event.asset_key for event in result.get_asset_materialization_events()}
    intake, prepared = intake_stage(spec).key, training_set_stage(spec).key
    if intake in made:
        report = latest_record(private, intake.to_user_string(), IntakeReport)
        if report.reasons:
            console.print(
                f"intake accepted {report.accepted} of {report.seen} files, {report.patients} patients"
            )
        for reason in report.reasons:
            _line(console, f"{reason.files} {reason.code}", reason.explanation)
    if prepared in made:
        dropped = latest_record(private, prepared.to_user_string(), TrainingSet).dropped
        if dropped:
            console.print(f"preparation left {sum(dropped.values())} cases out")
        for code, count in dropped.items():
            _line(console, f"{count} {code}", DROPPED[code])


def _line(console: Console, what: str, words: str) -> None:
    console.print(f"  {what}: {escape(words)}", highlight=False)

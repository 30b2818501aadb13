"""Body of `synthdata intake`: what a folder of scans would be refused or held back for."""

from pathlib import Path

from synthdata.errors import ConfigError
from synthdata.records.codec import to_json
from synthdata.records.intake import IntakeReport

ACCEPTED, HELD_BACK = 0, 1


def intake(path: Path, report: Path | None = None) -> int:
    """Inspect a folder, print counts and reasons, and give the exit code.

    Args:
        path: Folder of scans, or one file; only read.
        report: Where to write the report as JSON, or None.

    Returns:
        0 where all files were accepted, 1 where some were quarantined or refused.

    Raises:
        SourceError: The folder is empty or holds no scan.
        ConfigError: The report cannot be written.
    """
    from rich.console import Console
    from rich.progress import Progress as Bar

    from synthdata.intake import inspect

    console = Console(stderr=True)
    with Bar(console=console, transient=True) as bar:
        task = bar.add_task("reading and judging files", total=None)

        def advance(done: int, total: int, message: str = "") -> None:
            bar.update(task, completed=done, total=total, description=message)

        found = inspect(path, progress=advance)
    _show(found)
    if report is not None:
        try:
            report.write_bytes(to_json(found))
        except OSError as error:
            raise ConfigError(
                f"the report cannot be written ({error.strerror or type(error).__name__}): check the folder and its rights"
            ) from None
    return ACCEPTED if found.accepted == found.seen else HELD_BACK


def _show(report: IntakeReport) -> None:
    """Two tables on standard output: outcomes, and reasons by count."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    counts = Table(title="Files")
    for name in ("seen", "accepted", "quarantined", "refused"):
        counts.add_column(name, justify="right")
    counts.add_row(
        *(str(value) for value in (report.seen, report.accepted, report.quarantined, report.refused))
    )
    console.print(counts)
    if report.reasons:
        reasons = Table(title="Reasons", show_lines=False)
        reasons.add_column("files", justify="right")
        reasons.add_column("reason", no_wrap=True)
        reasons.add_column("what it means")
        for reason in sorted(report.reasons, key=lambda item: (-item.files, item.code)):
            reasons.add_row(str(reason.files), reason.code, reason.explanation)
        console.print(reasons)
    for note in report.notes:
        console.print(f"Note: {note}.")

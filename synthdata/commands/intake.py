"""`synthdata intake PATH`: what of a folder of scans would be refused or held back, and why."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from synthdata.errors import ConfigError

if TYPE_CHECKING:
    from synthdata.records.intake import IntakeReport

HELD_BACK = 1  # exit code


def intake(
    path: Annotated[
        Path,
        typer.Argument(help="Folder of scans, or one file; only read.", show_default=False, readable=False),
    ],
    report: Annotated[
        Path | None, typer.Option(help="Write the report as JSON to this file.", readable=False)
    ] = None,
    deny_list: Annotated[
        Path | None,
        typer.Option(help="Names and numbers which must not occur, one a line (UTF-8).", readable=False),
    ] = None,
) -> None:
    """Check scans for integrity and de-identification; nothing is stored, no value is shown."""
    from rich.console import Console
    from rich.progress import Progress as Bar

    from synthdata.intake import inspect
    from synthdata.intake.deny_list import load_deny_list
    from synthdata.intake.policy import STRICT, Policy
    from synthdata.records.codec import to_json

    with Bar(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("reading and judging files", total=None)

        def tell(done: int, total: int, message: str = "") -> None:
            bar.update(task, completed=done, total=total, description=message)

        policy = Policy(deny=load_deny_list(deny_list)) if deny_list is not None else STRICT
        found = inspect(path, policy=policy, progress=tell)
    _show(found)
    if report is not None:
        try:
            report.write_bytes(to_json(found))
        except OSError as error:
            what = error.strerror or type(error).__name__
            raise ConfigError(
                f"the report cannot be written ({what}): check the folder and its rights"
            ) from None
    if found.accepted < found.seen:
        raise typer.Exit(HELD_BACK)


def _show(report: "IntakeReport") -> None:
    """Two tables on standard output: outcomes, and reasons by count."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    counts = Table(title="Files")
    for name in ("seen", "accepted", "quarantined", "refused"):
        counts.add_column(name, justify="right")
    counts.add_row(*map(str, (report.seen, report.accepted, report.quarantined, report.refused)))
    console.print(counts)
    if report.reasons:
        reasons = Table(title="Reasons (a file may have several)")
        reasons.add_column("files", justify="right")
        reasons.add_column("reason", no_wrap=True)
        reasons.add_column("what it means")
        for reason in sorted(report.reasons, key=lambda item: (-item.files, item.code)):
            reasons.add_row(str(reason.files), reason.code, reason.explanation)
        console.print(reasons)
    for note in report.notes:
        console.print(f"Note: {note}.")

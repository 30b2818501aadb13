"""`synthdata intake PATH`: what of a folder or a server of scans would be refused or held back, and why."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from synthdata.errors import ConfigError

if TYPE_CHECKING:
    from synthdata.progress import Progress
    from synthdata.records.intake import IntakeReport

HELD_BACK = 1  # exit code


def intake(
    source: Annotated[
        str,
        typer.Argument(
            metavar="PATH",
            help="Folder of scans, one file, https://... of a DICOMweb server, or s3://bucket/prefix; only read.",
            show_default=False,
        ),
    ],
    report: Annotated[
        Path | None, typer.Option(help="Write the report as JSON to this file.", readable=False)
    ] = None,
    deny_list: Annotated[
        Path | None,
        typer.Option(help="Names and numbers which must not occur, one a line (UTF-8).", readable=False),
    ] = None,
    keep: Annotated[
        Path | None,
        typer.Option(
            help="Private folder which keeps fetched scans; the next run takes only what is new.",
            readable=False,
        ),
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
        with _local(source, keep, tell) as (folder, lacking):
            found = inspect(folder, policy=policy, progress=tell)
    _show(found)
    if lacking:
        typer.echo(
            f"{len(lacking)} studies or objects could not be fetched whole and were not judged:", err=True
        )
        for sentence, count in Counter(lacking).most_common():
            typer.echo(f"  {count}: {sentence}", err=True)
    if report is not None:
        try:
            report.write_bytes(to_json(found))
        except OSError as error:
            what = error.strerror or type(error).__name__
            raise ConfigError(
                f"the report cannot be written ({what}): check the folder and its rights"
            ) from None
    if found.accepted < found.seen or lacking:
        raise typer.Exit(HELD_BACK)


@contextmanager
def _local(source: str, keep: Path | None, progress: "Progress") -> Iterator[tuple[Path, Sequence[str]]]:
    """Folder of the scans, fetched where they lie on a server, and a sentence for all of them that is lacking."""
    from synthdata.intake.remote import fetch, is_remote

    if not is_remote(source):
        yield Path(source.removeprefix("file://")), ()
        return
    # Here, since not every system has its locks: pull works without them.
    from synthdata.storage.scratch import scratch_folder

    with scratch_folder() as folder:
        root = keep or folder
        done = fetch(source, root, progress=progress)
        yield root / "scans", [str(error) for error in done.failed]


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

"""`synthdata verify`: is this image synthetic? A table or JSON, one answer per file."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from synthdata.errors import ConfigError, SynthDataError, UnreadableFileError

if TYPE_CHECKING:
    from synthdata.provenance.verify import VerifyResult

COLOURS = {"synthetic": "bold magenta", "unknown": "yellow"}


def verify(
    files: Annotated[
        list[Path], typer.Argument(help="Images: DICOM, NIfTI, PNG, JPEG, NPY, Parquet shards.")
    ],
    registry: Annotated[Path | None, typer.Option(help="Folder of a pulled release.")] = None,
    key: Annotated[Path | None, typer.Option(help="File with the secret key of the watermark.")] = None,
    json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,  # noqa: FBT002 - option
) -> None:
    """Is this image synthetic? Evidence per layer; the answer is `synthetic` or `unknown`, never `real`."""
    from synthdata.provenance.registry import open_registry
    from synthdata.provenance.verify import verify_file

    hashes = open_registry(registry) if registry is not None else None
    if registry is not None:
        _tell_recall(registry)
    secret = _read_key(key) if key is not None else None
    answers: list[VerifyResult] = []
    faults: list[str] = []
    for path in files:
        try:
            answers.append(verify_file(path, registry=hashes, watermark_key=secret))
        except SynthDataError as error:
            faults.append(str(error))
    (_print_json if json else _print_table)(answers)
    if faults:  # only now, so that one damaged file does not keep the others from being answered
        raise UnreadableFileError("\n".join(faults))


def _tell_recall(registry: Path) -> None:
    from synthdata.release.client.recalled import recall_sentence

    if sentence := recall_sentence(registry):
        typer.echo(f"Note: {sentence}.", err=True)


def _read_key(path: Path) -> bytes:
    from synthdata.provenance.keys import checked_key

    try:
        return checked_key(path.read_bytes())
    except OSError as error:
        raise ConfigError(
            f"the key file {path.name} cannot be read ({error.strerror}): give the file of the watermark key"
        ) from None


def _print_json(answers: "list[VerifyResult]") -> None:
    import json

    documents = [{**asdict(answer), "explanation": answer.explanation} for answer in answers]
    print(json.dumps(documents, indent=1))  # noqa: T201 - the output of the command


def _print_table(answers: "list[VerifyResult]") -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    for answer in answers:
        colour = COLOURS[answer.verdict]
        table = Table("layer", "finding", "detail", "false positives")
        for item in answer.evidence:
            rate = "-" if item.false_positive_rate is None else f"< {item.false_positive_rate:.0e}"
            table.add_row(item.layer, item.finding, escape(item.detail), rate)
        console.print(
            f"{escape(answer.file)} ({answer.kind}): [{colour}]{answer.verdict}[/{colour}]", highlight=False
        )
        console.print(table)
        console.print(answer.explanation, highlight=False)

"""Command `check`: verify a pulled release offline."""

from pathlib import Path

import typer

from synthdata.commands.terminal import bar, print_json


def check(folder: Path, *, root: Path | None, as_json: bool) -> None:
    """Verify a folder that `pull` has made; exit 1 when anything is wrong."""
    from synthdata.release.client import check as check_release

    with bar() as progress:
        result = check_release(folder, root=root, progress=progress)
    if as_json:
        print_json(result)
    else:
        for problem in result.problems:
            typer.echo(f"wrong: {problem}", err=True)
        if result.ok:
            typer.echo(
                f"{result.dataset} {result.version} is as it was signed: {result.files} files checked."
            )
            typer.echo(f"Root of trust: {result.root_fingerprint}")
        for note in result.notes:
            typer.echo(f"Note: {note}.")
    if not result.ok:
        raise typer.Exit(1)

"""Command `releases`: what a store offers."""

from pathlib import Path

import typer

from synthdata.commands.terminal import print_json, print_table, say, size


def releases(url: str, *, root: Path | None, anonymous: bool, as_json: bool) -> None:
    """List the datasets, versions and recalls of a store."""
    from synthdata.release.client import list_releases

    listing = list_releases(url, root=root, anonymous=anonymous, tell=say)
    if as_json:
        print_json(listing)
        return
    rows = [
        (
            line.dataset,
            line.version,
            str(line.cases),
            size(line.size_bytes),
            line.licence,
            line.outcome,
            f"recalled: {line.recalled}"
            if line.recalled
            else "development keys"
            if line.development_keys
            else "",
        )
        for line in listing.releases
    ]
    if not rows:
        typer.echo("The store holds no release.")
        return
    print_table(("DATASET", "VERSION", "CASES", "SIZE", "LICENCE", "GATES", "STATE"), rows)

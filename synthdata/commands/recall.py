"""Command `release recall`: withdraw a version."""

from pathlib import Path

import typer

from synthdata.commands.pull import split_release


def recall(wanted: str, url: str, keys: Path, reason: str, *, delete_files: bool) -> None:
    """Put NAME@VERSION on the signed recall list."""
    from synthdata.release.trust.keys import load_signer
    from synthdata.release.trust.recalling import recall as recall_release
    from synthdata.storage import open_store

    name, version = split_release(wanted, versioned=True)
    recall_release(
        open_store(url, create=False),
        load_signer(keys),
        name,
        version or "",
        reason,
        delete_files=delete_files,
    )
    typer.echo(f"{name} {version} is recalled; every later pull and check says so.")
    if delete_files:
        typer.echo("Its files are deleted; the signed manifest stays.")

"""Command `release recall`: withdraw a version."""

from pathlib import Path

import typer

from synthdata.commands.pull import split_release


def recall(wanted: str, url: str, keys: Path, reason: str) -> None:
    """Put NAME@VERSION on the signed recall list."""
    from synthdata.release.trust.keys import load_signer
    from synthdata.release.trust.repository import recall as recall_release
    from synthdata.storage import open_store

    name, version = split_release(wanted, versioned=True)
    recall_release(open_store(url, create=False), load_signer(keys), name, version or "", reason)
    typer.echo(f"{name} {version} is recalled; every later pull and check says so.")

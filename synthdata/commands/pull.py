"""Command `pull`: download a version, verified."""

from pathlib import Path

import typer

from synthdata.commands.terminal import bar, say, size
from synthdata.errors import ConfigError


def pull(
    wanted: str, url: str, to: Path, *, root: Path | None, formats: str | None, where: str | None
) -> None:
    """Download NAME or NAME@VERSION into a folder."""
    from synthdata.release.client import pull as pull_release

    name, at, version = wanted.partition("@")
    if not name or (at and not version):
        raise ConfigError(f"the release is {wanted!r}, expected NAME or NAME@VERSION")
    with bar(sizes=True) as progress:
        pulled = pull_release(
            name,
            version or None,
            url,
            to,
            root=root,
            formats=[part.strip() for part in formats.split(",")] if formats is not None else None,
            where=where,
            tell=say,
            progress=progress,
        )
    part = "" if pulled.complete else ", a part of the release"
    typer.echo(
        f"{pulled.dataset} {pulled.version} is in {pulled.folder}: {pulled.files} files, "
        f"{size(pulled.size_bytes)}, verified ({pulled.moved} fetched now{part})."
    )

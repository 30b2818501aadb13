"""Command `pull`: download a version, verified."""

from dataclasses import dataclass
from pathlib import Path

import typer

from synthdata.commands.terminal import bar, print_json, say, size
from synthdata.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """Which part of a release is asked for, in the words of the command line."""

    formats: str | None = None  # comma-separated
    where: str | None = None
    sample: str | None = None


def pull(
    wanted: str, url: str, to: Path, part: Part, *, root: Path | None, anonymous: bool, as_json: bool
) -> None:
    """Download NAME or NAME@VERSION into a folder."""
    from synthdata.release.client import pull as pull_release

    name, version = split_release(wanted)
    formats = [item.strip() for item in part.formats.split(",")] if part.formats is not None else None
    with bar(sizes=True) as progress:
        pulled = pull_release(
            name, version, url, to, root=root, formats=formats, where=part.where, sample=part.sample,
            anonymous=anonymous, tell=say, progress=progress,
        )  # fmt: skip
    if as_json:
        print_json(pulled)
        return
    words = "" if pulled.complete else ", a part of the release"
    typer.echo(
        f"{pulled.dataset} {pulled.version} is in {pulled.folder}: {pulled.cases} cases, {pulled.files} files, "
        f"{size(pulled.size_bytes)}, verified ({pulled.moved} fetched now{words})."
    )


def split_release(wanted: str, *, versioned: bool = False) -> tuple[str, str | None]:
    """Name and version of NAME@VERSION; None where no version is named. Raises ConfigError for another form."""
    name, at, version = wanted.partition("@")
    if not name or (at and not version) or (versioned and not version):
        form = "NAME@VERSION" if versioned else "NAME or NAME@VERSION"
        raise ConfigError(f"the release is {wanted!r}, expected {form}")
    return name, version or None

"""Command `release links`: presigned addresses of one release, for somebody without credentials."""

from pathlib import Path

import typer

from synthdata.commands.pull import split_release
from synthdata.commands.terminal import say


def links(wanted: str, url: str, out: Path, *, hours: float, root: Path | None) -> None:
    """Write a file of links that `pull --from FILE` reads."""
    from synthdata.release.client.links import write_links

    name, version = split_release(wanted)
    made = write_links(name, version, url, out, seconds=round(hours * 3600), root=root, tell=say)
    typer.echo(f"{made.links} links to {made.dataset} {made.version} are in {out}, for {hours:g} hours.")
    say("Whoever has the file can read the release until then.")

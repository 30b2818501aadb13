"""What the commands show: progress on a terminal, sizes, JSON."""

import dataclasses
import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer

from synthdata.progress import Progress, silent

REDRAW_S = 0.2


@contextmanager
def bar(*, sizes: bool = False) -> Iterator[Progress]:
    """Progress as one line on a terminal's stderr; nothing where stderr is no terminal.

    Args:
        sizes: The units are bytes: show speed and time left.
    """
    if not sys.stderr.isatty():
        yield silent
        return
    started, drawn = time.monotonic(), 0.0

    def draw(done: int, total: int, message: str = "") -> None:
        nonlocal drawn
        now = time.monotonic()
        if now - drawn < REDRAW_S and done < total:
            return
        drawn = now
        share = f"{done / max(total, 1):4.0%}"
        if sizes:
            rate = done / max(now - started, 1e-3)
            left = (total - done) / max(rate, 1)
            words = f"{size(done)} of {size(total)}, {size(int(rate))}/s, {left:.0f} s left"
        else:
            words = f"{done} of {total} {message}"
        sys.stderr.write(f"\r\x1b[K{share}  {words}")
        sys.stderr.flush()

    try:
        yield draw
    finally:
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()


def size(count: int) -> str:
    """Bytes in words."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def say(message: str) -> None:
    """A sentence for people, on stderr, so that stdout stays clean."""
    typer.echo(message, err=True)


def print_json(value: Any) -> None:
    """A dataclass as JSON on stdout."""
    typer.echo(json.dumps(dataclasses.asdict(value), indent=1, sort_keys=True, default=str))


def print_table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """Columns of text on stdout."""
    table = [header, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(header))]
    for row in table:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())

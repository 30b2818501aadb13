"""What the commands show: progress on a terminal, sizes, JSON."""

import dataclasses
import json
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer

from synthdata.progress import Progress, silent

REDRAW_S = 0.2
RATE_S = 6.0  # the speed that is shown is that of so many seconds


@contextmanager
def bar(*, sizes: bool = False) -> Iterator[Progress]:
    """Progress as one line on a terminal's stderr; nothing where stderr is no terminal.

    Args:
        sizes: The units are bytes: show speed and time left.
    """
    if not sys.stderr.isatty():
        yield silent
        return
    drawn, seen = 0.0, deque[tuple[float, int]](maxlen=round(RATE_S / REDRAW_S))

    def draw(done: int, total: int, message: str = "") -> None:
        nonlocal drawn
        now = time.monotonic()
        if now - drawn < REDRAW_S and done < total:
            return
        drawn = now
        share = f"{done / max(total, 1):4.0%}"
        if sizes:
            seen.append((now, done))
            rate = max(done - seen[0][1], 0) / max(now - seen[0][0], 1e-3)  # of the last seconds
            left = f"{(total - done) / rate:.0f} s left" if rate > 1 else "waiting"
            words = f"{size(done)} of {size(total)}, {size(int(rate))}/s, {left}"
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
    """A dataclass, or several, as JSON on stdout."""
    plain = (
        [dataclasses.asdict(item) for item in value]
        if isinstance(value, tuple)
        else dataclasses.asdict(value)
    )
    typer.echo(json.dumps(plain, indent=1, sort_keys=True, default=str))


def print_table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """Columns of text on stdout."""
    table = [header, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(header))]
    for row in table:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())

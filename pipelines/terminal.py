"""Progress of the stages in a terminal, or one line per stage where there is none."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

import dagster as dg
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from synthdata.progress import Progress as StageProgress

LINE_SECONDS = 20.0  # between two lines of one stage, where there is no terminal


class TerminalWatcher:
    """One bar per stage while a terminal watches; use it as a context manager around the run."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.bars = Progress(
            SpinnerColumn(finished_text="[green]done[/]"),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            TextColumn("[dim]{task.fields[message]}"),
            console=console,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> Self:
        self.bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bars.stop()

    @contextmanager
    def watch(self, context: dg.AssetExecutionContext, asset: dg.AssetKey) -> Iterator[StageProgress]:
        """Show one stage from its begin to its end."""
        name = "/".join(asset.path[1:])
        task = self.bars.add_task(f"{name:<26}", total=None, message="")
        started = told = time.monotonic()

        def progress(done: int, total: int, message: str = "") -> None:
            nonlocal told
            self.bars.update(task, completed=done, total=max(total, 1), message=message)
            now = time.monotonic()
            if not self.console.is_terminal and now - told > LINE_SECONDS:
                told = now
                self.console.print(f"  {name}: {done}/{total} {message}", highlight=False)

        try:
            yield progress
        except BaseException:
            self.bars.update(task, message="[red]stopped[/]")
            self.bars.stop_task(task)
            raise
        self.bars.update(task, total=1, completed=1)
        self.bars.stop_task(task)
        context.log.debug("%s took %.1f s", name, time.monotonic() - started)
        if not self.console.is_terminal:
            self.console.print(f"{time.monotonic() - started:7.1f} s  {name}", highlight=False)

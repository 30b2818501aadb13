"""How the assets tell that long work goes on: lines and observations in Dagster, or a bar in a terminal."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

import dagster as dg

from synthdata.progress import Progress

LINE_SECONDS = 30.0  # between two lines of the log
OBSERVATION_SECONDS = 300.0  # between two observations: each is a row of the event database for ever


class Watcher(Protocol):
    """Shows the progress of one stage."""

    def watch(
        self, context: dg.AssetExecutionContext, asset: dg.AssetKey
    ) -> AbstractContextManager[Progress]:
        """Give the Progress of a stage, and show that the stage has ended when the context is left."""
        ...


class LogWatcher:
    """Writes to the run's log, now and then, and the share that is done as an observation which the UI plots."""

    @contextmanager
    def watch(self, context: dg.AssetExecutionContext, asset: dg.AssetKey) -> Iterator[Progress]:
        """Progress that logs."""
        started = last_line = last_observation = time.monotonic()

        def progress(done: int, total: int, message: str = "") -> None:
            nonlocal last_line, last_observation
            now = time.monotonic()
            if now - last_line >= LINE_SECONDS:
                last_line = now
                left = (now - started) * (total - done) / done if done else 0.0
                context.log.info("%d/%d %s (about %.0f s left)", done, total, message, left)
            if now - last_observation >= OBSERVATION_SECONDS and total:
                last_observation = now
                context.log_event(dg.AssetObservation(asset_key=asset, metadata={"done": done / total}))

        yield progress

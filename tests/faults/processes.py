"""Python processes that a test stops in the middle: started, watched until something is reached, never left behind."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from pipelines.places import ROOT

PATIENCE_SECONDS = 900.0  # a busy machine is no fault
LOOK_SECONDS = 0.02


@dataclass(frozen=True)
class Run:
    """A process in a session of its own, and what it says."""

    process: subprocess.Popen[bytes]
    words: IO[bytes]  # a file, as a full pipe would hold the process up

    def wait_until(self, reached: Callable[[], bool]) -> None:
        """Return as soon as something is reached; the process must not end before."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not reached():
            assert self.process.poll() is None, f"it ended before: {self.said()[-3000:]}"
            assert time.monotonic() < deadline, f"not reached: {self.said()[-3000:]}"
            time.sleep(LOOK_SECONDS)
        assert self.process.poll() is None, f"it ended before: {self.said()[-3000:]}"

    def kill(self) -> None:
        """Kill the process and all its children, which must still be at work."""
        os.killpg(self.process.pid, signal.SIGKILL)
        assert self.process.wait() == -signal.SIGKILL

    def end(self) -> int:
        """Wait for the end; the exit code."""
        return self.process.wait(PATIENCE_SECONDS)

    def said(self) -> str:
        """What it has written until now, to both streams."""
        self.words.seek(0)
        return self.words.read().decode()


@contextmanager
def started(*arguments: str, environment: Mapping[str, str], launcher: Sequence[str] = ()) -> Iterator[Run]:
    """Run Python in the root of the repository; what still runs at the end of the block is killed."""
    with tempfile.TemporaryFile() as words:
        process = subprocess.Popen(
            [*launcher, sys.executable, *arguments],
            cwd=ROOT,
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield Run(process, words)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

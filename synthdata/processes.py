"""Independent pieces of work on several cores, with results in the order in which the work was given."""

import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from types import ModuleType
from typing import TypeVar

from synthdata.errors import ConfigError, WorkerError

SETTING = "SYNTHDATA_WORKERS"  # how many processes may share work; none given: the cores
MOST_WORKERS = 16
AHEAD = 2  # pieces per worker which are given out at a time; bounds memory and the wait after Ctrl-C
Piece = TypeVar("Piece")
Result = TypeVar("Result")


def workers_for(pieces: int, *, least: int) -> int:
    """Processes which pay for that much work; 1 says to do it in this process.

    Args:
        pieces: Of the work.
        least: Pieces that one process should get, so that its start of a second or two is worth it.

    Raises:
        ConfigError: The environment says another thing than a number of processes (`SYNTHDATA_WORKERS`).
    """
    if multiprocessing.current_process().daemon:  # such a process may have no children
        return 1
    return max(1, min(_allowed(), pieces // least))


def _allowed() -> int:
    """As many processes as the setting says, else as many as there are cores."""
    said = os.environ.get(SETTING, "")
    if not said:
        return min(cores(), MOST_WORKERS)
    if not said.isdecimal() or int(said) < 1:
        raise ConfigError(f"{SETTING} is {said!r}, expected a whole number from 1 on, or nothing")
    return int(said)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_order(
    function: Callable[[Piece], Result], pieces: Sequence[Piece], *, workers: int
) -> Generator[Result, None, None]:
    """Results of a function for each piece, in the order of the pieces.

    New processes import the module of the function and nothing of the main script. They ignore Ctrl-C, which this
    process hears, and end when it is killed.

    Args:
        function: Of a module, so that another process finds it; without a memory which matters.
        pieces: Arguments, which can be pickled as the results can.
        workers: Of `workers_for`; 1 stays in this process.

    Raises:
        WorkerError: A process was killed, or ended by itself.
        Exception: Whatever the function raises; what was not begun is then left out.
    """
    if workers == 1:
        yield from map(function, pieces)
        return
    queue, waiting = iter(pieces), deque[Future[Result]]()
    pool = ProcessPoolExecutor(
        workers, mp_context=multiprocessing.get_context("spawn"), initializer=_end_with_the_parent
    )
    try:
        with _plain_start():
            waiting.extend(pool.submit(function, piece) for piece in islice(queue, AHEAD * workers))
        while waiting:
            yield waiting.popleft().result()
            waiting.extend(pool.submit(function, piece) for piece in islice(queue, 1))
    except BrokenProcessPool:
        raise WorkerError(
            "a process which shared the work ended before it was done, maybe for want of memory: "
            "run it again with more memory, or on fewer cores (taskset)"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def in_parts(pieces: Sequence[Piece], size: int) -> list[Sequence[Piece]]:
    """Runs of at most that many pieces."""
    return [pieces[start : start + size] for start in range(0, len(pieces), size)]


@contextmanager
def _plain_start() -> Iterator[None]:
    """Start processes deaf to Ctrl-C and without the main script, which costs seconds or, unguarded, runs anew."""
    main = sys.modules["__main__"]
    heard = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
        signal.pthread_sigmask(signal.SIG_SETMASK, heard)


def _end_with_the_parent() -> None:
    """Watch the parent from a thread: its queue would never tell that it was killed."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
        os._exit(1)

    threading.Thread(target=watch, name="parent", daemon=True).start()

"""Independent pieces of work on several cores, with results in the order in which the work was given."""

import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from multiprocessing.process import BaseProcess
from types import ModuleType
from typing import Any, Generic, Self, TypeVar

from synthdata.errors import ConfigError, WorkerError

SETTING = "SYNTHDATA_WORKERS"  # how many processes may share work; none given: the cores
MOST_WORKERS = 16
SLOW_START = 10  # times as much work is worth a process that starts from new as is worth a copy of this one
AHEAD = 2  # pieces per worker which are given out at a time; bounds memory and the wait after Ctrl-C
ENDED_EARLY = (
    "a process which shared the work ended before it was done, maybe for want of memory: "
    "run it again with more memory, or on fewer cores (taskset)"
)
LOG = logging.getLogger(__name__)
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
    pool = _pool(workers)
    try:
        with _plain_start():
            waiting.extend(pool.submit(function, piece) for piece in islice(queue, AHEAD * workers))
        while waiting:
            yield waiting.popleft().result()
            waiting.extend(pool.submit(function, piece) for piece in islice(queue, 1))
    except BrokenProcessPool:
        raise WorkerError(ENDED_EARLY) from None
    finally:
        pool.shutdown(cancel_futures=True)


class Crew:
    """This process, and others which share its work step by step; they start with the first step that is worth it.

    They are copies of this process where Python has one thread in it; else their start takes a second or two, in
    which it goes on by itself. Later steps find them there.
    """

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None
        self._hands: list[Future[None]] = []  # done where a process has started
        self._alone = False  # since no process could be started

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:  # one that has not even started is not waited for
            self._pool.shutdown(wait=all(hand.done() for hand in self._hands), cancel_futures=True)

    def workers_for(self, pieces: int, *, least: int) -> int:
        """Processes which pay for that much work, as the function `workers_for` gives them.

        Args:
            pieces: Of the work.
            least: Pieces that are worth a copy of this process; `SLOW_START` times as many where one must start from
                new.
        """
        quick = self._pool is not None or _start_method() == "fork"
        return workers_for(pieces, least=least if quick else SLOW_START * least)

    def in_order(
        self, function: Callable[[Piece], Result], pieces: Sequence[Piece], *, workers: int
    ) -> Generator[Result, None, None]:
        """Results of a function for each piece, as the function `in_order` gives them; this process takes pieces, too.

        Args:
            function: Of a module, so that another process finds it; without a memory which matters.
            pieces: Arguments, which can be pickled as the results can.
            workers: Of `workers_for`, this process among them; 1 stays in it. The first step that shares decides
                for those to come.

        Raises:
            WorkerError: A process was killed, or ended by itself.
            Exception: Whatever the function raises; what was not begun is then left out.
        """
        pool = self._started(function, workers - 1) if workers > 1 else None
        if pool is None:
            yield from map(function, pieces)
            return
        step = _Step(pool, function, pieces)
        try:
            for hand in self._hands:
                hand.add_done_callback(step.give)
            for place in range(len(pieces)):
                while not step.is_done(place) and step.take():
                    pass
                yield step.result(place)
        except BrokenProcessPool:
            raise WorkerError(ENDED_EARLY) from None
        finally:
            step.close()

    def _started(self, function: Callable[[Piece], Result], others: int) -> ProcessPoolExecutor | None:
        """The pool, whose processes import the function's module before they get a piece; None where none start."""
        if self._pool is None and not self._alone:
            before = set(multiprocessing.active_children())
            try:
                pool = _pool(others, start=_start_method())
                with _plain_start():
                    self._hands = [pool.submit(_import_module_of, function) for _ in range(others)]
                self._pool = pool
            except (
                OSError,
                NotImplementedError,
                ImportError,
            ) as error:  # no memory, no more processes, no semaphores
                self._alone = True
                _end(set(multiprocessing.active_children()) - before)
                LOG.warning(
                    "no process can be started to share the work (%s): this one does it alone, more slowly",
                    type(error).__name__,
                )
        return self._pool


def _end(children: Iterable[BaseProcess]) -> None:
    """End processes that nobody will give work."""
    for child in children:
        child.kill()
        child.join()


class _Step(Generic[Piece, Result]):
    """Pieces of one step, given out one at a time: a process that is done with one gets the next."""

    def __init__(
        self, pool: ProcessPoolExecutor, function: Callable[[Piece], Result], pieces: Sequence[Piece]
    ) -> None:
        self._pool, self._function = pool, function
        self._queue = deque(enumerate(pieces))
        self._results: dict[int, Future[Result]] = {}
        self._failed: BaseException | None = None
        self._lock = threading.Lock()  # results come in a thread of the pool

    def give(self, last: "Future[Any]") -> None:
        """Give the next piece to the process that is done with the last one."""
        if last.cancelled():
            return
        with self._lock:
            self._failed = self._failed or last.exception()
            if self._failed is not None:
                self._queue.clear()
            if not self._queue:
                return
            place, piece = self._queue.popleft()
            try:
                result = self._results[place] = self._pool.submit(self._function, piece)
            except BrokenProcessPool as error:  # it ended meanwhile
                self._failed = error
                self._queue.clear()
                return
        result.add_done_callback(self.give)

    def take(self) -> bool:
        """Do the next piece in this process; False where none is left."""
        with self._lock:
            if not self._queue:
                return False
            place, piece = self._queue.popleft()
            result = self._results[place] = Future()
        try:
            result.set_result(self._function(piece))
        except Exception as error:  # noqa: BLE001 # raised when its turn comes
            result.set_exception(error)
        return True

    def is_done(self, place: int) -> bool:
        """True where the result of a piece is there."""
        with self._lock:
            return place in self._results and self._results[place].done()

    def result(self, place: int) -> Result:
        """Result of a piece which was given out; it is waited for, and let go."""
        with self._lock:
            result = self._results.pop(place, None)
        if result is None:  # left out since another one failed
            raise self._failed or BrokenProcessPool
        return result.result()

    def close(self) -> None:
        """Leave out what was not begun, or broke off in this process, and wait for the rest."""
        with self._lock:
            self._queue.clear()
            rest = list(self._results.values())
        wait([result for result in rest if not result.cancel()])  # nobody would ever end a cancelled one


def _import_module_of(function: Callable[..., object]) -> None:
    """A process that was given the function has imported its module."""


def _pool(workers: int, *, start: str = "spawn") -> ProcessPoolExecutor:
    context = multiprocessing.get_context(start)
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_end_with_the_parent)


def _start_method() -> str:
    """`fork`, which takes no time, where no thread of Python could hold a lock at that moment; else `spawn`.

    Threads of libraries remain: those of OpenBLAS, jemalloc and Arrow mind a fork.
    """
    return "fork" if sys.platform == "linux" and threading.active_count() == 1 else "spawn"


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

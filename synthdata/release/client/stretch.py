"""Several parts of one object fetched at once, and handed on in order as their bytes arrive."""

import threading
import time
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Executor

from synthdata.errors import MissingObjectError, TransientError
from synthdata.release.client.remote import Remote, pauses

STRETCH_BYTES = 16 << 20
WINDOW = 4  # stretches of one object which are under way: memory holds no more of it


class Stretch:
    """Bytes [start, stop) of an object, filled by one thread and read by another."""

    def __init__(self, start: int, stop: int, *, last: bool) -> None:
        self.start, self.stop = start, stop
        self.last = last  # read on to the end of the object, which should be at `stop`
        self._chunks: deque[bytes] = deque()
        self._news = threading.Condition()
        self._finished = False
        self._error: BaseException | None = None

    def fill(self, remote: Remote, key: str, halt: threading.Event) -> None:
        """Fetch, with new tries which go on where the last one ended."""
        try:
            self._fetch(remote, key, halt)
        except BaseException as error:  # noqa: BLE001 - it is raised in the thread that reads
            self._error = error
        with self._news:
            self._finished = True
            self._news.notify()

    def _fetch(self, remote: Remote, key: str, halt: threading.Event) -> None:
        at, waits = self.start, pauses()
        while not halt.is_set() and at < self.stop:
            before = at
            try:
                for chunk in remote.stream(key, at, None if self.last else self.stop):
                    at += len(chunk)
                    with self._news:
                        self._chunks.append(chunk)
                        self._news.notify()
                    if halt.is_set():
                        return
            except MissingObjectError:
                raise
            except TransientError:
                waits = pauses() if at > before else waits
                if (pause := next(waits)) is None:
                    raise
                time.sleep(pause)
            else:
                if at == before:
                    return

    def chunks(self) -> Iterator[bytes]:
        """The bytes, in order. Raises what `fill` has met."""
        while True:
            with self._news:
                self._news.wait_for(lambda: self._chunks or self._finished)
                chunk = self._chunks.popleft() if self._chunks else None
            if chunk is None:
                break
            yield chunk
        if self._error is not None:
            raise self._error


def read_in_stretches(
    remote: Remote, key: str, start: int, size_bytes: int, pool: Executor
) -> Generator[bytes, None, None]:
    """Bytes of an object from an offset to its end, which should be at `size_bytes`; the last part reads on to the end.

    Args:
        remote: The store.
        key: Object.
        start: First byte.
        size_bytes: What the object should have; a longer one gives more bytes, a shorter one fewer.
        pool: Runs the requests.

    Raises:
        MissingObjectError: There is no such object.
        StoreError: All tries failed, or the store refuses.
    """
    halt, open_stretches, at = threading.Event(), deque[Stretch](), start

    def begin() -> bool:
        nonlocal at
        if at >= size_bytes:
            return False
        last = not remote.ranged or at + STRETCH_BYTES >= size_bytes
        stretch = Stretch(at, size_bytes if last else at + STRETCH_BYTES, last=last)
        at = stretch.stop
        pool.submit(stretch.fill, remote, key, halt)
        open_stretches.append(stretch)
        return True

    try:
        while begin() or open_stretches:
            while len(open_stretches) < WINDOW and begin():
                pass
            yield from open_stretches.popleft().chunks()
    finally:
        halt.set()

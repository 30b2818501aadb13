"""One object read in order: by the thread that wants it, and ahead of it by connections that no other file needs.

The bytes come into memory that is used again: to map new memory for each piece costs as much as to hash it.
"""

import threading
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Self

from synthdata.release.client.remote import PIECE_BYTES, Remote, Span, read_pieces

CONNECTIONS = 8  # to the store at once
STRETCH_BYTES = 16 << 20  # of one request, where several connections share an object
ALONE_BYTES = 64 << 20  # and where it has but one
AHEAD = 4  # stretches of one object which come while the one before them is read


class Spares:
    """The connections which the files at work leave over, and the memory that these fill."""

    def __init__(self, files: int) -> None:
        """Share out connections.

        Args:
            files: Files to come; each at work has a connection of its own.
        """
        self._files, self._used, self._rooms = files, 0, list[bytearray]()
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="ahead")

    def __enter__(self) -> Self:
        """Ready from the start."""
        return self

    def __exit__(self, *error: object) -> None:
        """Wait for what is under way."""
        self._pool.shutdown()

    def begin(self, remote: Remote, span: Span, halt: threading.Event) -> "Stretch | None":
        """Start to read a span of at most `STRETCH_BYTES`; None where no connection is spare."""
        with self._lock:
            if min(self._files, CONNECTIONS) + self._used >= CONNECTIONS:
                return None
            self._used += 1
            room = (
                self._rooms.pop() if self._rooms else bytearray(STRETCH_BYTES + 1)
            )  # a byte that is too many
        stretch = Stretch(span, room)
        self._pool.submit(stretch.fill, remote, halt)
        return stretch

    def end(self, stretch: "Stretch") -> None:
        """Take a connection back, and the memory where nothing fills it any more."""
        with self._lock:
            self._used -= 1
            if stretch.finished:
                self._rooms.append(stretch.room)

    def file_done(self) -> None:
        """One file fewer needs a connection of its own."""
        with self._lock:
            self._files -= 1


class Stretch:
    """A span of an object, filled by one thread and read by another."""

    def __init__(self, span: Span, room: bytearray) -> None:
        self.span, self.room, self.finished = span, room, False
        self._count, self._news = 0, threading.Condition()
        self._error: BaseException | None = None

    def fill(self, remote: Remote, halt: threading.Event) -> None:
        """Fetch, with new tries which go on where the last one ended."""
        view = memoryview(self.room)
        try:
            for piece in read_pieces(
                remote, self.span, lambda at: view[at - self.span.start :][:PIECE_BYTES], halt
            ):
                with self._news:
                    self._count += len(piece)
                    self._news.notify()
        except BaseException as error:  # noqa: BLE001 - it is raised in the thread that reads
            self._error = error
        with self._news:
            self.finished = True
            self._news.notify()

    def pieces(self) -> Iterator[memoryview]:
        """The bytes, in order. Raises what `fill` has met."""
        view, done = memoryview(self.room), 0
        while (count := min(self._more_than(done), done + PIECE_BYTES)) > done:
            yield view[done:count]
            done = count
        if self._error is not None:
            raise self._error

    def _more_than(self, done: int) -> int:
        """Wait for news. Returns how many bytes have come."""
        with self._news:
            self._news.wait_for(lambda: self._count > done or self.finished)
            return self._count


def read_in_order(
    remote: Remote, key: str, start: int, size_bytes: int, spares: Spares
) -> Generator[memoryview, None, None]:
    """Bytes of an object from an offset to its end, which should be at `size_bytes`; a piece holds until the next one.

    Args:
        remote: The store.
        key: Object.
        start: First byte.
        size_bytes: What the object should have; a longer one gives more bytes, a shorter one fewer.
        spares: Connections for what lies ahead.

    Raises:
        MissingObjectError: There is no such object.
        StoreError: All tries failed, or the store refuses.
    """
    halt, ahead = threading.Event(), deque[Stretch]()

    def look_ahead(at: int) -> int:
        """Begin what may be begun from there on. Returns where it ends."""
        while remote.ranged and at < size_bytes and len(ahead) < AHEAD:
            stop = min(at + STRETCH_BYTES, size_bytes)
            stretch = spares.begin(remote, Span(key, at, stop, last=stop == size_bytes), halt)
            if stretch is None:
                break
            ahead.append(stretch)
            at = stop
        return at

    def front(at: int) -> Span:
        """What this thread reads by itself: up to what is read ahead, or much at once where nothing is."""
        reach = ALONE_BYTES if remote.ranged else size_bytes
        stop = ahead[0].span.start if ahead else min(at + reach, size_bytes)
        return Span(key, at, stop, last=stop == size_bytes)

    room, end = memoryview(bytearray(min(PIECE_BYTES, size_bytes - start + 1))), start
    try:
        while ahead or end < size_bytes:
            if ahead:
                end = look_ahead(end)
                yield from ahead[0].pieces()
                spares.end(ahead.popleft())
            else:
                begun = look_ahead(end + STRETCH_BYTES)
                span = front(end)
                end = begun if ahead else span.stop
                yield from read_pieces(remote, span, lambda _: room, halt)
    finally:
        halt.set()
        for stretch in ahead:
            spares.end(stretch)

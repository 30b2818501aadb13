"""Where releases are read from: a folder, S3, any web server, or a file of links; reading can start in the middle."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from synthdata.errors import ConfigError, MissingObjectError, TransientError, TrustError
from synthdata.storage.opening import open_store
from synthdata.storage.protocol import ObjectStore

PIECE_BYTES = 256 << 10  # of one read: those of all connections fit into the cache of a core or two
TRIES = 6
FIRST_PAUSE_S = 0.2  # doubled at each try, with jitter


class Reader(Protocol):
    """An object under way."""

    def readinto(self, room: memoryview, /) -> int:
        """Fill memory from its start; 0 at the end. Raises TransientError where another try may succeed."""
        ...

    def close(self) -> None:
        """Give the connection back."""
        ...


class Remote(Protocol):
    """A release store as its readers see it."""

    @property
    def url(self) -> str:
        """Address without credentials."""
        ...

    @property
    def ranged(self) -> bool:
        """Reading several parts of one object at once pays."""
        ...

    def open(self, key: str, start: int = 0, stop: int | None = None) -> Reader:
        """Ask for bytes [start, stop) of an object; to its end where `stop` is None. More may come: read no further.

        Raises:
            MissingObjectError: There is no such object.
            TransientError: Another try may succeed.
            StoreError: The store refuses.
        """
        ...


class StoreRemote:
    """A folder, through the object store."""

    ranged = False  # one reader is as quick as the disk

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    @property
    def url(self) -> str:
        """Address of the store."""
        return self._store.url

    def open(self, key: str, start: int = 0, stop: int | None = None) -> Reader:  # noqa: ARG002 - read by nobody
        """The object from its byte `start` on."""
        try:
            reader = self._store.open(key)
        except MissingObjectError:
            raise missing(self.url, key) from None
        reader.seek(start)
        return reader


def missing(shown: str, key: str) -> MissingObjectError:
    """An object that a reader has looked for in vain, in words for a reader."""
    return MissingObjectError(
        f"{shown} has no object {key}, expected what its signed metadata name: check the address, or tell its publisher"
    )


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes [start, stop) of an object."""

    key: str
    start: int
    stop: int
    last: bool = (
        False  # the object should end at `stop`: it is asked for without an end, to see whether it does
    )


def open_remote(url: str, *, anonymous: bool = False) -> Remote:
    """Open a release store for reading.

    Args:
        url: A folder, `file://`, `s3://bucket/prefix`, `http://` or `https://` (a query, such as a shared access
            signature, goes with each request), or a `.json` file of presigned links from `synthdata release links`.
        anonymous: Read S3 without a signature, although credentials are at hand.

    Raises:
        ConfigError: The scheme is unknown.
        StoreError: The folder is not there, or S3 cannot be opened.
    """
    scheme = urlsplit(url).scheme
    if scheme in {"http", "https"}:
        from synthdata.release.client.web import HttpRemote

        return HttpRemote(url)
    if scheme == "s3":
        from synthdata.release.client.signed_web import S3Remote

        return S3Remote(url, anonymous=anonymous)
    if anonymous:
        raise ConfigError(f"anonymous reading is for s3://, the address is {url}: leave --anonymous out")
    if url.endswith(".json") and Path(url).is_file():
        from synthdata.release.client.signed_web import LinkedRemote

        return LinkedRemote(Path(url))
    return StoreRemote(open_store(url, create=False))


def read_small(remote: Remote, key: str, *, limit_bytes: int) -> bytes:
    """A whole small object, with new tries where the network fails.

    Raises:
        MissingObjectError: There is none.
        TrustError: It is larger than it may be.
        StoreError: All tries failed, or the store refuses.
    """
    for pause in pauses():
        try:
            return _read_once(remote, key, limit_bytes)
        except TransientError:
            if pause is None:
                raise
            time.sleep(pause)
    raise TransientError(f"{key} could not be read")  # pragma: no cover - the last pause is None


def _read_once(remote: Remote, key: str, limit_bytes: int) -> bytes:
    got, room = bytearray(), memoryview(bytearray(min(PIECE_BYTES, limit_bytes + 1)))
    with closing(remote.open(key)) as reader:
        while count := reader.readinto(room):
            got += room[:count]
            if len(got) > limit_bytes:
                raise TrustError(f"{key} is larger than {limit_bytes} bytes: it is not what the store signed")
    return bytes(got)


def read_range(remote: Remote, key: str, start: int, stop: int) -> bytes:
    """Bytes [start, stop) of an object; new tries go on where the last one ended, and fewer come where it is shorter.

    Raises:
        MissingObjectError: There is none.
        StoreError: All tries failed, or the store refuses.
    """
    view = memoryview(bytearray(stop - start))
    pieces = read_pieces(remote, Span(key, start, stop), lambda at: view[at - start :])
    return view[: sum(map(len, pieces))].tobytes()


def read_pieces(
    remote: Remote, span: Span, room: Callable[[int], memoryview], halt: threading.Event | None = None
) -> Iterator[memoryview]:
    """Bytes of a span as they come; new tries go on where the last one ended.

    Args:
        remote: The store.
        span: What to read. Fewer bytes come where the object is shorter, more where it is longer and this its `last`.
        room: Gives the memory for the bytes from an offset of the object on; where it is empty, no more is read.
        halt: Ends it early.

    Raises:
        MissingObjectError: There is no such object.
        StoreError: All tries failed, or the store refuses.
    """
    halt, at, waits = halt or threading.Event(), span.start, pauses()
    while not halt.is_set() and at < span.stop:
        before = at
        try:
            with closing(remote.open(span.key, at, None if span.last else span.stop)) as reader:
                while not halt.is_set() and (view := room(at) if span.last else room(at)[: span.stop - at]):
                    if not (count := reader.readinto(view)):
                        break
                    at += count
                    yield view[:count]
        except MissingObjectError:
            raise
        except TransientError:
            waits = pauses() if at > before else waits
            if (pause := next(waits)) is None:
                raise
            halt.wait(pause)
        else:
            if at == before:
                return


def pauses() -> Iterator[float | None]:
    """Seconds to wait after each failed try; None after the last one."""
    for number in range(TRIES - 1):
        yield FIRST_PAUSE_S * 2**number * random.uniform(0.5, 1.5)  # noqa: S311 - jitter, no secret
    yield None

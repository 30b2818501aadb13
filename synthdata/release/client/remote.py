"""Where releases are read from: a folder, S3, any web server, or a file of links; reading can start in the middle."""

import random
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from synthdata.errors import ConfigError, MissingObjectError, TransientError, TrustError
from synthdata.storage.opening import open_store
from synthdata.storage.protocol import ObjectStore

CHUNK_BYTES = 128 << 10  # larger blocks cost the system more, as their memory is mapped anew each time
TRIES = 6
FIRST_PAUSE_S = 0.2  # doubled at each try, with jitter


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

    def stream(self, key: str, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Bytes [start, stop) of an object; to its end where `stop` is None.

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

    def stream(self, key: str, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Bytes [start, stop)."""
        with closing(self._store.open(key)) as reader:
            reader.seek(start)
            left = None if stop is None else stop - start
            while chunk := reader.read(CHUNK_BYTES if left is None else min(left, CHUNK_BYTES)):
                yield chunk
                left = None if left is None else left - len(chunk)


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
    parts, size = [], 0
    for chunk in remote.stream(key):
        size += len(chunk)
        if size > limit_bytes:
            raise TrustError(f"{key} is larger than {limit_bytes} bytes: it is not what the store signed")
        parts.append(chunk)
    return b"".join(parts)


def read_range(remote: Remote, key: str, start: int, stop: int) -> bytes:
    """Bytes [start, stop) of an object; new tries go on where the last one ended, and fewer come where it is shorter.

    Raises:
        MissingObjectError: There is none.
        StoreError: All tries failed, or the store refuses.
    """
    got, waits = bytearray(), pauses()
    while len(got) < stop - start:
        before = len(got)
        try:
            for chunk in remote.stream(key, start + before, stop):
                got += chunk
        except MissingObjectError:
            raise
        except TransientError:
            waits = pauses() if len(got) > before else waits
            if (pause := next(waits)) is None:
                raise
            time.sleep(pause)
        else:
            if len(got) == before:
                break
    return bytes(got)


def pauses() -> Iterator[float | None]:
    """Seconds to wait after each failed try; None after the last one."""
    for number in range(TRIES - 1):
        yield FIRST_PAUSE_S * 2**number * random.uniform(0.5, 1.5)  # noqa: S311 - jitter, no secret
    yield None

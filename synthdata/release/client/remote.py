"""Where releases are read from: a folder, S3 or any web server; reading can start in the middle of a file."""

import http.client
import random
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from typing import Protocol
from urllib.parse import quote, urlsplit

from synthdata.errors import MissingObjectError, StoreError, TrustError
from synthdata.storage.opening import open_store
from synthdata.storage.protocol import ObjectStore

CHUNK_BYTES = 1 << 20
TIMEOUT_S = 60
TRIES = 5
FIRST_PAUSE_S = 0.2  # doubled at each try, with jitter
GONE = (404, 410)


class Remote(Protocol):
    """A release store as its readers see it."""

    @property
    def url(self) -> str:
        """Address without credentials."""
        ...

    def stream(self, key: str, start: int = 0) -> Iterator[bytes]:
        """Bytes of an object from an offset on. Raises MissingObjectError or StoreError."""
        ...


class StoreRemote:
    """A folder or an S3 prefix, through the object store."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    @property
    def url(self) -> str:
        """Address of the store."""
        return self._store.url

    def stream(self, key: str, start: int = 0) -> Iterator[bytes]:
        """Bytes from an offset on."""
        with closing(self._store.open(key)) as reader:
            reader.seek(start)
            while chunk := reader.read(CHUNK_BYTES):
                yield chunk


class HttpRemote:
    """A web server; proxies come from the usual environment variables."""

    def __init__(self, url: str) -> None:
        self._base = url.rstrip("/")

    @property
    def url(self) -> str:
        """Address without user, password or query."""
        parts = urlsplit(self._base)
        port = "" if parts.port is None else f":{parts.port}"
        return f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path}"

    def stream(self, key: str, start: int = 0) -> Iterator[bytes]:
        """Bytes from an offset on; a server which knows no ranges is read from the start."""
        request = urllib.request.Request(f"{self._base}/{quote(key)}")  # noqa: S310 - http or https, see open_remote
        if start:
            request.add_header("Range", f"bytes={start}-")
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
                promised = answer.length  # None where the server does not say
                got, skip = 0, start if answer.status != http.HTTPStatus.PARTIAL_CONTENT else 0
                while chunk := answer.read(CHUNK_BYTES):
                    got += len(chunk)
                    kept = chunk[skip:]
                    skip -= len(chunk) - len(kept)
                    if kept:
                        yield kept
                if promised is not None and got < promised:  # reading by chunks does not notice
                    raise http.client.IncompleteRead(b"", promised - got)
        except urllib.error.HTTPError as error:
            if error.code in GONE:
                raise MissingObjectError.of(self.url, key) from None
            raise StoreError(
                f"{self.url} answered {error.code} for {key}: check the address and the rights"
            ) from error
        except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
            reason = getattr(error, "reason", error)
            raise StoreError(
                f"{self.url} cannot be reached ({reason}): check the address and the network"
            ) from error


def open_remote(url: str) -> Remote:
    """Open a release store for reading.

    Args:
        url: A folder, `file://`, `s3://bucket/prefix`, `http://` or `https://`.

    Raises:
        ConfigError: The scheme is unknown.
        StoreError: The folder is not there.
    """
    if urlsplit(url).scheme in {"http", "https"}:
        return HttpRemote(url)
    return StoreRemote(open_store(url, create=False))


def read_small(remote: Remote, key: str, *, limit_bytes: int) -> bytes:
    """A whole small object, with new tries where the network fails.

    Raises:
        MissingObjectError: There is none.
        TrustError: It is larger than it may be.
        StoreError: All tries failed.
    """
    for pause in pauses():
        try:
            parts, size = [], 0
            for chunk in remote.stream(key):
                size += len(chunk)
                if size > limit_bytes:
                    raise TrustError(
                        f"{key} is larger than {limit_bytes} bytes: it is not what the store signed"
                    )
                parts.append(chunk)
            return b"".join(parts)
        except MissingObjectError:
            raise
        except StoreError:
            if pause is None:
                raise
            time.sleep(pause)
    raise StoreError(f"{key} could not be read")  # pragma: no cover - the last pause is None


def pauses() -> Iterator[float | None]:
    """Seconds to wait after each failed try; None after the last one."""
    for number in range(TRIES - 1):
        yield FIRST_PAUSE_S * 2**number * random.uniform(0.5, 1.5)  # noqa: S311 - jitter, no secret
    yield None

"""What every object store can do; the rest of the project sees no more than this."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

Content = bytes | memoryview | Path  # of an object that is written


class ObjectStore(Protocol):
    """Bytes by key. Keys are relative POSIX paths; no store is trusted to verify a digest for us."""

    @property
    def url(self) -> str:
        """Address of the store, without credentials."""
        ...

    def read(self, key: str) -> bytes:
        """Whole object. Raises MissingObjectError or StoreError."""
        ...

    def open(self, key: str) -> io.BufferedReader:
        """Seekable reader of an object, which fetches no more than is read from it."""
        ...

    def chunks(self, key: str) -> Iterator[bytes]:
        """Whole object from its first to its last byte, in pieces of bounded size, by one request."""
        ...

    def size(self, key: str) -> int | None:
        """Size in bytes, or None where there is no such object."""
        ...

    def write(self, key: str, data: Content) -> None:
        """Write or replace an object at once: a reader sees the old or the new one, never a part."""
        ...

    def create(self, key: str, data: Content) -> bool:
        """Write an object only where there is none; False when another was there first."""
        ...

    def keys(self, prefix: str) -> Iterator[str]:
        """Keys which start with the prefix, sorted."""
        ...

    def delete(self, key: str) -> None:
        """Remove an object; no error where there is none."""
        ...

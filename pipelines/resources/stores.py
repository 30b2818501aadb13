"""Object stores that are opened on first use, so that loading the definitions touches no disk and no network."""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

from synthdata.storage import ObjectStore, open_store


class LazyStore:
    """An `ObjectStore` at an address; a plain object, since `keys` of a Dagster resource means something else."""

    def __init__(self, url: str) -> None:
        self.url = url

    def __reduce__(self) -> tuple[type["LazyStore"], tuple[str]]:
        """Another process opens the address anew."""
        return LazyStore, (self.url,)

    @cached_property
    def _store(self) -> ObjectStore:
        return open_store(self.url)

    def read(self, key: str) -> bytes:
        """Whole object."""
        return self._store.read(key)

    def open(self, key: str) -> BinaryIO:
        """Seekable reader of an object."""
        return self._store.open(key)

    def size(self, key: str) -> int | None:
        """Size in bytes, or None."""
        return self._store.size(key)

    def write(self, key: str, data: bytes | Path) -> None:
        """Write or replace an object at once."""
        self._store.write(key, data)

    def create(self, key: str, data: bytes | Path) -> bool:
        """Write an object only where there is none."""
        return self._store.create(key, data)

    def keys(self, prefix: str) -> Iterator[str]:
        """Keys which start with the prefix, sorted."""
        return self._store.keys(prefix)

    def delete(self, key: str) -> None:
        """Remove an object."""
        self._store.delete(key)

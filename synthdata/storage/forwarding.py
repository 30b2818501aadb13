"""A store in front of another one: whoever changes some acts of a store writes down these alone."""

import io
from abc import ABC, abstractmethod
from collections.abc import Iterator

from synthdata.storage.protocol import Content, ObjectStore


class ForwardingStore(ABC):
    """An `ObjectStore` which hands each act on to the one behind it."""

    @property
    @abstractmethod
    def behind(self) -> ObjectStore:
        """The store that holds the objects."""

    @property
    def url(self) -> str:
        """Address of the store."""
        return self.behind.url

    def read(self, key: str) -> bytes:
        """Whole object."""
        return self.behind.read(key)

    def open(self, key: str) -> io.BufferedReader:
        """Seekable reader of an object."""
        return self.behind.open(key)

    def chunks(self, key: str) -> Iterator[bytes]:
        """Whole object, piece by piece."""
        return self.behind.chunks(key)

    def size(self, key: str) -> int | None:
        """Size in bytes, or None."""
        return self.behind.size(key)

    def write(self, key: str, data: Content) -> None:
        """Write or replace an object at once."""
        self.behind.write(key, data)

    def create(self, key: str, data: Content) -> bool:
        """Write an object only where there is none."""
        return self.behind.create(key, data)

    def keys(self, prefix: str) -> Iterator[str]:
        """Keys which start with the prefix, sorted."""
        return self.behind.keys(prefix)

    def delete(self, key: str) -> None:
        """Remove an object."""
        self.behind.delete(key)

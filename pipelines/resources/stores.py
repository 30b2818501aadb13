"""Object stores that are opened on first use, so that loading the definitions touches no disk and no network."""

from collections.abc import Callable
from functools import cached_property, partial

from synthdata.storage import ObjectStore, open_store
from synthdata.storage.forwarding import ForwardingStore


class LazyStore(ForwardingStore):
    """An `ObjectStore` at an address; a plain object, since `keys` of a Dagster resource means something else."""

    def __init__(self, url: str, *, private: bool = False) -> None:
        self._url, self._private = url, private

    @property
    def url(self) -> str:
        """Address, known before the store is opened."""
        return self._url

    def __reduce__(self) -> tuple[Callable[[], "LazyStore"], tuple[()]]:
        """Another process opens the address anew."""
        return partial(LazyStore, self.url, private=self._private), ()

    @cached_property
    def behind(self) -> ObjectStore:
        """The store, opened when it is asked for first."""
        return open_store(self._url, private=self._private)

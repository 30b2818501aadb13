"""Stores that cannot write an object only where there is none: found out by trying, made safe by one lock object."""

import json
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from synthdata.errors import MissingObjectError, StoreError
from synthdata.storage import keys
from synthdata.storage.forwarding import ForwardingStore
from synthdata.storage.protocol import Content, ObjectStore

SETTLE_S = (
    3.0  # a lock is mine when it is still mine after so long: longer than a small write takes to be seen
)
STALE = timedelta(hours=6)  # a lock that old was left by a publisher who was killed


@contextmanager
def dependable(store: ObjectStore) -> Iterator[ObjectStore]:
    """The store, with a `create` that can be relied on.

    Where the store does not know conditional writes, nobody else may write while this lasts: a lock object is taken,
    waited for, read back, and removed at the end.

    Raises:
        StoreError: The store cannot be written, or somebody else holds the lock.
    """
    if creates_once(store):
        yield store
        return
    owner = _take_lock(store)
    try:
        yield ExclusiveStore(store)
    finally:
        if _holder(store)[0] == owner:
            store.delete(keys.LOCK)


def creates_once(store: ObjectStore) -> bool:
    """Whether a second `create` of one key is refused, as it must be."""
    key = keys.probe(uuid.uuid4().hex)
    try:
        try:
            store.create(key, b"probe")
        except MissingObjectError:
            raise
        except StoreError:
            store.write(key, b"probe")  # where this fails too, the store cannot be written at all
            return False
        return not store.create(key, b"probe again")
    finally:
        store.delete(key)


class ExclusiveStore(ForwardingStore):
    """A store of which this process is the only writer: looking and then writing is enough."""

    def __init__(self, store: ObjectStore) -> None:
        self._behind = store

    @property
    def behind(self) -> ObjectStore:
        """The store without conditional writes."""
        return self._behind

    def create(self, key: str, data: Content) -> bool:
        """Write an object where there is none."""
        if self.behind.size(key) is not None:
            return False
        self.behind.write(key, data)
        return True


def _take_lock(store: ObjectStore) -> str:
    owner, (held, since) = uuid.uuid4().hex, _holder(store)
    if held and datetime.now(UTC) - since < STALE:
        raise StoreError(
            f"the store knows no conditional writes, and another publisher holds its lock since {since:%Y-%m-%d %H:%M} "
            f"UTC: wait until it has finished, or remove {keys.LOCK} where it was given up"
        )
    store.write(keys.LOCK, json.dumps({"owner": owner, "since": f"{datetime.now(UTC).isoformat()}"}).encode())
    time.sleep(SETTLE_S)
    if _holder(store)[0] != owner:
        raise StoreError(
            "the store knows no conditional writes, and another publisher took its lock at the same time: wait until "
            "it has finished, and run it again"
        )
    return owner


def _holder(store: ObjectStore) -> tuple[str, datetime]:
    """Who holds the lock, and since when; nobody where it is missing or cannot be read."""
    try:
        found = json.loads(store.read(keys.LOCK))
        return str(found["owner"]), datetime.fromisoformat(found["since"])
    except (MissingObjectError, ValueError, KeyError, TypeError):
        return "", datetime.fromtimestamp(0, UTC)

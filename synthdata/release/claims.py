"""A claim on one version while it is published, so that two builds of it never mix in the store.

Claims are numbered and created only where there is none: the highest one holds. A publisher of the same manifest shares
it, for he writes the same bytes. One of another manifest is refused, unless the claim was not renewed for a while: its
publisher was killed, and a higher claim passes him over.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from synthdata.errors import MissingObjectError, RecordError, TrustError
from synthdata.records.codec import Record, from_json, to_json
from synthdata.storage import keys
from synthdata.storage.protocol import ObjectStore

STALE = timedelta(minutes=10)
RENEW_S = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim(Record):
    """Who publishes a version now."""

    manifest_sha256: str
    renewed: str  # ISO 8601, UTC


class Holding:
    """A version that this process publishes."""

    def __init__(self, store: ObjectStore, dataset: str, version: str, claim: Claim) -> None:
        self._store, self._names, self._claim = store, (dataset, version), claim
        self._number = 0

    def take(self) -> None:
        """Claim the version. Raises TrustError where somebody else publishes another build of it."""
        while True:
            number, held = self._newest()
            if held is not None and held.manifest_sha256 == self._claim.manifest_sha256:
                self._number = number
                return
            if held is not None and datetime.now(UTC) - datetime.fromisoformat(held.renewed) < STALE:
                raise self._refusal(held)
            if self._store.create(keys.claim(*self._names, number + 1), to_json(self._claim)):
                self._number = number + 1
                return

    def check(self) -> None:
        """Raises TrustError where a publisher of another build has passed this one over."""
        _, held = self._newest()
        if held is not None and held.manifest_sha256 != self._claim.manifest_sha256:
            raise self._refusal(held)

    def renew(self) -> None:
        """Say that the work goes on."""
        if self._newest()[0] == self._number:
            claim = replace(self._claim, renewed=datetime.now(UTC).isoformat())
            self._store.write(keys.claim(*self._names, self._number), to_json(claim))

    def drop(self) -> None:
        """Remove the claim, and those that it passed over."""
        for number in range(self._number, 0, -1):
            self._store.delete(keys.claim(*self._names, number))

    def _newest(self) -> tuple[int, Claim | None]:
        number, found = 0, None
        while True:
            try:
                data = self._store.read(keys.claim(*self._names, number + 1))
            except MissingObjectError:
                return number, found
            number += 1
            try:
                found = from_json(Claim, data)
            except RecordError:  # of another version of this code: it is passed over
                found = None

    def _refusal(self, held: Claim) -> TrustError:
        dataset, version = self._names
        minutes = STALE.seconds // 60
        return TrustError(
            f"another publisher is at work on {dataset} {version} with manifest {held.manifest_sha256[:12]}…, this one "
            f"is {self._claim.manifest_sha256[:12]}…: he wins; raise the version, or try again {minutes} minutes after "
            "he was given up"
        )


@contextmanager
def claimed(store: ObjectStore, dataset: str, version: str, manifest_sha256: str) -> Iterator[Holding]:
    """Hold a version, and renew the claim while the work goes on.

    A kill leaves the claim, which the next try of the same build shares; an error of ours leaves it too.

    Raises:
        TrustError: Somebody else publishes another build of it.
    """
    claim = Claim(manifest_sha256=manifest_sha256, renewed=datetime.now(UTC).isoformat())
    holding, done = Holding(store, dataset, version, claim), threading.Event()
    holding.take()

    def renewing() -> None:
        while not done.wait(RENEW_S):
            holding.renew()

    thread = threading.Thread(target=renewing, name="claim", daemon=True)
    thread.start()
    try:
        yield holding
    finally:
        done.set()
        thread.join()

"""The signed metadata of a release store, changed as a transaction.

The next `<n>.snapshot.json` is the commit: it is created only where there is none, so of two publishers one wins, and
the other starts again on top of it. `timestamp.json`, the only file that readers look at first, is then signed to point
to the newest snapshot. Whoever finds a snapshot without a timestamp (its writer was killed) signs the timestamp first.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, Targets, Timestamp
from tuf.api.serialization import DeserializationError

from synthdata.errors import MissingObjectError, TrustError
from synthdata.records.codec import from_json, to_json
from synthdata.release.trust.contents import Contents, recalls_target, signed_releases
from synthdata.release.trust.keys import ReleaseSigner
from synthdata.release.trust.recalls import RecallList
from synthdata.release.trust.signers import sign_with
from synthdata.storage import keys
from synthdata.storage.commit import commit_blob, read_verified
from synthdata.storage.protocol import ObjectStore

S = TypeVar("S", Root, Timestamp, Snapshot, Targets)
ATTEMPTS = 20  # publishers that may come in between
TIMESTAMP = "timestamp.json"
OTHER_KEYS = "the store is signed by other keys: name the folder of its keys, or publish to another store"


@dataclass(frozen=True, kw_only=True, slots=True)
class State:
    """One consistent state of the signed metadata."""

    contents: Contents
    snapshot: Snapshot | None  # None in an empty store
    targets: Targets | None
    timestamp: Timestamp | None

    @property
    def snapshot_version(self) -> int:
        """Number of the newest snapshot; 0 in an empty store."""
        return 0 if self.snapshot is None else self.snapshot.version


def transact(
    releases: ObjectStore, signer: ReleaseSigner, change: Callable[[Contents], Contents]
) -> Contents:
    """Sign changed contents, on top of whatever others have signed meanwhile.

    Args:
        releases: Release store.
        signer: With the keys of targets, snapshot and timestamp.
        change: From the contents that are signed now to those that shall be; called again when another publisher
            came in between.

    Returns:
        The contents that readers see now.

    Raises:
        TrustError: The store is signed by other keys, a key is not at hand, or others keep coming in between.
    """
    for _ in range(ATTEMPTS):
        state = settle(releases, signer)
        contents = change(state.contents)
        if contents == state.contents and state.snapshot is not None:
            return contents
        if _commit(releases, signer, state, contents):
            return settle(releases, signer).contents
    raise TrustError(f"{ATTEMPTS} other publishers came in between: publish again when they have finished")


def settle(releases: ObjectStore, signer: ReleaseSigner) -> State:
    """Read the signed state, after finishing what a killed publisher has begun."""
    root = _root(releases, signer)
    while True:
        timestamp = _read(releases, root, Timestamp, keys.trust_metadata(TIMESTAMP))
        newest = _newest_snapshot(releases, timestamp)
        if newest == (0 if timestamp is None else timestamp.snapshot_meta.version):
            return _state(releases, root, timestamp)
        _load(releases, root, newest)  # only what is whole may be pointed to
        _sign_timestamp(releases, signer, timestamp, newest)


def _newest_snapshot(releases: ObjectStore, timestamp: Timestamp | None) -> int:
    """Number of the newest snapshot; a timestamp may not point to it yet."""
    newest = 0 if timestamp is None else timestamp.snapshot_meta.version
    while releases.size(keys.trust_metadata(f"{newest + 1}.snapshot.json")) is not None:
        newest += 1
    return newest


def resign_timestamp(releases: ObjectStore, signer: ReleaseSigner) -> datetime:
    """Sign the timestamp again, and what else nears its end and has its key at hand.

    Returns:
        When readers will refuse the metadata, unless they are signed again before.

    Raises:
        TrustError: Nothing is published yet, the store is signed by other keys, or the timestamp key is not at hand.
    """
    require_signed(releases)
    state = settle(releases, signer)
    if state.snapshot is None or state.targets is None:
        raise TrustError("the store has no signed metadata: publish a release first")
    at_hand = {"targets", "snapshot"} <= set(signer.signers)
    if at_hand and min(_life_left(state.snapshot, signer), _life_left(state.targets, signer)) < 1 / 3:
        _commit(releases, signer, state, state.contents)
        state = settle(releases, signer)
    timestamp = _sign_timestamp(releases, signer, state.timestamp, state.snapshot_version)
    ends = [timestamp.expires, _root(releases, signer).expires]
    ends += [part.expires for part in (state.snapshot, state.targets) if part is not None]
    return min(ends)


def require_signed(releases: ObjectStore) -> None:
    """Raise TrustError where nothing was signed yet, before a root is written to what may be a wrong address."""
    if releases.size(keys.trust_metadata(TIMESTAMP)) is None and _held_root(releases, 1) is None:
        raise TrustError(
            f"{releases.url} holds no signed releases: check the address, or publish a release first"
        )


def signed_ends(releases: ObjectStore, signer: ReleaseSigner) -> dict[str, datetime]:
    """When the metadata of each online role of a store end; none of an empty store. Nothing is written.

    Raises:
        TrustError: The store is signed by other keys.
    """
    root = Metadata[Root].from_bytes(signer.root).signed
    timestamp = _read(releases, root, Timestamp, keys.trust_metadata(TIMESTAMP))
    if timestamp is None:
        return {}
    snapshot, targets = _load(releases, root, timestamp.snapshot_meta.version)
    return {"targets": targets.expires, "snapshot": snapshot.expires, "timestamp": timestamp.expires}


def _life_left(signed: Targets | Snapshot, signer: ReleaseSigner) -> float:
    """Share of the lifetime which is left."""
    days: int = getattr(signer.lifetimes, signed.type)
    return (signed.expires - datetime.now(UTC)).total_seconds() / (days * 86400)


def _commit(releases: ObjectStore, signer: ReleaseSigner, state: State, contents: Contents) -> bool:
    """Write recalls, targets and the next snapshot; False when another publisher has written that one."""
    recalls = to_json(contents.recalls)
    files = contents.targets()
    digest = files[keys.RECALLS].hashes["sha256"]
    commit_blob(releases, keys.signed_target(digest, keys.RECALLS), recalls)
    number = 1 if state.targets is None else state.targets.version + 1
    while True:
        targets = Targets(version=number, expires=signer.lifetimes.expiry("targets"), targets=files)
        data = _signed(targets, signer, "targets")
        if releases.create(keys.trust_metadata(f"{number}.targets.json"), data):
            break
        number += 1  # left by a publisher which lost or was killed; nothing points to it
    meta = {"targets.json": MetaFile.from_data(number, data, ["sha256"])}
    snapshot = Snapshot(
        version=state.snapshot_version + 1, expires=signer.lifetimes.expiry("snapshot"), meta=meta
    )
    key = keys.trust_metadata(f"{snapshot.version}.snapshot.json")
    return releases.create(key, _signed(snapshot, signer, "snapshot"))


def _sign_timestamp(
    releases: ObjectStore, signer: ReleaseSigner, current: Timestamp | None, snapshot: int
) -> Timestamp:
    data = releases.read(keys.trust_metadata(f"{snapshot}.snapshot.json"))
    timestamp = Timestamp(
        version=1 if current is None else current.version + 1,
        expires=signer.lifetimes.expiry("timestamp"),
        snapshot_meta=MetaFile.from_data(snapshot, data, ["sha256"]),
    )
    releases.write(keys.trust_metadata(TIMESTAMP), _signed(timestamp, signer, "timestamp"))
    return timestamp


def _signed(payload: Targets | Snapshot | Timestamp, signer: ReleaseSigner, role: str) -> bytes:
    metadata: Metadata[Any] = Metadata(payload)
    sign_with(metadata, signer.of(role), role)
    for other in signer.also.get(role, ()):
        sign_with(metadata, other, role)
    return metadata.to_bytes()


def _root(releases: ObjectStore, signer: ReleaseSigner) -> Root:
    """The signer's root, which the store has afterwards too."""
    root = Metadata[Root].from_bytes(signer.root).signed
    chain = {**signer.old_roots, root.version: signer.root}
    held = {version: data for version in chain if (data := _held_root(releases, version)) is not None}
    if any(chain[version] != data for version, data in held.items()):
        raise TrustError(OTHER_KEYS)
    if _held_root(releases, root.version + 1) is not None:
        raise TrustError(
            f"the store has root {root.version + 1}, the key folder has {root.version}: bring the newest root.json"
        )
    if root.version not in held:
        if held:
            _sign_for_both(releases, signer, Metadata[Root].from_bytes(held[max(held)]).signed)
        elif 1 not in chain:
            raise TrustError("the key folder lacks older roots of the store: bring its <n>.root.json files")
        for version in sorted(set(chain) - set(held)):
            created = releases.create(keys.trust_metadata(f"{version}.root.json"), chain[version])
            if (
                not created and _held_root(releases, version) != chain[version]
            ):  # another publisher was quicker
                raise TrustError(OTHER_KEYS)
    return root


def _held_root(releases: ObjectStore, version: int) -> bytes | None:
    try:
        return releases.read(keys.trust_metadata(f"{version}.root.json"))
    except MissingObjectError:
        return None


def _sign_for_both(releases: ObjectStore, signer: ReleaseSigner, old: Root) -> None:
    """Sign what the store holds so that readers accept it under its old root and under the signer's.

    Where an old key is not at hand, readers refuse the metadata for the moment until the new root is there.
    """
    both = replace(signer, also=signer.retired)
    for _ in range(ATTEMPTS):
        timestamp = _read(releases, old, Timestamp, keys.trust_metadata(TIMESTAMP))
        newest = _newest_snapshot(releases, timestamp)
        if timestamp is None and not newest:
            return
        snapshot, targets = _load(releases, old, newest)
        contents = _contents(releases, targets)
        state = State(contents=contents, snapshot=snapshot, targets=targets, timestamp=timestamp)
        if _commit(releases, both, state, contents):
            _sign_timestamp(releases, both, timestamp, newest + 1)
            return
    raise TrustError(f"{ATTEMPTS} other publishers came in between: run it again when they have finished")


def _read(releases: ObjectStore, root: Root, kind: type[S], key: str) -> S | None:
    """Verified metadata; None where there are none."""
    try:
        data = releases.read(key)
    except MissingObjectError:
        return None
    try:
        metadata: Metadata[S] = Metadata.from_bytes(data)
        if metadata.signed.type != kind.type:
            raise TrustError(
                f"{key} is {metadata.signed.type} metadata, expected {kind.type}: restore the store"
            )
        root.verify_delegate(kind.type, metadata.signed_bytes, metadata.signatures)
    except (RepositoryError, DeserializationError) as error:
        raise TrustError(
            f"{key} is not signed by the keys of this store: it was changed; restore it from a backup"
        ) from error
    return metadata.signed


def _load(releases: ObjectStore, root: Root, number: int) -> tuple[Snapshot, Targets]:
    """A snapshot and the targets it names, both verified. Raises TrustError where one is missing or changed."""
    key = keys.trust_metadata(f"{number}.snapshot.json")
    snapshot = _read(releases, root, Snapshot, key)
    if snapshot is None or snapshot.version != number:
        raise TrustError(f"{key} is missing or has another version inside: restore it from a backup")
    meta = snapshot.meta["targets.json"]
    targets_key = keys.trust_metadata(f"{meta.version}.targets.json")
    try:
        meta.verify_length_and_hashes(releases.read(targets_key))
        targets = _read(releases, root, Targets, targets_key)
    except (RepositoryError, MissingObjectError) as error:
        raise TrustError(f"{targets_key} is missing or changed: restore it from a backup") from error
    if targets is None:
        raise TrustError(f"{targets_key} is missing: restore it from a backup")
    return snapshot, targets


def _state(releases: ObjectStore, root: Root, timestamp: Timestamp | None) -> State:
    if timestamp is None:
        return State(contents=Contents(), snapshot=None, targets=None, timestamp=None)
    snapshot, targets = _load(releases, root, timestamp.snapshot_meta.version)
    contents = _contents(releases, targets)
    return State(contents=contents, snapshot=snapshot, targets=targets, timestamp=timestamp)


def _contents(releases: ObjectStore, targets: Targets) -> Contents:
    key, digest, _ = recalls_target(targets)
    recalls = from_json(RecallList, read_verified(releases, key, digest))
    return Contents(releases=signed_releases(targets), recalls=recalls)

"""The private store's quarantine: bytes by digest, sealed where a key is given, and a listing without values."""

import json
from collections import Counter
from dataclasses import dataclass

from synthdata.errors import GateError, IntegrityError, MissingObjectError
from synthdata.intake.inventory import Inventory
from synthdata.intake.reasons import REASONS
from synthdata.intake.sealing import Seal
from synthdata.storage import keys
from synthdata.storage.commit import commit_blob, sha256_of
from synthdata.storage.protocol import ObjectStore

SEALED = ".sealed"
LISTING = "listing-"


@dataclass(frozen=True, kw_only=True, slots=True)
class HeldFile:
    """One file of the quarantine, as it may be shown."""

    sha256: str
    size_bytes: int
    reasons: tuple[str, ...]
    sealed: bool


def keep_quarantined(
    store: ObjectStore, dataset: str, inventory: Inventory, seal: Seal | None = None
) -> str | None:
    """Copy the files which are held back, and write the listing.

    Args:
        store: The private store.
        dataset: Name of the dataset.
        inventory: The finished book of the intake.
        seal: Encrypts the copies; what lies there in the clear from earlier runs is then removed.

    Returns:
        Key of the listing, or None where nothing is held back.

    Raises:
        StoreError: The store cannot be written.
    """
    entries: dict[str, dict[str, object]] = {}
    there = set(store.keys(keys.quarantined(dataset, "")))  # of earlier runs: they are not read again
    for seen in inventory.files:
        if seen.outcome == "quarantined" and seen.sha256 not in entries:
            key = _key(dataset, seen.sha256, seal)
            if key not in there:
                data = inventory.reread(seen)
                if data is None:
                    continue
                _keep(store, key, data, seen.sha256, seal)
            if seal is not None and (plain := keys.quarantined(dataset, seen.sha256)) in there:
                store.delete(plain)
            entries[seen.sha256] = {
                "sha256": seen.sha256,
                "size_bytes": seen.size_bytes,
                "reasons": sorted(seen.reasons),
            }
    if not entries:
        return None
    listing = {"inventory": inventory.digest(), "files": [entries[digest] for digest in sorted(entries)]}
    key = keys.quarantined(dataset, f"{LISTING}{inventory.digest()[:16]}.json")
    store.write(key, json.dumps(listing, sort_keys=True, separators=(",", ":")).encode())
    return key


def _key(dataset: str, sha256: str, seal: Seal | None) -> str:
    return keys.quarantined(dataset, sha256 if seal is None else sha256 + SEALED)


def _keep(store: ObjectStore, key: str, data: bytes, sha256: str, seal: Seal | None) -> None:
    if seal is None:
        commit_blob(store, key, data)
    elif store.create(key, seal.close(data, sha256)):
        seal.open(store.read(key), sha256)  # the store gives back what it was given


def held_files(store: ObjectStore, dataset: str) -> list[HeldFile]:
    """Files of all listings of a dataset, each once with all of its reasons, in the order of their digests.

    Raises:
        IntegrityError: A listing was changed.
    """
    there = set(store.keys(keys.quarantined(dataset, "")))
    sizes: dict[str, int] = {}
    reasons: dict[str, set[str]] = {}
    for key in there:
        if key.startswith(keys.quarantined(dataset, LISTING)):
            for sha256, size_bytes, codes in _entries(store.read(key)):
                sizes[sha256] = size_bytes
                reasons.setdefault(sha256, set()).update(codes)
    return [
        HeldFile(
            sha256=sha256,
            size_bytes=sizes[sha256],
            reasons=tuple(sorted(reasons[sha256])),
            sealed=keys.quarantined(dataset, sha256 + SEALED) in there,
        )
        for sha256 in sorted(sizes)
    ]


def _entries(listing: bytes) -> list[tuple[str, int, list[str]]]:
    """Digest, size and reasons of each file of a listing."""
    try:
        entries = [
            (str(entry["sha256"]), int(entry["size_bytes"]), list(entry["reasons"]))
            for entry in json.loads(listing)["files"]
        ]
        known = all(code in REASONS for *_, codes in entries for code in codes)
    except (ValueError, TypeError, KeyError):
        known = False
    if not known:
        raise IntegrityError(
            "a listing of the quarantine is not what intake wrote: remove it, and take the source in again"
        )
    return entries


def reason_counts(files: list[HeldFile]) -> Counter[str]:
    """Files by reason code."""
    return Counter(code for held in files for code in held.reasons)


def read_held(store: ObjectStore, dataset: str, sha256: str, seal: Seal | None) -> bytes:
    """Bytes of a held file, for a person who reviews it.

    Raises:
        GateError: It is sealed, and no key was given.
        IntegrityError: It was changed, or sealed with another key.
        MissingObjectError: The quarantine does not hold it.
    """
    sealed = keys.quarantined(dataset, sha256 + SEALED)
    if store.size(sealed) is not None:
        if seal is None:
            raise GateError(
                "the file is sealed and no key was given: name the key in SYNTHDATA_QUARANTINE_KEY"
            )
        return seal.open(store.read(sealed), sha256)
    data = store.read(keys.quarantined(dataset, sha256))
    if sha256_of(data) != sha256:
        raise MissingObjectError(
            "the quarantined file is not what it was: hold the source back, and take it in again"
        )
    return data


def datasets_with_quarantine(store: ObjectStore) -> list[str]:
    """Names of datasets whose quarantine has a listing."""
    return sorted(
        {
            key.split("/")[1]
            for key in store.keys(keys.DATASETS)
            if "/quarantine/" in key and key.rsplit("/", 1)[1].startswith(LISTING)
        }
    )

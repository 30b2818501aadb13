"""Skip what is done: a stage is keyed by the digests of what it consumes, never by a run.

The key of a stage is a digest of its parents' digests, the sections of the spec that it reads and the version of its
code. Under that key the private store names the record that came out, and a second materialisation returns it, as
long as every object that the record names is still there.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from synthdata.errors import IntegrityError, MissingObjectError, RecordError
from synthdata.records import Record, digest_of, from_json, to_json
from synthdata.storage import ObjectStore, commit_blob, keys, read_verified

R = TypeVar("R", bound=Record)
FILE_MAPPINGS = frozenset({"figures", "previews", "files"})  # fields which map a name to a key


def stage_key(*, sections: str, code: str, parents: tuple[str, ...]) -> str:
    """Digest of all that a stage depends on."""
    document = {"sections": sections, "code": code, "parents": parents}
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def keep(private: ObjectStore, asset: str, key: str, record: Record) -> None:
    """Remember what a stage made under this key.

    Args:
        private: Where records and memos are kept.
        asset: Path of the asset, such as `phantom-head/model/checkpoint`.
        key: From `stage_key`.
        record: What came out.
    """
    digest = write_record(private, record)
    private.write(keys.memo(asset, key), json.dumps({"digest": digest}).encode())


def recall(private: ObjectStore, asset: str, key: str, kind: type[R]) -> R | None:
    """The record of a key, or None where there is none, it cannot be read, or an object that it names is gone."""
    try:
        digest = json.loads(private.read(keys.memo(asset, key)))["digest"]
        record = read_record(private, kind, digest)
    except (MissingObjectError, IntegrityError, RecordError, ValueError, KeyError):
        return None
    whole = all(_is_there(private, key, size) for key, size in _objects(json.loads(to_json(record))))
    return record if whole else None


def write_record(private: ObjectStore, record: Record) -> str:
    """Keep a record under its digest, and return the digest."""
    digest = digest_of(record)
    commit_blob(private, keys.record(type(record).__name__, digest), to_json(record))
    return digest


def read_record(private: ObjectStore, kind: type[R], digest: str) -> R:
    """Read a record by its digest. Raises MissingObjectError, IntegrityError or RecordError."""
    return from_json(kind, read_verified(private, keys.record(kind.__name__, digest), digest))


def _objects(value: Any) -> Iterator[tuple[str, int | None]]:
    """Keys of private objects that a record names, with their size where it is stated."""
    if isinstance(value, list):
        for item in value:
            yield from _objects(item)
    elif isinstance(value, dict):
        if isinstance(value.get("key"), str) and "sha256" in value:
            yield value["key"], value.get("size_bytes")
        for name, item in value.items():
            if name in FILE_MAPPINGS and isinstance(item, Mapping):
                yield from ((key, None) for key in item.values())
            else:
                yield from _objects(item)


def _is_there(private: ObjectStore, key: str, size_bytes: int | None) -> bool:
    found = private.size(key)
    return found is not None and size_bytes in {None, found}

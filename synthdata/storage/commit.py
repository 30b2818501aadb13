"""Write bytes under their own digest and read them back; the store is not trusted to verify."""

import hashlib
from pathlib import Path

from synthdata.errors import IntegrityError
from synthdata.storage.protocol import Content, ObjectStore


def sha256_of(data: Content) -> str:
    """Hex SHA-256 of bytes or of a file, in bounded memory."""
    if isinstance(data, bytes | memoryview):
        return hashlib.sha256(data).hexdigest()
    with data.open("rb") as reader:
        return hashlib.file_digest(reader, "sha256").hexdigest()


def stored_sha256(store: ObjectStore, key: str) -> str:
    """Hex SHA-256 of an object as the store gives it back, in bounded memory."""
    hasher = hashlib.sha256()
    for chunk in store.chunks(key):
        hasher.update(chunk)
    return hasher.hexdigest()


def commit_blob(store: ObjectStore, key: str, data: Content, *, sha256: str = "") -> str:
    """Write an object whose key names its content, once; then read it back.

    Args:
        store: Where to.
        key: Content-addressed key; an object which is there already is verified and kept.
        data: Bytes, or a file.
        sha256: Their hex SHA-256 where the caller has just taken it.

    Returns:
        The hex SHA-256 of the object.

    Raises:
        IntegrityError: The store gives back other bytes.
        StoreError: The store cannot be written.
    """
    want = sha256 or sha256_of(data)
    store.create(key, data)
    if _holds(store, key, data, want):
        return want
    store.write(key, data)  # a torn object of a killed writer: its key names the content, so replace it
    if not _holds(store, key, data, want):
        raise IntegrityError.of(f"object {key} as read back", stored_sha256(store, key), want)
    return want


def _holds(store: ObjectStore, key: str, data: Content, sha256: str) -> bool:
    """True where the store gives back the same bytes; of those in memory, without another digest."""
    if isinstance(data, Path):
        return stored_sha256(store, key) == sha256
    at, view = 0, memoryview(data).cast("B")
    for chunk in store.chunks(key):
        if chunk != view[at : at + len(chunk)].tobytes():
            return False
        at += len(chunk)
    return at == len(view)


def read_verified(store: ObjectStore, key: str, sha256: str) -> bytes:
    """Whole object, refused unless it has the digest that its record names."""
    data = store.read(key)
    got = sha256_of(data)
    if got != sha256:
        raise IntegrityError.of(f"object {key}", got, sha256)
    return data

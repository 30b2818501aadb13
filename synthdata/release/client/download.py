"""One file from a release store to the disk: hashed while it streams, resumed, and named only when it is right."""

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from synthdata.errors import IntegrityError
from synthdata.records.release import FileEntry
from synthdata.release.client.paths import PART, clear, inside
from synthdata.release.client.remote import Remote
from synthdata.release.client.stretch import Spares, read_in_order
from synthdata.storage.commit import sha256_of
from synthdata.storage.disk import on_disk

Advance = Callable[[int], None]
READ_BYTES = 1 << 20


def download(
    remote: Remote, key: str, file: FileEntry, folder: Path, spares: Spares, advance: Advance
) -> bool:
    """Bring one file, unless the right one is there already.

    Args:
        remote: The store.
        key: Object in the store.
        file: What the manifest says of it.
        folder: Target folder.
        spares: Connections that a large file may have beside its own.
        advance: Gets the bytes which are done, as they come.

    Returns:
        True when bytes were moved.

    Raises:
        IntegrityError: The store gives other bytes; nothing appears under the file's name.
        StoreError: The store cannot be read, or the disk cannot be written.
        TrustError: The file would leave the folder.
    """
    target = inside(folder, file.path)
    with on_disk(file.path):
        if target.is_file() and target.stat().st_size == file.size_bytes and sha256_of(target) == file.sha256:
            advance(file.size_bytes)
            return False
        target.parent.mkdir(parents=True, exist_ok=True)
    part = inside(folder, file.path + PART)
    with on_disk(file.path):
        clear(part)
    if part.exists() and part.stat().st_size > file.size_bytes:
        part.unlink()
    resumed = part.exists()
    got = _fetch(remote, key, file, part, spares, advance)
    if got != file.sha256 and resumed:  # the older part may be of another release
        part.unlink()
        advance(-file.size_bytes)
        got = _fetch(remote, key, file, part, spares, advance)
    if got != file.sha256:
        part.unlink()
        raise IntegrityError.of(f"file {file.path} in the store", got, file.sha256)
    with on_disk(file.path):
        part.replace(target)
    return True


def _fetch(remote: Remote, key: str, file: FileEntry, part: Path, spares: Spares, advance: Advance) -> str:
    """Append to a part until the file is whole; hashed on the way. Returns the SHA-256."""
    hasher = hashlib.sha256()
    with on_disk(file.path), _appending(part) as writer:
        have = _hash_part(part, hasher, advance)
        with closing(read_in_order(remote, key, have, file.size_bytes, spares)) as pieces:
            for piece in pieces:
                have += len(piece)
                _refuse_longer(have, file)
                hasher.update(piece)
                _write_all(writer, piece)
                advance(len(piece))
    if have < file.size_bytes:
        part.unlink()
        advance(-have)
        raise IntegrityError(
            f"file {file.path} in the store ends after {have} of {file.size_bytes} bytes: it was cut after it was "
            "signed; tell its publisher"
        )
    return hasher.hexdigest()


def _refuse_longer(have: int, file: FileEntry) -> None:
    if have > file.size_bytes:
        raise IntegrityError(
            f"file {file.path} in the store is longer than {file.size_bytes} bytes: it was changed "
            f"after it was signed; "
            "tell its publisher"
        )


def _write_all(writer: int, piece: memoryview) -> None:
    while piece:
        piece = piece[os.write(writer, piece) :]


def _hash_part(part: Path, hasher: "hashlib._Hash", advance: Advance) -> int:
    """Hash what an earlier try has left; its length in bytes."""
    have = 0
    with part.open("rb") as reader:
        while chunk := reader.read(READ_BYTES):
            hasher.update(chunk)
            have += len(chunk)
    advance(have)
    return have


@contextmanager
def _appending(part: Path) -> Iterator[int]:
    """Open a part for appending, and follow no symbolic link."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
    handle = os.open(part, flags, 0o644)
    try:
        yield handle
        os.fsync(handle)
    finally:
        os.close(handle)

"""An object that is written piece by piece before its key is known, since the key is its digest."""

import fcntl
import hashlib
import io
import os
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import cache
from pathlib import Path

from synthdata.errors import IntegrityError
from synthdata.storage.commit import commit_blob, stored_sha256
from synthdata.storage.disk import on_disk
from synthdata.storage.folder import PARTIAL, FolderStore
from synthdata.storage.protocol import ObjectStore
from synthdata.storage.scratch import TEMPORARY, scratch_folder

Piece = bytes | bytearray | memoryview
HELD = f"{PARTIAL}held-"  # prefix of files whose writer holds a lock while it lives


class Incoming(io.RawIOBase):
    """A file that digests what is written to it, and reads each piece back while that is still in memory."""

    def __init__(self, handle: int, path: Path) -> None:
        super().__init__()
        self.path = path
        self.size_bytes = 0
        self._handle, self._hasher = handle, hashlib.sha256()

    @property
    def sha256(self) -> str:
        """Hex digest of what was written so far."""
        return self._hasher.hexdigest()

    def writable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Where the next piece goes: the end."""
        return self.size_bytes

    def write(self, data: Piece) -> int:  # type: ignore[override] # no other buffers come
        """Write a whole piece.

        Raises:
            OSError: The disk fails or is full.
            IntegrityError: The file gives back other bytes.
        """
        piece = data if isinstance(data, bytes) else bytes(data)
        at, rest = self.size_bytes, memoryview(piece)
        while rest:
            rest = rest[os.write(self._handle, rest) :]
        if _read_at(self._handle, len(piece), at) != piece:
            raise IntegrityError("a new object reads other bytes than were written: check the disk")
        self._hasher.update(piece)
        self.size_bytes += len(piece)
        return len(piece)

    def sync(self) -> None:
        """Wait until the disk has it."""
        os.fsync(self._handle)

    def close(self) -> None:
        """Let the file go; what is written later fails."""
        handle, self._handle = self._handle, -1
        if handle >= 0:
            os.close(handle)
        super().close()


def _read_at(handle: int, size: int, at: int) -> bytes:
    """Bytes of a file; a read may give fewer than it was asked for."""
    data = os.pread(handle, size, at)
    while len(data) < size and (more := os.pread(handle, size - len(data), at + len(data))):
        data += more
    return data


@contextmanager
def incoming(store: ObjectStore, near: str) -> Iterator[Incoming]:
    """A file on its way to a store: in the folder of a key where the store is a folder, else in a temporary one.

    Args:
        store: Where to.
        near: A key of the folder which the object will lie in.

    Raises:
        StoreError: The disk fails or is full.
    """
    if type(store) is FolderStore:  # another class may do something about what is written
        with on_disk(f"object {near}"):
            folder = store.path(near).parent
            folder.mkdir(parents=True, exist_ok=True)
            _sweep(folder)
            with _held_file(folder) as file:
                yield file
        return
    with scratch_folder() as folder, new_file(folder / "object") as file:
        yield file


@contextmanager
def new_file(path: Path) -> Iterator[Incoming]:
    """A file of a temporary folder, which stays there."""
    with on_disk(TEMPORARY):
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o600)
        with closing(Incoming(handle, path)) as file:
            yield file


@contextmanager
def _held_file(folder: Path) -> Iterator[Incoming]:
    """A file which is gone at the end, unless it was moved to its place."""
    handle, name = tempfile.mkstemp(prefix=PARTIAL, dir=folder)
    path = Path(name)
    try:
        with suppress(OSError):  # of a network without locks: there nothing is swept
            fcntl.flock(handle, fcntl.LOCK_EX)  # which the system takes back from a killed writer
            path = path.rename(
                folder / path.name.replace(PARTIAL, HELD)
            )  # none has that name before its lock
        with closing(Incoming(handle, path)) as file:
            yield file
    finally:
        path.unlink(missing_ok=True)


@cache
def _sweep(folder: Path) -> None:
    """Remove what killed writers left behind; once in a process, since a folder may hold ten thousand shards."""
    for path in folder.glob(f"{HELD}*"):
        with suppress(OSError), path.open("rb") as left:
            fcntl.flock(left, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()


def commit_incoming(store: ObjectStore, key: str, file: Incoming) -> None:
    """Give a whole file its key, which names its content, once; see `commit_blob`.

    Raises:
        IntegrityError: The store gives back other bytes.
        StoreError: The store cannot be written.
    """
    if type(store) is not FolderStore:
        commit_blob(store, key, file.path, sha256=file.sha256)
        return
    with on_disk(f"object {key}"):
        file.sync()
    store.place(key, file.path)
    if store.size(key) != file.size_bytes or not _is_same(store, key, file):
        store.place(key, file.path, replace=True)  # a torn object of a killed writer
    file.path.unlink(missing_ok=True)


def _is_same(store: FolderStore, key: str, file: Incoming) -> bool:
    """True where the object is the file that was read back, or one with its digest, which was there before."""
    return store.path(key).samefile(file.path) or stored_sha256(store, key) == file.sha256

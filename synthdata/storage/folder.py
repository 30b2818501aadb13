"""An object store in a folder: atomic by rename, create-only by hard link."""

import io
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from synthdata.errors import ConfigError, MissingObjectError, StoreError
from synthdata.storage.disk import on_disk
from synthdata.storage.protocol import Content

CHUNK_BYTES = 1 << 20
PARTIAL = ".partial-"  # prefix of the name of a file which is being written; no key may use it


class FolderStore:
    """Objects as files below one folder."""

    def __init__(self, root: Path, *, create: bool = True, private: bool = False) -> None:
        """Open, or make, a folder; a private one that is made is closed to other users, and so all that is in it."""
        self.root = root.expanduser().resolve()
        with on_disk(f"folder store {self.root.name}", "written" if create else "read"):
            if create:
                self.root.mkdir(0o700 if private else 0o777, parents=True, exist_ok=True)
            there = self.root.is_dir()
        if not there:
            raise StoreError(f"store {root} is not a folder: make it, or check the address")

    @property
    def url(self) -> str:
        """Address of the folder."""
        return self.root.as_uri()

    def path(self, key: str) -> Path:
        """File of an object, which lies inside the folder whatever the key says."""
        pure = PurePosixPath(key)
        if not key or pure.is_absolute() or ".." in pure.parts or pure.name.startswith(PARTIAL):
            raise ConfigError(f"key {key!r} leaves the store: expected a relative path without '..'")
        return self.root / pure

    def read(self, key: str) -> bytes:
        """Whole object."""
        with self.open(key) as reader:
            return reader.read()

    def open(self, key: str) -> io.BufferedReader:
        """Reader of the file."""
        with on_disk(f"object {key}", "read"):
            try:
                return self.path(key).open("rb")
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                raise MissingObjectError.of("the store", key) from None

    def chunks(self, key: str) -> Iterator[bytes]:
        """Pieces of the file."""
        with self.open(key) as reader, on_disk(f"object {key}", "read"):
            while chunk := reader.read(CHUNK_BYTES):
                yield chunk

    def size(self, key: str) -> int | None:
        """Size of the file in bytes."""
        path = self.path(key)
        with on_disk(f"object {key}", "read"):
            return path.stat().st_size if path.is_file() else None

    def write(self, key: str, data: Content) -> None:
        """Write beside, then rename."""
        with on_disk(f"object {key}"):
            temporary = self._write_beside(self.path(key), data)
            try:
                self.place(key, temporary, replace=True)
            finally:
                temporary.unlink(missing_ok=True)

    def create(self, key: str, data: Content) -> bool:
        """Write beside, then link: the link fails where the name is taken."""
        target = self.path(key)
        with on_disk(f"object {key}"):
            if target.exists():
                return False
            temporary = self._write_beside(target, data)
            try:
                return self.place(key, temporary)
            finally:
                temporary.unlink(missing_ok=True)

    def place(self, key: str, file: Path, *, replace: bool = False) -> bool:
        """Give a whole file of the store's own disk a key; False where the key is taken and nothing is replaced."""
        with on_disk(f"object {key}"):
            file.chmod(0o644)
            if replace:
                file.replace(self.path(key))
                return True
            try:
                os.link(file, self.path(key))
            except FileExistsError:
                return False
        return True

    def keys(self, prefix: str) -> Iterator[str]:
        """Keys below the prefix, without files which are still being written."""
        folder = self.root / prefix if prefix.endswith("/") or not prefix else (self.root / prefix).parent
        found = (
            path.relative_to(self.root).as_posix()
            for path in folder.rglob("*")
            if path.is_file() and not path.name.startswith(PARTIAL)
        )
        yield from sorted(key for key in found if key.startswith(prefix))

    def delete(self, key: str) -> None:
        """Remove the file."""
        with on_disk(f"object {key}"):
            self.path(key).unlink(missing_ok=True)

    def _write_beside(self, target: Path, data: Content) -> Path:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=PARTIAL, dir=target.parent)
        try:
            with os.fdopen(handle, "wb") as writer:
                if isinstance(data, Path):
                    with data.open("rb") as reader:
                        shutil.copyfileobj(reader, writer, 1 << 20)
                else:
                    writer.write(data)
                writer.flush()
                os.fsync(writer.fileno())
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        return Path(name)

"""Files of many cases which lie one behind the other, so that a case is one range of bytes with a digest of its own."""

import hashlib
import io
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

Members = Iterable[tuple[str, bytes]]
END_OF_TAR = bytes(2 * tarfile.BLOCKSIZE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """The range of one case in a file."""

    offset: int
    size_bytes: int
    sha256: str


def write_tar(path: Path, cases: Iterable[Members]) -> list[Span]:
    """Write the members of each case, without times, owners or rights of this machine.

    Args:
        path: File to write, POSIX (pax) format, not compressed: readers seek in it.
        cases: Name and bytes of the members of each case, in their order.

    Returns:
        Where each case lies. Some of these ranges and `END_OF_TAR` are a tar file of their own.
    """
    spans = []
    with path.open("wb") as file:
        writer = _HashingWriter(file)
        with tarfile.open(fileobj=writer, mode="w", format=tarfile.PAX_FORMAT) as archive:  # type: ignore[call-overload]
            for members in cases:
                writer.begin()
                for name, data in members:
                    info = tarfile.TarInfo(name)
                    info.size, info.mode = len(data), 0o644  # times, owner and group stay 0 and empty
                    archive.addfile(info, io.BytesIO(data))
                spans.append(writer.end())
    return spans


def write_lines(path: Path, cases: Iterable[Iterator[bytes]]) -> list[Span]:
    """Write the lines of each case, each with its line feed. Returns where each case lies."""
    spans = []
    with path.open("wb") as file:
        writer = _HashingWriter(file)
        for lines in cases:
            writer.begin()
            for line in lines:
                writer.write(line + b"\n")
            spans.append(writer.end())
    return spans


class _HashingWriter:
    """Passes bytes on to a file, and hashes those of the case at hand."""

    def __init__(self, file: io.BufferedWriter) -> None:
        self._file, self._at, self._start, self._hasher = file, 0, 0, hashlib.sha256()

    def write(self, data: bytes) -> int:
        self._file.write(data)
        self._hasher.update(data)
        self._at += len(data)
        return len(data)

    def tell(self) -> int:
        return self._at

    def begin(self) -> None:
        self._start, self._hasher = self._at, hashlib.sha256()

    def end(self) -> Span:
        return Span(offset=self._start, size_bytes=self._at - self._start, sha256=self._hasher.hexdigest())

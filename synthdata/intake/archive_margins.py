"""What an archive holds beside its files: comments, extra fields, names of owners and folders, bytes in between.

Source: PKWARE APPNOTE 6.3.10, section 4 (ZIP); POSIX.1-2017, pax, "ustar Interchange Format" and "pax Header Block";
RFC 1952, section 2.3 (gzip).
"""

import re
import struct
import tarfile
import zipfile
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from synthdata.intake.deny_list import DenyList
from synthdata.intake.file_names import identifies
from synthdata.intake.packing import BLOCK, BZIP2, GZIP, XZ
from synthdata.intake.telling import reason_of
from synthdata.intake.text_patterns import bytes_look_identifying

TEXT, HIDDEN = "deid.archive_text", "deid.hidden_bytes"
LOCAL, LOCAL_SIZE, CENTRAL_SIZE = b"PK\x03\x04", 30, 46
END, END_SIZE, LONGEST_COMMENT = b"PK\x05\x06", 22, 0xFFFF
END_64 = re.compile(
    rb"PK\x06\x06\x2c\0{7}.{44}PK\x06\x07.{16}", re.DOTALL
)  # of large files, without a further field
DESCRIBED = 0x8  # flag of a member whose sizes come behind it
DESCRIPTOR = b"PK\x07\x08"
ACCOUNT = re.compile(r"[^\s._,^-]*")  # the name of a login of one word, which tells a machine's user
TOLD = frozenset(
    {
        "mtime",
        "atime",
        "ctime",
        "size",
        "uid",
        "gid",
        "path",
        "linkpath",
        "uname",
        "gname",
        "GNU.sparse.realsize",
    }
)  # of pax headers: numbers, and what tarfile gives as its own fields
TYPE = 156  # of a member, in its tar header
CHUNK_BYTES = 1 << 16
GZIP_FIXED, GZIP_EXTRA, GZIP_NAME, GZIP_COMMENT = 10, 4, 8, 16  # bytes; flags


class MarginJudge:
    """Judges what stands beside the files of one archive."""

    def __init__(self, deny: DenyList) -> None:
        self._deny = deny
        self.codes: set[str] = set()

    def text(self, text: str) -> None:
        """A comment, or the value of a header."""
        if text and (reason_of([text]) or self._deny.matches(text)):
            self.codes.add(TEXT)

    def name(self, name: str) -> None:
        """Of a folder, or of the file before it was packed."""
        parts = [part for part in name.split("/") if part]
        if any(identifies(part) or self._deny.matches(part) for part in parts):
            self.codes.add(TEXT)

    def owner(self, name: str) -> None:
        """Who packed it: the login of one word is that of a machine's user and passes."""
        if self._deny.matches(name) or (not ACCOUNT.fullmatch(name) and identifies(name)):
            self.codes.add(TEXT)

    def field(self, data: bytes) -> None:
        """A field of some program's own form."""
        if data and (bytes_look_identifying(data) or self._deny.matches(data.decode("latin-1"))):
            self.codes.add(TEXT)

    def gap(self, data: bytes) -> None:
        """Bytes which no reader looks at."""
        if data.count(0) != len(data):
            self.codes.add(HIDDEN)


def zip_margins(path: Path, judge: MarginJudge) -> None:
    """Judge comments, extra fields, folders, and all bytes that belong to no file."""
    with zipfile.ZipFile(path) as archive, path.open("rb") as reader:
        items = sorted(archive.infolist(), key=lambda item: item.header_offset)
        judge.text(_decoded(archive.comment))
        at = 0
        for item in items:
            _gap(reader, at, item.header_offset, judge)
            judge.text(_decoded(item.comment))
            judge.field(item.extra)
            if item.is_dir():
                judge.name(item.filename)
            at = _end_of(reader, item, judge)
        start = archive.start_dir
        _gap(reader, at, start, judge)
        _directory(reader, start, items, judge)


def _end_of(reader: IO[bytes], item: zipfile.ZipInfo, judge: MarginJudge) -> int:
    """Where a member ends, its descriptor included; judges the field of its local header."""
    header = _bytes(reader, item.header_offset, item.header_offset + LOCAL_SIZE)
    if header[:4] != LOCAL or len(header) < LOCAL_SIZE:
        raise zipfile.BadZipFile
    name, extra = int.from_bytes(header[26:28], "little"), int.from_bytes(header[28:30], "little")
    fields = item.header_offset + LOCAL_SIZE + name
    judge.field(_bytes(reader, fields, fields + extra))
    end: int = fields + extra + item.compress_size
    if not item.flag_bits & DESCRIBED:
        return end
    said = _bytes(reader, end, end + 24)
    signed = 4 if said.startswith(DESCRIPTOR) else 0
    for form in ("<LLL", "<LQQ"):
        told = struct.pack(form, item.CRC, *_fitting(form, item.compress_size, item.file_size))
        if said[signed:].startswith(told):
            return end + signed + len(told)
    return end


def _fitting(form: str, *sizes: int) -> tuple[int, ...]:
    return tuple(size & (0xFFFFFFFF if form == "<LLL" else 0xFFFFFFFFFFFFFFFF) for size in sizes)


def _directory(reader: IO[bytes], at: int, items: Iterable[zipfile.ZipInfo], judge: MarginJudge) -> None:
    """The central directory up to the end of the file."""
    for _ in items:
        entry = _bytes(reader, at, at + CENTRAL_SIZE)
        at += CENTRAL_SIZE + sum(struct.unpack_from("<HHH", entry, 28))
    size = reader.seek(0, 2)
    tail_at = max(at, size - END_SIZE - LONGEST_COMMENT)
    tail = _bytes(reader, tail_at, size)
    end = tail.rfind(END)
    if not END_64.fullmatch(_bytes(reader, at, tail_at + end)):
        _gap(reader, at, tail_at + end, judge)
    comment = int.from_bytes(tail[end + 20 : end + END_SIZE], "little")
    judge.gap(tail[end + END_SIZE + comment :])


def _gap(reader: IO[bytes], start: int, end: int, judge: MarginJudge) -> None:
    for at in range(start, end, CHUNK_BYTES):
        judge.gap(_bytes(reader, at, min(end, at + CHUNK_BYTES)))


def _bytes(reader: IO[bytes], start: int, end: int) -> bytes:
    reader.seek(start)
    return reader.read(max(0, min(end - start, CHUNK_BYTES)))


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


class TarStream:
    """Bytes of a tar file as they are read, of which those that belong to no file are kept until they are judged."""

    def __init__(self, reader: IO[bytes], judge: MarginJudge) -> None:
        self._reader, self._judge = reader, judge
        self._recent = deque[tuple[int, bytes]]()
        self._read = self._done = 0  # bytes

    def read(self, size: int) -> bytes:
        """What tarfile asks for."""
        data = self._reader.read(size)
        self._recent.append((self._read, data))
        self._read += len(data)
        self._forget()
        return data

    def member(self, item: tarfile.TarInfo) -> None:
        """The headers of a member were read; what was not told yet before them is judged, then they are."""
        if not item.issparse():
            self._judge.gap(_without_global(self._between(self._done, item.offset)))
            self._done = item.offset_data + item.size
            self._forget()
        for name, value in item.pax_headers.items():
            if name not in TOLD:
                self._judge.field(value.encode("utf-8", "surrogateescape"))
                self._judge.text(value if name == "comment" else "")
        self._judge.owner(item.uname)
        self._judge.owner(item.gname)
        if item.isdir():
            self._judge.name(item.name)

    def close(self) -> None:
        """All members were read: what follows the last one must be zero up to the end."""
        self._judge.gap(self._between(self._done, self._read))
        while data := self._reader.read(CHUNK_BYTES):
            self._judge.gap(data)

    def _between(self, start: int, end: int) -> bytes:
        parts = (data[max(0, start - at) : max(0, end - at)] for at, data in self._recent)
        return b"".join(parts)

    def _forget(self) -> None:
        while self._recent and self._recent[0][0] + len(self._recent[0][1]) <= self._done:
            self._recent.popleft()


def _without_global(data: bytes) -> bytes:
    """What is left of the bytes before a member without pax headers for all members, which it is told with."""
    at = len(data) % BLOCK  # the rest of the last block of the member before
    left = data[:at]
    while data[at + TYPE : at + TYPE + 1] == b"g" and data[at + 257 : at + 262] == b"ustar":
        at += BLOCK * (
            1 + -(-tarfile.TarInfo.frombuf(data[at : at + BLOCK], "utf-8", "replace").size // BLOCK)
        )
    return left + data[at:]


def gzip_margins(path: Path, judge: MarginJudge) -> None:
    """What gzip keeps beside what it packed: a name, a comment, fields of programs."""
    with path.open("rb") as reader:
        head = reader.read(CHUNK_BYTES)
    if not head.startswith(GZIP):
        return
    flags, rest = head[3], head[GZIP_FIXED:]
    if flags & GZIP_EXTRA:
        size = 2 + int.from_bytes(rest[:2], "little")
        judge.field(rest[2:size])
        rest = rest[size:]
    for flag, take in ((GZIP_NAME, judge.name), (GZIP_COMMENT, judge.text)):
        if flags & flag:
            said, _, rest = rest.partition(b"\0")
            take(_decoded(said))


def tail_margins(path: Path, judge: MarginJudge) -> None:
    """The last bytes of a compressed file, where a text would stand out: readers pass over what follows the data."""
    with path.open("rb") as reader:
        if reader.read(BLOCK).startswith((BZIP2, XZ)):  # readers of others refuse what they do not know
            reader.seek(max(0, reader.seek(0, 2) - BLOCK))
            judge.field(reader.read())

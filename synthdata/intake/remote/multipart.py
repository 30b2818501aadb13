"""Parts of a multipart answer while it streams in; memory holds one chunk, whatever the size of a part.

Source: RFC 2046, 5.1.1 (syntax of multipart bodies); DICOM PS3.18, 8.6.1.2 (multipart payload).
"""

from collections.abc import Iterable, Iterator
from email.message import Message

from synthdata.intake.remote.problems import CUT, NO_BOUNDARY, LaterError

HEADER_BYTES = 64 << 10  # of one part; and of what comes before the first


def boundary_of(content_type: str) -> bytes:
    """Boundary of a multipart content type; empty where it is none."""
    message = Message()
    message["Content-Type"] = content_type
    if message.get_content_maintype() != "multipart":
        return b""
    return (message.get_boundary() or "").encode("ascii", "replace")


class Multipart:
    """Reads the parts in their order; each part has to be read before the next one is asked for."""

    def __init__(self, chunks: Iterable[bytes], boundary: bytes) -> None:
        self._chunks = iter(chunks)
        self._delimiter = b"\r\n--" + boundary
        self._buffer = bytearray(b"\r\n")  # so that the first boundary looks like the others
        self._end = NO_BOUNDARY  # what an end means that comes too early

    def parts(self) -> Iterator[Iterator[bytes]]:
        """Bodies of the parts, as chunks.

        Raises:
            LaterError: The answer ended; the part that was read last is not whole then.
        """
        for _ in self._until(self._delimiter, HEADER_BYTES):
            pass
        self._end = CUT
        while not self._closed():
            for _ in self._until(b"\r\n\r\n", HEADER_BYTES):  # headers of the part
                pass
            body = self._until(self._delimiter, 0)
            yield body
            for _ in body:
                pass

    def _closed(self) -> bool:
        """True after the last boundary, which ends in two dashes. The end of any other line stays for the headers."""
        while len(self._buffer) < 2:
            self._more()
        return self._buffer[:2] == b"--"

    def _until(self, mark: bytes, most: int) -> Iterator[bytes]:
        """What comes before a mark, which is consumed; `most` bytes of it where that is not 0."""
        seen = 0
        while (at := self._buffer.find(mark)) < 0:
            ready = len(self._buffer) - len(mark) + 1
            if ready > 0:
                yield bytes(self._buffer[:ready])
                seen += ready
                del self._buffer[:ready]
            if most and seen > most:
                raise LaterError(self._end)
            self._more()
        if at:
            yield bytes(self._buffer[:at])
        del self._buffer[: at + len(mark)]

    def _more(self) -> None:
        chunk = next(self._chunks, None)
        if chunk is None:
            raise LaterError(self._end)
        self._buffer += chunk

"""A small DICOMweb server whose every answer a test can replace; for what a real one never does."""

import json
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from pydicom import dcmread

BOUNDARY = "a-boundary"
MULTIPART = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'


@dataclass
class Answer:
    """What is sent, as it stands."""

    body: bytes = b""
    type: str = "application/dicom+json"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes = b""  # instead of an answer: these bytes, then silence
    chunked: bool = False


def multipart(files: list[bytes], *, boundary: str = BOUNDARY, end: bool = True) -> bytes:
    """Files as parts of one body."""
    head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    return b"".join(head + data + b"\r\n" for data in files) + (f"--{boundary}--".encode() if end else b"")


class FakeDicomWeb:
    """Serves files; `spoil` is asked for each path and query, and gives another answer or None."""

    def __init__(self, paths: list[Path], context: ssl.SSLContext | None = None) -> None:
        self.files: dict[tuple[str, str, str], bytes] = {}
        for path in paths:
            self.add(path)
        self.spoil: Callable[[str, dict[str, str]], Answer | None] = lambda _path, _query: None
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.server = _Server(("127.0.0.1", 0), _Handler)
        self.server.fake = self
        self.scheme = "http" if context is None else "https"
        if context is not None:
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.released = threading.Event()
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """Root of the service."""
        return f"{self.scheme}://127.0.0.1:{self.server.server_port}/dicom-web"

    def add(self, path: Path) -> None:
        """Store a file."""
        header = dcmread(path, stop_before_pixels=True)
        uids = (str(header.StudyInstanceUID), str(header.SeriesInstanceUID), str(header.SOPInstanceUID))
        self.files[uids] = path.read_bytes()

    def studies(self) -> list[str]:
        """UIDs of the studies."""
        return sorted({study for study, _, _ in self.files})

    def stop(self) -> None:
        """End it."""
        self.released.set()
        self.server.shutdown()
        self.server.server_close()

    def answer(self, path: str, query: dict[str, str]) -> Answer:
        """As a server without faults."""
        parts = path.removeprefix("/dicom-web/").split("/")
        named = dict(zip(parts[::2], [*parts[1::2], ""], strict=False))
        study, series, instance = (named.get(kind, "") for kind in ("studies", "series", "instances"))
        if study and series:
            found = [
                data
                for (_, one, sop), data in sorted(self.files.items())
                if one == series and instance in {"", sop}
            ]
            return Answer(multipart(found), MULTIPART) if found else Answer(status=404)
        rows = self._instances(study) if study else self._studies(query.get("StudyInstanceUID", ""))
        return self.page(rows, query)

    def page(self, rows: list[dict[str, object]], query: dict[str, str]) -> Answer:
        """Rows from the offset on, up to the limit."""
        start, limit = int(query.get("offset", "0")), int(query.get("limit", "1000"))
        return Answer(json.dumps(rows[start : start + limit]).encode())

    def _studies(self, uid: str) -> list[dict[str, object]]:
        return [self.study_row(study) for study in self.studies() if uid in {"", study}]

    def study_row(self, study: str) -> dict[str, object]:
        """As a search shows it."""
        keys = [key for key in self.files if key[0] == study]
        return {
            "0020000D": {"vr": "UI", "Value": [study]},
            "00201206": {"vr": "IS", "Value": [len({series for _, series, _ in keys})]},
            "00201208": {"vr": "IS", "Value": [len(keys)]},
        }

    def _instances(self, study: str) -> list[dict[str, object]]:
        return [
            {"0020000E": {"vr": "UI", "Value": [series]}, "00080018": {"vr": "UI", "Value": [sop]}}
            for one, series, sop in sorted(self.files)
            if one == study
        ]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    fake: FakeDicomWeb

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients hang up on what was spoilt."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *_: object) -> None:
        return

    def do_GET(self) -> None:
        fake, parts = self.server.fake, urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        fake.asked.append(self.path)
        fake.headers.append(dict(self.headers))
        answer = fake.spoil(parts.path, query) or fake.answer(parts.path, query)
        if answer.raw:
            self.wfile.write(answer.raw)
            self.wfile.flush()
            fake.released.wait(30)
            self.close_connection = True
            return
        self.send_response_only(answer.status)
        headers = {"Content-Type": answer.type, **answer.headers}
        if answer.chunked:
            headers["Transfer-Encoding"] = "chunked"
        else:
            headers.setdefault("Content-Length", str(len(answer.body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(
            b"%x\r\n%s\r\n0\r\n\r\n" % (len(answer.body), answer.body) if answer.chunked else answer.body
        )

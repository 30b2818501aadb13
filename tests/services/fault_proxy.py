"""Stands before a real web server and spoils answers, chosen ones or a share: refused, cut, slow, lost, doubled.

The server sees requests as they came, signatures included.
"""

import http.client
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

READS = frozenset({"GET", "HEAD"})
HOP = frozenset({"connection", "expect", "transfer-encoding", "keep-alive", "content-length"})
Headers = list[tuple[str, str]]


@dataclass
class Fault:
    """What happens to a request or to its answer."""

    status: int = 0  # is answered, and the server does not hear of the request
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    cut: float = 0.0  # share of the body that comes before the connection ends
    chunked: bool = False  # so that no length tells of the cut
    hang_s: float = 0.0  # of silence before anything else
    pause_s: float = 0.0  # before the answer, and once more in its middle
    dropped: bool = False  # the connection ends before the server hears of the request
    lost: bool = False  # and here after it has answered
    twice: bool = False  # the server hears of it twice


BUSY = Fault(
    status=503, headers={"Content-Type": "application/xml"},
    body=b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Please reduce your rate</Message></Error>",
)  # fmt: skip
READING = {"busy": BUSY, "slow": Fault(pause_s=0.3), "cut": Fault(cut=0.5)}
WRITING = READING | {"cut": Fault(dropped=True), "lost": Fault(lost=True), "twice": Fault(twice=True)}


class FaultProxy:
    """Forwards to a server; `spoil` is asked with the number of the question and its path."""

    def __init__(self, target: str) -> None:
        self.target, self.asked = target, list[str]()
        self.headers: list[dict[str, str]] = []
        self.spoil: Callable[[int, str], Fault | None] = lambda _number, _path: None
        self.before: Callable[[int, str], None] = lambda _number, _path: None
        self.released = threading.Event()
        self.lock = threading.Lock()
        self.server = _Server(("127.0.0.1", 0), _Handler)
        self.server.proxy = self
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """Root, as that of the server."""
        return f"http://127.0.0.1:{self.server.server_port}"

    def stop(self) -> None:
        """End it."""
        self.released.set()
        self.server.shutdown()
        self.server.server_close()

    def fault(self, number: int, method: str, path: str) -> Fault:
        """What happens to one request."""
        return self.spoil(number, path) or Fault()


class FaultySharesProxy(FaultProxy):
    """Spoils a share of the requests by one kind of fault, at random.

    Kinds: `busy` answers 503; `slow` waits; `cut` ends the connection in the middle of what is read, or after a write
    has come and before it is forwarded; `lost` ends it after a write instead of answering, so that it comes again;
    `twice` forwards each write twice, and gives the second answer.
    """

    def __init__(self, target: str, *, kind: str, share: float, seed: int = 0) -> None:
        self.kind, self.share = kind, share
        self.requests = self.spoilt = 0
        self._random = random.Random(seed)
        super().__init__(target)

    def fault(self, number: int, method: str, path: str) -> Fault:
        """The fault of one request."""
        fault = (READING if method in READS else WRITING).get(self.kind)
        with self.lock:
            self.requests += 1
            hit = self._random.random() < self.share and fault is not None
            self.spoilt += hit
        return fault if hit and fault is not None else Fault()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    proxy: FaultProxy

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients hang up on what was spoilt."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *_: object) -> None:
        return

    def serve(self) -> None:
        proxy, body = self.server.proxy, self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with proxy.lock:
            number = len(proxy.asked)
            proxy.asked.append(self.path)
            proxy.headers.append(dict(self.headers))
        proxy.before(number, self.path)
        fault = proxy.fault(number, self.command, self.path)
        if fault.hang_s:
            proxy.released.wait(fault.hang_s)
        if fault.status:
            self.send(fault.status, list(fault.headers.items()), fault.body, Fault())
            return
        answer = None if fault.dropped else self.answer(body, fault)
        if answer is None or fault.lost:
            self.close_connection = True
            return
        self.send(*answer, fault)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = serve  # noqa: N815 - names of the base class

    def answer(self, body: bytes, fault: Fault) -> tuple[int, Headers, bytes] | None:
        """What the server says; None where it is not there."""
        _wait(fault)
        try:
            return [self.forward(body) for _ in range(1 + fault.twice)][-1]
        except (OSError, http.client.HTTPException):
            return None

    def forward(self, body: bytes) -> tuple[int, Headers, bytes]:
        target = urlsplit(self.server.proxy.target)
        connection = http.client.HTTPConnection(target.netloc, timeout=60)
        try:
            connection.putrequest(
                self.command, target.path + self.path, skip_host=True, skip_accept_encoding=True
            )
            for name, value in self.headers.items():
                if name.lower() not in HOP - {"content-length"}:
                    connection.putheader(name, value)
            connection.endheaders(body or None)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()

    def send(self, status: int, headers: Headers, body: bytes, fault: Fault) -> None:
        """Answer; the length that is told is that of the whole body, unless nothing shall tell of a cut."""
        self.send_response_only(status)
        length = next((value for name, value in headers if name.lower() == "content-length"), str(len(body)))
        for name, value in headers:
            if name.lower() not in HOP:
                self.send_header(name, value)
        if fault.chunked:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", length if self.command == "HEAD" else str(len(body)))
        self.end_headers()
        self.write(body[: int(len(body) * fault.cut)] if fault.cut else body, fault)

    def write(self, body: bytes, fault: Fault) -> None:
        if fault.chunked:  # ends as a whole answer does: only what is missing tells
            self.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
        else:
            half = len(body) // 2
            self.wfile.write(body[:half])
            _wait(fault)
            self.wfile.write(body[half:])
        self.close_connection = self.close_connection or fault.cut > 0


def _wait(fault: Fault) -> None:
    if fault.pause_s:
        time.sleep(fault.pause_s)

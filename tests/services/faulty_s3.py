"""Stands before a real S3 server and spoils a share of the requests: busy, slow, cut, answered too late, done twice."""

import http.client
import random
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

KINDS = ("busy", "slow", "cut", "lost", "twice")
SLOW_S = 0.3
BUSY = b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Please reduce your rate</Message></Error>"
HOP = {"connection", "expect", "transfer-encoding", "keep-alive"}


class FaultyS3:
    """Forwards to a server, which sees the signed headers as they came.

    Kinds: `busy` answers 503 and forwards nothing; `slow` waits, and waits again in the middle of the body; `cut` ends
    the connection in the middle of what is read, or after a write has come and before it is forwarded; `lost` forwards
    a write and ends the connection instead of answering, so that it comes again; `twice` forwards each write twice,
    and gives the second answer.
    """

    def __init__(self, endpoint: str, *, kind: str, share: float, seed: int = 0) -> None:
        self.target, self.kind, self.share = urlsplit(endpoint).netloc, kind, share
        self.requests = self.spoilt = 0
        self._random, self._lock = random.Random(seed), threading.Lock()
        self.server = _Server(("127.0.0.1", 0), _Handler)
        self.server.daemon_threads = True
        self.server.faulty = self  # type: ignore[attr-defined]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def endpoint(self) -> str:
        """What clients are told."""
        return f"http://127.0.0.1:{self.server.server_port}"

    def stop(self) -> None:
        """End it."""
        self.server.shutdown()
        self.server.server_close()

    def draw(self, method: str) -> str:
        """The fault of one request; empty for none."""
        writes = method not in {"GET", "HEAD"}
        with self._lock:
            self.requests += 1
            hit = self._random.random() < self.share and (writes or self.kind not in {"lost", "twice"})
            self.spoilt += hit
        return self.kind if hit else ""


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Clients hang up on what was spoilt."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        return

    @property
    def proxy(self) -> FaultyS3:
        return self.server.faulty  # type: ignore[attr-defined]

    def serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.proxy.draw(self.command)
        reads = self.command in {"GET", "HEAD"}
        if fault == "busy":
            self.send(503, [("Content-Type", "application/xml")], BUSY)
            return
        if fault == "cut" and not reads:
            self.close_connection = True
            return
        if fault == "slow":
            time.sleep(SLOW_S)
        if fault == "twice":
            self.forward(body)
        status, headers, answer = self.forward(body)
        if fault == "lost":
            self.close_connection = True
            return
        self.send(status, headers, answer, fault=fault)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = serve  # noqa: N815 - names of the base class

    def forward(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(self.proxy.target, timeout=60)
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in HOP:
                    connection.putheader(name, value)
            connection.endheaders(body or None)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()

    def send(self, status: int, headers: list[tuple[str, str]], body: bytes, *, fault: str = "") -> None:
        self.send_response_only(status)
        size = next((value for name, value in headers if name.lower() == "content-length"), "0")
        for name, value in headers:
            if name.lower() not in HOP | {"content-length"}:
                self.send_header(name, value)
        self.send_header("Content-Length", size if self.command == "HEAD" else str(len(body)))
        self.end_headers()
        half = len(body) // 2
        self.wfile.write(body[:half])
        if fault == "cut":
            self.close_connection = True
            return
        if fault == "slow":
            time.sleep(SLOW_S)
        self.wfile.write(body[half:])

"""Stands before a real web server and spoils chosen answers: a status, a cut, a silence, a slow drip, nonsense."""

import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Fault:
    """What happens to an answer instead of passing it on."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    cut: float = 0.0  # share of the body that comes before the connection ends
    chunked: bool = False  # so that no length tells of the cut
    hang_s: float = 0.0


class FaultProxy:
    """Forwards to a server; `spoil` is asked with the number of the question and its path."""

    def __init__(self, target: str) -> None:
        self.target, self.asked = target, list[str]()
        self.headers: list[dict[str, str]] = []
        self.spoil: Callable[[int, str], Fault | None] = lambda _number, _path: None
        self.before: Callable[[int, str], None] = lambda _number, _path: None
        self.released = threading.Event()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                proxy._answer(self)

            def log_message(self, *_: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
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

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        number = len(self.asked)
        self.asked.append(handler.path)
        self.headers.append(dict(handler.headers))
        self.before(number, handler.path)
        fault = self.spoil(number, handler.path)
        if fault is not None and fault.hang_s:
            self.released.wait(fault.hang_s)
        if fault is not None and fault.status:
            self._send(handler, fault.status, fault.headers, fault.body)
            return
        wanted = {
            name: handler.headers[name] for name in ("Accept", "Authorization") if handler.headers[name]
        }
        try:
            with urllib.request.urlopen(
                urllib.request.Request(self.target + handler.path, headers=wanted), timeout=30
            ) as answer:
                status, body, kind = answer.status, answer.read(), answer.headers["Content-Type"] or ""
        except urllib.error.HTTPError as error:
            with error:
                status, body, kind = error.code, error.read(), ""
        except OSError:
            handler.close_connection = True
            return
        if fault is not None and fault.cut:
            self._cut(handler, fault, body, kind)
        else:
            self._send(handler, status, {"Content-Type": kind}, body)

    def _send(
        self, handler: BaseHTTPRequestHandler, status: int, headers: dict[str, str], body: bytes
    ) -> None:
        handler.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    def _cut(self, handler: BaseHTTPRequestHandler, fault: Fault, body: bytes, kind: str) -> None:
        part = body[: int(len(body) * fault.cut)]
        handler.send_response(200)
        handler.send_header("Content-Type", kind)
        if fault.chunked:  # ends as a whole answer does: only the missing boundary tells
            handler.send_header("Transfer-Encoding", "chunked")
            handler.end_headers()
            handler.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(part), part))
        else:
            handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            handler.wfile.write(part)
        handler.close_connection = True

"""Reading over HTTP: pooled connections, ranges, proxies, certificates; nothing is decoded or cached on the way."""

import os
import re
import ssl
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import urllib3
from urllib3.exceptions import HTTPError, IncompleteRead, LocationParseError
from urllib3.util import Timeout, make_headers

from synthdata.errors import (
    ConfigError,
    IntegrityError,
    RefusedError,
    StoreError,
    SynthDataError,
    TransientError,
)
from synthdata.release.client.remote import PIECE_BYTES, missing
from synthdata.storage.codes import CLOCK

CONNECT_S, READ_S = 15, 60
CONNECTIONS = 16
DRAINED_BYTES = 128 << 10  # quicker read to their end than a new connection is made
CLOCK_S = 900  # by which a clock may be wrong, before S3 takes no signature of it
GONE = (404, 410)
TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
CODE = re.compile(rb"<Code>(\w{1,60})</Code>")  # of an S3 answer


class WebReader:
    """Reads the bytes behind an address."""

    def __init__(self, any_url: str) -> None:
        self._pool = _pool(any_url)
        self._headers = {"Accept-Encoding": "identity", **_login(any_url)}
        self.ranged = True  # until a server shows that it knows no ranges

    def open(self, url: str, key: str, shown: str, *, start: int, stop: int | None) -> "WebBody":
        """Ask for bytes [start, stop) behind an address.

        Args:
            url: Address of the request, which may hold a signature and is never shown.
            key: Object, for messages.
            shown: The store, for messages.
            start: First byte.
            stop: Byte after the last; None reads to the end.

        Raises:
            MissingObjectError: 404 or 410.
            TransientError: The network failed, the answer broke off, or the server is busy.
            IntegrityError: The object ends before `start`.
            RefusedError: Any other answer.
        """
        headers = dict(self._headers)
        if start or stop is not None:
            headers["Range"] = f"bytes={start}-{'' if stop is None else stop - 1}"
        with _network(shown):
            answer = self._pool.request(
                "GET", url, headers=headers, preload_content=False, retries=_redirects()
            )
        body = WebBody(answer, shown)
        try:
            with _network(shown):
                self._judge(answer, key, shown)
            if "Range" in headers and answer.status != HTTPStatus.PARTIAL_CONTENT:
                self.ranged = False  # the answer is the whole object
                body.skip(start)
        except BaseException:
            body.close()
            raise
        return body

    @staticmethod
    def _judge(answer: urllib3.BaseHTTPResponse, key: str, shown: str) -> None:
        status = answer.status
        if status in {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT}:
            return
        if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise IntegrityError(
                f"object {key} in the store is shorter than it was signed: tell its publisher"
            )
        found = CODE.search(answer.read(4096) or b"")
        code = found[1].decode() if found else ""
        if status in TRANSIENT:
            raise TransientError(
                f"{shown} is busy (answer {status}) for {key}, expected the object: run it again later, it goes on"
            )
        if status in GONE and code != "NoSuchBucket":
            raise missing(shown, key)
        if status in {401, 403} and abs(_clock_error_s(answer)) > CLOCK_S:
            code = CLOCK
        raise _refusal(status, code, key, shown)


class WebBody:
    """The body of an answer, read without a copy."""

    def __init__(self, answer: urllib3.BaseHTTPResponse, shown: str) -> None:
        self._answer, self._shown = answer, shown
        # urllib3's own `readinto` copies out of new memory; the standard library's answer below it does not
        self._below: Any = getattr(answer, "_fp", None) or answer

    def readinto(self, room: memoryview, /) -> int:
        """Fill memory from its start; 0 at the end. Raises TransientError where the answer breaks off."""
        left = self._answer.length_remaining
        with _network(self._shown):
            count: int = self._below.readinto(room)
            if not count and left and len(room):
                raise IncompleteRead(count, left)
        if left is not None and self._below is not self._answer:
            self._answer.length_remaining = left - count
        return count

    def skip(self, count: int) -> None:
        """Read on to what was asked for."""
        room = memoryview(bytearray(min(PIECE_BYTES, count)))
        while count and (got := self.readinto(room[:count])):
            count -= got

    def close(self) -> None:
        """Give the connection back, or end it where too much is on the way."""
        left = self._answer.length_remaining
        if not self._answer.closed:
            self._answer.drain_conn() if left is not None and left < DRAINED_BYTES else self._answer.close()
        self._answer.release_conn()


class HttpRemote:
    """A web server; a user and password of the address, or its query, go with each request."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        try:
            port = "" if parts.port is None else f":{parts.port}"
        except ValueError:
            raise ConfigError(f"the port of {parts.hostname} is no number: mend the address") from None
        host = parts.hostname or ""
        host = f"[{host}]" if ":" in host else host
        self._shown = f"{parts.scheme}://{host}{port}{parts.path.rstrip('/')}"
        self._query = f"?{parts.query}" if parts.query else ""
        self._reader = WebReader(url)

    @property
    def url(self) -> str:
        """Address without user, password or query."""
        return self._shown

    @property
    def ranged(self) -> bool:
        """The server answers ranges."""
        return self._reader.ranged

    def open(self, key: str, start: int = 0, stop: int | None = None) -> WebBody:
        """Ask for bytes [start, stop); a server which knows no ranges is read from the start."""
        url = f"{self._shown}/{quote(key)}{self._query}"
        return self._reader.open(url, key, self._shown, start=start, stop=stop)


@contextmanager
def _network(shown: str) -> Iterator[None]:
    """Turn what the network has done into a sentence."""
    try:
        yield
    except SynthDataError:
        raise
    except (HTTPError, HTTPException, OSError) as error:
        if _untrusted(error):
            raise StoreError(
                f"the certificate of {shown} is not one that this machine trusts, expected one of an authority "
                "that it knows: name the file of that authority in REQUESTS_CA_BUNDLE, or check the address and "
                "the clock"
            ) from error
        reason = type(getattr(error, "reason", None) or error).__name__
        raise TransientError(
            f"{shown} cannot be reached ({reason}): check the address, the proxy and the network, and run it again"
        ) from error


def _pool(url: str) -> urllib3.PoolManager:
    """Connections to the host of an address, through the proxy of the usual environment variables."""
    parts = urlsplit(url)
    authority = os.environ.get("AWS_CA_BUNDLE") or os.environ.get("REQUESTS_CA_BUNDLE")
    options: dict[str, Any] = {"maxsize": CONNECTIONS, "timeout": Timeout(connect=CONNECT_S, read=READ_S)}
    options |= _authorities(authority) if authority else {}
    proxy = urllib.request.getproxies().get(parts.scheme)
    try:
        if not proxy or urllib.request.proxy_bypass(parts.hostname or ""):
            return urllib3.PoolManager(**options)
        at = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        words = f"{unquote(at.username)}:{unquote(at.password or '')}" if at.username else ""
        secret = make_headers(proxy_basic_auth=words) if words else None
        return urllib3.ProxyManager(at.geturl(), proxy_headers=secret, **options)
    except (LocationParseError, ValueError, OSError) as error:
        raise ConfigError(
            f"proxy or certificates cannot be used ({type(error).__name__}): check HTTPS_PROXY and AWS_CA_BUNDLE"
        ) from error


def _authorities(name: str) -> dict[str, str]:
    """Option for a file or a folder of certificates. Raises ConfigError where there is none."""
    if Path(name).is_dir():
        return {"ca_cert_dir": name}
    if not Path(name).is_file():
        raise ConfigError(
            "AWS_CA_BUNDLE or REQUESTS_CA_BUNDLE names no file, expected certificates in PEM: mend or unset it"
        )
    return {"ca_certs": name}


def _clock_error_s(answer: urllib3.BaseHTTPResponse) -> float:
    """Seconds by which the clock of this machine is ahead of the server's; 0 where the server tells no date."""
    try:
        return time.time() - parsedate_to_datetime(answer.headers.get("Date", "")).timestamp()
    except ValueError:
        return 0.0


def _refusal(status: int, code: str, key: str, shown: str) -> RefusedError:
    """Name the store, the object and the answer."""
    if code == CLOCK:
        advice = "and this machine's clock is not that of the server: set it, and run it again"
    elif status in {401, 403}:
        advice = (
            "expected the right to read it: check credentials, the link's end date and this machine's clock"
        )
    elif status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        advice = "expected a proxy that lets it pass: set user and password in HTTPS_PROXY"
    else:
        advice = "expected the object: check the address"
    named = f"{status}, {code}" if code else str(status)
    error = RefusedError(f"{shown} answered {named} for {key}, {advice}")
    error.status, error.code = status, code
    return error


def _untrusted(error: BaseException) -> bool:
    """No new try helps: the certificate is of an unknown authority, of another host, or out of date."""
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, ssl.SSLCertVerificationError):
        inner = getattr(seen, "reason", None)
        seen = inner if isinstance(inner, BaseException) else seen.__cause__ or seen.__context__
    return seen is not None


def _login(url: str) -> dict[str, str]:
    """Header for the user and the password of an address; none where it has none."""
    parts = urlsplit(url)
    if not parts.username:
        return {}
    return dict(make_headers(basic_auth=f"{unquote(parts.username)}:{unquote(parts.password or '')}"))


def _redirects() -> urllib3.Retry:
    """Follow some redirects; new tries are made by the caller, who knows how many bytes have come."""
    return urllib3.Retry(total=None, connect=0, read=0, status=0, other=0, redirect=5)

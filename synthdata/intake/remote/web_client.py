"""Polite questions to a web server: one at a time, with patience, and a sentence for whatever goes wrong.

An answer's own text, the address of a study and the credentials never come into a message.
"""

import json
import os
import random
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self, TypeVar
from urllib.parse import SplitResult, parse_qsl, quote, urlencode, urlsplit

import urllib3

from synthdata.errors import ConfigError, SourceError, SynthDataError
from synthdata.intake.remote.credentials import PASSWORD, TOKEN, USER, credentials
from synthdata.intake.remote.problems import BAD_ADDRESS, CUT, DOWN, SLOW, BusyError, LaterError
from synthdata.intake.remote.statuses import check

T = TypeVar("T")

CHUNK_BYTES = 1 << 18
JSON_BYTES = 64 << 20  # of one page of answers
LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Patience:
    """How long to wait, and how often to try."""

    connect_s: float = 10.0
    silence_s: float = 60.0  # between two pieces of an answer
    answer_s: float = 3600.0  # for one whole answer
    tries: int = 6
    first_pause_s: float = 0.5  # doubled at each try, and drawn at random below that
    longest_pause_s: float = 300.0

    def __post_init__(self) -> None:
        if self.tries < 1 or min(self.connect_s, self.silence_s, self.answer_s) <= 0:
            raise ConfigError("patience has a time or a number of tries which is not positive: expected more")

    @classmethod
    def from_environment(cls) -> Self:
        """Defaults, with SYNTHDATA_DICOMWEB_TIMEOUT (seconds of silence) and SYNTHDATA_DICOMWEB_TRIES."""
        try:
            return cls(
                silence_s=float(os.environ.get("SYNTHDATA_DICOMWEB_TIMEOUT", "60")),
                tries=int(os.environ.get("SYNTHDATA_DICOMWEB_TRIES", "6")),
            )
        except ValueError:
            raise ConfigError(
                "SYNTHDATA_DICOMWEB_TIMEOUT or SYNTHDATA_DICOMWEB_TRIES is no number: expected such as 60 and 6"
            ) from None


class WebClient:
    """Asks one server below one address."""

    def __init__(self, address: str, patience: Patience) -> None:
        """Check the address; nothing is asked yet.

        Args:
            address: `http://` or `https://` root of the service; a query in it goes with each search.
            patience: For each question.

        Raises:
            ConfigError: The address is none, holds credentials, or would send them in the clear.
        """
        parts, port = _parts_of(address)
        if parts.username is not None or parts.password is not None:
            raise ConfigError(
                f"the address of the DICOMweb server holds credentials, expected none: put them into {USER} and "
                f"{PASSWORD}, or {TOKEN}"
            )
        name = parts.hostname or ""
        host = f"[{name}]" if ":" in name else name
        self._headers = credentials()
        if self._headers and parts.scheme == "http" and host not in LOOPBACK:
            raise ConfigError(
                "the credentials of the DICOMweb server would travel in the clear, expected an https:// address: "
                "use TLS, or unset them"
            )
        self._base = f"{parts.scheme}://{host}{port}{parts.path.rstrip('/')}"
        self.filters = parse_qsl(parts.query)
        self._patience = patience
        self._pool = _pool(self._base, name)

    @contextmanager
    def answer(
        self, path: Sequence[str], accept: str, query: Sequence[tuple[str, str]] = ()
    ) -> Iterator[tuple[str, Iterator[bytes]]]:
        """Content type of an answer, and its body in chunks; raises the errors of this module."""
        url = f"{self._base}/{'/'.join(quote(part, safe='') for part in path)}"
        url += f"?{urlencode(query)}" if query else ""
        timeout = urllib3.Timeout(connect=self._patience.connect_s, read=self._patience.silence_s)
        headers = {**self._headers, "Accept": accept, "Accept-Encoding": "identity"}
        with self._told():
            found = self._pool.request(
                "GET",
                url,
                headers=headers,
                timeout=timeout,
                retries=False,
                redirect=False,
                preload_content=False,
            )
            try:
                check(found.status, found.headers)
                if found.status == 204:
                    yield "", iter(())
                else:
                    yield found.headers.get("Content-Type", ""), self._chunks(found)
                found.drain_conn()
            except BaseException:  # an answer that was not read to its end cannot be followed by another one
                found.close()
                raise
            finally:
                found.release_conn()

    def rows(self, path: Sequence[str], query: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
        """One page of a search, with patience.

        Raises:
            SourceError: The server refused, did not answer, or answered with something else.
        """

        def ask() -> list[dict[str, Any]]:
            with self.answer(path, "application/dicom+json", query) as (_, chunks):
                data = b"".join(_bounded(chunks, JSON_BYTES))
            try:
                found = json.loads(data) if data.strip() else []
            except (ValueError, RecursionError):
                raise LaterError.of(
                    "the DICOMweb server answered a search with something that is no JSON (a login page?), expected "
                    "application/dicom+json: check the address"
                ) from None
            if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
                raise SourceError(
                    "the DICOMweb server answered a search without a list, expected DICOM JSON: check the address"
                )
            return found

        return self.patiently(ask)

    def patiently(self, work: Callable[[], T]) -> T:
        """Do it again after a pause where that may help. Raises the last error, or one that is final, at once."""
        for attempt in range(1, self._patience.tries + 1):
            try:
                return work()
            except LaterError as error:
                if attempt == self._patience.tries:
                    raise
                self._pause(attempt, error)
        raise ConfigError("no try was allowed: expected at least one")

    def _pause(self, attempt: int, error: LaterError) -> None:
        most = self._patience.longest_pause_s
        if error.wait_s is not None and error.wait_s > most:
            raise BusyError(f"{error}; it asks to wait {error.wait_s:.0f} s, so run it again after that")
        drawn = random.uniform(0, min(most, self._patience.first_pause_s * 2 ** (attempt - 1)))  # noqa: S311
        time.sleep(drawn if error.wait_s is None else error.wait_s + drawn)

    def _chunks(self, found: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
        end = time.monotonic() + self._patience.answer_s
        with self._told():
            for chunk in found.stream(CHUNK_BYTES, decode_content=True):
                if time.monotonic() > end:
                    raise LaterError(SLOW)
                yield chunk

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn what the network does into sentences."""
        try:
            yield
        except urllib3.exceptions.SSLError as error:
            raise SourceError(
                "the DICOMweb server's certificate is not trusted, expected one of a known authority: name the "
                "hospital's in SSL_CERT_FILE"
            ) from error
        except urllib3.exceptions.NewConnectionError as error:  # which calls itself a timeout, and is none
            raise LaterError(DOWN) from error
        except (urllib3.exceptions.TimeoutError, TimeoutError) as error:
            raise LaterError(SLOW) from error
        except SynthDataError:  # of whoever reads the answer
            raise
        except (urllib3.exceptions.ProtocolError, urllib3.exceptions.DecodeError) as error:
            raise LaterError(CUT) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise LaterError(DOWN) from error


def _parts_of(address: str) -> tuple[SplitResult, str]:
    """Parts of an address, and its port with the colon before it."""
    try:
        parts = urlsplit(address)
        port = f":{parts.port}" if parts.port is not None else ""
    except ValueError:  # an odd bracket, a port that is none
        raise ConfigError(BAD_ADDRESS) from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or not address.isprintable():
        raise ConfigError(BAD_ADDRESS)
    return parts, port


def _bounded(chunks: Iterator[bytes], most: int) -> Iterator[bytes]:
    got = 0
    for chunk in chunks:
        got += len(chunk)
        if got > most:
            raise SourceError(
                f"the DICOMweb server answered a search with more than {most >> 20} MiB, expected a page: it must "
                "support limit and offset"
            )
        yield chunk


def _pool(base: str, host: str) -> urllib3.PoolManager:
    """Connections, through the proxy that the usual variables name."""
    proxies = urllib.request.getproxies()
    proxy = proxies.get(urlsplit(base).scheme) or proxies.get("all")
    if proxy and not urllib.request.proxy_bypass(host):
        return urllib3.ProxyManager(proxy)
    return urllib3.PoolManager()

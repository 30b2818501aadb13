"""Reading S3 over HTTP with a signature per request, without one, or by links which somebody else has signed."""

import json
from pathlib import Path
from urllib.parse import urlsplit

from synthdata.errors import ConfigError, MissingObjectError, RefusedError
from synthdata.release.client.remote import Reader, StoreRemote
from synthdata.release.client.web import WebReader
from synthdata.storage.codes import code_sentence
from synthdata.storage.s3 import S3Store

LINKS_KIND = "synthdata-links/1"
ELSEWHERE = frozenset({"PermanentRedirect", "TemporaryRedirect", "AuthorizationHeaderMalformed"})


class S3Remote:
    """Objects below a prefix; without credentials they are asked for without a signature."""

    def __init__(self, url: str, *, anonymous: bool) -> None:
        parts = urlsplit(url)
        self._store = S3Store(bucket=parts.netloc, prefix=parts.path.strip("/"), anonymous=anonymous or None)
        self._reader = WebReader(self._store.presigned("x"))

    @property
    def url(self) -> str:
        """Address of the prefix."""
        return self._store.url

    @property
    def ranged(self) -> bool:
        """The server answers ranges."""
        return self._reader.ranged

    def open(self, key: str, start: int = 0, stop: int | None = None) -> Reader:
        """Ask for bytes [start, stop)."""
        try:
            return self._reader.open(self._store.presigned(key), key, self.url, start=start, stop=stop)
        except RefusedError as error:
            if error.code in ELSEWHERE:  # the bucket is in another region, which the client library looks up
                return StoreRemote(self._store).open(key, start, stop)
            told = RefusedError(code_sentence(key, error.code or str(error.status)))
            told.status, told.code = error.status, error.code
            raise told from error


class LinkedRemote:
    """A store behind a file of presigned links, one for each object of one release."""

    def __init__(self, path: Path) -> None:
        try:
            document = json.loads(path.read_bytes())
            kind, self._shown, self._links = document["kind"], str(document["store"]), dict(document["links"])
        except (ValueError, KeyError, TypeError, AttributeError):
            kind = None
        if kind != LINKS_KIND:
            raise ConfigError(
                f"{path.name} is no file of links, expected one of `synthdata release links`: ask the publisher for it"
            )
        first = next(iter(self._links.values()), "https://localhost")
        if not all(urlsplit(str(link)).scheme in {"http", "https"} for link in self._links.values()):
            raise ConfigError(
                f"{path.name} has links which are not http or https: ask the publisher for another"
            )
        self._reader = WebReader(str(first))

    @property
    def url(self) -> str:
        """Address of the store that the links lead to."""
        return self._shown

    @property
    def ranged(self) -> bool:
        """The server answers ranges."""
        return self._reader.ranged

    def open(self, key: str, start: int = 0, stop: int | None = None) -> Reader:
        """Ask for bytes [start, stop)."""
        link = self._links.get(key)
        if link is None:
            raise MissingObjectError(
                f"the file of links has none to {key}, expected one: links lead to one version of one dataset; ask the "
                "publisher for those of the one that you want"
            )
        return self._reader.open(str(link), key, self._shown, start=start, stop=stop)

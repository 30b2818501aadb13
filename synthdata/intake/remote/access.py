"""The two calls of a remote source: what is there, and fetch what is new; the address tells which kind it is."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthdata.errors import ConfigError, SourceError
from synthdata.intake.remote.dicomweb import DicomWeb
from synthdata.intake.remote.fetching import fetch_studies
from synthdata.intake.remote.landing import Fetched, Landing
from synthdata.intake.remote.problems import EMPTY
from synthdata.intake.remote.s3_prefix import fetch_objects, list_objects
from synthdata.intake.remote.web_client import Patience
from synthdata.progress import Progress, silent

if TYPE_CHECKING:
    from synthdata.storage.s3 import S3Store

LOOKING: dict[str, Any] = {  # a sensor's tick ends after 60 s
    "connect_s": 5.0,
    "silence_s": 15.0,
    "tries": 2,
    "longest_pause_s": 20.0,
}
WEB = frozenset({"http", "https"})


def is_remote(address: str) -> bool:
    """True for an address which names a server, or pretends to."""
    return "://" in address and not address.startswith("file://")


def look(address: str) -> str:
    """Digest of what a server holds; another one when something was added or removed.

    Args:
        address: `https://host/dicom-web` or `s3://bucket/prefix`.

    Raises:
        ConfigError: The address is none.
        SourceError: The server refused us, does not answer, or holds nothing.
    """
    if _kind(address) == "s3":
        rows = list_objects(_bucket(address))
    else:
        patience = replace(Patience.from_environment(), **LOOKING)
        rows = [(row.name, row.mark) for row in DicomWeb(address, patience).studies()]
    if not rows:
        raise SourceError(EMPTY)
    return hashlib.sha256(json.dumps(sorted(rows)).encode()).hexdigest()


def fetch(address: str, root: Path, *, progress: Progress = silent) -> Fetched:
    """Bring a private folder up to what a server holds; the scans lie in its `scans` afterwards.

    Args:
        address: As for `look`.
        root: The folder; a later fetch into it takes only what is new.
        progress: Told how many studies are done.

    Raises:
        ConfigError: The address is none.
        SourceError: The server refused us, does not answer, or holds nothing.
        StoreError: The folder cannot be written.
    """
    if _kind(address) == "s3":
        bucket = _bucket(address)
        landing = Landing(root, bucket.url)
        with landing.alone():
            done = fetch_objects(bucket, landing, progress)
    else:
        web = DicomWeb(address, Patience.from_environment())
        landing = Landing(root, address)
        with landing.alone():
            done = fetch_studies(web, landing, progress)
    if landing.is_empty():
        raise done.failed[0] if done.failed else SourceError(EMPTY)
    return done


def _bucket(address: str) -> "S3Store":
    """The prefix as it stands: a key may hold signs that mean something in other addresses."""
    bucket, _, prefix = address.partition("://")[2].partition("/")
    if not bucket:
        raise ConfigError("the address of the scans names no bucket, expected s3://bucket/prefix: mend it")
    from synthdata.storage.s3 import S3Store

    return S3Store(bucket=bucket, prefix=prefix.strip("/"))


def _kind(address: str) -> str:
    scheme = address.partition(":")[0].lower()
    if scheme != "s3" and scheme not in WEB:
        raise ConfigError(
            f"the address of the scans begins with {scheme!r}, expected https:// (DICOMweb) or s3://: mend it"
        )
    return "s3" if scheme == "s3" else "dicomweb"

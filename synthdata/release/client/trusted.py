"""The signed state of a release store, verified by TUF: which releases there are, and which were recalled.

The root of trust is pinned by a file, or trusted on first use; either way it is remembered per store, together with the
newest metadata seen, so that an older state (rollback) or a stale one (freeze) is refused later.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tuf.api import exceptions
from tuf.api.metadata import Metadata, Targets, Timestamp
from tuf.api.serialization import DeserializationError
from tuf.ngclient import Updater
from tuf.ngclient.fetcher import FetcherInterface

from synthdata.errors import MissingObjectError, RefusedError, StoreError, TrustError
from synthdata.records.codec import from_json
from synthdata.release.client.remote import Remote, open_remote, read_small
from synthdata.release.trust.contents import Contents, recalls_target, signed_releases
from synthdata.release.trust.keys import fingerprint
from synthdata.release.trust.recalls import RecallList
from synthdata.storage import keys
from synthdata.storage.commit import sha256_of
from synthdata.storage.disk import disk_sentence, on_disk, write_whole

ROOT_BYTES = 512_000
LONGEST_DAYS = 366  # for which nobody should sign a timestamp; a store's own are signed for some weeks
REMEMBERED = "trusted.root.json"
MEMORY = "the remembered trust (SYNTHDATA_CONFIG, or ~/.config/synthdata)"
BASE = "store:"  # stands for the store in the addresses that the updater makes

Tell = Callable[[str], None]


def ignore(message: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrustedStore:
    """A release store whose metadata were verified just now."""

    remote: Remote
    contents: Contents
    fingerprint: str  # of the root of trust
    metadata: Mapping[
        str, bytes
    ]  # file name to bytes of all that was verified, for later checks without the store


def open_trusted(
    url: str, *, root: Path | None = None, anonymous: bool = False, tell: Tell = ignore
) -> TrustedStore:
    """Open a store and verify its signed metadata.

    Args:
        url: Address of the store.
        root: Root of trust to pin; None: the remembered one, or that of the store at first use.
        anonymous: Read S3 without a signature, although credentials are at hand.
        tell: Gets a sentence when a root is trusted for the first time.

    Raises:
        TrustError: A signature, a version or an expiry date is not in order.
        StoreError: The store cannot be reached, or holds no releases.
    """
    remote = open_remote(url, anonymous=anonymous)
    place = state_folder(remote.url)
    with on_disk(MEMORY):
        bootstrap = _root(remote, place, root, tell)
    folder = place / sha256_of(bootstrap)[:16]
    with _sentences(remote.url), on_disk(MEMORY):
        folder.mkdir(parents=True, exist_ok=True)
        updater = Updater(str(folder), f"{BASE}metadata/", fetcher=_Fetcher(remote), bootstrap=bootstrap)
        updater.refresh()
        if root is not None or not (place / REMEMBERED).exists():
            _remember(place / REMEMBERED, bootstrap)
        metadata = _verified_files(folder)
        targets = Metadata[Targets].from_bytes(metadata["targets.json"]).signed
        _tell_of_a_slow_clock(Metadata[Timestamp].from_bytes(metadata["timestamp.json"]).signed, tell)
    key, digest, size = recalls_target(targets)
    recalls = read_small(remote, key, limit_bytes=size)
    if sha256_of(recalls) != digest:
        raise TrustError("the recall list is not the signed one: the store was changed; tell its publisher")
    with on_disk(MEMORY):
        _remember(folder / keys.RECALLS, recalls)
    return TrustedStore(
        remote=remote,
        contents=Contents(releases=signed_releases(targets), recalls=from_json(RecallList, recalls)),
        fingerprint=fingerprint(bootstrap),
        metadata={**metadata, keys.RECALLS: recalls},
    )


def _tell_of_a_slow_clock(timestamp: Timestamp, tell: Tell) -> None:
    """A clock that is far behind takes metadata that have expired for good ones."""
    left = (timestamp.expires - datetime.now(UTC)).days
    if left > LONGEST_DAYS:
        tell(
            f"The newest signature of the store ends in {left} days, expected some weeks: is the clock of this machine "
            "behind? Metadata that have expired would not be seen. Set the clock, and run it again."
        )


def state_folder(url: str) -> Path:
    """Where the trust in one store is remembered; `SYNTHDATA_CONFIG` or `XDG_CONFIG_HOME` move it."""
    base = os.environ.get("SYNTHDATA_CONFIG")
    config = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "synthdata"
    return (Path(base) if base else config) / "roots" / sha256_of(url.encode())[:16]


def pinned_root(path: Path) -> bytes:
    """Root of trust of a file. Raises TrustError where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise TrustError(disk_sentence(f"root file {path.name}", error, "read")) from error


def remembered_root(url: str) -> bytes | None:
    """Root of trust that is remembered for a store."""
    path = state_folder(url) / REMEMBERED
    return path.read_bytes() if path.is_file() else None


def remembered_recalls(url: str) -> RecallList:
    """Recall list as this machine saw it last."""
    root = remembered_root(url)
    path = state_folder(url) / sha256_of(root or b"")[:16] / keys.RECALLS
    return from_json(RecallList, path.read_bytes()) if root and path.is_file() else RecallList()


def _root(remote: Remote, place: Path, pinned: Path | None, tell: Tell) -> bytes:
    if pinned is not None:
        return pinned_root(pinned)
    if (place / REMEMBERED).is_file():
        return (place / REMEMBERED).read_bytes()
    try:
        data = read_small(remote, keys.trust_metadata("1.root.json"), limit_bytes=ROOT_BYTES)
    except MissingObjectError:
        raise StoreError(
            f"{remote.url} holds no signed releases: check the address, or publish a release"
        ) from None
    tell(
        f"First use of {remote.url}: trusting its root {fingerprint(data)}. Compare it with what the publisher "
        "states, or pin it with --root."
    )
    return data


def _remember(path: Path, data: bytes) -> None:
    write_whole(path, data, suffix=f".{os.getpid()}.partial")


def _verified_files(folder: Path) -> dict[str, bytes]:
    """What the updater has verified and kept."""
    files = {path.name: path.read_bytes() for path in sorted((folder / "root_history").glob("*.root.json"))}
    return files | {
        name: (folder / name).read_bytes() for name in ("timestamp.json", "snapshot.json", "targets.json")
    }


class _Fetcher(FetcherInterface):
    """Gives the updater the files of a store."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote

    def _fetch(self, url: str) -> Iterator[bytes]:
        try:
            data = read_small(self._remote, url.removeprefix(BASE), limit_bytes=64 << 20)
        except MissingObjectError as error:
            raise exceptions.DownloadHTTPError(str(error), 404) from error
        except RefusedError as error:  # S3 says so of an object that is missing, to those who may not list
            raise exceptions.DownloadHTTPError(str(error), error.status) from error
        return iter([data])


@contextmanager
def _sentences(url: str) -> Iterator[None]:
    """Say in our words what TUF found."""
    try:
        yield
    except exceptions.ExpiredMetadataError as error:
        raise TrustError(
            f"the signed metadata of {url} have expired ({error}): somebody holds back newer ones, the publisher has "
            "not signed again (`synthdata keys timestamp`), or the clock of this machine is wrong"
        ) from error
    except exceptions.BadVersionNumberError as error:
        raise TrustError(
            f"the signed metadata of {url} are older than those seen before ({error}): the store was rolled back; "
            "tell its publisher"
        ) from error
    except exceptions.UnsignedMetadataError as error:
        raise TrustError(
            f"the metadata of {url} are not signed by the root that is trusted here ({error}): the "
            f"store was changed or "
            "has new keys; ask its publisher for the root and pin it with --root"
        ) from error
    except (exceptions.RepositoryError, DeserializationError, ValueError) as error:
        raise TrustError(
            f"the signed metadata of {url} do not fit together ({error}): the store was changed"
        ) from error
    except exceptions.DownloadHTTPError as error:
        if isinstance(error.__cause__, RefusedError):
            raise StoreError(str(error.__cause__)) from error
        raise StoreError(
            f"{url} holds no finished release: its first publishing was broken off or is at work, or metadata were "
            "removed; ask its publisher to publish again"
        ) from error
    except exceptions.DownloadError as error:
        cause = error.__cause__ if isinstance(error.__cause__, StoreError | TrustError) else error
        raise StoreError(f"the signed metadata of {url} cannot be read ({cause})") from error

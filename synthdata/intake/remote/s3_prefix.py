"""Objects below a prefix of S3: those which are new or have another version come to this machine, as they are named."""

import hashlib
import random
import time
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from synthdata.errors import SourceError, StoreError
from synthdata.intake.remote.landing import PART, Fetched, Landing, on_landing
from synthdata.intake.remote.problems import EMPTY
from synthdata.progress import Progress

if TYPE_CHECKING:
    from synthdata.storage.s3 import S3Store

WHAT = "of the scans"  # stands for a key in messages
TRIES = 5  # of one object, beside those of each question
FIRST_PAUSE_S = 0.2
FAILURES_IN_A_ROW = 3  # objects; then it is the server and not the object
LONGEST_NAME = 255  # bytes, on the usual file systems


def list_objects(store: "S3Store") -> list[tuple[str, str]]:
    """Name and mark of all objects: another mark when one was written again. Raises StoreError."""
    return [
        (_name(key), f"{version}:{size}")
        for key, size, version in store.listing(WHAT)
        if not key.endswith("/")
    ]


def fetch_objects(store: "S3Store", landing: Landing, progress: Progress) -> Fetched:
    """Bring the landing up to what the prefix has.

    Raises:
        StoreError: The bucket may not be read, does not answer, or the landing cannot be written.
        SourceError: There is no object, or the keys cannot be names of files.
    """
    done = Fetched()
    found = [item for item in store.listing(WHAT) if item[0] and not item[0].endswith("/")]
    if not found:  # rather a wrong address than an archive that was emptied: what is here stays
        raise SourceError(EMPTY)
    places = {key: _place(landing.scans, key) for key, _, _ in found}
    done.seen, failures = len(found), 0
    for count, (key, size, version) in enumerate(found, 1):
        mark = f"{version}:{size}"
        if landing.memory.get(_name(key)) != mark or not places[key].is_file():
            try:
                _fetch(store, landing, key, version, places[key])
            except StoreError as error:
                done.failed.append(error)
                failures += 1
                if failures == min(FAILURES_IN_A_ROW, len(found)):
                    landing.memory.flush()
                    raise
            else:
                landing.memory.put(_name(key), mark)
                done.fetched, failures = done.fetched + 1, 0
        progress(count, len(found), "fetching objects")
    done.removed = _remove_gone(landing.scans, set(places.values()))
    landing.memory.close({_name(key) for key in places})
    return done


def _fetch(store: "S3Store", landing: Landing, key: str, version: str, place: Path) -> None:
    """One object; it gets its name when it is whole."""
    part = landing.incoming / f"object{PART}"
    for attempt in range(1, TRIES + 1):
        try:
            with on_landing(), part.open("wb") as writer:
                for chunk in store.stream(key, version, WHAT):
                    writer.write(chunk)
            break
        except StoreError:
            if attempt == TRIES:
                raise
            time.sleep(random.uniform(0, FIRST_PAUSE_S * 2 ** (attempt - 1)))  # noqa: S311
    with on_landing():
        place.parent.mkdir(parents=True, exist_ok=True)
        part.replace(place)


def _remove_gone(scans: Path, wanted: set[Path]) -> int:
    gone = [path for path in scans.rglob("*") if path.is_file() and path not in wanted]
    with on_landing():
        for path in gone:
            path.unlink()
    return len(gone)


def _place(scans: Path, key: str) -> Path:
    """File of an object, below the folder whatever its key says."""
    parts = PurePosixPath(key).parts
    odd = key.startswith("/") or "//" in key or "\0" in key or not {".", ".."}.isdisjoint(key.split("/"))
    if odd or max(len(part.encode()) for part in parts) > LONGEST_NAME:
        raise SourceError(
            "the prefix holds an object whose key cannot be the name of a file (a part is empty, '..', or too long), "
            "expected plain names: rename it"
        )
    return scans.joinpath(*parts)


def _name(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:32]

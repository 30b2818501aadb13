"""Objects below a prefix of S3: those which are new or have another version come to this machine, as they are named."""

import hashlib
import random
import time
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from synthdata.errors import MissingObjectError, SourceError, StoreError
from synthdata.intake.remote.landing import PART, Fetched, Landing, LandingError, on_landing
from synthdata.intake.remote.problems import EMPTY
from synthdata.progress import Progress

if TYPE_CHECKING:
    from synthdata.storage.s3 import S3Store

Object = tuple[str, int, str]  # key, size in bytes, version
CUT_OBJECT = (
    "an object of the scans came with another length than it was listed with, expected it whole: check the network and "
    "the server, and run it again, it goes on where it was"
)
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
    done.seen = len(found)
    done.removed = _remove_gone(landing.scans, set(places.values()) - _folders_of(places))
    try:
        _fetch_new(store, landing, found, places, done, progress)
    finally:
        landing.memory.flush()  # what came is known, however the run ends
    landing.memory.close({_name(key) for key in places})
    return done


def _fetch_new(
    store: "S3Store",
    landing: Landing,
    found: Sequence[Object],
    places: Mapping[str, Path],
    done: Fetched,
    progress: Progress,
) -> None:
    folders, failures = _folders_of(places), 0
    for count, (key, size, version) in enumerate(found, 1):
        mark, place = f"{version}:{size}", places[key]
        if landing.memory.get(_name(key)) != mark or not place.is_file():
            try:
                _fetch(store, landing, (key, size, version), place, within=place in folders)
            except LandingError:  # another object would meet the same
                raise
            except (StoreError, SourceError) as error:
                done.failed.append(error)
                failures += not isinstance(error, SourceError | MissingObjectError)
                if failures == FAILURES_IN_A_ROW or len(done.failed) == len(found):
                    raise
            else:
                landing.memory.put(_name(key), mark)
                done.fetched, failures = done.fetched + 1, 0
        progress(count, len(found), "fetching objects")


def _fetch(store: "S3Store", landing: Landing, item: Object, place: Path, *, within: bool) -> None:
    """One object; it gets its name when it is whole, and as long as it was listed."""
    if within:
        raise SourceError(
            "the prefix holds an object whose key is also the folder of others, expected names that a disk can hold: "
            "rename it"
        )
    part = landing.incoming / f"object{PART}"
    for attempt in range(1, TRIES + 1):
        try:
            _stream(store, item, part)
            break
        except (LandingError, MissingObjectError):
            raise
        except StoreError:
            if attempt == TRIES:
                raise
            time.sleep(random.uniform(0, FIRST_PAUSE_S * 2 ** (attempt - 1)))  # noqa: S311
    with on_landing():
        place.parent.mkdir(parents=True, exist_ok=True)
        part.replace(place)


def _stream(store: "S3Store", item: Object, part: Path) -> None:
    key, size, version = item
    with on_landing(), part.open("wb") as writer:
        for chunk in store.stream(key, version, WHAT):
            writer.write(chunk)
        came = writer.tell()
    if came != size:
        raise StoreError(CUT_OBJECT)


def _remove_gone(scans: Path, wanted: set[Path]) -> int:
    """Remove files that are not wanted, and folders which are empty then: either may be where the other one was."""
    with on_landing():
        there = sorted(scans.rglob("*"), reverse=True)  # what lies in a folder comes before it
        gone = [path for path in there if not path.is_dir() and path not in wanted]
        for path in gone:
            path.unlink()
        for path in there:
            if path.is_dir() and not any(path.iterdir()):
                path.rmdir()
    return len(gone)


def _folders_of(places: Mapping[str, Path]) -> set[Path]:
    return {folder for place in places.values() for folder in place.parents}


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

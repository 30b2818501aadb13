"""What a pulled release remembers of its store: where it came from, and the signed metadata that vouch for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from synthdata.errors import RecordError, StoreError, TrustError
from synthdata.records.codec import Record, from_json, plain_json, to_json
from synthdata.release.client.paths import STATE, inside
from synthdata.release.layout import MANIFEST, SHARDS
from synthdata.storage.disk import on_disk, write_whole

ORIGIN = f"{STATE}/origin.json"
METADATA = f"{STATE}/metadata"


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin(Record):
    """Where a folder's release came from, and which part of it was asked for."""

    url: str
    dataset: str
    version: str
    formats: tuple[str, ...]  # empty: all
    where: str  # empty: all cases
    files: tuple[str, ...]  # paths that were asked for; empty: all of the manifest
    sample: str = ""  # empty: all cases that meet the condition
    selected: bool = False  # the cases lie in `selected-*` files, not in shards of the release


def claim(folder: Path, origin: Origin) -> None:
    """Make the target folder, or go on in one of the same release.

    Raises:
        StoreError: The folder holds something else, or cannot be written.
    """
    with on_disk("the target folder"):
        folder.mkdir(parents=True, exist_ok=True)
        held = [path.name for path in folder.iterdir() if path.name != STATE]
    known = read_origin(folder)
    if known is None and held:
        raise StoreError(f"folder {folder.name} holds other files: name an empty or a new folder")
    if known is not None and (known.dataset, known.version) != (origin.dataset, origin.version):
        raise StoreError(
            f"folder {folder.name} holds {known.dataset} {known.version}, not {origin.dataset} {origin.version}: name "
            "another folder"
        )
    another = known is not None and bool(known.files) and _part(known) != _part(origin)
    if known is not None and another and _holds_cases(folder):
        raise StoreError(
            f"folder {folder.name} holds another part of {origin.dataset} {origin.version} "
            f"(where {known.where or 'all'!r}, sample {known.sample or 'all'!r}): name another folder"
        )
    write_state(folder, ORIGIN, to_json(origin))


def _holds_cases(folder: Path) -> bool:
    """Something of a shard was fetched; index and documents serve any part of a version."""
    names = {f"{place}/cases-*" for place, _ in SHARDS.values()} | {
        f"{place}/selected-*" for place, _ in SHARDS.values()
    }
    return any(True for name in names for _ in folder.glob(name))


def _part(origin: Origin) -> tuple[str, str]:
    return origin.where, origin.sample


def read_origin(folder: Path) -> Origin | None:
    """What the folder remembers; None where it is no pulled release. Raises RecordError when it is unreadable."""
    path = inside(folder, ORIGIN)
    return from_json(Origin, path.read_bytes()) if path.is_file() else None


def write_metadata(folder: Path, metadata: Mapping[str, bytes]) -> None:
    """Keep the signed metadata beside the release."""
    for name, data in metadata.items():
        write_state(folder, f"{METADATA}/{name}", data)


def read_metadata(folder: Path) -> dict[str, bytes]:
    """The signed metadata that were kept. Raises TrustError where there are none."""
    place = inside(folder, METADATA)
    files = {path.name: path.read_bytes() for path in sorted(place.glob("*.json"))} if place.is_dir() else {}
    if not {"targets.json", "snapshot.json", "timestamp.json"} <= set(files):
        raise TrustError(
            f"folder {folder.name} has no signed metadata: it was not made by `synthdata pull`; pull the release"
        )
    return files


def write_state(folder: Path, path: str, data: bytes) -> None:
    """Write one small file, whole or not at all."""
    target = inside(folder, path)
    with on_disk(path):
        target.parent.mkdir(parents=True, exist_ok=True)
        write_whole(target, data)


def read_manifest(folder: Path) -> bytes:
    """Bytes of the manifest. Raises TrustError where the pull was not finished."""
    path = inside(folder, MANIFEST)
    if not path.is_file():
        raise TrustError(
            f"folder {folder.name} has no {MANIFEST}: the pull was not finished; pull again, it goes on"
        )
    return path.read_bytes()


def check_format(data: bytes) -> None:
    """Say so when a manifest was written by a newer version. Raises RecordError."""
    try:
        tag = str(plain_json(data).get("record", ""))
    except (ValueError, AttributeError):
        return  # the record reader has the better sentence
    name, _, number = tag.partition("/")
    if name == "ReleaseManifest" and number.isdigit() and int(number) > 1:
        raise RecordError(
            f"the manifest has format {number}, this version of synthdata reads 1: update synthdata"
        )

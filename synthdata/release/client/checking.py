"""Check a pulled release without its store: signatures, digests, completeness, recalls."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from tuf.api import exceptions
from tuf.api.metadata import Metadata, Root, Snapshot, Targets, Timestamp
from tuf.api.serialization import DeserializationError

from synthdata.errors import SynthDataError, TrustError
from synthdata.progress import Progress, silent
from synthdata.records.case_set import CaseSet
from synthdata.records.codec import from_json
from synthdata.records.release import FileEntry, ReleaseManifest
from synthdata.release.client.local import Origin, check_format, read_manifest, read_metadata, read_origin
from synthdata.release.client.paths import PART, STATE, check_paths, inside
from synthdata.release.client.recalled import recall_reason
from synthdata.release.client.trusted import pinned_root, remembered_root
from synthdata.release.layout import FORMATS, INDEX, MANIFEST, evidence_path
from synthdata.release.trust.contents import recalls_target, signed_releases
from synthdata.release.trust.keys import fingerprint
from synthdata.release.trust.recalls import RecallList
from synthdata.storage import keys
from synthdata.storage.commit import sha256_of
from synthdata.storage.disk import disk_sentence, on_disk

S = TypeVar("S", Root, Timestamp, Snapshot, Targets)


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckResult:
    """What a check has found; `ok` is that nothing is wrong."""

    ok: bool
    dataset: str = ""
    version: str = ""
    files: int = 0  # checked
    listed: int = 0  # in the manifest
    root_fingerprint: str = ""
    pinned: bool = False  # the root is one that this machine trusts, not only the one in the folder
    recalled: str | None = None
    problems: tuple[str, ...] = ()  # a sentence each
    notes: tuple[str, ...] = field(default_factory=tuple)


@on_disk("the folder of the release", "read")
def check(folder: Path, *, root: Path | None = None, progress: Progress = silent) -> CheckResult:
    """Verify a folder which `pull` has made, offline.

    Expiry dates are not asked for: they protect a download from stale metadata, and a release stays what it is.

    Args:
        folder: A pulled release.
        root: Root of trust to pin; else the one that is remembered for its store. With neither, the signatures are
            checked against the root in the folder, and a note says so.
        progress: Called per file.

    Raises:
        StoreError: The folder is not there.
    """
    if not folder.is_dir():
        raise TrustError(f"{folder} is no folder: name one that `synthdata pull` has made")
    try:
        return _check(folder, root, progress)
    except SynthDataError as error:
        return CheckResult(ok=False, problems=(str(error),))
    except OSError as error:
        return CheckResult(ok=False, problems=(disk_sentence("a file of the release", error, "read"),))


def _check(folder: Path, pinned: Path | None, progress: Progress) -> CheckResult:
    origin = read_origin(folder)
    if origin is None:
        raise TrustError(f"folder {folder.name} was not made by `synthdata pull`: pull the release")
    metadata = read_metadata(folder)
    trusted = pinned_root(pinned) if pinned is not None else remembered_root(origin.url)
    start = trusted if trusted is not None else metadata.get("1.root.json", b"")
    targets, timestamp = _verified_targets(metadata, start)
    recalls = _recalls(metadata, targets)
    data = read_manifest(folder)
    release = signed_releases(targets).get((origin.dataset, origin.version))
    if release is None or release.manifest_sha256 != sha256_of(data):
        raise TrustError(f"{MANIFEST} is not the one that was signed: it was changed; pull the release again")
    check_format(data)
    manifest = from_json(ReleaseManifest, data)
    check_paths(manifest.files)
    named = set(origin.files)
    asked = [file for file in manifest.files if not named or file.path in named]
    problems = _wrong_files(folder, asked, progress)
    selected: dict[str, str] = {}
    if origin.selected and not problems:
        selected = _selected(folder, origin, manifest)
        problems += [f"{path} {words}: pull again" for path, words in selected.items() if words]
    listed = {*(file.path for file in manifest.files), *selected, MANIFEST}
    foreign = _foreign_files(folder, listed)
    unfinished = [name for name in foreign if name.removesuffix(PART) in listed]
    problems += [
        f"{name} is not a part of the release: nobody signed it; remove it"
        for name in foreign
        if name not in unfinished
    ]
    reason = recall_reason(origin, recalls)
    if reason:
        problems.append(f"{origin.dataset} {origin.version} was recalled: {reason}. Use another version")
    return CheckResult(
        ok=not problems,
        dataset=origin.dataset,
        version=origin.version,
        files=len(asked) + len(selected),
        listed=len(manifest.files),
        root_fingerprint=fingerprint(start),
        pinned=trusted is not None,
        recalled=reason,
        problems=tuple(problems),
        notes=(
            *_notes(manifest, len(asked), pinned=trusted is not None, timestamp=timestamp),
            *(f"{name} is a download that was broken off: pull again, or remove it" for name in unfinished),
        ),
    )


def _verified_targets(metadata: Mapping[str, bytes], start: bytes) -> tuple[Targets, Timestamp]:
    """Follow root, timestamp, snapshot and targets by signature, version and hash."""
    try:
        root = _newest_root(metadata, start)
        timestamp = _verified(root, Timestamp, metadata["timestamp.json"])
        timestamp.snapshot_meta.verify_length_and_hashes(metadata["snapshot.json"])
        snapshot = _verified(root, Snapshot, metadata["snapshot.json"])
        snapshot.meta["targets.json"].verify_length_and_hashes(metadata["targets.json"])
        return _verified(root, Targets, metadata["targets.json"]), timestamp
    except (exceptions.RepositoryError, DeserializationError, KeyError, TypeError) as error:
        raise TrustError(
            f"the signed metadata in {STATE} do not hold ({type(error).__name__}): they were changed, "
            f"or the root that is "
            "trusted here is another; pull the release again"
        ) from error


def _newest_root(metadata: Mapping[str, bytes], start: bytes) -> Root:
    """The trusted root, and its successors as far as each is signed by the one before."""
    first = Metadata[Root].from_bytes(start)
    root = first.signed
    root.verify_delegate(Root.type, first.signed_bytes, first.signatures)
    while (data := metadata.get(f"{root.version + 1}.root.json")) is not None:
        following = Metadata[Root].from_bytes(data)
        root.verify_delegate(Root.type, following.signed_bytes, following.signatures)
        following.signed.verify_delegate(Root.type, following.signed_bytes, following.signatures)
        if following.signed.version != root.version + 1:
            raise exceptions.BadVersionNumberError("a root has another version than its name")
        root = following.signed
    return root


def _verified(root: Root, kind: type[S], data: bytes) -> S:
    metadata: Metadata[S] = Metadata.from_bytes(data)
    root.verify_delegate(kind.type, metadata.signed_bytes, metadata.signatures)
    if metadata.signed.type != kind.type:
        raise exceptions.RepositoryError(f"expected {kind.type} metadata")
    return metadata.signed


def _recalls(metadata: Mapping[str, bytes], targets: Targets) -> RecallList:
    data = metadata.get(keys.RECALLS, b"")
    if sha256_of(data) != recalls_target(targets)[1]:
        raise TrustError("the recall list is not the signed one: it was changed; pull the release again")
    return from_json(RecallList, data)


def _wrong_files(folder: Path, files: list[FileEntry], progress: Progress) -> list[str]:
    problems = []
    for done, file in enumerate(files, start=1):
        path = inside(folder, file.path)
        if not path.is_file():
            problems.append(f"{file.path} is missing: pull again, it goes on")
        elif path.stat().st_size != file.size_bytes or sha256_of(path) != file.sha256:
            problems.append(
                f"{file.path} is not the file that was released: it was changed or cut; pull again"
            )
        progress(done, len(files), "files checked")
    return problems


def _selected(folder: Path, origin: Origin, manifest: ReleaseManifest) -> dict[str, str]:
    """Path to what is wrong of the files that hold selected cases; empty words where it is right."""
    from synthdata.release.client.choosing import chosen_rows
    from synthdata.release.client.selection import check_selection

    rows = chosen_rows(inside(folder, INDEX), origin.where, origin.sample)
    case_set = from_json(CaseSet, inside(folder, evidence_path("synthetic")).read_bytes())
    if case_set.channels != manifest.channels:
        raise TrustError(
            "evidence and manifest name other channels: the release is broken; tell its publisher"
        )
    return check_selection(folder, rows, case_set, origin.formats or FORMATS)


def _foreign_files(folder: Path, listed: AbstractSet[str]) -> list[str]:
    """Files which nobody signed."""
    found = (
        path.relative_to(folder).as_posix()
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or not path.is_dir()
    )
    return [name for name in found if name not in listed and not name.startswith(f"{STATE}/")]


def _notes(manifest: ReleaseManifest, asked: int, *, pinned: bool, timestamp: Timestamp) -> list[str]:
    notes = []
    if asked != len(manifest.files):
        notes.append(f"a part of the release: {asked} of {len(manifest.files)} files")
    if not pinned:
        notes.append(
            "the root of trust is the one in the folder: compare its fingerprint with the publisher's"
        )
    if manifest.development_keys:
        notes.append("signed with development keys, which nobody should trust")
    if timestamp.expires < datetime.now(UTC):
        notes.append(
            f"the metadata are older than {timestamp.expires:%Y-%m-%d}: run `synthdata releases` for recalls"
        )
    return notes

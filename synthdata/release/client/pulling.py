"""Pull one version, or a part of it: verified while it streams, resumed after a break."""

import shutil
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from synthdata.errors import (
    ConfigError,
    IntegrityError,
    MissingObjectError,
    StoreError,
    SynthDataError,
    TrustError,
)
from synthdata.progress import Progress, silent
from synthdata.records.case_set import CaseSet
from synthdata.records.codec import from_json
from synthdata.records.release import FileEntry, ReleaseManifest
from synthdata.release.client.choosing import check_sample, chosen_rows
from synthdata.release.client.download import download
from synthdata.release.client.listing import choose
from synthdata.release.client.local import Origin, check_format, claim, write_metadata, write_state
from synthdata.release.client.paths import check_paths, inside
from synthdata.release.client.remote import Remote, read_small
from synthdata.release.client.stretch import CONNECTIONS, Spares
from synthdata.release.client.trusted import Tell, TrustedStore, ignore, open_trusted
from synthdata.release.layout import FORMAT_ROLES, FORMATS, INDEX, MANIFEST, evidence_path
from synthdata.release.trust.contents import SignedRelease
from synthdata.storage import keys
from synthdata.storage.commit import sha256_of
from synthdata.storage.disk import on_disk

MANIFEST_BYTES = 256 << 20
SPARE_BYTES = 16 << 20  # of the disk, beyond the files
INDEX_ALONE = "index"  # word of `formats` for no shards at all
WITH_A_SELECTION = ("document", "evidence")  # roles which come with selected cases, beside the index


@dataclass(frozen=True, kw_only=True, slots=True)
class Pulled:
    """What a pull has brought."""

    dataset: str
    version: str
    folder: Path
    files: int  # in the folder, of those asked for
    moved: int  # of them fetched now
    size_bytes: int
    cases: int
    complete: bool  # the whole release, not a part


@on_disk("the pulled release")
def pull(  # noqa: PLR0913 - the options of the command
    name: str,
    version: str | None,
    url: str,
    to: Path,
    *,
    root: Path | None = None,
    formats: Sequence[str] | None = None,
    where: str | None = None,
    sample: str | None = None,
    anonymous: bool = False,
    tell: Tell = ignore,
    progress: Progress = silent,
) -> Pulled:
    """Download a release and verify it while it comes.

    Args:
        name: Dataset.
        version: Version; None is the newest one which was not recalled.
        url: A folder, `file://`, `s3://`, `http://` or `https://`.
        to: Folder for the release: new, empty, or with an interrupted pull of the same version.
        root: Root of trust to pin; else the remembered one, or that of the store at first use.
        formats: Of parquet, dicom, nifti and fhir; None is all; `index` alone is none of them. A whole release brings
            index, records, reports and documents always.
        where: Condition over the index, such as `age > 60`: only such cases come, with the index and the documents.
        sample: `1%` of the cases that meet it, or a number of them; the same ones each time.
        anonymous: Read S3 without a signature, although credentials are at hand.
        tell: Gets sentences for people.
        progress: Called with bytes done and bytes in all.

    Raises:
        TrustError: A signature, a digest or a path is not in order, or the version was recalled.
        IntegrityError: The store gives other bytes than it signed.
        StoreError: The store or the disk fails, or the folder holds something else.
        ConfigError: The formats or the condition cannot be read.
    """
    if unknown := sorted(set(formats or ()) - {*FORMATS, INDEX_ALONE}):
        raise ConfigError(
            f"formats has {', '.join(unknown) or 'an empty name'}, expected some of {', '.join(FORMATS)}, or "
            f"{INDEX_ALONE}"
        )
    if sample:
        check_sample(sample)
    store = open_trusted(url, root=root, anonymous=anonymous, tell=tell)
    release = choose(store, name, version)
    data, manifest = fetch_manifest(store.remote, release)
    wanted = [file for file in manifest.files if _asked(file, formats, part=bool(where or sample))]
    part = len(wanted) != len(manifest.files)
    origin = Origin(
        url=store.remote.url,
        dataset=release.dataset,
        version=release.version,
        formats=tuple(formats or ()),
        where=where or "",
        files=tuple(file.path for file in wanted) if part else (),
        sample=sample or "",
        selected=bool(where or sample),
    )
    claim(to, origin)
    write_metadata(to, store.metadata)
    job = _Job(
        remote=store.remote,
        release=release,
        folder=to,
        progress=progress,
        reopened=partial(open_trusted, url, root=root, anonymous=anonymous),
    )
    pulled = job.bring(manifest, wanted, origin)
    write_state(to, MANIFEST, data)
    return pulled


def fetch_manifest(remote: Remote, release: SignedRelease) -> tuple[bytes, ReleaseManifest]:
    """The signed manifest, verified before it is parsed."""
    data = read_small(remote, release.path, limit_bytes=min(release.manifest_bytes, MANIFEST_BYTES))
    if (got := sha256_of(data)) != release.manifest_sha256:
        raise IntegrityError.of(
            f"manifest of {release.dataset} {release.version}", got, release.manifest_sha256
        )
    check_format(data)
    manifest = from_json(ReleaseManifest, data)
    if (manifest.dataset, manifest.version) != (release.dataset, release.version):
        raise IntegrityError(
            f"the manifest is of {manifest.dataset} {manifest.version}, expected {release.dataset} {release.version}: "
            "the store was made by hand; tell its publisher"
        )
    check_paths(manifest.files)
    return data, manifest


def _asked(file: FileEntry, formats: Sequence[str] | None, *, part: bool) -> bool:
    if part:
        return file.path == INDEX or file.role in WITH_A_SELECTION
    return formats is None or file.role not in FORMAT_ROLES or FORMAT_ROLES[file.role] in formats


@dataclass(frozen=True, kw_only=True, slots=True)
class _Job:
    """One pull at work."""

    remote: Remote
    release: SignedRelease
    folder: Path
    progress: Progress
    reopened: Callable[[], TrustedStore]  # the store, as it is by then

    def bring(self, manifest: ReleaseManifest, wanted: list[FileEntry], origin: Origin) -> Pulled:
        """Bring whole files and selected cases. Raises TrustError where the version was recalled meanwhile."""
        try:
            moved, files = self.download(wanted), len(wanted)
            cases, size_bytes = manifest.cases, sum(file.size_bytes for file in wanted)
            if origin.selected:
                made, written, cases, size = self.select(origin, origin.formats or FORMATS)
                moved, files, size_bytes = moved + written, files + made, size_bytes + size
        except MissingObjectError:
            self.refuse_if_recalled()
            raise
        self.refuse_if_recalled()
        return Pulled(
            dataset=self.release.dataset,
            version=self.release.version,
            folder=self.folder,
            files=files,
            moved=moved,
            size_bytes=size_bytes,
            cases=cases,
            complete=len(wanted) == len(manifest.files),
        )

    def refuse_if_recalled(self) -> None:
        """Ask the store once more, since a pull may take hours."""
        try:
            store = self.reopened()
        except SynthDataError:
            return  # what has come was signed; a store that went away or went stale is told by the next pull
        if reason := store.contents.recalls.reason(self.release.dataset, self.release.version):
            write_metadata(self.folder, store.metadata)
            raise TrustError(
                f"{self.release.dataset} {self.release.version} was recalled while it was being pulled: {reason}. "
                "Use another version"
            )

    def download(self, files: list[FileEntry]) -> int:
        """Bring whole files, several at once. Returns how many were moved."""
        _check_space(self.folder, files)
        count = _Counter(sum(file.size_bytes for file in files), self.progress)

        def one(file: FileEntry) -> bool:
            key = keys.release(self.release.dataset, self.release.version, file.path)
            moved = download(self.remote, key, file, self.folder, spares, count.advance)
            spares.file_done()
            return moved

        with (
            Spares(len(files)) as spares,
            ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="pull") as writers,
        ):
            futures = [writers.submit(one, file) for file in files]
            try:
                return sum(future.result() for future in futures)
            except BaseException:
                count.stop.set()
                writers.shutdown(wait=True, cancel_futures=True)
                raise

    def select(self, origin: Origin, formats: Iterable[str]) -> tuple[int, int, int, int]:
        """Bring selected cases. Returns selected files, those written now, cases, and bytes."""
        from synthdata.release.client.selection import fetch_selection, selected_bytes

        rows = chosen_rows(inside(self.folder, INDEX), origin.where, origin.sample)
        if "image_offset" not in rows.schema.names:
            raise ConfigError(
                f"{origin.dataset} {origin.version} was made by an older version, its index has no ranges of cases: "
                "pull it whole, without --where and --sample, into another folder"
            )
        case_set = from_json(CaseSet, inside(self.folder, evidence_path("synthetic")).read_bytes())
        wanted = tuple(formats)
        size = selected_bytes(rows, wanted)
        _check_room(self.folder, size)
        count = _Counter(size, self.progress)
        prefix = keys.release(self.release.dataset, self.release.version, "")
        made, written = fetch_selection(
            self.remote, prefix, rows, case_set, wanted, self.folder, count.advance
        )
        return made, written, rows.num_rows, size


class _Counter:
    """Bytes done, counted from several threads."""

    def __init__(self, total: int, progress: Progress) -> None:
        self.stop = threading.Event()
        self._total, self._progress, self._done, self._lock = total, progress, 0, threading.Lock()

    def advance(self, count: int) -> None:
        """Count; raises StoreError where another thread has failed."""
        if self.stop.is_set():
            raise StoreError("the pull was stopped: pull again, it goes on where it was")
        with self._lock:
            self._done += count
            self._progress(self._done, self._total, "bytes")


def _check_space(to: Path, files: list[FileEntry]) -> None:
    present = sum(path.stat().st_size for file in files if (path := inside(to, file.path)).is_file())
    _check_room(to, sum(file.size_bytes for file in files) - present)


def _check_room(to: Path, size_bytes: int) -> None:
    free = shutil.disk_usage(to).free
    if size_bytes + SPARE_BYTES > free:
        missing = size_bytes + SPARE_BYTES - free
        raise StoreError(
            f"the disk has {free / 1e6:.1f} MB left, the release needs {size_bytes / 1e6:.1f} MB and "
            f"{SPARE_BYTES / 1e6:.1f} MB to spare, that is {missing / 1e6:.1f} MB more: free some space, or pull a "
            "part with --formats, --where or --sample"
        )

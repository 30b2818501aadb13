"""Pull one version, or a part of it: verified while it streams, resumed after a break."""

import shutil
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from synthdata.errors import ConfigError, IntegrityError, StoreError
from synthdata.progress import Progress, silent
from synthdata.records.codec import from_json
from synthdata.records.release import FileEntry, ReleaseManifest
from synthdata.release.client.download import download
from synthdata.release.client.listing import choose
from synthdata.release.client.local import Origin, check_format, claim, write_metadata, write_state
from synthdata.release.client.paths import check_paths, inside
from synthdata.release.client.remote import Remote, read_small
from synthdata.release.client.trusted import Tell, ignore, open_trusted
from synthdata.release.layout import FORMAT_ROLES, FORMATS, INDEX, MANIFEST
from synthdata.release.trust.contents import SignedRelease
from synthdata.storage import keys
from synthdata.storage.commit import sha256_of
from synthdata.storage.disk import on_disk

FILES = 4  # that are written at once
CONNECTIONS = 8  # to the store at once
MANIFEST_BYTES = 256 << 20
SPARE_BYTES = 16 << 20  # of the disk, beyond the files


@dataclass(frozen=True, kw_only=True, slots=True)
class Pulled:
    """What a pull has brought."""

    dataset: str
    version: str
    folder: Path
    files: int  # in the folder, of those asked for
    moved: int  # of them fetched now
    size_bytes: int
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
        formats: Of parquet, dicom and nifti; None is all. Index, records, reports and documents come always.
        where: Condition over the index, such as `age > 60`; only shards with such cases come.
        anonymous: Read S3 without a signature, although credentials are at hand.
        tell: Gets sentences for people.
        progress: Called with bytes done and bytes in all.

    Raises:
        TrustError: A signature, a digest or a path is not in order, or the version was recalled.
        IntegrityError: The store gives other bytes than it signed.
        StoreError: The store or the disk fails, or the folder holds something else.
        ConfigError: The formats or the condition cannot be read.
    """
    if unknown := sorted(set(formats or ()) - set(FORMATS)):
        raise ConfigError(f"formats has {', '.join(unknown)}, expected some of {', '.join(FORMATS)}")
    store = open_trusted(url, root=root, anonymous=anonymous, tell=tell)
    release = choose(store, name, version)
    data, manifest = fetch_manifest(store.remote, release)
    origin = Origin(
        url=store.remote.url,
        dataset=release.dataset,
        version=release.version,
        formats=tuple(formats or ()),
        where=where or "",
        files=(),
    )
    claim(to, origin)
    write_metadata(to, store.metadata)
    wanted = [file for file in manifest.files if _asked(file, formats)]
    if where:
        wanted = _narrow(store.remote, release, wanted, where, to)
    _write_origin(to, origin, wanted, manifest)
    moved = _download_all(store.remote, release, wanted, to, progress)
    write_state(to, MANIFEST, data)
    return Pulled(
        dataset=release.dataset,
        version=release.version,
        folder=to,
        files=len(wanted),
        moved=moved,
        size_bytes=sum(file.size_bytes for file in wanted),
        complete=len(wanted) == len(manifest.files),
    )


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


def _asked(file: FileEntry, formats: Sequence[str] | None) -> bool:
    return formats is None or file.role not in FORMAT_ROLES or FORMAT_ROLES[file.role] in formats


def _narrow(
    remote: Remote, release: SignedRelease, wanted: list[FileEntry], where: str, to: Path
) -> list[FileEntry]:
    """Only shards with a case that meets the condition; the index comes first, to ask it."""
    import pyarrow.dataset as ds

    from synthdata.release.client.where import case_filter

    index = next((file for file in wanted if file.path == INDEX), None)
    if index is None:
        raise IntegrityError("the release has no index: it cannot be pulled in part; leave the condition out")
    with ThreadPoolExecutor(1) as requests:
        key = keys.release(release.dataset, release.version, INDEX)
        download(remote, key, index, to, requests, lambda _: None)
    table = ds.dataset(inside(to, INDEX), format="parquet")
    columns = [
        column for column in ("cases_file", "dicom_file", "nifti_file") if column in table.schema.names
    ]
    rows = table.to_table(columns=columns, filter=case_filter(where, table.schema))
    if not rows.num_rows:
        raise ConfigError(f"no case meets {where!r}: widen the condition")
    kept = {path for column in columns for path in rows[column].unique().to_pylist()}
    return [file for file in wanted if file.role not in FORMAT_ROLES or file.path in kept]


def _write_origin(to: Path, origin: Origin, wanted: list[FileEntry], manifest: ReleaseManifest) -> None:
    """Remember which files were asked for, so that a check knows that the others are not missing."""
    paths = tuple(file.path for file in wanted) if len(wanted) != len(manifest.files) else ()
    claim(
        to,
        Origin(
            url=origin.url,
            dataset=origin.dataset,
            version=origin.version,
            formats=origin.formats,
            where=origin.where,
            files=paths,
        ),
    )


def _download_all(
    remote: Remote, release: SignedRelease, files: list[FileEntry], to: Path, progress: Progress
) -> int:
    total, done, lock, stop = sum(file.size_bytes for file in files), 0, threading.Lock(), threading.Event()
    _check_space(to, files, total)

    def advance(count: int) -> None:
        nonlocal done
        if stop.is_set():
            raise StoreError("the pull was stopped: pull again, it goes on where it was")
        with lock:
            done += count
            progress(done, total, "bytes")

    def one(file: FileEntry) -> bool:
        key = keys.release(release.dataset, release.version, file.path)
        return download(remote, key, file, to, requests, advance)

    with (
        ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="request") as requests,
        ThreadPoolExecutor(FILES, thread_name_prefix="pull") as writers,
    ):
        futures = [writers.submit(one, file) for file in files]
        try:
            return sum(future.result() for future in futures)
        except BaseException:
            stop.set()
            writers.shutdown(wait=True, cancel_futures=True)
            raise


def _check_space(to: Path, files: list[FileEntry], total: int) -> None:
    present = sum(path.stat().st_size for file in files if (path := inside(to, file.path)).is_file())
    free = shutil.disk_usage(to).free
    if total - present + SPARE_BYTES > free:
        raise StoreError(
            f"the disk has {free / 1e6:.0f} MB left, the release needs {(total - present) / 1e6:.0f} MB "
            f"more: free some "
            "space, or pull a part with --formats or --where"
        )

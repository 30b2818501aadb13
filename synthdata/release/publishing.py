"""Publish a built release: data, manifest, signature, front page, in this order, so that nobody sees half of one."""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from synthdata.errors import GateError, IntegrityError, RecordError, StoreError, TrustError
from synthdata.progress import Progress, silent
from synthdata.records.codec import from_json, to_json
from synthdata.records.release import FileEntry, ReleaseManifest
from synthdata.release import layout
from synthdata.release.claims import claimed
from synthdata.release.gate import check_folder
from synthdata.release.portal import write_portal
from synthdata.release.trust.contents import Contents, SignedRelease
from synthdata.release.trust.keys import ONLINE_ROLES, ReleaseSigner
from synthdata.release.trust.repository import settle, transact
from synthdata.storage import keys
from synthdata.storage.commit import sha256_of, stored_sha256
from synthdata.storage.conditional import dependable
from synthdata.storage.disk import on_disk
from synthdata.storage.protocol import ObjectStore

if TYPE_CHECKING:
    from synthdata.privacy.waivers import Signatory

THREADS = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """What publishing did."""

    dataset: str
    version: str
    url: str  # of the store
    manifest_sha256: str
    uploaded: int  # files written now
    kept: int  # files that an earlier try had written


def publish(
    folder: Path,
    manifest: ReleaseManifest,
    releases: ObjectStore,
    *,
    signer: ReleaseSigner,
    title: str = "",
    signatories: Mapping[str, "Signatory"] = MappingProxyType({}),
    progress: Progress = silent,
) -> Published:
    """Put a built release into a release store and sign it; a killed run is completed by the next one.

    Args:
        folder: What `build_release` has written.
        manifest: Its manifest.
        releases: Release store.
        signer: With the keys of targets, snapshot and timestamp.
        title: For listings; the dataset's name where it is not given.
        signatories: Who may waive a blocked gate, by public key; nobody where it is not given.
        progress: Called per file.

    Raises:
        GateError: The folder's evidence does not carry the release, or its keys are not those that it states.
        TrustError: The version is published with other content, or by somebody else just now; it was recalled; or the
            store is signed by other keys.
        IntegrityError: A file is not the one that the manifest names, or the store gives back other bytes.
        StoreError: The store cannot be written.
    """
    data = _checked_manifest(folder, manifest, signer)
    check_folder(folder, manifest, signatories)
    release = SignedRelease(
        dataset=manifest.dataset,
        version=manifest.version,
        title=title or manifest.dataset,
        created=manifest.created,
        licence=manifest.licence,
        cases=manifest.cases,
        size_bytes=sum(file.size_bytes for file in manifest.files),
        outcome=manifest.outcome,
        development_keys=manifest.development_keys,
        manifest_sha256=sha256_of(data),
        manifest_bytes=len(data),
    )
    for role in ONLINE_ROLES:
        signer.of(role)  # before anything is written
    with dependable(releases) as store:
        return _Publishing(store=store, signer=signer, release=release, manifest=manifest).run(
            folder, data, progress
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Publishing:
    """One release on its way into a store that can be relied on."""

    store: ObjectStore
    signer: ReleaseSigner
    release: SignedRelease
    manifest: ReleaseManifest

    def run(self, folder: Path, data: bytes, progress: Progress) -> Published:
        """Data, manifest, signature, front page."""
        release = self.release
        names = (release.dataset, release.version)
        self.refuse_other_content(settle(self.store, self.signer).contents)
        with claimed(self.store, *names, release.manifest_sha256) as holding:
            uploaded = self.upload(folder, data, holding.check, progress)
            contents = transact(self.store, self.signer, lambda now: self.adding(now, holding.check))
            holding.drop()
        try:
            write_portal(self.store, contents)
        except StoreError as error:
            raise StoreError(
                f"{release.dataset} {release.version} is signed and can be pulled, its front page is not written: "
                f"{error}"
            ) from error
        return Published(
            dataset=release.dataset,
            version=release.version,
            url=self.store.url,
            manifest_sha256=release.manifest_sha256,
            uploaded=uploaded,
            kept=len(self.manifest.files) - uploaded,
        )

    def upload(self, folder: Path, data: bytes, check: Callable[[], None], progress: Progress) -> int:
        """Write the files, then the manifest. Returns how many files were written now."""

        def conflict() -> None:
            check()
            self.refuse_other_content(settle(self.store, self.signer).contents)

        uploaded = upload_all(folder, self.manifest, self.store, conflict, progress)
        _put(self.store, self.release.path, data, self.release.manifest_sha256, conflict)
        return uploaded

    def adding(self, contents: Contents, check: Callable[[], None]) -> Contents:
        """The contents with this release, unless another build of it came first."""
        check()
        return self.refuse_other_content(contents).adding(self.release)

    def refuse_other_content(self, contents: Contents) -> Contents:
        """Raise TrustError when the version is signed with other content, or was recalled."""
        contents.adding(self.release)
        reason = contents.recalls.reason(self.release.dataset, self.release.version)
        if reason:
            raise TrustError(
                f"{self.release.dataset} {self.release.version} was recalled: {reason}. Raise the version"
            )
        return contents


def _checked_manifest(folder: Path, manifest: ReleaseManifest, signer: ReleaseSigner) -> bytes:
    data = to_json(manifest)
    with on_disk(f"the manifest in folder {folder.name}", "read"):
        try:
            same = from_json(ReleaseManifest, (folder / layout.MANIFEST).read_bytes()) == manifest
        except (FileNotFoundError, RecordError):
            same = False
    if not same:
        raise GateError(f"folder {folder.name} does not hold this manifest: build the release again")
    if manifest.development_keys != signer.development:
        states = "development" if manifest.development_keys else "production"
        raise GateError(
            f"the release states {states} keys, the signer has others: build it for the keys that sign it"
        )
    listed = {file.path for file in manifest.files}
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - {
        layout.MANIFEST
    }
    if listed != found:
        names = ", ".join(sorted(listed ^ found)[:3])
        raise GateError(f"files and manifest differ ({names}): build the release again")
    return data


def upload_all(
    folder: Path,
    manifest: ReleaseManifest,
    releases: ObjectStore,
    conflict: Callable[[], None],
    progress: Progress,
) -> int:
    """Write the files of a release that are not there yet, several at once, and read each back.

    Args:
        folder: What `build_release` has written.
        manifest: Its manifest.
        releases: Release store.
        conflict: Raises where somebody else's build must not be overwritten.
        progress: Called per file.

    Returns:
        How many files were written now.

    Raises:
        IntegrityError: A file is not the one that the manifest names, or the store gives back other bytes.
        StoreError: The store cannot be written.
    """
    done, written, lock = 0, 0, threading.Lock()

    def upload(file: FileEntry) -> None:
        nonlocal done, written
        path = folder / file.path
        with on_disk(f"file {file.path} of the built release", "read"):
            got = sha256_of(path)
        if got != file.sha256:
            raise IntegrityError.of(f"file {file.path}", got, file.sha256)
        key = keys.release(manifest.dataset, manifest.version, file.path)
        wrote = _put(releases, key, path, file.sha256, conflict)
        with lock:
            done, written = done + 1, written + wrote
            progress(done, len(manifest.files), "files published")

    with ThreadPoolExecutor(THREADS, thread_name_prefix="publish") as pool:
        futures = [pool.submit(upload, file) for file in manifest.files]
        try:
            for future in futures:
                future.result()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return written


def _put(
    releases: ObjectStore, key: str, data: bytes | Path, digest: str, conflict: Callable[[], None]
) -> bool:
    """Write one object once and read it back; True when it was written now.

    An object with other bytes was left by a build that was never signed, so no reader has seen it: it is replaced,
    after a last look that nobody has signed it meanwhile.
    """
    created = releases.create(key, data)
    got = stored_sha256(releases, key)
    if got == digest:
        return created
    conflict()
    releases.write(key, data)
    got = stored_sha256(releases, key)
    if got != digest:
        raise IntegrityError.of(f"object {key} as read back", got, digest)
    return True

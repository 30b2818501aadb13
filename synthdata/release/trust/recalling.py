"""Withdraw a version: signed into the recall list first; its files may then be deleted, and a tombstone stays."""

from datetime import UTC, date, datetime

from synthdata.errors import MissingObjectError, RecordError, TrustError
from synthdata.records.codec import from_json
from synthdata.records.release import ReleaseManifest
from synthdata.release.trust.contents import Contents
from synthdata.release.trust.keys import ReleaseSigner
from synthdata.release.trust.recalls import Recall, RecallList
from synthdata.release.trust.repository import require_signed, transact
from synthdata.storage import keys
from synthdata.storage.conditional import dependable
from synthdata.storage.protocol import ObjectStore


def recall(
    releases: ObjectStore,
    signer: ReleaseSigner,
    name: str,
    version: str,
    reason: str,
    *,
    on: date | None = None,
    delete_files: bool = False,
) -> RecallList:
    """Withdraw one version; every later pull and check says so.

    Args:
        releases: Release store.
        signer: With the keys of targets, snapshot and timestamp.
        name: Dataset.
        version: Version of it.
        reason: A sentence for those who hold a copy.
        on: Date of the recall; today where it is not given.
        delete_files: Delete the files of the version; its signed manifest, which names them by digest, stays.

    Raises:
        TrustError: There is no such version, the reason is empty, or the store is signed by other keys.
        StoreError: The store cannot be written.
    """
    if not reason.strip():
        raise TrustError("a recall has no reason: write a sentence for those who hold a copy")
    entry = Recall(
        dataset=name,
        version=version,
        reason=" ".join(reason.split()),
        date=(on or datetime.now(UTC).date()).isoformat(),
    )

    def change(contents: Contents) -> Contents:
        if (name, version) not in contents.releases:
            raise TrustError(f"the store has no release {name} {version}: see `synthdata releases`")
        return Contents(releases=contents.releases, recalls=contents.recalls.adding(entry))

    from synthdata.release.portal import write_portal

    require_signed(releases)
    with dependable(releases) as store:
        contents = transact(store, signer, change)
        write_portal(store, contents)
        if delete_files:
            _delete_files(store, name, version)
    return contents.recalls


def _delete_files(releases: ObjectStore, name: str, version: str) -> None:
    """Delete all objects of a version but its manifest; run again, it goes on."""
    key = keys.manifest(name, version)
    try:
        listed = [file.path for file in from_json(ReleaseManifest, releases.read(key)).files]
    except (MissingObjectError, RecordError):
        listed = []  # a manifest that cannot be read still leaves what the store lists
    prefix = keys.release(name, version, "")
    for path in listed:
        releases.delete(f"{prefix}{path}")
    for other in list(releases.keys(prefix)):
        if other != key:
            releases.delete(other)

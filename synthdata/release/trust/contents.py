"""What the targets role signs: the manifest of each release, and the recall list."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tuf.api.metadata import TargetFile, Targets

from synthdata.errors import RecordError, TrustError
from synthdata.records.codec import Record, to_json
from synthdata.release.trust.recalls import RecallList
from synthdata.storage import keys
from synthdata.storage.commit import sha256_of

CUSTOM = "custom"  # the field that TUF leaves to its users


@dataclass(frozen=True, kw_only=True, slots=True)
class SignedRelease(Record):
    """One published version, as the signed metadata describe it; enough to list it without its manifest."""

    dataset: str
    version: str
    title: str
    created: str  # date, ISO 8601
    licence: str  # SPDX
    cases: int
    size_bytes: int  # all files
    outcome: str  # PASS or WAIVED
    development_keys: bool
    manifest_sha256: str
    manifest_bytes: int

    @property
    def path(self) -> str:
        """Key of the manifest, which is the TUF target."""
        return keys.manifest(self.dataset, self.version)


@dataclass(frozen=True, kw_only=True, slots=True)
class Contents:
    """All that one state of a release store vouches for."""

    releases: Mapping[tuple[str, str], SignedRelease] = field(default_factory=dict)  # by dataset and version
    recalls: RecallList = field(default_factory=RecallList)

    def adding(self, release: SignedRelease) -> "Contents":
        """These contents and one more version.

        Raises:
            TrustError: The version is published with another manifest.
        """
        name = (release.dataset, release.version)
        published = self.releases.get(name)
        if published is not None and published.manifest_sha256 != release.manifest_sha256:
            raise TrustError(
                f"{release.dataset} {release.version} is published with manifest {published.manifest_sha256[:12]}…, "
                f"this one is {release.manifest_sha256[:12]}…: a published version never changes, raise the version"
            )
        return (
            self
            if published is not None
            else dataclasses.replace(self, releases={**self.releases, name: release})
        )

    def targets(self) -> dict[str, TargetFile]:
        """TUF target files by path."""
        files = {release.path: _manifest_target(release) for release in self.releases.values()}
        recalls = to_json(self.recalls)
        files[keys.RECALLS] = TargetFile(len(recalls), {"sha256": sha256_of(recalls)}, keys.RECALLS)
        return files


def _manifest_target(release: SignedRelease) -> TargetFile:
    fields = {
        name: value for name, value in dataclasses.asdict(release).items() if not name.startswith("manifest_")
    }
    hashes = {"sha256": release.manifest_sha256}
    return TargetFile(release.manifest_bytes, hashes, release.path, unrecognized_fields={CUSTOM: fields})


def signed_releases(targets: Targets) -> dict[tuple[str, str], SignedRelease]:
    """Releases which verified targets metadata name.

    Raises:
        RecordError: The metadata describe a release with unknown or missing fields, or under another's path.
    """
    found = (_signed_release(file) for path, file in sorted(targets.targets.items()) if path != keys.RECALLS)
    return {(release.dataset, release.version): release for release in found}


def recalls_target(targets: Targets) -> tuple[str, str, int]:
    """Key, SHA-256 and size in bytes of the recall list that verified targets metadata name."""
    file = targets.targets.get(keys.RECALLS)
    if file is None or "sha256" not in file.hashes:
        raise RecordError("the signed metadata name no recall list: the store was made by another tool")
    return keys.signed_target(file.hashes["sha256"], keys.RECALLS), file.hashes["sha256"], file.length


def _signed_release(file: TargetFile) -> SignedRelease:
    fields: dict[str, Any] = dict(file.unrecognized_fields.get(CUSTOM) or {})
    try:
        release = SignedRelease(**fields, manifest_sha256=file.hashes["sha256"], manifest_bytes=file.length)
    except (TypeError, KeyError):
        raise RecordError(
            "the signed metadata describe a release with fields of another version: update synthdata"
        ) from None
    if release.path != file.path:
        raise RecordError(
            "the signed metadata describe a release under another path: the store was made by hand"
        )
    return release

"""The signed list of a release's files."""

from collections.abc import Mapping
from dataclasses import dataclass

from synthdata.errors import RecordError
from synthdata.records.codec import Record


@dataclass(frozen=True, kw_only=True, slots=True)
class FileEntry(Record):
    """One file of a release."""

    path: str  # relative to the release's folder
    sha256: str
    size_bytes: int
    media_type: str
    role: str  # cases, dicom, nifti, records, document, report, gallery


@dataclass(frozen=True, kw_only=True, slots=True)
class ReleaseManifest(Record):
    """Everything that belongs to one version of one dataset."""

    dataset: str
    version: str  # semantic
    created: str  # date, ISO 8601, from the plan and not from the clock where it would change the digest
    licence: str  # SPDX
    cases: int
    channels: tuple[str, ...]
    labels: Mapping[str, int]
    files: tuple[FileEntry, ...]
    verdict: str  # digest
    outcome: str  # PASS, or WAIVED with the waivers recorded in the release
    provenance: Mapping[str, str]  # digests: synthetic, checkpoint, training_set, plan; code_version
    development_keys: bool  # signed with keys that `make demo` made

    def __post_init__(self) -> None:
        if self.cases < 0:
            raise RecordError(f"the manifest counts {self.cases} cases, expected none or more")

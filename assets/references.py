"""Small records which travel between assets alone; the stages' own records are in `synthdata.records`."""

from collections.abc import Mapping
from dataclasses import dataclass

from synthdata.records import Record


@dataclass(frozen=True, kw_only=True, slots=True)
class ScanInventory(Record):
    """What lies in the source's folder, without the name of any file."""

    dataset: str
    files: int
    size_bytes: int
    digest: str  # of sorted names and stamps: cheap, so that a sensor can ask every minute
    origin: str  # phantom, folder, dicomweb or s3
    incomplete: int = 0  # studies or objects which could not be fetched whole, and are left for the next time


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportFiles(Record):
    """The files of one validation report in the private store."""

    dataset: str
    verdict: str  # digest
    files: Mapping[str, str]  # name to key


@dataclass(frozen=True, kw_only=True, slots=True)
class Publication(Record):
    """A release that is in the release store."""

    dataset: str
    version: str
    manifest: str  # digest
    files: int
    size_bytes: int
    prefix: str  # of the release's keys in the release store

"""Names, roles and media types of the files of a release."""

from collections.abc import Iterator
from pathlib import Path

from synthdata.records.release import FileEntry
from synthdata.storage.commit import sha256_of

MANIFEST = "manifest.json"
INDEX = "index.parquet"
RECORDS = "records.parquet"
REGISTRY = "registry.parquet"
CROISSANT = "croissant.json"
DATASHEET = "datasheet.md"
DATASHEET_HTML = "datasheet.html"
LICENCE = "LICENSE.txt"
CITATION = "CITATION.cff"
CHANGES = "CHANGES.md"
CHANGES_TABLE = "changes.parquet"
BIDS_DESCRIPTION = "nifti/dataset_description.json"
BIDS_PARTICIPANTS = "nifti/participants.tsv"
GALLERY = "gallery/index.html"
FIRST_SHEET = "gallery/sheet-0.png"
UNDATED = "1970-01-01"  # date of what was built without one
FORMATS = ("parquet", "dicom", "nifti", "fhir")
FORMAT_ROLES = {  # files which a reader may leave out
    "cases": "parquet",
    "dicom": "dicom",
    "nifti": "nifti",
    "fhir": "fhir",
}
SHARDS = {  # kind of shard: folder and suffix
    "data": ("data", "parquet"),
    "dicom": ("dicom", "tar"),
    "nifti": ("nifti", "tar"),
    "fhir": ("records", "ndjson"),
}
MEDIA_TYPES = {
    ".cff": "application/yaml",
    ".html": "text/html",
    ".json": "application/json",
    ".md": "text/markdown",
    ".ndjson": "application/fhir+ndjson",
    ".parquet": "application/vnd.apache.parquet",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".tar": "application/x-tar",
    ".tsv": "text/tab-separated-values",
    ".txt": "text/plain",
}
FOLDER_ROLES = {
    "data": "cases",
    "dicom": "dicom",
    "nifti": "nifti",
    "records": "fhir",
    "gallery": "gallery",
    "reports": "report",
    "evidence": "evidence",
}


def shard_path(kind: str, number: int) -> str:
    """File of one shard: kind is a key of `SHARDS`."""
    folder, suffix = SHARDS[kind]
    return f"{folder}/cases-{number:05d}.{suffix}"


def selected_path(kind: str, number: int) -> str:
    """File which a partial pull makes of ranges of the shards; it is no part of a whole release."""
    folder, suffix = SHARDS[kind]
    return f"{folder}/selected-{number:05d}.{suffix}"


def evidence_path(name: str) -> str:
    """File with one of the records that the gate of the release was decided on."""
    return f"evidence/{name}.json"


def report_path(kind: str) -> str:
    """File of the public validation report: kind is `html` or `json`."""
    return f"reports/report.{kind}"


def role_of(path: str) -> str:
    """Role of a file by its place."""
    folder, slash, _ = path.partition("/")
    if slash:
        return FOLDER_ROLES.get(folder, "document")
    if path == CHANGES_TABLE:
        return "document"
    return "records" if path.endswith(".parquet") else "document"


def entries(folder: Path) -> Iterator[FileEntry]:
    """All files below a folder but the manifest, sorted by path."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    for name in names:
        path = folder / name
        if name != MANIFEST:
            yield FileEntry(
                path=name,
                sha256=sha256_of(path),
                size_bytes=path.stat().st_size,
                media_type=MEDIA_TYPES.get(path.suffix, "application/octet-stream"),
                role=role_of(name),
            )

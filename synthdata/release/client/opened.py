"""A pulled release as a library sees it: a table of records, an Arrow dataset, cases one by one."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from synthdata.errors import TrustError
from synthdata.records.case import Case
from synthdata.records.case_set import CaseSet
from synthdata.records.codec import from_json
from synthdata.records.release import ReleaseManifest
from synthdata.release.client.local import read_manifest
from synthdata.release.client.paths import inside
from synthdata.release.layout import INDEX, evidence_path

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset as ds


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenedRelease:
    """A release in a folder; nothing is read before it is asked for."""

    folder: Path
    manifest: ReleaseManifest

    @property
    def case_set(self) -> CaseSet:
        """Channels, units, labels and record columns."""
        return from_json(CaseSet, inside(self.folder, evidence_path("synthetic")).read_bytes())

    def index(self) -> "pa.Table":
        """One row per case: record, label volumes, files and digests."""
        import pyarrow.parquet as pq

        return pq.read_table(inside(self.folder, INDEX))

    def dataset(self) -> "ds.Dataset":
        """The shards as one Arrow dataset."""
        import pyarrow.dataset as ds

        return ds.dataset([str(path) for path in self._shards()], format="parquet")

    def cases(self) -> Iterator[Case]:
        """Stream the cases; memory holds one row group."""
        import pyarrow.parquet as pq

        from synthdata.records.parquet import read_file

        columns = self.case_set.columns
        for path in self._shards():
            with pq.ParquetFile(path) as file:
                yield from read_file(file, columns)

    def _shards(self) -> list[Path]:
        listed = (inside(self.folder, file.path) for file in self.manifest.files if file.role == "cases")
        paths = [path for path in listed if path.is_file()] or sorted(
            self.folder.glob("data/selected-*.parquet")
        )
        if not paths:
            raise TrustError(
                f"folder {self.folder.name} has no Parquet shards: pull them with --formats parquet"
            )
        return paths


def open_release(folder: Path | str) -> OpenedRelease:
    """Open a release which `synthdata pull` has brought; `check` is what verifies it.

    Raises:
        TrustError: The folder holds no finished release.
        RecordError: The manifest was written by another version.
    """
    place = Path(folder)
    return OpenedRelease(folder=place, manifest=from_json(ReleaseManifest, read_manifest(place)))

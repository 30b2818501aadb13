"""A pulled release as a library sees it: a table of records, an Arrow or torch dataset, cases, DICOM one by one."""

import io
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from synthdata.errors import MissingExtraError, TrustError
from synthdata.records.case import Case
from synthdata.records.case_set import CaseSet
from synthdata.records.codec import from_json
from synthdata.records.readable import readable
from synthdata.records.release import ReleaseManifest
from synthdata.release.client.local import read_manifest
from synthdata.release.client.paths import inside
from synthdata.release.layout import INDEX, evidence_path
from synthdata.storage.disk import on_disk

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset as ds
    from pydicom.dataset import FileDataset
    from torch.utils.data import Dataset


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenedRelease:
    """A release in a folder; nothing is read before it is asked for."""

    folder: Path
    manifest: ReleaseManifest

    @property
    def case_set(self) -> CaseSet:
        """Channels, units, labels and record columns."""
        path = evidence_path("synthetic")
        with on_disk(path, "read"):
            return from_json(CaseSet, inside(self.folder, path).read_bytes())

    def index(self) -> "pa.Table":
        """One row per case of the release, also of those which a partial pull left out.

        Raises:
            RecordError: It is no Parquet file.
            StoreError: It is not there.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        with readable(INDEX, "a Parquet file", pa.ArrowException):
            return pq.read_table(inside(self.folder, INDEX))

    def dataset(self) -> "ds.Dataset":
        """The shards as one Arrow dataset; what it reads later is told by pyarrow in its own words.

        Raises:
            RecordError: The first of them is no Parquet file.
            TrustError: No Parquet shards were pulled.
        """
        import pyarrow as pa
        import pyarrow.dataset as ds

        paths = self.shards()
        with readable(paths[0].name, "a Parquet file", pa.ArrowException):
            return ds.dataset([str(path) for path in paths], format="parquet")

    def cases(self, *, verify: bool = False) -> Iterator[Case]:
        """Stream the cases; memory holds one of them, and two shards where they are verified.

        Args:
            verify: Compare each shard with the manifest before its first case. `check` looks at the signatures too, and
                at the `selected-*` files of a partial pull, which no manifest names.

        Raises:
            IntegrityError: A shard is not the one that the manifest names.
            RecordError: A shard is no Parquet file of cases.
            StoreError: The disk fails.
            TrustError: No Parquet shards were pulled.
        """
        from synthdata.records.parquet import read_paths

        digests = (
            {inside(self.folder, file.path): file.sha256 for file in self.manifest.files} if verify else {}
        )
        files = [(path, digests.get(path, "")) for path in self.shards()]
        yield from read_paths(files, self.case_set.columns)

    def torch(self) -> "Dataset[Mapping[str, object]]":
        """A map-style dataset for `torch.utils.data.DataLoader`, safe to use from several workers.

        Each item has `image` (c, z, y, x) float32, `mask` (z, y, x) uint8, `case_id`, and `record`, a mapping.

        Raises:
            MissingExtraError: torch is not installed.
            TrustError: No Parquet shards were pulled.
        """
        try:
            from synthdata.release.client.torch_cases import TorchCases
        except ImportError:
            raise MissingExtraError.of("a torch dataset", "train") from None
        return TorchCases(self.shards(), self.case_set.columns)

    def dicom(self) -> Iterator[tuple[str, "FileDataset"]]:
        """Name and header of each DICOM file out of the tar files; pixels are read when they are asked for.

        Raises:
            RecordError: A file is no tar file of DICOM.
            StoreError: The disk fails.
            TrustError: No DICOM was pulled.
        """
        import pydicom
        from pydicom.errors import InvalidDicomError

        for path in self._files("dicom", "dicom", "tar"):
            with (
                readable(path.name, "a tar file of DICOM", tarfile.TarError, InvalidDicomError),
                tarfile.open(path) as archive,
            ):
                for member in archive:
                    reader = archive.extractfile(member)
                    if reader is not None:
                        data = io.BytesIO(reader.read())
                        yield member.name, pydicom.dcmread(data, defer_size=1 << 10, force=False)

    def shards(self) -> list[Path]:
        """The Parquet files of the folder: shards, or the selected cases of a partial pull."""
        return self._files("cases", "data", "parquet")

    def _files(self, role: str, folder: str, suffix: str) -> list[Path]:
        listed = (inside(self.folder, file.path) for file in self.manifest.files if file.role == role)
        paths = [path for path in listed if path.is_file() and path.suffix == f".{suffix}"]
        paths = paths or sorted(self.folder.glob(f"{folder}/selected-*.{suffix}"))
        if not paths:
            words = "Parquet shards" if role == "cases" else "DICOM files"
            wanted = "parquet" if role == "cases" else role
            raise TrustError(f"folder {self.folder.name} has no {words}: pull them with --formats {wanted}")
        return paths


def open_release(folder: Path | str) -> OpenedRelease:
    """Open a release which `synthdata pull` has brought; `check` is what verifies it.

    Raises:
        TrustError: The folder holds no finished release.
        RecordError: The manifest was written by another version.
    """
    place = Path(folder)
    return OpenedRelease(folder=place, manifest=from_json(ReleaseManifest, read_manifest(place)))

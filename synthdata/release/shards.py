"""The released shards: one pass over the cases writes all formats and the index, and holds one shard in memory."""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from synthdata.errors import GateError
from synthdata.records.case import Case
from synthdata.records.case_set import CaseSet
from synthdata.records.parquet import ARROW_TYPES, write_shard
from synthdata.records.training import ChannelScale
from synthdata.release.dicom_out import DicomProfile, dicom_members
from synthdata.release.layout import INDEX, RECORDS, shard_path
from synthdata.release.nifti_out import nifti_members
from synthdata.release.tar import write_tar
from synthdata.storage.commit import sha256_of

SHARD_BYTES = 64 << 20  # of raw voxels in one shard
SHARD_CASES = 512  # at most, so that a shard of small images stays quick to take apart
CASE_ID = re.compile(r"SYN-[A-Za-z0-9._-]{1,60}")


class ShardWriter:
    """Writes shards, the index and the records table into a folder; use it as a context."""

    def __init__(
        self, folder: Path, case_set: CaseSet, profile: DicomProfile, *, formats: Sequence[str]
    ) -> None:
        self.folder, self.case_set, self.profile, self.formats = folder, case_set, profile, formats
        self.shards = self.cases = 0
        self._seen: set[str] = set()
        self._index = pq.ParquetWriter(folder / INDEX, index_schema(case_set, formats), compression="zstd")
        self._records = pq.ParquetWriter(folder / RECORDS, records_schema(case_set), compression="zstd")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._index.close()
        self._records.close()

    def write(self, cases: Sequence[Case]) -> None:
        """Write one shard in all formats.

        Raises:
            GateError: A case does not carry a synthetic id, or two have one id.
        """
        for case in cases:
            self._check(case)
        names = {kind: shard_path(kind, self.shards) for kind in ("data", "dicom", "nifti")}
        write_shard(self._made(names["data"]), cases, self.case_set)
        if "dicom" in self.formats:
            write_tar(self._made(names["dicom"]), self._dicom(cases))
        if "nifti" in self.formats:
            write_tar(self._made(names["nifti"]), self._nifti(cases))
        rows = [self._row(case, number, names) for number, case in enumerate(cases)]
        self._index.write_table(pa.Table.from_pylist(rows, schema=self._index.schema))
        self._records.write_table(pa.Table.from_pylist(rows, schema=self._records.schema))
        self.shards += 1
        self.cases += len(cases)

    def _made(self, name: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        return path

    def _check(self, case: Case) -> None:
        if not CASE_ID.fullmatch(case.case_id) or not CASE_ID.fullmatch(case.patient_id):
            raise GateError(
                f"a case or patient id does not start with SYN- or is no file name (shard {self.shards}): "
                "only generated cases are released"
            )
        if case.case_id in self._seen:
            raise GateError(f"two cases have the id {case.case_id}: generate the set again")
        self._seen.add(case.case_id)

    def _dicom(self, cases: Sequence[Case]) -> Iterator[tuple[str, bytes]]:
        for case in cases:
            yield from dicom_members(case, self.profile)

    def _nifti(self, cases: Sequence[Case]) -> Iterator[tuple[str, bytes]]:
        for case in cases:
            yield from nifti_members(case, self.profile.scales, self.case_set.labels)

    def _row(self, case: Case, number: int, names: dict[str, str]) -> dict[str, Any]:
        counts = np.bincount(case.mask.ravel(), minlength=256)
        little = case.image.dtype.newbyteorder("<")
        return {
            "case_id": case.case_id,
            "patient_id": case.patient_id,
            **{
                volume_column(label): float(counts[value] * case.grid.voxel_mm3)
                for label, value in self.case_set.labels.items()
            },
            **{column.name: case.record.get(column.name) for column in self.case_set.columns},
            "image_sha256": sha256_of(np.ascontiguousarray(case.image, little).tobytes()),
            "mask_sha256": sha256_of(np.ascontiguousarray(case.mask).tobytes()),
            "cases_file": names["data"],
            "cases_row": number,
            "dicom_file": names["dicom"],
            "nifti_file": names["nifti"],
        }


def volume_column(label: str) -> str:
    """Index column with the volume of one label."""
    return f"{label}_volume_mm3"


def records_schema(case_set: CaseSet) -> pa.Schema:
    """Schema of the table of clinical records: ids and the record columns, with unit and meaning of each."""
    columns = [
        pa.field(
            column.name,
            ARROW_TYPES[column.kind],
            metadata={"unit": column.unit, "description": column.description, "role": column.role},
        )
        for column in case_set.columns
    ]
    ids = [pa.field(name, pa.string(), nullable=False) for name in ("case_id", "patient_id")]
    return pa.schema([*ids, *columns], metadata={"synthdata.origin": "synthetic"})


def index_schema(case_set: CaseSet, formats: Sequence[str]) -> pa.Schema:
    """Schema of the index: the records, the volume of each label, where each case lies, and digests of its arrays."""
    taken = {column.name for column in case_set.columns}
    volumes = [
        pa.field(volume_column(label), pa.float64(), metadata={"unit": "mm3"})
        for label in case_set.labels
        if volume_column(label) not in taken
    ]
    digests = [pa.field(name, pa.string(), nullable=False) for name in ("image_sha256", "mask_sha256")]
    files = [
        pa.field("cases_file", pa.string(), nullable=False),
        pa.field("cases_row", pa.int32(), nullable=False),
    ]
    files += [pa.field(f"{kind}_file", pa.string()) for kind in ("dicom", "nifti") if kind in formats]
    return pa.schema(
        [*records_schema(case_set), *volumes, *digests, *files], metadata={"synthdata.origin": "synthetic"}
    )


def in_shards(cases: Iterable[Case]) -> Iterator[list[Case]]:
    """Cut a stream of cases into shards of bounded memory."""
    stream = iter(cases)
    for first in stream:
        size = max(1, min(SHARD_CASES, SHARD_BYTES // (first.image.nbytes + first.mask.nbytes)))
        yield [first, *islice(stream, size - 1)]


def profile_of(
    case_set: CaseSet,
    scales: tuple[ChannelScale, ...],
    *,
    version: str,
    title: str,
    body_part: str,
    codes: dict[str, str],
) -> DicomProfile:
    """What the DICOM objects of a CaseSet share."""
    return DicomProfile(
        dataset=case_set.dataset,
        version=version,
        title=title,
        body_part=body_part,
        scales=scales,
        labels=dict(case_set.labels),
        codes=codes,
    )

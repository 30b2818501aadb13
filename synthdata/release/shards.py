"""The released shards: one pass over the cases writes all formats and the index, and holds one shard in memory."""

import re
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from synthdata.errors import GateError, IntegrityError
from synthdata.records.case import Case
from synthdata.records.case_set import CaseSet
from synthdata.records.pages import Frame, array_of, frames
from synthdata.records.parquet import write_shard
from synthdata.records.training import ChannelScale
from synthdata.release.dicom_out import DicomProfile, dicom_members
from synthdata.release.fhir_out import fhir_lines
from synthdata.release.index import ARRAYS, index_row, index_schema, records_schema
from synthdata.release.layout import INDEX, RECORDS, SHARDS, shard_path
from synthdata.release.nifti_out import nifti_members
from synthdata.release.spans import Span, write_lines, write_tar
from synthdata.spec import DicomOutput
from synthdata.storage.commit import sha256_of

SHARD_BYTES = 64 << 20  # of raw voxels in one shard
SHARD_CASES = 512  # at most, so that a shard of small images stays quick to take apart
DEFAULT_OUTPUT = DicomOutput()
GROUP_ROWS = 8192  # of the index and the records that wait in memory
CASE_ID = re.compile(r"SYN-[A-Za-z0-9._-]{1,60}")


class ShardWriter:
    """Writes shards, the index and the records table into a folder; use it as a context."""

    def __init__(
        self, folder: Path, case_set: CaseSet, profile: DicomProfile, *, formats: Sequence[str]
    ) -> None:
        self.folder, self.case_set, self.profile, self.formats = folder, case_set, profile, formats
        self.shards = self.cases = 0
        self._seen = array("Q")  # hashes of the ids: 8 bytes per case
        schema = index_schema(case_set, formats)
        plain = [name for name in schema.names if name.endswith(("_sha256", "_offset"))]
        self._files = ExitStack()  # closed by us: pyarrow leaves a file open whose last write failed
        try:
            index, records = (
                self._files.enter_context((folder / name).open("wb")) for name in (INDEX, RECORDS)
            )
            self._index = _Table(index, schema, plain=plain, compression_level=9)
            self._records = _Table(records, records_schema(case_set))
        except BaseException:
            self._files.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._files:
            try:
                self._index.close(whole=error is None)
            finally:
                self._records.close(whole=error is None)

    def write(self, cases: Sequence[Case]) -> None:
        """Write one shard in all formats.

        Raises:
            GateError: A case does not carry a synthetic id.
            IntegrityError: A written array does not read back from the place that the index names.
        """
        for case in cases:
            self._check(case)
        names = {kind: shard_path(kind, self.shards) for kind in SHARDS}
        places = self._write_files(cases, names)
        rows = [
            index_row(
                case, self.case_set, row=number, names=names,
                places={name: found[number] for name, found in places.items()},
            )
            for number, case in enumerate(cases)
        ]  # fmt: skip
        self._read_back(names["data"], cases, rows)
        self._index.add(rows)
        self._records.add(rows)
        self.shards += 1
        self.cases += len(cases)

    def check_ids(self) -> None:
        """Refuse a release with two cases of one id. Raises GateError."""
        hashes = np.frombuffer(self._seen, np.uint64)
        if len(np.unique(hashes)) != len(hashes):
            raise GateError("two cases have one id: generate the set again")

    def _write_files(
        self, cases: Sequence[Case], names: dict[str, str]
    ) -> dict[str, list[Frame] | list[Span]]:
        path = self._made(names["data"])
        write_shard(path, cases, self.case_set, page_per_array=True)
        places: dict[str, list[Frame] | list[Span]] = dict(frames(path, ARRAYS))
        labels, scales = self.case_set.labels, self.profile.scales
        if "dicom" in self.formats:
            members = (dicom_members(case, self.profile) for case in cases)
            places["dicom"] = write_tar(self._made(names["dicom"]), members)
        if "nifti" in self.formats:
            members = (nifti_members(case, scales, labels) for case in cases)
            places["nifti"] = write_tar(self._made(names["nifti"]), members)
        if "fhir" in self.formats:
            lines = (fhir_lines(case, self.case_set, self.profile) for case in cases)
            places["fhir"] = write_lines(self._made(names["fhir"]), lines)
        return places

    def _read_back(self, name: str, cases: Sequence[Case], rows: Sequence[dict[str, Any]]) -> None:
        """Partial pulls stand on these places, so each is tried once."""
        with (self.folder / name).open("rb") as reader:
            for case, row in zip(cases, rows, strict=True):
                for array_name, size in (("image", case.image.nbytes), ("mask", case.mask.nbytes)):
                    reader.seek(row[f"{array_name}_offset"])
                    got = sha256_of(array_of(reader.read(row[f"{array_name}_bytes"]), size))
                    if got != row[f"{array_name}_sha256"]:
                        want = row[f"{array_name}_sha256"]
                        raise IntegrityError.of(f"{array_name} {row['cases_row']} of {name}", got, want)

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
        self._seen.append(int.from_bytes(blake2b(case.case_id.encode(), digest_size=8).digest(), "big"))


class _Table:
    """A table of all cases, written in row groups of bounded size: many small ones make a long footer."""

    def __init__(
        self,
        file: BinaryIO,
        schema: pa.Schema,
        *,
        plain: Sequence[str] = (),
        compression_level: int | None = None,
    ) -> None:
        self._schema, self._waiting = schema, list[pa.Table]()
        self._writer = pq.ParquetWriter(
            file, schema, compression="zstd", compression_level=compression_level,
            use_dictionary=[name for name in schema.names if name not in plain],
        )  # fmt: skip

    def add(self, rows: Sequence[dict[str, Any]]) -> None:
        self._waiting.append(pa.Table.from_pylist(rows, schema=self._schema))
        if sum(table.num_rows for table in self._waiting) >= GROUP_ROWS:
            self._flush()

    def close(self, *, whole: bool) -> None:
        """Write what waits, unless the table will be thrown away, and end the file."""
        try:
            if whole and self._waiting:
                self._flush()
            self._writer.close()
        finally:
            self._writer.is_open = False  # or it tries again when it is forgotten

    def _flush(self) -> None:
        self._writer.write_table(pa.concat_tables(self._waiting), row_group_size=2 * GROUP_ROWS)
        self._waiting = []


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
    output: DicomOutput = DEFAULT_OUTPUT,
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
        output=output,
    )

"""The index of a release: a row per case with all that is known of it but its pixels, and where those lie.

A reader fetches it first, asks it by SQL, and then fetches the ranges of the cases that he wants: the compressed arrays
out of the Parquet shards, the members of the tar files, the lines of the FHIR records.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from synthdata.records.case import Case
from synthdata.records.case_set import CaseSet
from synthdata.records.pages import Frame
from synthdata.records.parquet import ARROW_TYPES, GRID_FIELDS, grid_fields, provenance_json
from synthdata.release.spans import Span
from synthdata.storage.commit import sha256_of

ARRAYS = ("image", "mask")
SPANNED = ("dicom", "nifti", "fhir")  # formats in which a case is one range of a file


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
    """Schema of the index: the records, the volume of each label, the grid, and per format where each case lies."""
    taken = {column.name for column in case_set.columns}
    volumes = [
        pa.field(volume_column(label), pa.float64(), metadata={"unit": "mm3"})
        for label in case_set.labels
        if volume_column(label) not in taken
    ]
    places = [
        pa.field("cases_file", pa.string(), nullable=False),
        pa.field("cases_row", pa.int32(), nullable=False),
        pa.field("image_dtype", pa.string(), nullable=False),
    ]
    for name in ARRAYS:
        places += [*_place(name), _required(f"{name}_sha256", pa.string())]
    for kind in SPANNED:
        if kind in formats:
            places += [_required(f"{kind}_file", pa.string()), *_place(kind)]
            places.append(_required(f"{kind}_sha256", pa.string()))
    fields = [
        *records_schema(case_set),
        *volumes,
        *grid_fields(),
        _required("provenance", pa.string()),
        *places,
    ]
    return pa.schema(fields, metadata={"synthdata.origin": "synthetic"})


def index_row(
    case: Case, case_set: CaseSet, *, row: int, names: Mapping[str, str], places: Mapping[str, Frame | Span]
) -> dict[str, Any]:
    """One row of the index.

    Args:
        case: The case.
        case_set: Names the labels and the record columns.
        row: Of the case in its Parquet shard.
        names: Kind to file: `data`, `dicom`, `nifti`, `fhir`.
        places: Array or format to where the case lies in its file.
    """
    counts = np.bincount(case.mask.ravel(), minlength=256)
    little = case.image.dtype.newbyteorder("<")
    found: dict[str, Any] = {
        "case_id": case.case_id,
        "patient_id": case.patient_id,
        **{
            volume_column(label): float(counts[value] * case.grid.voxel_mm3)
            for label, value in case_set.labels.items()
        },
        **{column.name: case.record.get(column.name) for column in case_set.columns},
        **{name: getattr(case.grid, name) for name in GRID_FIELDS},
        "provenance": provenance_json(case),
        "cases_file": names["data"],
        "cases_row": row,
        "image_dtype": case.image.dtype.name,
        "image_sha256": sha256_of(np.ascontiguousarray(case.image, little).data.cast("B")),
        "mask_sha256": sha256_of(np.ascontiguousarray(case.mask).data.cast("B")),
    }
    for name, place in places.items():
        found |= {f"{name}_offset": place.offset, f"{name}_bytes": place.size_bytes}
        if isinstance(place, Span):
            found |= {f"{name}_file": names[name], f"{name}_sha256": place.sha256}
    return found


def _place(name: str) -> list[pa.Field]:
    return [_required(f"{name}_offset", pa.int64()), _required(f"{name}_bytes", pa.int64())]


def _required(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)

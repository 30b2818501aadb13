"""A pulled release whose files were broken afterwards: each is a sentence of ours, whatever the library says."""

import random
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import synthdata
from synthdata.errors import IntegrityError, RecordError, StoreError, SynthDataError
from synthdata.release.client import OpenedRelease, pull
from synthdata.storage.folder import FolderStore

SHARD, TAR = "data/cases-00000.parquet", "dicom/cases-00000.tar"
SENTENCE = r"file cases-00000\.parquet cannot be read \(\w+\), expected a Parquet file.*pull it again"


@pytest.fixture
def opened(published: FolderStore, tmp_path: Path) -> OpenedRelease:
    """A release in a folder."""
    pull("ellipsoids", None, published.url, tmp_path / "got")
    return synthdata.open_release(tmp_path / "got")


def without(*names: str) -> Callable[[pa.Table], pa.Table]:
    return lambda table: table.drop_columns(list(names))


def retyped(name: str, kind: pa.DataType) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        at = table.schema.get_field_index(name)
        return table.set_column(at, pa.field(name, kind), pa.nulls(table.num_rows, kind))

    return change


@pytest.mark.parametrize(
    "data", [b"", b"PAR1", b"PAR1PAR1", b"\0" * 4000, b"PAR1" + b"\xff" * 900 + b"\x08\0\0\0PAR1"]
)
def test_a_shard_that_is_no_parquet_file_is_a_sentence(opened: OpenedRelease, data: bytes) -> None:
    (opened.folder / SHARD).write_bytes(data)
    for read in (opened.cases, opened.dataset, opened.torch):
        with pytest.raises(RecordError, match=SENTENCE):
            list(read())
    with pytest.raises(IntegrityError, match=r"cases-00000\.parquet"):
        list(opened.cases(verify=True))


@pytest.mark.parametrize(
    "change",
    [
        without("image"), without("mask", "image"), without("provenance"), without("shape_zyx"), without("age"),
        retyped("shape_zyx", pa.string()), retyped("provenance", pa.string()), retyped("image", pa.large_binary()),
        retyped("spacing_mm", pa.list_(pa.float64(), 3)), lambda table: table.replace_schema_metadata({}),
        lambda table: pa.table({name: table[name] for name in table.column_names}),
    ],
)  # fmt: skip
def test_a_shard_with_other_columns_is_a_sentence(
    opened: OpenedRelease, change: Callable[[pa.Table], pa.Table]
) -> None:
    path = opened.folder / SHARD
    changed = change(pq.read_table(path))
    bare = pa.schema([field.remove_metadata() for field in changed.schema])
    pq.write_table(changed.cast(bare), path)
    for read in (opened.cases, opened.torch):
        with pytest.raises(RecordError, match=SENTENCE):
            list(read())


def test_a_shard_with_flipped_or_missing_bytes_raises_no_error_of_another_library(
    opened: OpenedRelease,
) -> None:
    path, rng = opened.folder / SHARD, random.Random(7)
    whole = path.read_bytes()
    raised = 0
    for number in range(250):
        data = bytearray(whole)
        for _ in range(rng.choice((1, 1, 8))):
            tail = rng.random() < 0.5  # where the footer is
            data[rng.randrange(len(data) - 4000 if tail else 0, len(data))] = rng.randrange(256)
        path.write_bytes(data[: rng.randrange(len(data))] if number % 10 == 0 else data)
        try:
            list(opened.cases())
        except SynthDataError:
            raised += 1
    assert raised > 50


def test_files_that_are_gone_or_broken_are_named(opened: OpenedRelease) -> None:
    (opened.folder / "index.parquet").write_bytes(b"nothing")
    with pytest.raises(RecordError, match=r"file index\.parquet cannot be read"):
        opened.index()
    (opened.folder / "index.parquet").unlink()
    with pytest.raises(StoreError, match=r"file index\.parquet is not there, expected a Parquet file"):
        opened.index()
    tar = (opened.folder / TAR).read_bytes()
    for data in (b"no tar", tar[:700], tar[:512] + bytes(len(tar) - 512)):
        (opened.folder / TAR).write_bytes(data)
        with pytest.raises(RecordError, match=r"cases-00000\.tar cannot be read"):
            list(opened.dicom())
    (opened.folder / "evidence/synthetic.json").unlink()
    with pytest.raises(StoreError, match=r"evidence/synthetic\.json cannot be read"):
        next(opened.cases())

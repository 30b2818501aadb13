"""The Parquet files of a release in the tools of others, without our code: same rows, same voxels."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.release.builders import ellipsoid

INSTALL = "needs {}: pip install 'synthdata[interop]'"
CASE = 3  # the first one with a lesion is 1
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the other tools' own libraries


@pytest.fixture
def shards(built) -> Path:
    """Folder of the shards of a built release."""
    return Path(built[0]) / "data"


def voxels(shards: Path, image: bytes) -> np.ndarray:
    """Image (c, z, y, x) of its raw bytes, by what the field's metadata say."""
    about = pq.read_schema(shards / "cases-00000.parquet").field("image").metadata
    return np.frombuffer(image, np.dtype(about[b"dtype"].decode()).newbyteorder("<")).reshape(
        json.loads(about[b"shape"])
    )


def test_duckdb_asks_the_shards_and_the_index_by_sql(shards: Path) -> None:
    duckdb = pytest.importorskip("duckdb", reason=INSTALL.format("duckdb"))
    connection = duckdb.connect()
    ids = connection.sql(
        f"select case_id from '{shards}/*.parquet' where lesion_count > 0 order by all"
    ).fetchall()
    listed = connection.sql(
        f"select case_id from '{shards.parent}/index.parquet' where lesion_volume_mm3 > 0 order by all"
    )
    assert ids
    assert ids == listed.fetchall()
    (found,) = connection.sql(
        f"select image, mask from '{shards}/*.parquet' where case_id = 'SYN-{CASE:06d}'"
    ).fetchall()
    assert np.array_equal(voxels(shards, found[0]), ellipsoid(CASE).image)
    assert found[1] == ellipsoid(CASE).mask.tobytes()


def test_polars_reads_rows_voxels_and_grid(shards: Path) -> None:
    polars = pytest.importorskip("polars", reason=INSTALL.format("polars"))
    row = (
        polars.scan_parquet(shards / "*.parquet")
        .filter(polars.col("case_id") == f"SYN-{CASE:06d}")
        .collect()
        .row(0, named=True)
    )
    assert np.array_equal(voxels(shards, row["image"]), ellipsoid(CASE).image)
    assert tuple(row["spacing_mm"]) == ellipsoid(CASE).grid.spacing_mm


def test_datasets_loads_the_shards_as_parquet(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets", reason=INSTALL.format("datasets"))
    files = sorted(str(path) for path in shards.glob("*.parquet"))
    found = datasets.load_dataset(
        "parquet", data_files=files, split="train", cache_dir=str(tmp_path / "cache")
    )
    assert found.num_rows == 6
    assert np.array_equal(voxels(shards, found[CASE]["image"]), ellipsoid(CASE).image)
    assert found[CASE]["mask"] == ellipsoid(CASE).mask.tobytes()

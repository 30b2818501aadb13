"""Write and read shards of volumes, beside what the machine's zstd and SHA-256 alone take for the same bytes.

usage: python benchmarks/release_parquet.py [--volumes 2000] [--shard 64] [--shape 40 56 40]

Ours writes a shard as a release does, a page per array, into a new file, and hashes that; and reads all of them in the
end as `open_release(...).cases(verify=True)` does, which hashes a file before it gives a case of it, the next one in a
thread of its own: by the clock that is a second core's work, by the processor it counts.
The limit compresses each array, at Parquet's level, and hashes what comes out; and hashes that and unpacks it, in one
thread, shard by shard in turn with the writing. One shard goes before, uncounted: the first table of a process makes
pyarrow import pandas where that is installed, some 0.2 s. Volumes are smooth blobs with noise, 40 x 56 x 40 int16 with
an 8 bit mask, or of another `--shape`.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from synthdata.records import Case, CaseSet, ColumnSpec, Grid
from synthdata.records.parquet import read_paths, write_shard
from synthdata.storage.commit import sha256_of

Result = TypeVar("Result")
CASE_SET = CaseSet(
    dataset="volumes", origin="synthetic", channels=("T1w",), modalities=("MR",), units=("1",), labels={"ball": 1},
    columns=(ColumnSpec(name="age", kind="number", unit="a"),), shards=(),
)  # fmt: skip
CODEC = pa.Codec("zstd")  # at the level that Parquet takes where none is given


def volumes(count: int, shape: tuple[int, int, int]) -> Iterator[Case]:
    """Each with noise of its own."""
    grid = Grid(shape_zyx=shape, spacing_mm=(1.0,) * 3, origin_mm=(0.0,) * 3)
    z, y, x = np.indices(shape) - np.array(shape).reshape(3, 1, 1, 1) / 2
    distance = np.sqrt(z * z + y * y + x * x)
    for number in range(count):
        rng = np.random.default_rng(number)
        mask = (distance < 8 + 6 * rng.random()).astype(np.uint8)
        image = np.rint(300 * np.exp(-distance / 20) + 90 * mask + rng.normal(0, 8, mask.shape)).astype(
            np.int16
        )
        yield Case(
            case_id=f"SYN-{number:06d}", patient_id=f"SYN-{number:06d}", image=image[None], mask=mask, grid=grid,
            record={"age": float(rng.integers(20, 90))}, provenance={"seed": number},
        )  # fmt: skip


class Clock:
    """Seconds by what was done: of the clock, and of the processor, which other work on the machine spoils less."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.processor: dict[str, float] = {}

    def __call__(self, name: str, act: Callable[[], Result]) -> Result:
        start, before = time.perf_counter(), time.process_time()
        result = act()
        self.processor[name] = self.processor.get(name, 0.0) + time.process_time() - before
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start
        return result


def write_ours(path: Path, cases: list[Case]) -> str:
    write_shard(path, cases, CASE_SET, page_per_array=True)
    return sha256_of(path)


def write_limit(arrays: list[np.ndarray]) -> list[bytes]:
    packed = [CODEC.compress(array, asbytes=True) for array in arrays]
    for data in packed:
        sha256_of(data)
    return packed


def read_ours(files: list[tuple[Path, str]]) -> int:
    return sum(int(case.image[0, 0, 0, 0]) for case in read_paths(files, CASE_SET.columns))


def read_limit(packed: list[bytes], arrays: list[np.ndarray]) -> None:
    for data, array in zip(packed, arrays, strict=True):
        sha256_of(data)
        CODEC.decompress(data, array.nbytes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--volumes", type=int, default=2000)
    parser.add_argument("--shard", type=int, default=64)
    parser.add_argument("--shape", type=int, nargs=3, default=(40, 56, 40))
    options = parser.parse_args()
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    stream, clock, total, stored = volumes(options.volumes, tuple(options.shape)), Clock(), 0, 0
    with tempfile.TemporaryDirectory(prefix="parquet-") as name:
        first, files = Path(name) / "first.parquet", list[tuple[Path, str]]()
        read_ours([(first, write_ours(first, list(volumes(2, tuple(options.shape)))))])
        while cases := list(islice(stream, options.shard)):
            arrays = [array for case in cases for array in (case.image, case.mask)]
            total += sum(array.nbytes for array in arrays)
            packed = clock("limit of writing", lambda arrays=arrays: write_limit(arrays))
            path = Path(name) / f"shard-{len(files)}.parquet"
            files.append((path, clock("writing", lambda cases=cases, path=path: write_ours(path, cases))))
            clock("limit of reading", lambda packed=packed, arrays=arrays: read_limit(packed, arrays))
            stored += path.stat().st_size
        clock("reading", lambda: read_ours(files))
    print(f"{options.volumes} volumes, {total / 1e6:.0f} MB of voxels, {stored / 1e6:.0f} MB stored")
    for act in ("writing", "reading"):
        for word, spent in (("clock", clock.seconds), ("processor", clock.processor)):
            ours, limit = (total / 1e6 / spent[name] for name in (act, f"limit of {act}"))
            print(
                f"{act}, by the {word}: {ours:.0f} MB/s, limit {limit:.0f}; ratio {ours / limit:.2f} (asked 0.8)"
            )


if __name__ == "__main__":
    main()

"""Fidelity of many cases: seconds and peak memory, each size in a process of its own.

    PYTHONPATH=. python benchmarks/validation_size.py [--sizes 2000 10000]

As many generated 3D cases as real ones (half train, half test), 6 x 10 x 10 voxels, two labels, a record; every metric
and test of the fidelity report. Memory is bounded by `validation.roles.MOST_CASES`. Making the cases is not counted.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from synthdata.records import Case, Grid, TrainingSet, from_json, to_json
from synthdata.records.case_set import CaseSet
from synthdata.spec import Channel, DatasetSpec, GridSpec, Release, Sampling, Source
from synthdata.storage.folder import FolderStore
from synthdata.validation import measure_fidelity
from tests.validation.conftest import COLUMNS, LABELS, SCALE, ellipsoid_case, make_set

GRID = Grid(shape_zyx=(6, 10, 10), spacing_mm=(2.0, 1.0, 1.0))


def drawn(count: int, seed: int, *, synthetic: bool = False) -> Iterator[Case]:
    return (ellipsoid_case(f"{seed + i}", seed + i, grid=GRID, synthetic=synthetic) for i in range(count))


def make(folder: Path, size: int) -> None:
    """A training set and a synthetic set."""
    store = FolderStore(folder / "store")
    sets = {
        "train": make_set(store, "prepared", drawn(size // 2, 0)),
        "control": make_set(store, "prepared", drawn(20, 1_000_000)),
        "test": make_set(store, "prepared", drawn(size // 2, 2_000_000)),
    }
    training_set = TrainingSet(
        dataset="ellipsoids",
        grid=GRID,
        scales=(SCALE,),
        labels=LABELS,
        columns=COLUMNS,
        patients={name: found.cases for name, found in sets.items()},
        dropped={},
        **sets,
    )
    synthetic = make_set(store, "synthetic", drawn(size, 3_000_000, synthetic=True), synthetic=True)
    (folder / "training_set.json").write_bytes(to_json(training_set))
    (folder / "synthetic.json").write_bytes(to_json(synthetic))


def measure(folder: Path) -> None:
    """Time and memory of one fidelity report."""
    training_set = from_json(TrainingSet, (folder / "training_set.json").read_bytes())
    synthetic = from_json(CaseSet, (folder / "synthetic.json").read_bytes())
    spec = DatasetSpec(
        name="ellipsoids",
        title="Ellipsoids",
        source=Source(kind="folder", format="nifti", uri="."),
        channels=(Channel(name="T1w", modality="MR"),),
        grid=GridSpec(shape_zyx=GRID.shape_zyx, spacing_mm=GRID.spacing_mm),
        sampling=Sampling(cases=synthetic.cases),
        release=Release(licence="CC0-1.0"),
        labels=LABELS,
        clinical=COLUMNS,
    )
    spent, last = defaultdict[str, float](float), ["start", time.process_time()]

    def told(_: int, __: int, message: str) -> None:
        now = time.process_time()
        spent[str(last[0])] += now - float(last[1])
        last[:] = [message, now]

    begin, processor = time.perf_counter(), time.process_time()
    report = measure_fidelity(spec, training_set, synthetic, FolderStore(folder / "store"), progress=told)
    seconds, used = time.perf_counter() - begin, time.process_time() - processor
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{synthetic.cases} generated, {training_set.train.cases + training_set.test.cases} real: ", end="")
    print(f"{used:.0f} s of processor, {seconds:.0f} s, peak {peak:.0f} MiB, {len(report.triples)} triples")
    for message, part in sorted(spent.items(), key=lambda item: -item[1])[:8]:
        print(f"    {part:7.1f} s {message}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="*", default=[2000, 10_000])
    parser.add_argument("--measure", type=Path, help="of a folder that was made; used by the script itself")
    asked = parser.parse_args()
    if asked.measure:
        measure(asked.measure)
        return
    for size in asked.sizes:
        with tempfile.TemporaryDirectory() as folder:
            make(Path(folder), size)
            subprocess.run([sys.executable, __file__, "--measure", folder], check=True)


if __name__ == "__main__":
    main()

"""Validation of many cases: seconds and peak memory, each report of each size in a process of its own.

    PYTHONPATH=. python benchmarks/validation_size.py [--sizes 2000 10000] [--reports fidelity privacy utility]

As many generated 3D cases as real ones, 6 x 10 x 10 voxels, two labels, a record. Real ones are half train and half
test for fidelity and utility, half train and half control for privacy; the third part has 20 patients. Every metric and
test of each report; utility with one seed and 20 steps, since its models do not depend on how many cases there are.
Making the cases is not counted.
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

from synthdata.privacy import measure_privacy
from synthdata.progress import Progress
from synthdata.records import Case, Grid, TrainingSet, from_json, to_json
from synthdata.records.case_set import CaseSet
from synthdata.spec import Channel, DatasetSpec, Gates, GridSpec, Release, Sampling, Source
from synthdata.storage.folder import FolderStore
from synthdata.validation import measure_fidelity, measure_utility
from tests.validation.conftest import COLUMNS, LABELS, SCALE, ellipsoid_case, make_set

GRID = Grid(shape_zyx=(6, 10, 10), spacing_mm=(2.0, 1.0, 1.0))


def drawn(count: int, seed: int, *, synthetic: bool = False) -> Iterator[Case]:
    return (ellipsoid_case(f"{seed + i}", seed + i, grid=GRID, synthetic=synthetic) for i in range(count))


def make(folder: Path, size: int, report: str) -> None:
    """A training set and a synthetic set."""
    store = FolderStore(folder / "store")
    few, many = ("test", "control") if report == "privacy" else ("control", "test")
    sets = {
        "train": make_set(store, "prepared", drawn(size // 2, 0)),
        few: make_set(store, "prepared", drawn(20, 1_000_000)),
        many: make_set(store, "prepared", drawn(size // 2, 2_000_000)),
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


def measured(
    report: str, spec: DatasetSpec, data: tuple[TrainingSet, CaseSet, FolderStore], progress: Progress
) -> str:
    """Make one report; what it says, in short."""
    if report == "fidelity":
        return f"{len(measure_fidelity(spec, *data, progress=progress).triples)} triples"
    if report == "privacy":
        found = measure_privacy(spec, *data, progress=progress)
        return f"{len(found.tests)} tests, {found.outcome}"
    return f"ratio {measure_utility(spec, *data, progress=progress).ratio.value:.2f}"


def measure(folder: Path, report: str) -> None:
    """Time and memory of one report."""
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
        gates=Gates(utility_seeds=1, utility_steps=20),
    )
    spent, last = defaultdict[str, float](float), ["start", time.process_time()]

    def told(done: int, total: int, message: str = "") -> None:
        del done, total
        now = time.process_time()
        spent[str(last[0])] += now - float(last[1])
        last[:] = [message, now]

    begin, processor = time.perf_counter(), time.process_time()
    data = (training_set, synthetic, FolderStore(folder / "store"))
    told_of = measured(report, spec, data, told)
    told(1, 1, "end")
    seconds, used = time.perf_counter() - begin, time.process_time() - processor
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    real = sum(part.cases for part in (training_set.train, training_set.control, training_set.test))
    print(
        f"{report}, {synthetic.cases} generated, {real} real: {used:.0f} s of processor, {seconds:.0f} s, ",
        end="",
    )
    print(f"peak {peak:.0f} MiB; {told_of}", flush=True)
    for message, part in sorted(spent.items(), key=lambda item: -item[1])[:8]:
        print(f"    {part:7.1f} s {message}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="*", default=[2000, 10_000])
    parser.add_argument("--reports", nargs="*", default=["fidelity", "privacy", "utility"])
    parser.add_argument("--measure", type=Path, help="of a folder that was made; used by the script itself")
    asked = parser.parse_args()
    if asked.measure:
        measure(asked.measure, *asked.reports)
        return
    for report in asked.reports:
        for size in asked.sizes:
            with tempfile.TemporaryDirectory() as folder:
                make(Path(folder), size, report)
                command = [sys.executable, __file__, "--measure", folder, "--reports", report]
                subprocess.run(command, check=True)


if __name__ == "__main__":
    main()

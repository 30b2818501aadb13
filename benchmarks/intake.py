"""Speed of the way from nothing to a training set: phantom writing, intake, preparation.

Beside each stage stands what a user would pick instead: one core, reading all files with pydicom and checking nothing,
or another checkout of this repository. Ratios are of one run. The machine should be quiet.

    OMP_NUM_THREADS=1 python benchmarks/intake.py --patients 400 --beside ../older-checkout
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydicom import dcmread

from synthdata.intake import take_in
from synthdata.phantom import write_cohort
from synthdata.preparation import prepare
from synthdata.spec import load_spec
from synthdata.storage.folder import FolderStore

SPEC = Path(__file__).parents[1] / "pipelines" / "datasets" / "phantom-head.yaml"
STAGES = ("phantom", "intake", "preparation")


def timed(seconds: dict[str, float], what: str, work: Callable[[], Any]) -> Any:
    """Result of some work, its time noted."""
    start = time.perf_counter()
    result = work()
    seconds[what] = time.perf_counter() - start
    return result


def stages(patients: int, spec_file: Path) -> dict[str, float]:
    """Seconds of each stage, and of plain reading."""
    spec, seconds = load_spec(spec_file), dict[str, float]()
    with tempfile.TemporaryDirectory() as name:
        folder, store = Path(name) / "scans", FolderStore(Path(name) / "store")
        timed(seconds, "phantom", lambda: write_cohort(folder, patients=patients, seed=1))
        report = timed(seconds, "intake", lambda: take_in(spec, folder, store, pseudonym_key=bytes(32)))
        assert report.cases.cases == patients
        timed(seconds, "preparation", lambda: prepare(spec, report, store, split_key=bytes(range(32))))
        timed(seconds, "plain reading", lambda: read_plainly(folder))
    return seconds


def read_plainly(folder: Path) -> int:
    """Values of all images and masks by pydicom, without a check."""
    return sum(dcmread(path).pixel_array.size for path in sorted(folder.rglob("*.dcm")))


def measured(arguments: argparse.Namespace, *, code: Path | None = None, cores: int = 0) -> dict[str, float]:
    """Seconds in a new process, with the code of a checkout and on some of the cores."""
    mine = sorted(os.sched_getaffinity(0))[: cores or None]
    done = subprocess.run(
        [sys.executable, __file__, "--patients", str(arguments.patients), "--json"],
        env=os.environ | {"PYTHONPATH": str((code or Path(__file__).parents[1]).resolve())},
        preexec_fn=lambda: os.sched_setaffinity(0, mine),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    seconds: dict[str, float] = json.loads(done.stdout)
    return seconds


def show(patients: int, seconds: dict[str, float], others: dict[str, dict[str, float]]) -> None:
    """One line per stage: seconds, cases per second, and how many times the others take."""
    for stage in STAGES:
        ratios = [f"{name} {other[stage] / seconds[stage]:.1f} x" for name, other in others.items()]
        print(
            f"{stage:12}{seconds[stage]:7.1f} s {patients / seconds[stage]:6.1f} cases/s  {', '.join(ratios)}"
        )
    plain = seconds["plain reading"]
    print(f"plain reading with pydicom {plain:.1f} s, {plain / seconds['intake']:.1f} x of intake")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=160)
    parser.add_argument("--beside", type=Path, help="another checkout, to measure with the same data")
    parser.add_argument("--json", action="store_true", help="seconds of this process alone")
    arguments = parser.parse_args()
    if arguments.json:
        print(json.dumps(stages(arguments.patients, SPEC)))
        return
    seconds, others = measured(arguments), {"one core": measured(arguments, cores=1)}
    if arguments.beside:
        others["the other checkout"] = measured(arguments, code=arguments.beside)
    show(arguments.patients, seconds, others)


if __name__ == "__main__":
    main()

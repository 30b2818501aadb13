"""A generator trained far too long on 40 real hippocampus volumes, and a healthy one on 80: what the privacy gate says.

    OMP_NUM_THREADS=1 SYNTHDATA_REALDATA=... python benchmarks/memorisation.py [--spacing 2] [--to FOLDER]

Both go through the whole of it: intake, split by patient, training, generation and the privacy report, with control
patients as many as were trained on. The overtrained one sees each of its volumes `--times` times without deformations;
the healthy one has the budget of the spec. No copy filter, so that the gate sees what the generator draws. The first
must FAIL, the second must not. The nearest pairs are written to `--to`: they show real patients, keep them private.
"""

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from synthdata.generation import generate, plan_samples
from synthdata.generation.engines.local import LocalEngine
from synthdata.intake import take_in
from synthdata.preparation import prepare
from synthdata.privacy import measure_privacy
from synthdata.records import CaseSet, PrivacyReport, TrainingSet
from synthdata.records.parquet import commit_shards, read_cases
from synthdata.spec import DatasetSpec, GridSpec, Split, load_spec
from synthdata.storage.folder import FolderStore
from synthdata.training import train

SPEC = Path(__file__).parents[1] / "pipelines" / "datasets" / "hippocampus-mr.yaml"
OVERTRAINED, HEALTHY = 40, 80  # volumes


def spec_at(spacing: float, cases: int) -> DatasetSpec:
    """The shipped spec on a grid of another spacing, with larger groups and without a copy filter."""
    spec = load_spec(SPEC)
    shape = [4 * round(side / spacing / 4) for side in spec.grid.shape_zyx]
    grid = GridSpec(shape_zyx=tuple(shape), spacing_mm=(spacing,) * 3, padding=spec.grid.padding)
    return replace(
        spec,
        grid=grid,
        split=Split(train=0.45, control=0.45, test=0.1),
        sampling=replace(spec.sampling, cases=cases),
        gates=replace(spec.gates, copy_share=0.0),
    )


def part(store: FolderStore, cases: CaseSet, patients: list[str]) -> CaseSet:
    """The cases of some patients."""
    chosen = (case for case in read_cases(store, cases) if case.patient_id in patients)
    return replace(cases, shards=commit_shards(store, cases, "benchmark", chosen))


def reduced(store: FolderStore, training_set: TrainingSet, volumes: int) -> TrainingSet:
    """Whole patients until `volumes` cases are trained on, and as many control patients."""
    people: dict[str, int] = {}
    for case in read_cases(store, training_set.train):
        people[case.patient_id] = people.get(case.patient_id, 0) + 1
    chosen: list[str] = []
    while sum(people[name] for name in chosen) < volumes and len(chosen) < len(people):
        chosen.append(sorted(people)[len(chosen)])
    others = sorted({case.patient_id for case in read_cases(store, training_set.control)})[: len(chosen)]
    train_part = part(store, training_set.train, chosen)
    control = part(store, training_set.control, others)
    patients = {**training_set.patients, "train": len(chosen), "control": len(others)}
    return replace(training_set, train=train_part, control=control, patients=patients)


def measured(spec: DatasetSpec, training_set: TrainingSet, store: FolderStore) -> PrivacyReport:
    """Train, draw, and judge."""
    start = time.process_time()
    checkpoint = train(spec, training_set, store)
    trained = time.process_time()
    plan = plan_samples(spec, checkpoint, training_set, watermark_key=None)
    made = generate(plan, checkpoint, training_set, store, engine=LocalEngine(), watermark_key=None)
    drawn = time.process_time()
    report = measure_privacy(spec, training_set, made, store, checkpoint=checkpoint)
    judged = time.process_time()
    print(
        f"  processor time: training {trained - start:.0f} s, drawing {drawn - trained:.0f} s, "
        f"judging {judged - drawn:.0f} s"
    )
    return report


def show(name: str, training_set: TrainingSet, report: PrivacyReport) -> None:
    """Outcome of each test that gates or attacks."""
    print(
        f"{name}: {report.outcome}; {training_set.train.cases} volumes of {training_set.patients['train']} patients, "
        f"{training_set.control.cases} control volumes of {training_set.patients['control']}; "
        f"{len(report.suspects)} suspected copies"
    )
    for test in report.tests:
        print(f"  {test.name}: {test.outcome}; {test.explanation}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--spacing", type=float, default=1.0, help="mm between voxels")
    parser.add_argument("--times", type=int, default=150, help="how often the overtrained one sees a volume")
    parser.add_argument("--cases", type=int, default=400)
    parser.add_argument("--only", choices=["overtrained", "healthy"])
    parser.add_argument("--to", type=Path, help="folder for the nearest pairs")
    asked = parser.parse_args()
    spec = spec_at(asked.spacing, asked.cases)
    long = replace(spec.generator, seen=asked.times * OVERTRAINED, augment=0.0)
    runs = {
        "overtrained": (replace(spec, generator=long), OVERTRAINED),
        "healthy": (spec, HEALTHY),
    }
    with tempfile.TemporaryDirectory() as folder:
        store = FolderStore(Path(folder))
        intake = take_in(spec, spec.source.folder(), store, pseudonym_key=bytes(32))
        whole = prepare(spec, intake, store, split_key=bytes(range(32)))
        print(
            f"grid {spec.grid.shape_zyx} of {asked.spacing} mm, {asked.cases} drawn volumes each", flush=True
        )
        for name, (own, volumes) in runs.items():
            if asked.only not in {None, name}:
                continue
            training_set = reduced(store, whole, volumes)
            report = measured(own, training_set, store)
            show(name, training_set, report)
            if asked.to and "nearest_pairs" in report.figures:
                asked.to.mkdir(parents=True, exist_ok=True)
                png = store.read(report.figures["nearest_pairs"])
                (asked.to / f"{name}.png").write_bytes(png)


if __name__ == "__main__":
    main()

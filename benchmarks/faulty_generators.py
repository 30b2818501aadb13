"""Generators with one known fault each: does the gate that names the fault fail, and no other?

    python benchmarks/faulty_generators.py [--patients N] [--seed S] [--spec FILE] [--families] [--verbose] > table.md

Held-out real cases (the control part, which no fidelity test reads) play the generated ones: as they are, and spoilt in
one way each; the plan asks for the conditions that they have. Prints the outcome of every test per generator, and of
the scores of the feature families.
"""

import argparse
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy import ndimage

from synthdata.intake import take_in
from synthdata.phantom import write_cohort
from synthdata.preparation import prepare
from synthdata.records import Case, CaseSet, FaultTest, TrainingSet, from_json, to_json
from synthdata.records.parquet import commit_shards, read_cases
from synthdata.spec import DatasetSpec, load_spec
from synthdata.storage.folder import FolderStore
from synthdata.validation import measure_fidelity
from synthdata.validation.fault_evidence import gather
from synthdata.validation.faults import find_faults, review
from synthdata.validation.resampling import plan_resamples

SPEC = Path(__file__).parents[1] / "pipelines" / "datasets" / "phantom-head.yaml"
Fault = Callable[[Sequence[Case], TrainingSet, np.random.Generator], list[Case]]
HOUNSFIELD = 40


def clean(cases: Sequence[Case], _: TrainingSet, __: np.random.Generator) -> list[Case]:
    return list(cases)


def collapsed(cases: Sequence[Case], _: TrainingSet, rng: np.random.Generator) -> list[Case]:
    """Three patients again and again, with a little noise."""
    return [noisy(cases[int(rng.integers(3))], rng) for _ in cases]


def mode_dropped(cases: Sequence[Case], training_set: TrainingSet, _: np.random.Generator) -> list[Case]:
    """One label never occurs (the rarest), or where each case has all labels, the largest third is gone."""
    names = sorted(
        training_set.labels.values(), key=lambda value: sum((c.mask == value).any() for c in cases)
    )
    lacking = [case for case in cases if not (case.mask == names[0]).any()] if names else []
    if not 0 < len(lacking) < len(cases):
        size = np.array([(case.mask > 0).sum() if names else case.image.std() for case in cases])
        lacking = [case for case, one in zip(cases, size, strict=True) if one <= np.quantile(size, 2 / 3)]
    return lacking


def blurred(cases: Sequence[Case], _: TrainingSet, __: np.random.Generator) -> list[Case]:
    """A Gaussian of 1.5 voxels, less than the ceiling has."""
    sigma = [0.0 if size == 1 else 1.5 for size in cases[0].grid.shape_zyx]
    smooth = [
        np.stack([ndimage.gaussian_filter(x.astype(np.float32), sigma) for x in case.image]) for case in cases
    ]
    return [replace(case, image=np.rint(x).astype(np.int16)) for case, x in zip(cases, smooth, strict=True)]


def shifted(cases: Sequence[Case], training_set: TrainingSet, _: np.random.Generator) -> list[Case]:
    """40 HU more in CT, an eighth of the range in other channels; within the window, as a generator writes."""
    made = []
    for case in cases:
        image = case.image.astype(np.float32)
        for index, scale in enumerate(training_set.scales):
            by = HOUNSFIELD if scale.unit == "[hnsf'U]" else (scale.high - scale.low) / 8
            only = scale.unit == "[hnsf'U]" or all(one.unit != "[hnsf'U]" for one in training_set.scales)
            image[index] += by if only else 0
            if scale.method == "window":
                image[index] = np.clip(image[index], scale.low, scale.high)
        made.append(replace(case, image=np.rint(image).astype(np.int16)))
    return made


def chessboard(cases: Sequence[Case], training_set: TrainingSet, _: np.random.Generator) -> list[Case]:
    """3 % of the range up and down at every second voxel of the body, as transposed convolutions leave it."""
    board = 1 - 2 * (np.indices(cases[0].grid.shape_zyx).sum(axis=0) % 2)
    made = []
    for case in cases:
        image = case.image.astype(np.float32)
        for index, scale in enumerate(training_set.scales):
            body = image[index] > image[index].min() + 0.1 * np.ptp(image[index])
            image[index] += 0.03 * (scale.high - scale.low) * board * body
        made.append(replace(case, image=np.rint(image).astype(np.int16)))
    return made


def cut_off(cases: Sequence[Case], _: TrainingSet, __: np.random.Generator) -> list[Case]:
    """Frequencies above 0.3 per voxel are gone along each axis, which rings at edges."""
    grids = np.meshgrid(*map(np.fft.fftfreq, cases[0].grid.shape_zyx), indexing="ij")
    kept = np.all([np.abs(grid) < 0.3 for grid in grids], axis=0)
    rung = [
        [np.fft.ifftn(np.fft.fftn(x.astype(np.float64)) * kept).real for x in case.image] for case in cases
    ]
    return [replace(case, image=np.rint(x).astype(np.int16)) for case, x in zip(cases, rung, strict=True)]


def masks_moved(cases: Sequence[Case], _: TrainingSet, __: np.random.Generator) -> list[Case]:
    """By one voxel along x."""
    return [replace(case, mask=np.roll(case.mask, 1, axis=2)) for case in cases]


def masks_shuffled(cases: Sequence[Case], _: TrainingSet, rng: np.random.Generator) -> list[Case]:
    order = rng.permutation(len(cases))
    return [replace(case, mask=cases[int(other)].mask) for case, other in zip(cases, order, strict=True)]


def records_shuffled(cases: Sequence[Case], _: TrainingSet, rng: np.random.Generator) -> list[Case]:
    order = rng.permutation(len(cases))
    return [replace(case, record=cases[int(other)].record) for case, other in zip(cases, order, strict=True)]


def noisy(case: Case, rng: np.random.Generator) -> Case:
    """The case with a little noise, 1 % of its spread."""
    noise = rng.normal(0, 0.01, case.image.shape) * case.image.std()
    return replace(case, image=np.rint(case.image + noise).astype(np.int16))


FAULTS: dict[str, tuple[Fault, str]] = {  # generator, and the test which must fail
    "clean": (clean, ""),
    "collapsed": (collapsed, "diversity"),
    "mode-dropped": (mode_dropped, "modes"),
    "blurred": (blurred, "sharpness"),
    "HU-shifted": (shifted, "intensity_offset"),
    "chessboard": (chessboard, "artefacts"),
    "cut off": (cut_off, "artefacts"),
    "mask-moved": (masks_moved, "mask_agreement"),
    "mask-shuffled": (masks_shuffled, "mask_agreement"),
    "record-shuffled": (records_shuffled, "record_coupling"),
}


def played(store: FolderStore, training_set: TrainingSet, cases: Sequence[Case]) -> CaseSet:
    """Cases under synthetic names, committed as a generated set."""
    named = [
        replace(case, case_id=f"SYN-{index:05d}", patient_id=f"SYN-{index:05d}")
        for index, case in enumerate(cases)
    ]
    base = replace(training_set.control, origin="synthetic")
    return replace(base, shards=commit_shards(store, base, "benchmark", named))


def cohort(spec: DatasetSpec, folder: Path, patients: int, seed: int) -> tuple[FolderStore, TrainingSet]:
    """A prepared training set; kept in the folder, so that another run starts from it."""
    store, kept = FolderStore(folder / "store"), folder / "training_set.json"
    if kept.exists():
        return store, from_json(TrainingSet, kept.read_bytes())
    source = folder / "source" if spec.source.kind == "phantom" else spec.source.folder()
    if spec.source.kind == "phantom":
        write_cohort(
            source,
            patients=patients,
            seed=seed,
            channels=[channel.name for channel in spec.channels],
            shape_zyx=spec.grid.shape_zyx,
            spacing_mm=spec.grid.spacing_mm,
        )
    report = take_in(spec, source, store, pseudonym_key=bytes(32))
    training_set = prepare(spec, report, store, split_key=bytes(range(32)))
    kept.write_bytes(to_json(training_set))
    return store, training_set


def asking(spec: DatasetSpec, cases: Sequence[Case]) -> DatasetSpec:
    """The spec with a plan that asks for the conditions of these cases."""
    counts = {
        column: dict(Counter(str(case.record[column]) for case in cases)) for column in spec.sampling.counts
    }
    return replace(spec, sampling=replace(spec.sampling, cases=len(cases), counts=counts))


def faults_of(
    spec: DatasetSpec, training_set: TrainingSet, synthetic: CaseSet, store: FolderStore
) -> tuple[FaultTest, ...]:
    """The fault tests alone, as `measure_fidelity` runs them."""
    evidence = gather(spec, training_set, synthetic, store)
    patients = {role: table.patient_ids for role, table in evidence.structure.items()}
    plan = plan_resamples(patients, seed=spec.sampling.seed)
    return find_faults(evidence, plan, review(evidence, plan))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=400)
    parser.add_argument("--seed", type=int, default=31)
    parser.add_argument("--spec", type=Path, default=SPEC)
    parser.add_argument("--folder", type=Path, help="kept between runs; a temporary one without it")
    parser.add_argument("--only", nargs="*", default=list(FAULTS))
    parser.add_argument("--cases", type=int, default=10_000, help="of the control part, at most")
    parser.add_argument("--families", action="store_true", help="the scores of the families, too")
    parser.add_argument("--verbose", action="store_true")
    asked = parser.parse_args()
    spec = load_spec(asked.spec)
    with tempfile.TemporaryDirectory() as temporary:
        store, training_set = cohort(spec, asked.folder or Path(temporary), asked.patients, asked.seed)
        cases = list(read_cases(store, training_set.control))[: asked.cases]
        spec = asking(spec, cases)
        print(f"{spec.name}, patients {dict(training_set.patients)}, seed {asked.seed}\n")
        names: list[str] = []
        for name in asked.only:
            make, wanted = FAULTS[name]
            made = make(cases, training_set, np.random.default_rng(asked.seed))
            synthetic = played(store, training_set, made)
            tests, families = faults_of(spec, training_set, synthetic, store), list[str]()
            if asked.families:
                scores = measure_fidelity(spec, training_set, synthetic, store).scores
                families = [f"{family} {score.value:.2f}" for family, score in scores.items()]
            if not names:
                names = [test.name for test in tests]
                print("| generator | " + " | ".join(names) + " | scores of the families | as expected |")
                print("|---" * (len(names) + 3) + "|")
            cells = [f"{test.outcome} {test.value.value:.2f}" for test in tests]
            failed = [test.name for test in tests if test.outcome == "FAIL"]
            right = "yes" if failed == ([wanted] if wanted else []) else "NO"
            print(f"| {name} | " + " | ".join(cells) + f" | {', '.join(families)} | {right} |", flush=True)
            for test in tests if asked.verbose else ():
                print("   ", test.name, test.outcome, test.value, test.explanation)


if __name__ == "__main__":
    main()

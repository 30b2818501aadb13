"""The validators on real hippocampus MR, where the right answer is known.

    python benchmarks/validation.py [--parts features fidelity utility] [--steps N] [--seeds N] [--spec FILE]

The control patients are handed in as if they were synthetic: real cases of other patients are what a perfect generator
would draw, so every score must lie near 0 and TSTR near TRTR. The same cases blurred must score near 1. Prints seconds
per step as well.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from synthdata.intake import take_in
from synthdata.preparation import prepare
from synthdata.records import CaseSet, TrainingSet
from synthdata.records.parquet import commit_shards, read_cases
from synthdata.spec import DatasetSpec, load_spec
from synthdata.storage.folder import FolderStore
from synthdata.validation import measure_fidelity, measure_utility
from synthdata.validation.features import features_of
from synthdata.validation.fidelity import blurred

SPEC = Path(__file__).parents[1] / "pipelines" / "datasets" / "hippocampus-mr.yaml"


def with_blur(store: FolderStore, cases: CaseSet) -> CaseSet:
    """The same cases, blurred as the ceiling is."""
    shards = commit_shards(store, cases, "benchmark", (blurred(case) for case in read_cases(store, cases)))
    return replace(cases, shards=shards)


def timed(what: str) -> Iterator[None]:
    """Print the seconds between two calls of next()."""
    start = time.perf_counter()
    yield
    print(f"{what}: {time.perf_counter() - start:.1f} s", flush=True)


def show_features(training_set: TrainingSet, store: FolderStore) -> None:
    """Seconds of both families."""
    for family in ("radiomics", "encoder"):
        clock = timed(f"{family} of {training_set.train.cases} cases, encoder training included")
        next(clock)
        features_of(training_set.train, training_set, store, family)
        next(clock, None)


def show_fidelity(spec: DatasetSpec, training_set: TrainingSet, store: FolderStore) -> None:
    """Scores of control patients, plain and blurred."""
    for name, cases in (
        ("control patients", training_set.control),
        ("control patients, blurred", with_blur(store, training_set.control)),
    ):
        clock = timed(f"fidelity of {name}")
        next(clock)
        fidelity = measure_fidelity(spec, training_set, cases, store)
        next(clock, None)
        for family, score in fidelity.scores.items():
            print(f"  {family}: {score}")
        for found in fidelity.triples:
            print(f"    {found.family}/{found.metric}: {found.score}")
        for note in fidelity.notes[2:]:
            print("    ", note)


def show_utility(spec: DatasetSpec, training_set: TrainingSet, store: FolderStore) -> None:
    """TRTR, and the same with the control patients in place of synthetic cases."""
    gates = spec.gates
    clock = timed(f"utility, {2 * gates.utility_seeds} models of {gates.utility_steps} steps")
    next(clock)
    utility = measure_utility(spec, training_set, training_set.control, store)
    next(clock, None)
    print(
        f"  {utility.metric}: TRTR {utility.trtr}, other real patients {utility.tstr}, ratio {utility.ratio}"
    )
    for name, (trtr, tstr) in utility.per_label.items():
        print(f"    {name}: {trtr}, {tstr}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", nargs="+", choices=["features", "fidelity", "utility"])
    parser.add_argument("--spec", type=Path, default=SPEC)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=1)
    asked = parser.parse_args()
    parts = asked.parts or ["features", "fidelity", "utility"]
    spec = load_spec(asked.spec)
    spec = replace(spec, gates=replace(spec.gates, utility_steps=asked.steps, utility_seeds=asked.seeds))
    with tempfile.TemporaryDirectory() as folder:
        store = FolderStore(Path(folder))
        report = take_in(spec, spec.source.folder(), store, pseudonym_key=bytes(32))
        training_set = prepare(spec, report, store, split_key=bytes(range(32)))
        print("patients", dict(training_set.patients), "training cases", training_set.train.cases, flush=True)
        if "features" in parts:
            show_features(training_set, store)
        if "fidelity" in parts:
            show_fidelity(spec, training_set, store)
        if "utility" in parts:
            show_utility(spec, training_set, store)


if __name__ == "__main__":
    main()

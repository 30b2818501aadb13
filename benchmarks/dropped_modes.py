"""Modes that a generator has dropped: how often is one found, and how often where none was dropped?

    python benchmarks/dropped_modes.py --spec pipelines/datasets/hippocampus-mr.yaml [--splits 10] [--cases N]

Held-out real cases (the control part) play the generated ones, a part of them left out, over several splits of the
patients. `random third` leaves out nothing in particular. `one look` leaves out one of three groups by k-means of the
encoder's features, which the test does not look at.
"""

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from faulty_generators import played
from scipy.cluster.vq import kmeans2

from synthdata.intake import take_in
from synthdata.preparation import prepare
from synthdata.records import Case, FaultTest, TrainingSet
from synthdata.records.parquet import read_cases
from synthdata.spec import DatasetSpec, load_spec
from synthdata.storage.folder import FolderStore
from synthdata.validation.fault_evidence import MODES, gather
from synthdata.validation.faults import find_faults, review
from synthdata.validation.features import features_of
from synthdata.validation.resampling import plan_resamples

Kept = Callable[
    [Sequence[Case], np.ndarray, np.random.Generator], np.ndarray
]  # cases, their group: which stay


def sizes(cases: Sequence[Case]) -> np.ndarray:
    """Labelled voxels, or the deviation of an image without labels."""
    return np.array([(case.mask > 0).sum() if case.mask.any() else case.image.std() for case in cases], float)


MODES_DROPPED: dict[str, Kept] = {
    "nothing": lambda cases, _, __: np.ones(len(cases), bool),
    "random third": lambda cases, _, rng: rng.permutation(len(cases)) >= len(cases) // 3,
    "largest third": lambda cases, _, __: sizes(cases) <= np.quantile(sizes(cases), 2 / 3),
    "smallest third": lambda cases, _, __: sizes(cases) >= np.quantile(sizes(cases), 1 / 3),
    "nine tenths of the largest third": lambda cases, _, rng: (
        (sizes(cases) <= np.quantile(sizes(cases), 2 / 3)) | (rng.random(len(cases)) < 0.1)
    ),
    "one look": lambda _, group, __: group != 0,
}


def looks(training_set: TrainingSet, store: FolderStore) -> np.ndarray:
    """Group of each control case by its encoder features, 0 to 2."""
    values = features_of(training_set.control, training_set, store, "encoder").values
    standard = (values - values.mean(axis=0)) / np.maximum(values.std(axis=0), 1e-9)
    found: np.ndarray = kmeans2(standard, 3, minit="++", rng=np.random.default_rng(0))[1]
    return found


def judged(
    spec: DatasetSpec, training_set: TrainingSet, store: FolderStore, cases: Sequence[Case]
) -> dict[str, FaultTest]:
    evidence = gather(spec, training_set, played(store, training_set, cases), store)
    plan = plan_resamples({role: table.patient_ids for role, table in evidence.structure.items()})
    return {test.name: test for test in find_faults(evidence, plan, review(evidence, plan))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", type=Path, required=True)
    parser.add_argument("--splits", type=int, default=10)
    parser.add_argument("--cases", type=int, default=10_000, help="of the control part, at most")
    asked = parser.parse_args()
    spec = load_spec(asked.spec)
    outcomes = defaultdict[str, list[tuple[str, str]]](list)
    with tempfile.TemporaryDirectory() as folder:
        store = FolderStore(Path(folder))
        report = take_in(spec, spec.source.folder(), store, pseudonym_key=bytes(32))
        for split in range(asked.splits):
            training_set = prepare(spec, report, store, split_key=bytes([split + 1]) * 32)
            cases, group = list(read_cases(store, training_set.control)), looks(training_set, store)
            for name, keeps in MODES_DROPPED.items():
                stays = keeps(cases, group, np.random.default_rng(split))
                left = [case for case, one in zip(cases, stays, strict=True) if one][: asked.cases]
                found = judged(spec, training_set, store, left)
                others = ", ".join(
                    test.name for test in found.values() if test.outcome == "FAIL" and test.name != MODES
                )
                outcomes[name].append((found[MODES].outcome, others))
                told = found[MODES].explanation.split(" (p")[0]
                print(f"  {split} {name}: {len(left)} cases, {outcomes[name][-1]}, {told}", flush=True)
    print("\n| dropped | modes: FAIL | INCONCLUSIVE | PASS | another test fails |\n|---|---|---|---|---|")
    for name, found in outcomes.items():
        counts = [sum(outcome == word for outcome, _ in found) for word in ("FAIL", "INCONCLUSIVE", "PASS")]
        print(
            f"| {name} | " + " | ".join(map(str, counts)) + f" | {sum(bool(others) for _, others in found)} |"
        )


if __name__ == "__main__":
    main()

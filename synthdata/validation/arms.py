"""What utility trains on what: the two arms that gate, and further ones that a spec asks for."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from synthdata.processes import cores, in_order, workers_for
from synthdata.progress import Progress
from synthdata.records.case import Case
from synthdata.records.case_set import CaseSet
from synthdata.records.training import TrainingSet
from synthdata.spec import DatasetSpec
from synthdata.storage.protocol import ObjectStore
from synthdata.validation.tasks import Budget, Task, load_cases

WORTH_A_PROCESS = (
    4_000_000  # voxels that one model sees per case of a batch: below, starting a process costs more
)
SHARES = (
    0.1,
    0.25,
    0.5,
)  # of the real patients, for the gain of augmentation; all of them are arms of their own


@dataclass(frozen=True, kw_only=True, slots=True)
class Arm:
    """What one model learns from, and what it is tested on."""

    name: str
    learns: tuple[CaseSet, ...]
    tested_on: CaseSet
    learns_first: tuple[CaseSet, ...] = ()  # for as many steps, before
    share: float = 1.0  # of the patients of real cases that it learns from


def gating_arms(training_set: TrainingSet, synthetic: CaseSet) -> tuple[Arm, ...]:
    """Train on real and on synthetic cases; test on real ones."""
    real, test = training_set.train, training_set.test
    return (
        Arm(name="trtr", learns=(real,), tested_on=test),
        Arm(name="tstr", learns=(synthetic,), tested_on=test),
    )


def further_arms(spec: DatasetSpec, training_set: TrainingSet, synthetic: CaseSet) -> tuple[Arm, ...]:
    """Arms that `gates.utility_arms` asks for; they are reported and never gate.

    `trts` tests on synthetic cases what real ones taught: low where masks do not lie where images say. `augmented`
    learns from both. `pretrained` learns from synthetic cases, then from real ones. `gain` learns from real
    cases and from both with a part of the real patients, as if there were fewer, and from both with all of them.
    """
    real, test = training_set.train, training_set.test
    both = (real, synthetic)
    known = {
        "trts": (Arm(name="trts", learns=(real,), tested_on=synthetic),),
        "augmented": (Arm(name="augmented", learns=both, tested_on=test),),
        "pretrained": (Arm(name="pretrained", learns_first=(synthetic,), learns=(real,), tested_on=test),),
        "gain": (
            Arm(name="augmented", learns=both, tested_on=test),
            *(
                Arm(name=f"{name}_{share:.0%}", learns=learns, tested_on=test, share=share)
                for share in SHARES
                for name, learns in (("real", (real,)), ("augmented", both))
            ),
        ),
    }
    asked = {arm.name: arm for name in spec.gates.utility_arms for arm in known[name]}
    return tuple(asked.values())


def run_arms(
    arms: Sequence[Arm],
    spec: DatasetSpec,
    training_set: TrainingSet,
    private: ObjectStore,
    task: Task,
    progress: Progress,
) -> dict[str, np.ndarray]:
    """Numbers of each arm, (seeds, test cases, names); models are trained beside each other where that pays."""
    gates = spec.gates
    work = gates.utility_steps * math.prod(training_set.grid.shape_zyx)
    count = len(arms) * gates.utility_seeds
    workers = workers_for(count, least=1) if work >= WORTH_A_PROCESS else 1
    models = [
        _Model(
            arm=arm,
            task=task,
            training_set=training_set,
            private=private,
            budget=Budget(steps=gates.utility_steps, seed=seed),
            threads=max(1, cores() // workers),
        )
        for arm in arms
        for seed in range(gates.utility_seeds)
    ]
    found: dict[str, list[np.ndarray]] = {arm.name: [] for arm in arms}
    progress(0, count, f"{task.kind}, {workers} at a time")
    for done, (model, rows) in enumerate(zip(models, in_order(_train, models, workers=workers), strict=True)):
        found[model.arm.name].append(rows)
        progress(done + 1, count, f"{task.kind}, {model.arm.name}, seed {model.budget.seed}")
    return {name: np.stack(runs) for name, runs in found.items()}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Model:
    """One model to train and to test."""

    arm: Arm
    task: Task
    training_set: TrainingSet
    private: ObjectStore
    budget: Budget
    threads: int


def _train(model: _Model) -> np.ndarray:
    """Numbers of one model, (test cases, names)."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(model.threads)
    try:
        return model.task.results(
            list(_cases(model, model.arm.learns)),
            load_cases(model.arm.tested_on, model.private),
            model.training_set,
            model.budget,
            first=list(_cases(model, model.arm.learns_first)),
        )
    finally:
        torch.set_num_threads(before)


def _cases(model: _Model, sets: Sequence[CaseSet]) -> Iterator[Case]:
    """Cases of the sets; of real patients only the arm's share, the same ones for every seed."""
    for case_set in sets:
        cases = load_cases(case_set, model.private)
        if case_set == model.training_set.train and model.arm.share < 1:
            patients = sorted({case.patient_id for case in cases})
            order = np.random.default_rng(0).permutation(len(patients))
            kept = {patients[index] for index in order[: math.ceil(model.arm.share * len(patients))]}
            cases = [case for case in cases if case.patient_id in kept]
        yield from cases

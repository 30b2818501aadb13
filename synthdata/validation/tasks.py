"""The two tasks that utility is measured by: segmentation of the labels, or classification of a column.

A task trains one model on one CaseSet and gives a number per test case and label or class; which rows count
for a label is told by NaN.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from synthdata.errors import ConfigError
from synthdata.records.case import Case
from synthdata.records.case_set import CaseSet, ColumnSpec
from synthdata.records.parquet import read_cases
from synthdata.records.training import TrainingSet
from synthdata.spec import DatasetSpec
from synthdata.storage.protocol import ObjectStore

MOST_CASES = 2000  # which a model can see in its steps; memory is bounded


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """What is learnt."""

    kind: str  # segmentation or classification
    metric: str  # dice or balanced_accuracy
    names: tuple[str, ...]  # labels or classes
    column: ColumnSpec | None  # of a classification

    def chance(self, test: Sequence[Case], training_set: TrainingSet) -> float:
        """Number of a model which learnt nothing: each label everywhere, or a class by lot."""
        if self.kind == "classification":
            return 1 / len(self.names)
        shares = [[(case.mask == training_set.labels[name]).mean() for name in self.names] for case in test]
        share = np.array(shares)
        dice, counts = 2 * share / (1 + share), (share > 0).sum(axis=0)
        per_label = dice.sum(axis=0) / np.maximum(counts, 1)
        return float(per_label[counts > 0].mean()) if counts.any() else 0.0

    def results(
        self,
        fit_on: Sequence[Case],
        test: Sequence[Case],
        training_set: TrainingSet,
        budget: "Budget",
        *,
        first: Sequence[Case] = (),
    ) -> np.ndarray:
        """Train on some cases and test on others: (test cases, names), NaN where a row does not count.

        Where there are cases to learn from `first`, the model learns from them for as many steps before.
        """
        stages = [cases for cases in (first, fit_on) if cases]
        if not stages:
            raise ConfigError("there is no case to learn from, expected some: check the cases of the arm")
        if self.kind == "segmentation":
            return _segmentation(stages, test, training_set, budget)
        return _classification(self, stages, test, training_set, budget)


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """Steps and seed of one model."""

    steps: int
    seed: int


def task_of(spec: DatasetSpec) -> Task:
    """Segmentation where the dataset has labels, else classification of its first category condition.

    Raises:
        ConfigError: The dataset has neither.
    """
    if spec.labels:
        names = tuple(sorted(spec.labels, key=lambda name: spec.labels[name]))
        return Task(kind="segmentation", metric="dice", names=names, column=None)
    columns = [column for column in spec.clinical if column.kind == "category" and column.role == "condition"]
    if not columns:
        raise ConfigError(
            f"dataset {spec.name} has neither labels nor a category column of role condition: "
            "utility needs a task, add one of them to the spec"
        )
    values = columns[0].values
    return Task(kind="classification", metric="balanced_accuracy", names=values, column=columns[0])


def load_cases(case_set: CaseSet, private: ObjectStore) -> list[Case]:
    """Cases of a set, at most `MOST_CASES`, evenly spread."""
    every = max(1, -(-case_set.cases // MOST_CASES))
    return [case for index, case in enumerate(read_cases(private, case_set)) if index % every == 0]


def _segmentation(
    stages: Sequence[Sequence[Case]],
    test: Sequence[Case],
    training_set: TrainingSet,
    budget: Budget,
) -> np.ndarray:
    from synthdata.validation.segmenter import SegmenterConfig, dice, segment_all, train_segmenter

    values = sorted(training_set.labels.values())
    config = SegmenterConfig(
        channels=len(training_set.scales),
        classes=len(values) + 1,
        flat=training_set.grid.shape_zyx[0] == 1,
        steps=budget.steps,
        seed=budget.seed,
    )
    to_class = np.zeros(256, np.uint8)
    to_class[values] = np.arange(1, len(values) + 1)
    network = None
    for cases in stages:
        targets = [to_class[case.mask] for case in cases]
        network = train_segmenter(_Images(cases, training_set), targets, config, network)
    assert network is not None  # there is a stage, `results` says so
    found = segment_all(network, _Images(test, training_set))
    return np.stack(
        [
            dice(classes, to_class[case.mask], config.classes)
            for case, classes in zip(test, found, strict=True)
        ]
    )


def _classification(
    task: Task,
    stages: Sequence[Sequence[Case]],
    test: Sequence[Case],
    training_set: TrainingSet,
    budget: Budget,
) -> np.ndarray:
    from synthdata.validation.classifier import ClassifierConfig, classify, train_classifier

    if task.column is None:
        raise ConfigError("a classification has no column: build the task from the spec")
    name = task.column.name
    place = {value: index for index, value in enumerate(task.names)}
    config = ClassifierConfig(
        channels=len(training_set.scales),
        classes=len(task.names),
        flat=training_set.grid.shape_zyx[0] == 1,
        steps=budget.steps,
        seed=budget.seed,
    )
    network = None
    for cases in stages:
        known = [case for case in cases if case.record.get(name) in place]
        if not known:
            raise ConfigError(f"no case to learn from has a value in column {name}: check the records")
        classes = [place[str(case.record[name])] for case in known]
        network = train_classifier(_Images(known, training_set), classes, config, network)
    assert network is not None  # there is a stage, `results` says so
    rows = np.full((len(test), len(task.names)), np.nan)
    for row, (case, image) in enumerate(zip(test, _Images(test, training_set), strict=True)):
        value = case.record.get(name)
        if value in place:
            rows[row, place[value]] = float(classify(network, image) == place[value])
    return rows


class _Images(Sequence[np.ndarray]):
    """Network images of cases, converted when they are asked for: int16 is half the memory."""

    def __init__(self, cases: Sequence[Case], training_set: TrainingSet) -> None:
        self._cases, self._scales = cases, training_set.scales

    def __len__(self) -> int:
        return len(self._cases)

    def __getitem__(self, index: int) -> np.ndarray:  # type: ignore[override]
        image = self._cases[index].image
        return np.stack([scale.to_network(image[channel]) for channel, scale in enumerate(self._scales)])

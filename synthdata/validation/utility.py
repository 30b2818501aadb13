"""Utility: train on synthetic, test on real (TSTR), beside train on real, test on real (TRTR)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from synthdata.errors import ConfigError
from synthdata.progress import Progress, silent
from synthdata.records.case_set import CaseSet
from synthdata.records.codec import digest_of
from synthdata.records.estimate import Estimate
from synthdata.records.parquet import read_records
from synthdata.records.reports import UtilityReport
from synthdata.records.training import TrainingSet
from synthdata.spec import DatasetSpec
from synthdata.storage.protocol import ObjectStore
from synthdata.validation.arms import SHARES, further_arms, gating_arms, run_arms
from synthdata.validation.features import check_encoding
from synthdata.validation.roles import check_apart
from synthdata.validation.tasks import Task, load_cases, task_of

RESAMPLES = 1000
LEVEL = 0.95
LEARNT = 0.1  # above chance: TRTR below it means that the task was not learnt
FEWEST_PATIENTS = 5
USUAL_SEEDS = 5
EQUAL_TERMS = (
    "The same network, steps and seeds for both; nothing was tuned on the test patients. Copies of the "
    "training cases would reach a ratio of 1 too: read it beside the privacy report only."
)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Results:
    """Numbers of both arms, shape (seeds, test cases, names); NaN where a case does not count."""

    trtr: np.ndarray
    tstr: np.ndarray
    patients: tuple[str, ...]  # of the test cases
    chance: float = 0.0  # number of a model which learnt nothing


def measure_utility(
    spec: DatasetSpec,
    training_set: TrainingSet,
    synthetic: CaseSet,
    private: ObjectStore,
    *,
    progress: Progress = silent,
) -> UtilityReport:
    """Train the same small network on real and on synthetic cases and test both on held-out patients.

    Args:
        spec: Names labels or classes; `gates` has the steps and seeds.
        training_set: `train` for TRTR, `test` for both tests; `control` is never read.
        synthetic: Generated cases for TSTR.
        private: Where the cases are kept.
        progress: Told before each of the models.

    Returns:
        Both numbers and their ratio with intervals over test patients and seeds; and those of `gates.utility_arms`.

    Raises:
        ConfigError: No task, too few test patients, one who is in train too, or cases in another encoding.
    """
    check_encoding(synthetic, training_set)
    task = task_of(spec)
    test = load_cases(training_set.test, private)
    patients = tuple(case.patient_id for case in test)
    if len(set(patients)) < FEWEST_PATIENTS:
        raise ConfigError(
            f"test has {len(set(patients))} patients, expected at least {FEWEST_PATIENTS}: add patients"
        )
    check_apart(read_records(private, training_set.train)["patient_id"].to_pylist(), patients)
    arms = gating_arms(training_set, synthetic)
    further = further_arms(spec, training_set, synthetic)
    found = run_arms((*arms, *further), spec, training_set, private, task, progress)
    chance = task.chance(test, training_set)
    results = Results(trtr=found["trtr"], tstr=found["tstr"], patients=patients, chance=chance)
    report = _report(spec, training_set, synthetic, task, results)
    owners = {
        arm.name: patients if arm.tested_on == training_set.test else _owners(arm.tested_on, private)
        for arm in further
    }
    means = {name: _mean_of(found[name], whose) for name, whose in owners.items()}
    gains = _gains(found, patients) if "gain" in spec.gates.utility_arms else {}
    return replace(report, further=means | gains)


def _gains(found: Mapping[str, np.ndarray], patients: tuple[str, ...]) -> dict[str, Estimate]:
    """What synthetic cases beside a share of the real patients add to them alone; both in the same draws."""
    pairs = {f"{share:.0%}": (f"real_{share:.0%}", f"augmented_{share:.0%}") for share in SHARES}
    pairs["100%"] = ("trtr", "augmented")
    gains = {}
    for share, (real, both) in pairs.items():
        counted = np.isfinite(found[real][0]).any(axis=0)
        arms = summarise(Results(trtr=found[real], tstr=found[both], patients=patients))
        more = (arms["tstr"] - arms["trtr"])[:, counted]
        if counted.any():
            gains[f"gain_{share}"] = _estimate(more.mean(axis=1), len(set(patients)))
    return gains


def _owners(case_set: CaseSet, private: ObjectStore) -> tuple[str, ...]:
    return tuple(case.patient_id for case in load_cases(case_set, private))


def _mean_of(values: np.ndarray, patients: tuple[str, ...]) -> Estimate:
    """Mean of an arm over the names that occur, with an interval over patients and seeds."""
    counted = np.isfinite(values[0]).any(axis=0)
    samples = summarise(Results(trtr=values, tstr=values, patients=patients))["trtr"][:, counted]
    return _estimate(samples.mean(axis=1) if counted.any() else np.zeros(len(samples)), len(set(patients)))


def summarise(results: Results, *, resamples: int = RESAMPLES, seed: int = 0) -> dict[str, np.ndarray]:
    """Point values and bootstrap samples of both arms, per label and in the mean.

    Args:
        results: Of all models.
        resamples: Draws of seeds and patients, with replacement, the same for both arms.
        seed: Of the draws.

    Returns:
        `trtr` and `tstr`, shape (1 + resamples, names); row 0 uses all seeds and patients as they are.
    """
    rng = np.random.default_rng(seed)
    names = list(dict.fromkeys(results.patients))
    rows = [np.flatnonzero(np.asarray(results.patients) == name) for name in names]
    seeds = len(results.trtr)
    found: dict[str, list[np.ndarray]] = {"trtr": [], "tstr": []}
    for draw in range(1 + resamples):
        whose = range(len(rows)) if draw == 0 else rng.integers(len(rows), size=len(rows))
        which = np.arange(seeds) if draw == 0 else rng.integers(seeds, size=seeds)
        chosen = np.concatenate([rows[index] for index in whose])
        for arm, values in found.items():
            part = getattr(results, arm)[which][:, chosen]
            known = np.isfinite(part)
            total = np.where(known, part, 0).sum(axis=(0, 1))
            values.append(total / np.maximum(known.sum(axis=(0, 1)), 1))
    return {arm: np.stack(values) for arm, values in found.items()}


def _report(
    spec: DatasetSpec, training_set: TrainingSet, synthetic: CaseSet, task: Task, results: Results
) -> UtilityReport:
    n = len(set(results.patients))
    counted = np.isfinite(results.trtr[0]).any(axis=0)
    names = [name for name, counts in zip(task.names, counted, strict=True) if counts]
    if not names:
        raise ConfigError(
            f"no test case has any of {list(task.names)}: utility cannot be measured; check the labels"
        )
    samples = {arm: values[:, counted] for arm, values in summarise(results).items()}
    means = {arm: values.mean(axis=1) for arm, values in samples.items()}
    notes = [*_notes(task, names, results), _interval_note(results)]
    ratio = _estimate(means["tstr"] / np.maximum(means["trtr"], 1e-6), n)
    if means["trtr"][0] < results.chance + LEARNT:
        notes.append(
            f"Training on real cases reaches {means['trtr'][0]:.2f}, hardly more than a model which learnt "
            f"nothing ({results.chance:.2f}): the ratio is set to 0, because it would say nothing; "
            "raise gates.utility_steps."
        )
        ratio = Estimate(value=0.0, low=0.0, high=0.0, level=LEVEL, n=n)
    return UtilityReport(
        dataset=training_set.dataset,
        synthetic=digest_of(synthetic),
        training_set=digest_of(training_set),
        task=task.kind,
        metric=task.metric,
        trtr=_estimate(means["trtr"], n),
        tstr=_estimate(means["tstr"], n),
        ratio=ratio,
        per_label={
            name: (_estimate(samples["trtr"][:, index], n), _estimate(samples["tstr"][:, index], n))
            for index, name in enumerate(names)
        },
        steps=spec.gates.utility_steps,
        seeds=spec.gates.utility_seeds,
        figures={},
        notes=tuple(notes),
    )


def _notes(task: Task, names: Sequence[str], results: Results) -> list[str]:
    notes = [EQUAL_TERMS]
    if task.kind == "segmentation":
        lacking = int((~np.isfinite(results.trtr[0])).any(axis=1).sum())
        notes.append(
            f"Dice is the mean over test cases which have the label; {lacking} of {len(results.patients)} "
            "test cases lack one or more labels."
        )
    if missing := [name for name in task.names if name not in names]:
        notes.append(f"No test case has {', '.join(missing)}: left out of the mean.")
    return notes


def _interval_note(results: Results) -> str:
    """What the intervals cover, and what few seeds leave open."""
    seeds, patients = len(results.trtr), len(set(results.patients))
    told = (
        f"Intervals of utility: {LEVEL:.0%}, {RESAMPLES} bootstrap draws of {patients} test patients and "
        f"{seeds} {'seed' if seeds == 1 else 'seeds'}, the same draws for both arms."
    )
    if seeds < USUAL_SEEDS:
        told += (
            f" The spec asks for fewer seeds than the usual {USUAL_SEEDS}, to save computing time: how much trainings "
            "differ is known less well, and the interval may be too short."
        )
    return told


def _estimate(samples: np.ndarray, n: int) -> Estimate:
    """Row 0 as the value, percentiles of the others as the interval."""
    tail = 100 * (1 - LEVEL) / 2
    low, high = np.percentile(samples[1:], (tail, 100 - tail))
    value = float(samples[0])
    return Estimate(value=value, low=min(value, float(low)), high=max(value, float(high)), level=LEVEL, n=n)

"""Translate the test patients and compare with their true images, in the body, beside baselines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from synthdata.errors import ConfigError
from synthdata.models.build import ReadyGenerator, load_generator
from synthdata.models.conditions import ConditionCode
from synthdata.models.protocol import ChannelMap
from synthdata.models.translation import TranslationGenerator
from synthdata.preparation.registration import body_mask
from synthdata.progress import Progress, silent
from synthdata.records import Case, Checkpoint, Estimate, TrainingSet, digest_of
from synthdata.records.parquet import read_cases
from synthdata.records.reports import Outcome
from synthdata.records.translation import TranslationReport
from synthdata.storage import ObjectStore
from synthdata.validation.translation_metrics import (
    METRICS,
    patient_estimate,
    spline,
    translation_errors,
)

OURS = "translated"
FEWEST = 3  # test patients from which on a difference is decided
MEMBERS = 8  # of an ensemble


@dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    """Errors of one case: `<channel>/<metric>` to method to value, and the cover of its spreads."""

    patient: str
    errors: Mapping[str, Mapping[str, float]]
    covered: Mapping[str, float]


def measure_translation(
    training_set: TrainingSet,
    checkpoint: Checkpoint,
    private: ObjectStore,
    *,
    progress: Progress = silent,
) -> TranslationReport:
    """Errors of the translator on the test group.

    Args:
        training_set: Its test group is translated; its train group gives the baseline `mean`.
        checkpoint: Of the family `translation`.
        private: Store of cases and weights.
        progress: Told after each case.

    Returns:
        The report. PASS where the absolute error is smaller than that of every baseline in every channel, with
        an interval apart from zero; INCONCLUSIVE where that is not sure; FAIL where a baseline is better.

    Raises:
        ConfigError: The checkpoint is of another family.
    """
    ready = load_generator(checkpoint, private)
    if not isinstance(ready.model, TranslationGenerator):
        raise ConfigError(f"the checkpoint is of family {checkpoint.family}, expected translation")
    means = _mean_targets(training_set, private, ready.model.map)
    found = []
    for count, case in enumerate(read_cases(private, training_set.test), 1):
        found.append(compare_case(case, ready, training_set, means))
        progress(count, training_set.test.cases, "translating test patients")
    return _report(training_set, checkpoint, ready.model.map, found)


def compare_case(case: Case, ready: ReadyGenerator, training_set: TrainingSet, means: np.ndarray) -> Compared:
    """Errors of one case, by method.

    Args:
        case: With its true targets.
        ready: The translator.
        training_set: Its scales and columns.
        means: Mean target of the train group (t, z, y, x).
    """
    model = ready.model
    if not isinstance(model, TranslationGenerator):
        raise ConfigError("the generator does not translate, expected family translation")
    scales = training_set.scales
    image = np.stack([scale.to_network(channel) for scale, channel in zip(scales, case.image, strict=True)])
    told = torch.from_numpy(ConditionCode(training_set.columns).encode(case.record))[None]
    source, drawn = model.translate(torch.from_numpy(image)[None], told, [0], members=MEMBERS)
    body = _body(case, image[model.map.sources[0]], training_set)
    errors: dict[str, dict[str, float]] = {}
    covered: dict[str, float] = {}
    for index, channel in enumerate(model.map.targets):
        guess, spread = (part[0, index].cpu().numpy() for part in (drawn.image, drawn.spread))
        truth, name = image[channel], scales[channel].channel
        methods = {
            OURS: guess,
            "mean": means[index],
            **_baselines(truth, source[0].cpu().numpy(), index, model.map),
        }
        for method, volume in methods.items():
            width = scales[channel].high - scales[channel].low
            for metric, value in translation_errors(truth, volume, body, width).items():
                errors.setdefault(f"{name}/{metric}", {})[method] = value
        covered[name] = float((np.abs(guess - truth) <= 2 * spread)[body].mean())
    return Compared(patient=case.patient_id, errors=errors, covered=covered)


def _body(case: Case, source: np.ndarray, training_set: TrainingSet) -> np.ndarray:
    """The label named `body` where the dataset has one, else the silhouette of the source."""
    if "body" in training_set.labels:
        labelled: np.ndarray = case.mask == training_set.labels["body"]
        return labelled
    return body_mask(source)


def _baselines(
    truth: np.ndarray, source: np.ndarray, index: int, channels: ChannelMap
) -> dict[str, np.ndarray]:
    """What one would do without learning: the source as it is, or its interpolation."""
    kind, step = channels.degradation, int(channels.factor)
    if kind == "none":
        return {"identity": source[0]}
    found = {"interpolated" if kind not in {"noise", "undersampled"} else "identity": source[index]}
    if kind == "in_plane":
        found["spline"] = spline(truth, (1, step, step), means=True)
    elif kind in {"through_plane", "missing_slices"}:
        found["spline"] = spline(truth, (step, 1, 1), means=kind == "through_plane")
    return found


def _mean_targets(training_set: TrainingSet, private: ObjectStore, channels: ChannelMap) -> np.ndarray:
    """Mean target channels of the train group in network scale (t, z, y, x)."""
    total, count = np.zeros((len(channels.targets), *training_set.grid.shape_zyx)), 0
    for case in read_cases(private, training_set.train):
        total += np.stack([training_set.scales[c].to_network(case.image[c]) for c in channels.targets])
        count += 1
    mean: np.ndarray = (total / max(count, 1)).astype(np.float32)
    return mean


def _report(
    training_set: TrainingSet, checkpoint: Checkpoint, channels: ChannelMap, found: Sequence[Compared]
) -> TranslationReport:
    patients = [case.patient for case in found]
    values: dict[str, dict[str, Estimate]] = {}
    gains: dict[str, Estimate] = {}
    for key in found[0].errors:
        lower = METRICS[key.rsplit("/", 1)[1]]
        rows = {method: [case.errors[key][method] for case in found] for method in found[0].errors[key]}
        values[key] = {method: patient_estimate(row, patients) for method, row in rows.items()}
        for method, row in rows.items():
            if method != OURS:
                better = [(b - a) if lower else (a - b) for a, b in zip(rows[OURS], row, strict=True)]
                gains[f"{key}/{method}"] = patient_estimate(better, patients)
    outcome, reasons = _decide(gains, len(set(patients)))
    return TranslationReport(
        dataset=training_set.dataset,
        checkpoint=digest_of(checkpoint),
        training_set=digest_of(training_set),
        outcome=outcome,
        reasons=reasons,
        values=values,
        gains=gains,
        coverage={
            name: patient_estimate([case.covered[name] for case in found], patients)
            for name in found[0].covered
        },
        notes=(
            f"{len(found)} cases of {len(set(patients))} test patients, within the body",
            f"degradation of the sources: {channels.degradation}",
        ),
    )


def _decide(gains: Mapping[str, Estimate], patients: int) -> tuple[Outcome, tuple[str, ...]]:
    wrong = {name: gain for name, gain in gains.items() if name.split("/")[1] == "mae"}
    if patients < FEWEST:
        return "INCONCLUSIVE", (f"{patients} test patients, expected {FEWEST} or more: add patients",)
    if worse := [name for name, gain in wrong.items() if gain.high < 0]:
        return "FAIL", tuple(f"{name}: the baseline has the smaller error" for name in worse)
    if unsure := [name for name, gain in wrong.items() if gain.low <= 0]:
        return "INCONCLUSIVE", tuple(f"{name}: the difference may be zero" for name in unsure)
    return "PASS", ()

"""Features of a whole CaseSet, streamed, and kept in the private store by the digest of what made them."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Literal, get_args

import numpy as np

from synthdata.errors import ConfigError
from synthdata.progress import Progress, silent
from synthdata.records.case import Case
from synthdata.records.case_set import CaseSet
from synthdata.records.codec import digest_of
from synthdata.records.parquet import read_cases
from synthdata.records.training import TrainingSet
from synthdata.storage import keys
from synthdata.storage.protocol import ObjectStore
from synthdata.validation.features import agreement, radiomics, structure
from synthdata.validation.features.stored_encoder import EncoderFile, load_encoder
from synthdata.validation.features.table import Features

Family = Literal["radiomics", "encoder", "structure", "agreement"]
Measure = Callable[[Iterable[Case], TrainingSet], Features]
BATCH = 8
MOST_CASES = (
    2000  # of a CaseSet, evenly spread: features and the matrices of distances between them are bounded
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """Something done to each case before it is measured, such as a degradation."""

    name: str  # part of the key of the stored features: another effect needs another name
    apply: Callable[[Case], Case]


def features_of(
    case_set: CaseSet,
    training_set: TrainingSet,
    private: ObjectStore,
    family: Family,
    *,
    change: Change | None = None,
    encoder: EncoderFile | None = None,
    progress: Progress = silent,
) -> Features:
    """Features of a CaseSet's cases, at most `MOST_CASES`, in its order; from the private store where they are known.

    Args:
        case_set: Real or synthetic cases in the encoding of the training set.
        training_set: Names channels, scales and labels; its `train` part trains the encoder.
        private: Where shards, encoder and features are kept.
        family: `radiomics`, `encoder`, `structure` or `agreement`.
        change: Done to each case before it is measured.
        encoder: For the family `encoder`; that of the training set without it.
        progress: Told after each case.

    Returns:
        One row per case, of every n-th one where there are more than `MOST_CASES`; memory holds one batch of images,
        and the features.

    Raises:
        ConfigError: The family is unknown, or the CaseSet has other channels or labels than the training set.
    """
    check_encoding(case_set, training_set)
    if family not in get_args(Family):
        raise ConfigError(f"feature family is {family!r}, expected one of {get_args(Family)}")
    measure: Measure
    if family == "encoder":
        encoder = encoder or load_encoder(training_set, private)
        extractor = encoder.sha256
        measure = partial(encoder_features, encoder)
    else:
        version, measure = MEASURES[family]
        extractor = _extractor_id(family, version, training_set)
    every = _every(case_set)
    what = (
        f"{digest_of(case_set)}/{extractor}/{change.name if change else ''}{f'/{every}' if every > 1 else ''}"
    )
    key = keys.features(case_set.dataset, family, hashlib.sha256(what.encode()).hexdigest())
    if private.size(key) is not None:
        return Features.from_bytes(private.read(key))
    told = _told(read_cases(private, case_set), case_set.cases, f"{family} features", progress)
    stream = islice(told, 0, None, every)
    features = measure(map(change.apply, stream) if change else stream, training_set)
    private.create(key, features.to_bytes())
    return features


def left_out_notes(sets: Mapping[str, CaseSet]) -> tuple[str, ...]:
    """A sentence for a report where not all cases are measured; sets by their name in it."""
    parts = [
        f"one in {_every(found)} of {found.cases} {name} cases"
        for name, found in sets.items()
        if _every(found) > 1
    ]
    told = f"Features, and all that is made of them, are those of at most {MOST_CASES} cases a set"
    return (f"{told}: {', '.join(parts)}.",) if parts else ()


def _every(case_set: CaseSet) -> int:
    """Every how many cases one is measured."""
    return max(1, -(-case_set.cases // MOST_CASES))


def radiomics_features(cases: Iterable[Case], training_set: TrainingSet) -> Features:
    """Radiomics of a stream of cases."""
    scales, labels = training_set.scales, _labels(training_set)
    return _collected((case, radiomics.radiomics(case, scales, labels)) for case in cases)


def structure_features(cases: Iterable[Case], training_set: TrainingSet) -> Features:
    """Plain measurements of a stream of images."""
    return _collected((case, structure.structure(case, training_set.scales)) for case in cases)


def agreement_features(cases: Iterable[Case], training_set: TrainingSet) -> Features:
    """How well own and other masks lie on a stream of images."""
    return _collected(agreement.agreements(cases, training_set.scales, _labels(training_set)))


MEASURES: dict[str, tuple[str, Measure]] = {  # those without weights, each with the version of its definition
    "radiomics": (radiomics.VERSION, radiomics_features),
    "structure": (structure.VERSION, structure_features),
    "agreement": (agreement.VERSION, agreement_features),
}


def _labels(training_set: TrainingSet) -> dict[str, int]:
    """Labels in the order of their names, and with it the columns: a training set that was read again has another."""
    return dict(sorted(training_set.labels.items()))


def _collected(measured: Iterable[tuple[Case, dict[str, float]]]) -> Features:
    """One row of named numbers per case."""
    rows, names = [], tuple[str, ...]()
    case_ids, patient_ids = list[str](), list[str]()
    for case, found in measured:
        names = tuple(found)
        rows.append(np.fromiter(found.values(), np.float64, len(found)))
        case_ids.append(case.case_id)
        patient_ids.append(case.patient_id)
    values = np.array(rows, np.float64).reshape(len(rows), len(names))
    return Features(values=values, names=names, case_ids=tuple(case_ids), patient_ids=tuple(patient_ids))


def encoder_features(encoder: EncoderFile, cases: Iterable[Case], training_set: TrainingSet) -> Features:
    """Encoder features of a stream of cases; how many are encoded at once does not change them."""
    from synthdata.validation.features.encoder import encode, to_network

    stream, rows = iter(cases), []
    case_ids, patient_ids = list[str](), list[str]()
    while part := list(islice(stream, BATCH)):
        rows.append(
            encode(encoder.network, np.stack([to_network(case.image, training_set.scales) for case in part]))
        )
        case_ids += [case.case_id for case in part]
        patient_ids += [case.patient_id for case in part]
    values = np.concatenate(rows) if rows else np.zeros((0, 0))
    names = tuple(f"encoder/{index:03d}" for index in range(values.shape[1]))
    return Features(values=values, names=names, case_ids=tuple(case_ids), patient_ids=tuple(patient_ids))


def check_encoding(case_set: CaseSet, training_set: TrainingSet) -> None:
    """Raise ConfigError unless a CaseSet has the channels and labels of the training set."""
    channels = tuple(scale.channel for scale in training_set.scales)
    if case_set.channels != channels or dict(case_set.labels) != dict(training_set.labels):
        raise ConfigError(
            f"a CaseSet has channels {list(case_set.channels)} and labels {sorted(case_set.labels)}, "
            f"expected {list(channels)} and {sorted(training_set.labels)}: "
            "validate it with the training set it was made from"
        )


def _extractor_id(family: str, version: str, training_set: TrainingSet) -> str:
    """Names all that features without weights depend on beside the cases."""
    scales = [(scale.channel, scale.low, scale.high) for scale in training_set.scales]
    return json.dumps([family, version, scales, sorted(training_set.labels.items())])


def _told(cases: Iterator[Case], total: int, message: str, progress: Progress) -> Iterator[Case]:
    """The same cases; tells how many have gone by."""
    for done, case in enumerate(cases):
        progress(done, total, message)
        yield case
    progress(total, total, message)

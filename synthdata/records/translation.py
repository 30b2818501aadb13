"""How near translated images are to the true ones of patients whom the generator never saw."""

from collections.abc import Mapping
from dataclasses import dataclass

from synthdata.records.codec import Record
from synthdata.records.estimate import Estimate
from synthdata.records.reports import Outcome


@dataclass(frozen=True, kw_only=True, slots=True)
class TranslationReport(Record):
    """Errors within the body of test patients, beside baselines which learn little or nothing."""

    dataset: str
    checkpoint: str  # digest
    training_set: str  # digest
    outcome: Outcome
    reasons: tuple[str, ...]
    values: Mapping[str, Mapping[str, Estimate]]  # `<channel>/<metric>` to method to mean over patients
    gains: Mapping[
        str, Estimate
    ]  # `<channel>/<metric>/<baseline>`: how much better ours is; above 0 is better
    coverage: Mapping[str, Estimate]  # channel: share of voxels whose error is within twice the stated spread
    notes: tuple[str, ...] = ()

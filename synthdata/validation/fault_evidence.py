"""What the tests for single faults look at, and how a score becomes an outcome."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from synthdata.progress import Progress, silent
from synthdata.records.case import Value
from synthdata.records.case_set import CaseSet
from synthdata.records.estimate import Estimate
from synthdata.records.parquet import read_records
from synthdata.records.reports import FaultTest, Outcome
from synthdata.records.training import TrainingSet
from synthdata.spec import DatasetSpec
from synthdata.storage.protocol import ObjectStore
from synthdata.validation.features.table import Features
from synthdata.validation.roles import role_tables

HALF_WAY = 0.5  # from real cases to those with the fault: beyond it a test fails
SHARPNESS, OFFSET, ARTEFACTS, DIVERSITY = "sharpness", "intensity_offset", "artefacts", "diversity"
MODES, MASKS, RECORDS = "modes", "mask_agreement", "record_coupling"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Evidence:
    """All that the tests look at; rows of all tables of a role are the same cases."""

    training_set: TrainingSet
    counts: Mapping[str, Mapping[str, int]]  # of the sampling plan
    planned: int  # cases of the plan
    structure: Mapping[str, Features]  # role to table: generated, train, test, degraded
    agreement: Mapping[str, Features]  # role to table: generated, train, test; empty without labels
    volumes: Mapping[str, Mapping[str, np.ndarray]]  # role to label to mm3
    records: Mapping[str, Sequence[Mapping[str, Value]]]  # role to rows

    def column(self, role: str, name: str) -> np.ndarray:
        """One column of the structure."""
        table = self.structure[role]
        values: np.ndarray = table.values[:, table.names.index(name)]
        return values


def gather(
    spec: DatasetSpec,
    training_set: TrainingSet,
    synthetic: CaseSet,
    private: ObjectStore,
    *,
    progress: Progress = silent,
) -> Evidence:
    """Read what the tests need.

    Args:
        spec: Its `sampling.counts` says which mix of cases was asked for.
        training_set: Real cases.
        synthetic: Generated cases.
        private: Where cases and features are kept.
        progress: Told after each case.
    """
    sets = {"generated": synthetic, "train": training_set.train, "test": training_set.test}
    structure = role_tables(training_set, synthetic, private, "structure", progress=progress)
    agreement = dict[str, Features]()
    if training_set.labels:
        agreement = role_tables(
            training_set, synthetic, private, "agreement", degraded=False, progress=progress
        )
    return Evidence(
        training_set=training_set,
        counts=spec.sampling.counts,
        planned=spec.sampling.cases,
        structure=structure,
        agreement=agreement,
        volumes={role: _volumes(agreement[role]) if agreement else {} for role in sets},
        records={role: _rows(case_set, structure[role], private) for role, case_set in sets.items()},
    )


def _volumes(table: Features) -> dict[str, np.ndarray]:
    """Label to volume in mm3 (n,), 0 where it is absent."""
    suffix = "/volume_mm3"
    return {
        name.removesuffix(suffix): table.values[:, index]
        for index, name in enumerate(table.names)
        if name.endswith(suffix)
    }


def _rows(case_set: CaseSet, table: Features, private: ObjectStore) -> list[dict[str, Value]]:
    """Records in the order of a feature table."""
    found = read_records(private, case_set)
    place = dict(zip(found["case_id"].to_pylist(), found.to_pylist(), strict=True))
    return [place[case_id] for case_id in table.case_ids]


def judged(name: str, value: Estimate, threshold: float, told: str, *, harmless: float = 0.0) -> FaultTest:
    """FAIL above the threshold; INCONCLUSIVE where the interval reaches what a clean generator has, too."""
    outcome: Outcome = "PASS"
    if value.value > threshold:
        outcome = "FAIL" if value.low > harmless else "INCONCLUSIVE"
    return FaultTest(
        name=name, outcome=outcome, value=value, threshold=threshold, explanation=told, follows=None
    )


def without_sign(found: Estimate) -> Estimate:
    """The size of a difference that may go either way."""
    return Estimate(
        value=abs(found.value),
        low=min(abs(found.value), max(0.0, found.low, -found.high)),
        high=max(abs(found.low), abs(found.high)),
        level=found.level,
        n=found.n,
    )


def undecided(name: str, told: str, *, outcome: Outcome = "INCONCLUSIVE") -> FaultTest:
    """A test that has nothing to measure."""
    none = Estimate(value=0.0, low=0.0, high=0.0, n=0)
    return FaultTest(
        name=name, outcome=outcome, value=none, threshold=HALF_WAY, explanation=told, follows=None
    )

"""Fidelity and diversity: every number as (generated, floor, ceiling) at equal n, in five families."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from synthdata.progress import Progress, silent
from synthdata.records.case_set import CaseSet
from synthdata.records.codec import digest_of
from synthdata.records.estimate import Estimate
from synthdata.records.parquet import read_records
from synthdata.records.reports import FEATURE_FAMILIES, FidelityReport
from synthdata.records.training import TrainingSet
from synthdata.spec import DatasetSpec
from synthdata.storage.protocol import ObjectStore
from synthdata.validation.distributions import compared
from synthdata.validation.fault_evidence import gather
from synthdata.validation.faults import find_faults, review
from synthdata.validation.features import Features, left_out_notes
from synthdata.validation.features.stored_encoder import encoder_of
from synthdata.validation.gating_metrics import (
    Measure,
    Space,
    coupling_measure,
    feature_measures,
    quantity_measure,
)
from synthdata.validation.measures import (
    coupled_columns,
    numeric_columns,
    quantities,
)
from synthdata.validation.reported import pair_similarity, reported_triples
from synthdata.validation.resampling import (
    Plan,
    Scored,
    family_score,
    plan_resamples,
)
from synthdata.validation.roles import BLUR_VOXELS, blurred, role_tables
from synthdata.validation.subgroups import subgroups_of, worst_of

__all__ = ["blurred", "measure_fidelity"]

METHOD = (
    "A score is (generated - floor) / (ceiling - floor) at equal numbers of cases: floor is training against "
    f"test, ceiling is degraded training cases against test: blurred by {BLUR_VOXELS:g} voxels (features), "
    "with 5 % of the range added (tissue), with 25 % more volume or one more component (lesion), with "
    "shuffled records (record). 0 is as near to the test patients as the training patients are, 1 as far as degraded "
    "cases."
)
FEATURES_NOTE = (
    "Frechet distances use at most 16 main directions of real and degraded training features and the "
    "residual, so that the covariance has full rank; KID, coverage and precision use all features in robust "
    "units of the training cases."
)
OWN_ENCODER = (
    "The encoder's weights are those of the spec; that they saw no test patient cannot be checked here."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Found:
    """What the families gave: scored triples, and sentences on what was left out."""

    scored: list[Scored]
    notes: list[str]

    def add(self, outcome: Scored | str) -> None:
        if isinstance(outcome, str):
            self.notes.append(outcome)
        else:
            self.scored.append(outcome)


def measure_fidelity(
    spec: DatasetSpec,
    training_set: TrainingSet,
    synthetic: CaseSet,
    private: ObjectStore,
    *,
    progress: Progress = silent,
) -> FidelityReport:
    """Measure how near generated cases are to held-out patients, beside training cases and degraded ones.

    Args:
        spec: Of the dataset; `sampling.seed` seeds the resamples.
        training_set: Real cases; `control` is never read.
        synthetic: Generated cases in the same encoding.
        private: Where cases and features are kept.
        progress: Told after each case and family.

    Returns:
        Triples with intervals, the median score per family, and notes on all that was left out.

    Raises:
        ConfigError: A group has too few cases, or the CaseSet was made for another training set.
    """
    found = _Found(scored=[], notes=[METHOD, FEATURES_NOTE])
    encoder = encoder_of(spec, training_set, private)
    if spec.encoder is not None:
        found.notes.append(OWN_ENCODER)
    tables = {
        family: role_tables(training_set, synthetic, private, family, encoder=encoder, progress=progress)
        for family in FEATURE_FAMILIES
    }
    plan = plan_resamples(
        {role: table.patient_ids for role, table in tables["radiomics"].items()}, seed=spec.sampling.seed
    )
    plain = {role: table for role, table in tables["radiomics"].items() if role != "degraded"}
    spaces = [Space.of(family, table) for family, table in tables.items()]
    measures = [measure for space in spaces for measure in feature_measures(space)]
    measures += [quantity_measure(quantity) for quantity in quantities(plain, training_set)]
    measures += _record_measures(plain, training_set, synthetic, private, found)
    for done, measure in enumerate(measures):
        progress(done, len(measures), f"{measure.family} {measure.name}")
        found.add(measure.over(plan))
    for space in spaces:
        progress(len(measures), len(measures), f"{space.family}, reported beside")
        for outcome in reported_triples(space, plan):
            found.add(outcome)
    evidence = gather(spec, training_set, synthetic, private, progress=progress)
    seed = spec.sampling.seed
    progress(0, 1, "subgroups")
    subgroups = subgroups_of(
        measures,
        {role: table.patient_ids for role, table in tables["radiomics"].items()},
        evidence.records,
        training_set.columns,
        allowed=spec.gates.fidelity_score,
        seed=seed,
    )
    if worst := worst_of(subgroups):
        found.notes.append(worst)
    sets = {"generated": synthetic, "train": training_set.train, "test": training_set.test}
    found.notes.extend(left_out_notes(sets))
    found.notes.append(pair_similarity(sets, private, training_set.scales, seed=seed))
    reviews = review(evidence, plan)
    progress(1, 1, "fidelity measured")
    return FidelityReport(
        dataset=training_set.dataset,
        synthetic=digest_of(synthetic),
        training_set=digest_of(training_set),
        triples=tuple(scored.triple for scored in found.scored),
        scores=_scores(found, plan),
        figures={},
        encoder=encoder.sha256,
        faults=find_faults(evidence, plan, reviews),
        notes=tuple(found.notes),
        distributions=compared(plain, evidence.agreement, training_set, plan),
        subgroups=subgroups,
        reviews=reviews,
    )


def _record_measures(
    tables: Mapping[str, Features],
    training_set: TrainingSet,
    synthetic: CaseSet,
    private: ObjectStore,
    found: _Found,
) -> list[Measure]:
    """Whether record columns follow each other and the volumes of the labels as in real patients."""
    sets = {"generated": synthetic, "train": training_set.train, "test": training_set.test}
    columns = numeric_columns(training_set.columns)
    records = {role: _numbers(case_set, columns, tables[role], private) for role, case_set in sets.items()}
    volumes = {
        role: {
            label: table.values[:, table.names.index(f"{label}/shape/volume_mm3")]
            for label in training_set.labels
        }
        for role, table in tables.items()
    }
    pairs = coupled_columns(records, volumes)
    if not pairs:
        found.notes.append(
            "record: no two columns or volumes of the training cases correlate, so none is compared"
        )
    known = {role: _with_volumes(records[role], volumes[role]) for role in records}
    return [coupling_measure(first, second, known) for first, second in pairs]


def _numbers(
    case_set: CaseSet, columns: list[str], table: Features, private: ObjectStore
) -> dict[str, np.ndarray]:
    """Numeric record columns in the order of a feature table, NaN where unknown."""
    rows = read_records(private, case_set)
    place = {case_id: index for index, case_id in enumerate(rows["case_id"].to_pylist())}
    order = [place[case_id] for case_id in table.case_ids]
    return {
        name: np.array([np.nan if value is None else value for value in rows[name].to_pylist()], float)[order]
        for name in columns
    }


def _with_volumes(
    record: Mapping[str, np.ndarray], volume: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    return {**record, **{f"volume/{label}": values for label, values in volume.items()}}


def _scores(found: _Found, plan: Plan) -> dict[str, Estimate]:
    """Median score per family over the metrics that gate; none of a family whose metrics were all left out."""
    gating = [scored for scored in found.scored if scored.triple.gating]
    families = dict.fromkeys(scored.triple.family for scored in gating)
    return {
        family: family_score([scored for scored in gating if scored.triple.family == family], plan)
        for family in families
    }

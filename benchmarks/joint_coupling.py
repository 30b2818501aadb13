"""How often the joint test tells shuffled records from clean ones, on random splits of real patients.

    python benchmarks/joint_coupling.py [--patients N] [--seed S] [--splits N] [--spec FILE]

All patients of a dataset are dealt out again and again into training, test and played generated cases. The last are
left as they are, have half of their records shuffled among each other, or all of them. Prints outcomes, and the share
of the dependence that is lost (median, and 5 and 95 % of the splits); beside it the worst pair of `record_coupling`.
"""

import argparse
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from faulty_generators import SPEC, cohort

from synthdata.records.case import Value
from synthdata.spec import load_spec
from synthdata.validation.content_faults import record_coupling
from synthdata.validation.fault_evidence import Evidence, gather
from synthdata.validation.features.table import Features
from synthdata.validation.image_faults import layout_of
from synthdata.validation.joint_review import ROLES, joint_coupling
from synthdata.validation.resampling import plan_resamples

Row = Mapping[str, Value]


def dealt(evidence: Evidence, count: int) -> Iterator[tuple[Evidence, np.random.Generator]]:
    """The same cases in other roles, as many in each."""
    sizes = [len(evidence.structure[role].case_ids) for role in ROLES]
    whole = joined([evidence.structure[role] for role in ROLES])
    records = [row for role in ROLES for row in evidence.records[role]]
    labels = evidence.training_set.labels
    volumes = {name: np.concatenate([evidence.volumes[role][name] for role in ROLES]) for name in labels}
    for seed in range(count):
        rng = np.random.default_rng(seed)
        parts = dict(zip(ROLES, np.split(rng.permutation(sum(sizes)), np.cumsum(sizes)[:-1]), strict=True))
        yield (
            replace(
                evidence,
                structure={role: whole.take(rows) for role, rows in parts.items()},
                volumes={
                    role: {name: found[rows] for name, found in volumes.items()}
                    for role, rows in parts.items()
                },
                records={role: [records[row] for row in rows] for role, rows in parts.items()},
            ),
            rng,
        )


def joined(tables: Sequence[Features]) -> Features:
    """Tables below each other."""
    return Features(
        values=np.concatenate([table.values for table in tables]),
        names=tables[0].names,
        case_ids=tuple(case for table in tables for case in table.case_ids),
        patient_ids=tuple(patient for table in tables for patient in table.patient_ids),
    )


def shuffled(records: Sequence[Row], share: float, rng: np.random.Generator) -> list[Row]:
    """A share of the records dealt out anew among each other."""
    chosen = rng.permutation(len(records))[: round(share * len(records))]
    found = list(records)
    for place, row in zip(chosen, rng.permutation(chosen), strict=True):
        found[place] = records[row]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=400)
    parser.add_argument("--seed", type=int, default=20261122)
    parser.add_argument("--splits", type=int, default=200)
    parser.add_argument("--spec", type=Path, default=SPEC)
    asked = parser.parse_args()
    spec = load_spec(asked.spec)
    spec = replace(spec, sampling=replace(spec.sampling, counts={}))
    with tempfile.TemporaryDirectory() as folder:
        store, training_set = cohort(spec, Path(folder), asked.patients, asked.seed)
        evidence = gather(spec, training_set, training_set.control, store)
    print("| records | joint test: PASS, INCONCLUSIVE, FAIL | lost | pairs: FAIL |\n|---|---|---|---|")
    for name, share in (("as they are", 0.0), ("half shuffled", 0.5), ("all shuffled", 1.0)):
        outcomes, pairs, lost = Counter[str](), Counter[str](), []
        for one, rng in dealt(evidence, asked.splits):
            records = {**one.records, "generated": shuffled(one.records["generated"], share, rng)}
            made = replace(one, records=records)
            layout = layout_of(made)
            patients = {role: table.patient_ids for role, table in made.structure.items()}
            plan = plan_resamples({**patients, "degraded": patients["train"]}, resamples=100)
            found = joint_coupling(made, layout, plan)
            if found is None:
                raise SystemExit("the dataset has no record columns")
            outcomes[found.outcome] += 1
            pairs[record_coupling(made, layout, plan).outcome] += 1
            lost.append(found.value.value)
        low, middle, high = np.percentile(lost, (5, 50, 95))
        told = ", ".join(str(outcomes[key]) for key in ("PASS", "INCONCLUSIVE", "FAIL"))
        print(f"| {name} | {told} | {middle:.2f} ({low:.2f} to {high:.2f}) | {pairs['FAIL']} |", flush=True)


if __name__ == "__main__":
    main()

"""Blocking checks: what comes after an asset is not run when its check fails. Each name is what it promises."""

import math
import tempfile
from collections.abc import Iterator
from pathlib import Path

import dagster as dg

from assets.describing import Row, describe_expectations, table
from assets.generation import cases_stage, plan_stage
from assets.ingestion import intake_stage
from assets.preparation import training_set_stage
from assets.references import Publication
from assets.release import SignerSource, published_stage
from assets.training import checkpoint_stage
from assets.validation import validation_stage
from synthdata.errors import SynthDataError
from synthdata.records import (
    CaseSet,
    Checkpoint,
    ExpectationsReport,
    IntakeReport,
    SamplePlan,
    TrainingSet,
    Verdict,
)
from synthdata.spec import DatasetSpec
from synthdata.storage import ObjectStore, read_verified

GATES = ("fidelity", "utility", "privacy", "expectations")
ERROR = dg.AssetCheckSeverity.ERROR
LEAST_PATIENTS = 3  # one for each group


def intake_accepts_cases(spec: DatasetSpec) -> dg.AssetChecksDefinition:
    """At least one patient for each group, and as many cases in the store as the report counts."""

    @dg.asset_check(
        asset=intake_stage(spec).key,
        name="files_add_up_and_cases_are_accepted",
        blocking=True,
        description="Accepted, quarantined and refused files add up to those seen, and the accepted cases are there.",
    )
    def check(report: IntakeReport, private: dg.ResourceParam[ObjectStore]) -> dg.AssetCheckResult:
        from synthdata.records.parquet import read_records

        adds_up = report.accepted + report.quarantined + report.refused == report.seen
        rows = read_records(private, report.cases).num_rows if report.cases.shards else 0
        passed = (
            adds_up
            and report.accepted > 0
            and report.patients >= LEAST_PATIENTS
            and rows == report.cases.cases > 0
        )
        words = (
            f"{report.accepted} of {report.seen} files were accepted, of {report.patients} patients, expected cases of "
            f"at least {LEAST_PATIENTS} patients: mend what the reasons of intake name, or bring more scans"
        )
        return dg.AssetCheckResult(
            passed=passed,
            severity=ERROR,
            description=None if passed else words,
            metadata={
                "seen": report.seen,
                "accepted": report.accepted,
                "patients": report.patients,
                "rows": rows,
            },
        )

    return check


def patients_stay_in_one_group(spec: DatasetSpec) -> dg.AssetChecksDefinition:
    """The split, read from the rows and not from what the record says of itself."""

    @dg.asset_check(
        asset=training_set_stage(spec).key,
        name="no_patient_is_in_two_groups",
        blocking=True,
        description="No patient is in two of train, control and test, and no group that the split asks for is empty.",
    )
    def check(training_set: TrainingSet, private: dg.ResourceParam[ObjectStore]) -> dg.AssetCheckResult:
        from synthdata.records.parquet import read_records

        groups = {"train": training_set.train, "control": training_set.control, "test": training_set.test}
        patients = {
            name: set(read_records(private, cases)["patient_id"].to_pylist()) if cases.shards else set[str]()
            for name, cases in groups.items()
        }
        shared = sum(len(ids) for ids in patients.values()) - len(set.union(*patients.values()))
        counted = {name: len(ids) for name, ids in patients.items()}
        filled = all(patients[name] for name in patients if name != "control" or spec.split.control)
        passed = shared == 0 and filled and counted == dict(training_set.patients)
        return dg.AssetCheckResult(
            passed=passed, severity=ERROR, metadata={"in_two_groups": shared, **counted}
        )

    return check


def checkpoint_loads(spec: DatasetSpec) -> dg.AssetChecksDefinition:
    """The weights as the store gives them back."""

    @dg.asset_check(
        asset=checkpoint_stage(spec).key,
        name="checkpoint_loads_and_is_finite",
        blocking=True,
        description="The stored weights have their digest, load, and hold finite numbers alone, as do the losses.",
    )
    def check(checkpoint: Checkpoint, private: dg.ResourceParam[ObjectStore]) -> dg.AssetCheckResult:
        import numpy as np
        from safetensors.numpy import load

        try:
            tensors = load(read_verified(private, checkpoint.key, checkpoint.sha256))
        except SynthDataError as error:
            return dg.AssetCheckResult(passed=False, severity=ERROR, description=str(error))
        wrong = sum(not np.isfinite(array).all() for array in tensors.values())
        losses = all(math.isfinite(loss) for _, loss in checkpoint.losses)
        return dg.AssetCheckResult(
            passed=bool(tensors) and wrong == 0 and losses,
            severity=ERROR,
            metadata={"tensors": len(tensors), "tensors_not_finite": wrong},
        )

    return check


def generation_is_complete(spec: DatasetSpec) -> dg.AssetChecksDefinition:
    """Every planned case, once, in whole shards."""

    @dg.asset_check(
        asset=cases_stage(spec).key,
        name="every_planned_case_is_there_once",
        blocking=True,
        description="The shards have their digests and hold as many different cases as the plan asks for.",
        additional_ins={"plan": dg.AssetIn(key=plan_stage(spec).key)},
    )
    def check(
        cases: CaseSet, plan: SamplePlan, private: dg.ResourceParam[ObjectStore]
    ) -> dg.AssetCheckResult:
        from synthdata.records.parquet import read_records
        from synthdata.storage.commit import stored_sha256

        torn = sum(stored_sha256(private, shard.key) != shard.sha256 for shard in cases.shards)
        ids = read_records(private, cases)["case_id"].to_pylist() if not torn and cases.shards else []
        return dg.AssetCheckResult(
            passed=torn == 0 and len(ids) == len(set(ids)) == plan.cases,
            severity=ERROR,
            metadata={
                "planned": plan.cases,
                "rows": len(ids),
                "different": len(set(ids)),
                "torn_shards": torn,
            },
        )

    return check


def gates(spec: DatasetSpec) -> dg.AssetChecksDefinition:
    """One check per gate and one for the whole; they sit on the verdict, so that every report is made first."""
    verdict_key = validation_stage(spec, "verdict").key
    names = [f"{gate}_reaches_its_gate" for gate in GATES] + ["verdict_passes"]

    @dg.multi_asset_check(
        name=f"{verdict_key.to_python_identifier()}__gates",
        specs=[
            dg.AssetCheckSpec(
                name, asset=verdict_key, blocking=True, description="Blocks the release when it fails."
            )
            for name in names
        ],
        ins={"verdict": dg.AssetIn(key=verdict_key)},
    )
    def check(verdict: Verdict) -> Iterator[dg.AssetCheckResult]:
        reasons = dg.MetadataValue.md("\n".join(f"- {reason}" for reason in verdict.reasons) or "none")
        outcomes = [str(verdict.gates.get(gate, "missing")) for gate in GATES] + [str(verdict.outcome)]
        for name, outcome in zip(names, outcomes, strict=True):
            yield dg.AssetCheckResult(
                asset_key=verdict_key,
                check_name=name,
                passed=outcome == "PASS",
                severity=ERROR,
                metadata={"outcome": outcome, "reasons": reasons},
            )

    return check


def suites_pass(spec: DatasetSpec) -> dg.AssetChecksDefinition:
    """The suites of Great Expectations; the gate itself is the verdict's."""

    @dg.asset_check(
        asset=validation_stage(spec, "expectations").key,
        name="all_suites_pass",
        description="Every Great Expectations suite passes.",
    )
    def check(report: ExpectationsReport) -> dg.AssetCheckResult:
        rows: list[Row] = [
            {"suite": name, "passes": "yes" if passed else "no"} for name, passed in report.suites.items()
        ]
        passed = bool(report.suites) and all(report.suites.values()) and not report.failed
        return dg.AssetCheckResult(
            passed=passed,
            severity=ERROR,
            metadata={"suites": table(rows), **describe_expectations(report)},
        )

    return check


def release_is_verifiable(spec: DatasetSpec) -> dg.AssetChecksDefinition:
    """What a consumer does: pull with the real client, verify all."""

    @dg.asset_check(
        asset=published_stage(spec).key,
        name="release_can_be_pulled_and_verified",
        blocking=True,
        description="The real client pulls the release into an empty folder and verifies signatures and digests.",
    )
    def check(
        publication: Publication,
        releases: dg.ResourceParam[ObjectStore],
        keys_folder: dg.ResourceParam[SignerSource],
    ) -> dg.AssetCheckResult:
        from synthdata.release import client

        with tempfile.TemporaryDirectory(prefix="synthdata-pull-") as name:
            root, folder = Path(name) / "root.json", Path(name) / "release"
            root.write_bytes(keys_folder.signer().root)
            try:
                client.pull(publication.dataset, publication.version, releases.url, folder, root=root)
                found = client.check(folder, root=root)
            except SynthDataError as error:
                return dg.AssetCheckResult(passed=False, severity=ERROR, description=str(error))
        return dg.AssetCheckResult(
            passed=found.ok and found.files == found.listed == publication.files,
            severity=ERROR,
            description=" ".join(found.problems) or None,
            metadata={"files": found.files, "listed": found.listed, "published": publication.files},
        )

    return check

"""A small synthetic CaseSet of ellipsoids with the records of a passed gate, made in code."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from synthdata.privacy.verdict import thresholds_digest
from synthdata.records import (
    CanaryRecall,
    Case,
    CaseSet,
    ChannelScale,
    Checkpoint,
    ColumnSpec,
    Estimate,
    ExpectationsReport,
    FidelityReport,
    Grid,
    IntakeReport,
    PrivacyReport,
    PrivacyTest,
    ReasonCount,
    ReleaseManifest,
    SamplePlan,
    TrainingSet,
    Triple,
    UtilityReport,
    Verdict,
    digest_of,
)
from synthdata.records.parquet import commit_shards
from synthdata.release import build_release
from synthdata.spec import Channel, DatasetSpec, GridSpec, PhantomSource, Release, Sampling, Source
from synthdata.storage import ObjectStore

GRID = Grid(shape_zyx=(4, 10, 8), spacing_mm=(3.0, 1.5, 1.0), origin_mm=(-10.0, 5.0, 20.0))
LABELS = {"organ": 1, "lesion": 3}
COLUMNS = (
    ColumnSpec(name="age", kind="number", unit="a", minimum=20, maximum=90, description="Age"),
    ColumnSpec(name="sex", kind="category", values=("F", "M"), description="Sex"),
    ColumnSpec(name="lesion_count", kind="integer", role="outcome", description="Number of lesions"),
)
SCALES = (
    ChannelScale(
        channel="T1w", modality="MR", method="percentile", unit="1", low=0, high=1000, percentiles=(1.0, 99.0)
    ),
    ChannelScale(channel="CT", modality="CT", method="window", unit="[hnsf'U]", low=-100, high=300),
)


def ellipsoid(number: int) -> Case:
    """One synthetic case: an ellipsoid with a small box in it; odd ones have a lesion."""
    rng = np.random.default_rng(number)
    z, y, x = np.indices(GRID.shape_zyx)
    organ = ((z - 1.5) / 2) ** 2 + ((y - 4.5) / 4) ** 2 + ((x - 3.5) / 3) ** 2 < 1
    mask = organ.astype(np.uint8)
    if number % 2:
        mask[1:3, 4:6, 3:5] = 3
    mr = 100 + 500 * organ + 200 * (mask == 3) + rng.normal(0, 20, GRID.shape_zyx)
    ct = -50 + 90 * organ + rng.normal(0, 5, GRID.shape_zyx)
    return Case(
        case_id=f"SYN-{number:06d}",
        patient_id=f"SYN-{number:06d}",
        image=np.rint(np.stack([mr, ct])).astype(np.int16),
        mask=mask,
        grid=GRID,
        record={"age": 30.0 + number, "sex": "FM"[number % 2], "lesion_count": number % 2},
        provenance={"seed": number},
    )


def ellipsoids(count: int) -> Iterator[Case]:
    """A stream of cases."""
    return (ellipsoid(number) for number in range(count))


def spec_of(**release: object) -> DatasetSpec:
    """A spec of the phantom, with two channels."""
    return DatasetSpec(
        name="ellipsoids",
        title="Ellipsoids in MR and CT",
        description="Ellipsoids, some with a lesion.",
        source=Source(kind="phantom", phantom=PhantomSource(patients=4)),
        channels=(
            Channel(name="T1w", modality="MR"),
            Channel(name="CT", modality="CT", unit="[hnsf'U]", window=(-100, 300)),
        ),
        grid=GridSpec(shape_zyx=GRID.shape_zyx, spacing_mm=GRID.spacing_mm),
        sampling=Sampling(cases=6),
        release=replace(
            Release(licence="CC-BY-4.0", formats=("parquet", "dicom", "nifti", "fhir")), **release
        ),  # type: ignore[arg-type]
        labels=LABELS,
        label_codes={"organ": "12738006|Brain"},
        clinical=COLUMNS,
        body_part="HEAD",
    )


@dataclass(frozen=True, kw_only=True)
class Made:
    """Arguments of `build_release` behind `spec, private, folder`."""

    spec: DatasetSpec
    training_set: TrainingSet
    checkpoint: Checkpoint
    plan: SamplePlan
    synthetic: CaseSet
    fidelity: FidelityReport
    utility: UtilityReport
    privacy: PrivacyReport
    expectations: ExpectationsReport
    verdict: Verdict
    intake: IntakeReport

    def build(self, private: ObjectStore, folder: Path, **options: object) -> ReleaseManifest:
        """Build the release of these records."""
        records = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "spec"}
        return build_release(self.spec, private, folder, **records, **options)  # type: ignore[arg-type]


def make(private: ObjectStore, spec: DatasetSpec | None = None, *, cases: int = 6) -> Made:
    """Commit some cases and make all records of a chain that passed its gates."""
    spec = spec or spec_of()
    empty = CaseSet(
        dataset=spec.name, origin="real", channels=("T1w", "CT"), modalities=("MR", "CT"), units=("1", "[hnsf'U]"),
        labels=LABELS, columns=COLUMNS, shards=(),
    )  # fmt: skip
    training_set = TrainingSet(
        dataset=spec.name, grid=GRID, scales=SCALES, labels=LABELS, columns=COLUMNS, train=empty, control=empty,
        test=empty, patients={"train": 2, "control": 2, "test": 1}, dropped={"near_duplicate": 1},
    )  # fmt: skip
    checkpoint = Checkpoint(
        dataset=spec.name, family="flow", config="{}", key="k", sha256="0" * 64, size_bytes=1, train_key="t",
        code_version="1", seen=100,
    )  # fmt: skip
    plan = SamplePlan(
        dataset=spec.name, checkpoint=digest_of(checkpoint), training_set=digest_of(training_set), seed=1, cases=cases,
        shard_size=4, steps=8, code_version="1", watermark_key="wm-1",
    )  # fmt: skip
    drawn = replace(empty, origin="synthetic", parents=(digest_of(plan),))
    drawn = replace(drawn, shards=commit_shards(private, drawn, "synthetic", ellipsoids(cases), shard_size=4))
    reports = reports_on(spec.name, digest_of(drawn), digest_of(training_set))
    verdict = Verdict(
        dataset=spec.name, synthetic=digest_of(drawn), training_set=digest_of(training_set), outcome="PASS",
        gates=dict.fromkeys(reports, "PASS"), reasons=("all fine",),
        reports={gate: digest_of(report) for gate, report in reports.items()},
        thresholds=thresholds_digest(spec.gates),
    )  # fmt: skip
    reason = ReasonCount(code="deid.text", outcome="quarantined", files=1, explanation="text in the pixels")
    intake = IntakeReport(
        dataset=spec.name, inventory="0" * 64, seen=9, accepted=7, quarantined=1, refused=1, patients=5, cases=empty,
        reasons=(reason,),
    )  # fmt: skip
    return Made(
        spec=spec, training_set=training_set, checkpoint=checkpoint, plan=plan, synthetic=drawn, verdict=verdict,
        intake=intake, **reports,
    )  # fmt: skip


def reports_on(dataset: str, synthetic: str, training_set: str) -> dict:
    """The four reports on one CaseSet."""
    number = Estimate(value=0.2, low=0.1, high=0.3, n=5)
    triple = Triple(
        metric="frechet", family="radiomics", lower_is_better=True, generated=number, floor=number, ceiling=number,
        score=number,
    )  # fmt: skip
    test = PrivacyTest(
        name="ratio_tail",
        outcome="PASS",
        statistic=0.1,
        p_value=0.4,
        threshold=0.01,
        power=0.9,
        explanation="by chance",
    )
    about = {"dataset": dataset, "synthetic": synthetic}
    trained = {**about, "training_set": training_set}
    return {
        "fidelity": FidelityReport(**trained, triples=(triple,), scores={"radiomics": number}, figures={}, encoder=""),
        "utility": UtilityReport(
            **trained, task="segmentation", metric="dice", trtr=number, tstr=number, ratio=number,
            per_label={"organ": (number, number)}, steps=10, seeds=2, figures={},
        ),
        "privacy": PrivacyReport(
            **trained, outcome="PASS", tests=(test,), canaries=(CanaryRecall(kind="exact", planted=5, found=5),),
            copies=number, suspects=(), detectable_share=0.05, figures={},
        ),
        "expectations": ExpectationsReport(**about, suites={"cases": True}, failed=(), evaluated=12),
    }  # fmt: skip


def tree(folder: Path) -> dict[str, str]:
    """Path to SHA-256 of all files below a folder."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }

"""From an intake report to a training set, through the real stores."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from synthdata.errors import ConfigError, IntegrityError, SourceError
from synthdata.intake import take_in
from synthdata.preparation import prepare
from synthdata.records import Case, CaseSet, Grid, IntakeReport, digest_of
from synthdata.records.parquet import commit_shards, read_cases
from synthdata.spec import Channel, DatasetSpec, GridSpec, Release, Sampling, Source, load_spec
from synthdata.storage.folder import FolderStore

ROOT = Path(__file__).parents[2]
REALDATA = Path(os.environ.get("SYNTHDATA_REALDATA", ROOT / "../shared/data"))
KEY = b"s" * 32
SHAPE = (6, 10, 8)
SPEC = DatasetSpec(
    name="preparation-test",
    title="Preparation",
    source=Source(kind="folder", uri="unused"),
    channels=(Channel(name="T1w", modality="MR"),),
    labels={"lesion": 1},
    grid=GridSpec(shape_zyx=SHAPE, spacing_mm=(1.0, 1.0, 1.0)),
    sampling=Sampling(cases=1),
    release=Release(licence="CC-BY-4.0"),
)


@pytest.fixture
def private(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "private")


def make_case(patient: int, study: int = 0, image: np.ndarray | None = None) -> Case:
    rng = np.random.default_rng((patient, study))
    voxels = rng.integers(0, 2000, (1, 7, 9, 8)).astype(np.int16) if image is None else image
    mask = np.zeros(voxels.shape[1:], np.uint8)
    mask[2:4, 3:6, 2:5] = 1
    return Case(
        case_id=f"C-{patient:03d}-{study}",
        patient_id=f"P-{patient:03d}",
        image=voxels,
        mask=mask,
        grid=Grid(shape_zyx=voxels.shape[1:], spacing_mm=(1.0, 1.0, 1.0)),
        record={},
    )


def make_report(private: FolderStore, cases: list[Case]) -> IntakeReport:
    base = CaseSet(
        dataset=SPEC.name,
        origin="real",
        channels=("T1w",),
        modalities=("MR",),
        units=("1",),
        labels={"lesion": 1},
        columns=(),
        shards=(),
    )
    shards = commit_shards(private, base, "intake", cases) if cases else ()
    return IntakeReport(
        dataset=SPEC.name,
        inventory="0",
        seen=0,
        accepted=0,
        quarantined=0,
        refused=0,
        patients=0,
        cases=replace(base, shards=shards),
        reasons=(),
    )


def test_studies_of_one_patient_stay_together_and_nothing_is_lost(private) -> None:
    cases = [make_case(patient, study) for patient in range(60) for study in range(2)]
    training = prepare(SPEC, make_report(private, cases), private, split_key=KEY)
    groups = {
        name: list(read_cases(private, getattr(training, name))) for name in ("train", "control", "test")
    }
    people = {name: {case.patient_id for case in members} for name, members in groups.items()}
    assert len(set.union(*people.values())) == sum(map(len, people.values()))
    assert {name: len(members) for name, members in people.items()} == dict(training.patients)
    assert training.patients["train"] == training.patients["control"]
    assert sum(map(len, groups.values())) + sum(training.dropped.values()) == 120
    assert all(case.image.shape == (1, *SHAPE) and case.image.dtype == np.int16 for case in groups["train"])
    assert all(case.grid == training.grid for case in groups["test"])


def test_a_second_run_gives_the_same_record(private) -> None:
    report = make_report(private, [make_case(patient) for patient in range(12)])
    assert digest_of(prepare(SPEC, report, private, split_key=KEY)) == digest_of(
        prepare(SPEC, report, private, split_key=KEY)
    )


def test_one_patient_under_two_ids_and_constant_images_are_left_out(private) -> None:
    cases = [make_case(patient) for patient in range(12)]
    cases += [make_case(77, image=cases[4].image), make_case(78, image=np.full((1, 7, 9, 8), 5, np.int16))]
    training = prepare(SPEC, make_report(private, cases), private, split_key=KEY)
    assert training.dropped["near_duplicate"] == 1
    assert training.dropped["constant_image"] == 1
    kept = [
        case.patient_id
        for name in ("train", "control", "test")
        for case in read_cases(private, getattr(training, name))
    ]
    assert len({"P-004", "P-077"} & set(kept)) <= 1
    assert "P-078" not in kept


def test_the_range_of_each_volume_and_the_cropped_mask_are_recorded(private) -> None:
    training = prepare(
        SPEC, make_report(private, [make_case(patient) for patient in range(12)]), private, split_key=KEY
    )
    for case in read_cases(private, training.train):
        assert case.provenance["T1w_low"] < case.provenance["T1w_high"]
        assert case.provenance["mask_kept"] == 1.0


def test_nothing_accepted_too_few_patients_and_changed_shards_are_refused(private) -> None:
    with pytest.raises(SourceError, match="accepted no case"):
        prepare(SPEC, make_report(private, []), private, split_key=KEY)
    with pytest.raises(ConfigError, match="add patients"):
        prepare(SPEC, make_report(private, [make_case(1), make_case(2)]), private, split_key=KEY)
    report = make_report(private, [make_case(patient) for patient in range(12)])
    private.write(report.cases.shards[0].key, b"other bytes")
    with pytest.raises(IntegrityError):
        prepare(SPEC, report, private, split_key=KEY)


@pytest.mark.realdata
@pytest.mark.skipif(not REALDATA.is_dir(), reason="SYNTHDATA_REALDATA names no folder with the real scans")
def test_real_patients_are_no_near_duplicates_of_each_other(private) -> None:
    spec = load_spec(ROOT / "pipelines" / "datasets" / "hippocampus-mr.yaml")
    report = take_in(spec, REALDATA / "hippocampus_mr", private, pseudonym_key=KEY)
    training = prepare(spec, report, private, split_key=KEY)
    assert set(training.dropped) <= {"trimmed"}
    assert training.patients["train"] == training.patients["control"] >= 45
    assert all(case.provenance["mask_kept"] > 0.95 for case in read_cases(private, training.train))

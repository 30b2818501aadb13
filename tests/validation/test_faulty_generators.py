"""Generators with one known fault each, from held-out phantom patients: the gate that names it fails, and no other."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from synthdata.phantom import draw_patient, render, volume_grid
from synthdata.records import Case, CaseSet, ChannelScale, ColumnSpec, FaultTest, TrainingSet
from synthdata.records.parquet import commit_shards
from synthdata.spec import Channel, DatasetSpec, GridSpec, Release, Sampling, Source
from synthdata.storage.folder import FolderStore
from synthdata.validation.case_mix import CasePool, Kind, case_mix, strata_of
from synthdata.validation.coupling import association
from synthdata.validation.fault_evidence import Evidence, gather
from synthdata.validation.faults import fault_names, find_faults, review
from synthdata.validation.resampling import Plan, plan_resamples

GRID = volume_grid((24, 40, 32), (6.0, 5.5, 5.5))
HU = ChannelScale(channel="CT", modality="CT", method="window", unit="[hnsf'U]", low=0, high=80)
LABELS = {"ventricles": 1, "infarct": 2, "haemorrhage": 3}
COLUMNS = (
    ColumnSpec(name="age", kind="integer", unit="a"),
    ColumnSpec(name="sex", kind="category", values=("F", "M")),
    ColumnSpec(name="diagnosis", kind="category", values=("healthy", "infarct", "haemorrhage")),
    ColumnSpec(name="ventricle_volume_ml", kind="number", unit="mL", role="outcome"),
)
CLASS = ColumnSpec(name="class", kind="category", values=("a", "b"))
GROUPS = {"train": range(60), "test": range(60, 100), "held out": range(100, 210)}
Patients = dict[str, list[Case]]
World = tuple[FolderStore, TrainingSet, DatasetSpec, list[Case]]


def phantom_case(number: int) -> Case:
    """A digital head in CT, encoded in the window of brain."""
    made = render(draw_patient(5, number), ("CT",), GRID)
    return Case(
        case_id=f"case-{number}",
        patient_id=f"patient-{number}",
        image=np.clip(made.images["CT"], HU.low, HU.high).astype(np.int16)[None],
        mask=made.mask,
        grid=GRID,
        record={column.name: made.record[column.name] for column in COLUMNS},
    )


def committed(store: FolderStore, cases: Sequence[Case], origin: str = "real") -> CaseSet:
    named = cases
    if origin == "synthetic":
        named = [replace(case, case_id=f"SYN-{i}", patient_id=f"SYN-{i}") for i, case in enumerate(cases)]
    base = CaseSet(
        dataset="heads",
        origin=origin,
        channels=("CT",),
        modalities=("CT",),
        units=(HU.unit,),
        labels=LABELS,
        columns=COLUMNS,
        shards=(),
    )
    return replace(base, shards=commit_shards(store, base, "prepared", named))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    store = FolderStore(Path(tmp_path_factory.mktemp("heads")))
    cases = {group: [phantom_case(number) for number in numbers] for group, numbers in GROUPS.items()}
    sets = {group: committed(store, some) for group, some in cases.items()}
    training_set = TrainingSet(
        dataset="heads",
        grid=GRID,
        scales=(HU,),
        labels=LABELS,
        columns=COLUMNS,
        train=sets["train"],
        control=sets["held out"],
        test=sets["test"],
        patients={"train": 60, "control": 110, "test": 40},
        dropped={},
    )
    spec = DatasetSpec(
        name="heads",
        title="Heads",
        source=Source(kind="phantom"),
        channels=(Channel(name="CT", modality="CT", unit=HU.unit, window=(HU.low, HU.high)),),
        grid=GridSpec(shape_zyx=GRID.shape_zyx, spacing_mm=GRID.spacing_mm),
        sampling=Sampling(cases=110),
        release=Release(licence="CC0-1.0"),
        labels=LABELS,
        clinical=COLUMNS,
    )
    return store, training_set, spec, cases["held out"]


def looked_at(world: World, cases: Sequence[Case]) -> tuple[Evidence, Plan]:
    store, training_set, spec, _ = world
    evidence = gather(spec, training_set, committed(store, cases, "synthetic"), store)
    return evidence, plan_resamples({role: table.patient_ids for role, table in evidence.structure.items()})


def faults_of(world: World, cases: Sequence[Case]) -> dict[str, FaultTest]:
    evidence, plan = looked_at(world, cases)
    return {test.name: test for test in find_faults(evidence, plan, review(evidence, plan))}


def with_image(case: Case, image: np.ndarray) -> Case:
    """Within the window, as a generator writes."""
    return replace(case, image=np.rint(np.clip(image, HU.low, HU.high)).astype(np.int16))


def clean(cases: list[Case]) -> list[Case]:
    return cases


def collapsed(cases: list[Case]) -> list[Case]:
    rng = np.random.default_rng(1)
    noise = [rng.normal(0, 0.5, cases[0].image.shape) for _ in cases]
    return [with_image(cases[i % 3], cases[i % 3].image + some) for i, some in enumerate(noise)]


def mode_dropped(cases: list[Case]) -> list[Case]:
    return [case for case in cases if case.record["diagnosis"] != "haemorrhage"]


def blurred(cases: list[Case]) -> list[Case]:
    return [
        with_image(case, ndimage.gaussian_filter(case.image.astype(float), (0, 1.2, 1.2, 1.2)))
        for case in cases
    ]


def chessboard(cases: list[Case]) -> list[Case]:
    """Peaks and troughs 4.8 HU apart, as of a transposed convolution."""
    board = 2.4 * (1 - 2 * (np.indices(GRID.shape_zyx).sum(axis=0) % 2))
    return [with_image(case, case.image + board * (case.image > 8)) for case in cases]


def ringing(cases: list[Case]) -> list[Case]:
    """Wave lengths below 3.3 voxels cut off along each axis."""
    kept = np.all(
        [np.abs(f) < 0.3 for f in np.meshgrid(*map(np.fft.fftfreq, GRID.shape_zyx), indexing="ij")], axis=0
    )
    return [with_image(case, np.fft.ifftn(np.fft.fftn(case.image[0]) * kept).real[None]) for case in cases]


def shifted(cases: list[Case]) -> list[Case]:
    return [with_image(case, case.image + 40.0) for case in cases]


def masks_shuffled(cases: list[Case]) -> list[Case]:
    order = np.random.default_rng(2).permutation(len(cases))
    return [replace(case, mask=cases[other].mask) for case, other in zip(cases, order, strict=True)]


def masks_moved(cases: list[Case]) -> list[Case]:
    return [replace(case, mask=np.roll(case.mask, -1, axis=2)) for case in cases]


def records_shuffled(cases: list[Case]) -> list[Case]:
    order = np.random.default_rng(3).permutation(len(cases))
    return [replace(case, record=cases[other].record) for case, other in zip(cases, order, strict=True)]


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (clean, None),
        (collapsed, "diversity"),
        (mode_dropped, "modes"),
        (blurred, "sharpness"),
        (shifted, "intensity_offset"),
        (chessboard, "artefacts"),
        (ringing, "artefacts"),
        (masks_shuffled, "mask_agreement"),
        (masks_moved, "mask_agreement"),
        (records_shuffled, "record_coupling"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_gate_that_names_the_fault_fails_and_no_other(
    world: World, spoil: Callable[[list[Case]], list[Case]], fault: str | None
) -> None:
    found = faults_of(world, spoil(world[3]))
    assert tuple(found) == fault_names(world[1])
    told = {name: test.explanation for name, test in found.items()}
    assert [name for name, test in found.items() if test.outcome == "FAIL"] == ([fault] if fault else []), (
        told
    )
    undecided = {name: test.follows for name, test in found.items() if test.outcome == "INCONCLUSIVE"}
    assert set(undecided.values()) <= {fault}, told


def test_records_that_fail_as_a_whole_alone_fail_the_coupling(world: World) -> None:
    evidence, plan = looked_at(world, world[3])
    (whole,) = review(evidence, plan)
    assert whole.outcome == "PASS"
    failed = replace(whole, outcome="FAIL", value=replace(whole.value, value=1.0, low=0.9, high=1.1))
    found = {test.name: test for test in find_faults(evidence, plan, (failed,))}["record_coupling"]
    assert (found.outcome, found.value) == ("FAIL", failed.value)
    assert failed.explanation in found.explanation
    assert "pair by pair" in found.explanation


def test_records_that_are_alike_lose_nothing(world: World) -> None:
    evidence, plan = looked_at(world, world[3])
    same = {role: [dict.fromkeys(row, None) for row in rows] for role, rows in evidence.records.items()}
    (whole,) = review(replace(evidence, records=same), plan)
    assert whole.outcome == "INCONCLUSIVE"
    assert "nothing could be lost" in whole.explanation


def test_a_class_that_the_plan_asks_for_and_that_never_comes_is_a_dropped_mode(world: World) -> None:
    store, training_set, spec, held_out = world
    have = Counter(str(case.record["diagnosis"]) for case in held_out)
    sampling = replace(spec.sampling, counts={"diagnosis": dict(have)}, cases=len(held_out))
    asking = (store, training_set, replace(spec, sampling=sampling), held_out)
    assert faults_of(asking, held_out)["modes"].outcome == "PASS"
    found = faults_of(asking, mode_dropped(held_out))
    assert [name for name, test in found.items() if test.outcome == "FAIL"] == ["modes"]
    assert found["modes"].value.value == 1
    assert "diagnosis haemorrhage is 0.0% of the generated cases" in found["modes"].explanation
    assert found["record_coupling"].follows == "modes"


def test_a_class_without_a_real_test_case_is_inconclusive_and_named(world: World) -> None:
    """No fault can be seen in cases that nothing is compared with, so the gate does not open."""
    store, training_set, spec, held_out = world
    healthy = [phantom_case(number) for number in GROUPS["test"]]
    healthy = [case for case in healthy if case.record["diagnosis"] != "haemorrhage"]
    lacking = replace(training_set, test=committed(store, healthy))
    found = faults_of((store, lacking, spec, held_out), held_out)["modes"]
    assert found.outcome == "INCONCLUSIVE"
    assert "no real test case has diagnosis haemorrhage, haemorrhage" in found.explanation
    assert "add patients" in found.explanation


def test_a_small_offset_within_the_tolerance_of_a_scanner_passes(world: World) -> None:
    found = faults_of(world, [with_image(case, case.image + 3.0) for case in world[3]])
    assert found["intensity_offset"].outcome == "PASS"
    assert found["intensity_offset"].value.value == pytest.approx(3, abs=1)


def test_few_generated_cases_cannot_show_that_no_kind_is_missing(world: World) -> None:
    found = faults_of(world, world[3][:14])
    assert found["modes"].outcome == "INCONCLUSIVE"
    assert "draw more" in found["modes"].explanation


def pool_of(
    real: np.ndarray,
    made: np.ndarray,
    *,
    classes: Sequence[str] = (),
    counts: Mapping[str, Mapping[str, int]] | None = None,
) -> CasePool:
    """Cases which differ by one number, and by a class where there are any."""
    records = [{"class": value} for value in classes] or [{}] * (len(real) + len(made))
    return CasePool(
        flags={},
        numbers={"size": np.concatenate([real, made])},
        categories={"class": (CLASS, list(classes))} if classes and not counts else {},
        layout=np.zeros((len(real) + len(made), 1)),
        strata=strata_of(records, counts or {}),
        patients=np.arange(len(real) + len(made)),
        generated=np.repeat([False, True], [len(real), len(made)]),
    )


def lost(pool: CasePool) -> list[str]:
    return [
        k.name
        for k in case_mix(pool, allowed=0.5, shuffles=199).kinds
        if k.p_value < 0.01 and k.missed.low > 0.5
    ]


def test_a_mix_that_the_plan_asked_for_is_no_dropped_mode() -> None:
    rng = np.random.default_rng(0)
    sizes, classes = rng.normal(size=160), ["a"] * 30 + ["b"] * 30 + ["a"] * 96 + ["b"] * 4
    asked = {"class": {"a": 96, "b": 4}}
    assert lost(pool_of(sizes[:60], sizes[60:], classes=classes)) == ["class b"]
    assert lost(pool_of(sizes[:60], sizes[60:], classes=classes, counts=asked)) == []


def test_a_third_that_is_gone_is_named_and_a_random_third_is_not() -> None:
    rng = np.random.default_rng(1)
    real, made = rng.normal(size=80), rng.normal(size=150)
    assert lost(pool_of(real, np.sort(made)[50:])) == ["size small"]
    assert lost(pool_of(real, made[50:])) == []


def test_the_kinds_of_a_class_are_compared_within_it() -> None:
    """The plan asks for other shares of two classes of other sizes, so the sizes of all cases differ, too."""
    rng = np.random.default_rng(1)
    sizes = np.concatenate([rng.normal(mean, 1, n) for n, mean in ((60, 0), (60, 5), (240, 0), (20, 5))])
    classes, asked = ["a"] * 60 + ["b"] * 60 + ["a"] * 240 + ["b"] * 20, {"class": {"a": 240, "b": 20}}
    assert "size large" in lost(pool_of(sizes[:120], sizes[120:]))
    assert lost(pool_of(sizes[:120], sizes[120:], classes=classes, counts=asked)) == []


def test_cases_of_one_law_lose_a_kind_no_more_often_than_the_level_says() -> None:
    rng = np.random.default_rng(2)
    least = [
        min(
            kind.p_value
            for kind in case_mix(
                pool_of(*np.split(rng.normal(size=90), [50])), allowed=0.5, shuffles=99
            ).kinds
        )
        for _ in range(200)
    ]
    assert np.mean(np.array(least) <= 0.1) == pytest.approx(0.1, abs=0.06)


def test_what_is_missing_has_an_exact_interval() -> None:
    kind = Kind(name="x", real=0.5, patients=40, generated=0, cases=40, deficit=9)
    assert kind.missed.value == kind.missed.high == 1
    assert kind.missed.low == pytest.approx(1 - (0.025 ** (-1 / 20) - 1))  # none of 40 beside 20 of 40


def test_associations_of_all_kinds_have_their_closed_forms() -> None:
    rng = np.random.default_rng(4)
    number, group = rng.normal(size=200), np.array(["a", "b"] * 100, object)
    assert association(number, -np.exp(number)) == pytest.approx(1)
    assert association(group, group) == pytest.approx(1)
    assert association(group, np.where(group == "a", 0.0, 1.0)) == pytest.approx(1)
    assert association(group, number) < 0.2
    assert association(number, np.full(200, 3.0)) == 0
    assert np.isnan(association(number[:5], number[:5]))

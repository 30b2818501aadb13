"""A cohort whose anatomy we know: smooth organs in air, of one law for train, control and clean generators alike."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy import ndimage

from synthdata.records import Case, CaseSet, ChannelScale, ColumnSpec, Grid, TrainingSet
from synthdata.records.parquet import commit_shards
from synthdata.spec import Channel, DatasetSpec, Gates, GridSpec, Release, Sampling, Source
from synthdata.storage.folder import FolderStore

SHAPE = (10, 16, 16)
SCALE = ChannelScale(
    channel="T1w", modality="MR", method="percentile", unit="1", low=0, high=1000, percentiles=(0.5, 99.5)
)
MODES = [
    ndimage.gaussian_filter(np.random.default_rng(mode).normal(size=SHAPE), 1.6, mode="nearest") * 12
    for mode in range(16)
]
Z, Y, X = np.indices(SHAPE)
INSIDE = ((Z - 4.5) / 2.4) ** 2 + ((Y - 7.5) / 5.2) ** 2 + (
    (X - 7.5) / 5.2
) ** 2 < 1  # the organ; around it is air


def anatomy(rng: np.random.Generator) -> np.ndarray:
    """Sixteen numbers that make a patient."""
    return rng.normal(size=len(MODES))


def draw_case(name: str, patient: str, numbers: np.ndarray, rng: np.random.Generator) -> Case:
    """A smooth field of the anatomy; the mask is where it is high."""
    field = sum(weight * mode for weight, mode in zip(numbers, MODES, strict=True))
    image = np.clip(np.where(INSIDE, 500 + 120 * field, 0) + rng.normal(0, 8, SHAPE), 0, 1000)
    mask = INSIDE * (1 + (field > 1.0))
    grid = Grid(shape_zyx=SHAPE, spacing_mm=(2.0, 2.0, 2.0))
    return Case(
        case_id=name,
        patient_id=patient,
        image=np.rint(image).astype(np.int16)[None],
        mask=mask.astype(np.uint8),
        grid=grid,
        record={},
    )


def strangers(prefix: str, count: int, rng: np.random.Generator) -> list[Case]:
    """Cases of `count` new people."""
    return [draw_case(f"{prefix}-{i}", f"{prefix}-{i}", anatomy(rng), rng) for i in range(count)]


@dataclass
class Cohort:
    """A store with train and control, and how to add a synthetic set."""

    store: FolderStore
    spec: DatasetSpec
    training_set: TrainingSet
    train: list[Case]

    def synthetic(self, cases: Sequence[Case], columns: tuple[ColumnSpec, ...] = ()) -> CaseSet:
        """Cases as if they were generated."""
        named = (
            replace(case, case_id=f"SYN-{i:04d}", patient_id=f"SYN-{i:04d}") for i, case in enumerate(cases)
        )
        return commit(self.store, "synthetic", named, columns)


def commit(
    store: FolderStore,
    stage: str,
    cases: Iterator[Case] | Sequence[Case],
    columns: tuple[ColumnSpec, ...] = (),
) -> CaseSet:
    """A CaseSet of some cases, in the store."""
    base = CaseSet(
        dataset="blobs",
        origin="synthetic" if stage == "synthetic" else "real",
        channels=("T1w",),
        modalities=("MR",),
        units=("1",),
        labels={"high": 1, "peak": 2},
        columns=columns,
        shards=(),
    )
    return replace(base, shards=commit_shards(store, base, stage, list(cases)))


def make_cohort(folder: Path, patients: int, *, columns: tuple[ColumnSpec, ...] = ()) -> Cohort:
    """A cohort of n training and n control patients, in a store of its own."""
    rng = np.random.default_rng(patients)
    store = FolderStore(folder)
    train, control = strangers("T", patients, rng), strangers("H", patients, rng)
    if columns:
        train, control = _recorded(train), _recorded(control)
    training_set = TrainingSet(
        dataset="blobs",
        grid=train[0].grid,
        scales=(SCALE,),
        labels={"high": 1, "peak": 2},
        columns=columns,
        train=commit(store, "prepared", train, columns),
        control=commit(store, "prepared", control, columns),
        test=commit(store, "prepared", strangers("E", 4, rng), columns),
        patients={"train": patients, "control": patients, "test": 4},
        dropped={},
    )
    spec = DatasetSpec(
        name="blobs",
        title="Blobs",
        source=Source(kind="phantom"),
        channels=(Channel(name="T1w", modality="MR"),),
        grid=GridSpec(shape_zyx=SHAPE, spacing_mm=(2.0, 2.0, 2.0)),
        sampling=Sampling(cases=200),
        release=Release(licence="CC-BY-4.0"),
        labels={"high": 1, "peak": 2},
        clinical=columns,
        gates=Gates(),
    )
    return Cohort(store=store, spec=spec, training_set=training_set, train=train)


def _recorded(cases: list[Case]) -> list[Case]:
    """The same cases with a sex."""
    return [replace(case, record={"sex": "FM"[index % 2]}) for index, case in enumerate(cases)]

"""Small cohorts: ellipsoids whose size, place and brightness vary by patient, in a folder store."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from synthdata.records import Case, CaseSet, ChannelScale, ColumnSpec, Grid, TrainingSet
from synthdata.records.parquet import commit_shards
from synthdata.spec import Channel, DatasetSpec, Gates, GridSpec, Release, Sampling, Source
from synthdata.storage.folder import FolderStore

GRID = Grid(shape_zyx=(12, 16, 16), spacing_mm=(2.0, 1.0, 1.0))
LABELS = {"organ": 1, "lesion": 2}
COLUMNS = (
    ColumnSpec(name="age_years", kind="number", unit="a", minimum=20, maximum=90),
    ColumnSpec(name="sex", kind="category", values=("F", "M")),
    ColumnSpec(name="marker", kind="number", unit="g/L", role="outcome"),
)
SCALE = ChannelScale(
    channel="T1w", modality="MR", method="percentile", unit="1", low=0, high=1000, percentiles=(0.5, 99.5)
)
Edit = Callable[[Case], Case]


def ellipsoid_case(name: str, seed: int, *, grid: Grid = GRID, synthetic: bool = False) -> Case:
    """One case: an organ with a brighter lesion, texture and noise; the marker follows the lesion."""
    rng = np.random.default_rng(seed)
    shape = np.array(grid.shape_zyx)
    flat = shape[0] == 1
    at = np.indices(grid.shape_zyx).transpose(1, 2, 3, 0) - (shape - 1) / 2
    at = at * [0 if flat else 1, 1, 1]
    radii = np.maximum(shape, 2) * rng.uniform(0.3, 0.42, 3)
    organ = (((at - rng.normal(0, 0.4, 3)) / radii) ** 2).sum(axis=-1) < 1
    size = rng.uniform(1.2, 2.6)
    offset = rng.uniform(-0.3, 0.3, 3) * radii
    lesion = organ & ((((at - offset) / size) ** 2).sum(axis=-1) < 1)
    image = 60 + 400 * organ + rng.uniform(150, 250) * lesion + rng.normal(0, 40, grid.shape_zyx)
    image += 40 * np.sin(at[..., 2] * rng.uniform(0.6, 0.9)) * organ
    mask = organ.astype(np.uint8) + lesion
    marker = float(lesion.sum()) / 10 + rng.normal(0, 0.5)
    return Case(
        case_id=f"SYN-{name}" if synthetic else f"real-{name}",
        patient_id=f"SYN-{name}" if synthetic else f"patient-{name}",
        image=np.clip(np.rint(image), -50, 1050).astype(np.int16)[None],
        mask=mask.astype(np.uint8),
        grid=grid,
        record={
            "age_years": float(rng.uniform(30, 80)),
            "sex": str(rng.choice(["F", "M"])),
            "marker": marker,
        },
    )


def make_set(
    store: FolderStore,
    stage: str,
    cases: Sequence[Case],
    *,
    synthetic: bool = False,
    labels: Mapping[str, int] = LABELS,
) -> CaseSet:
    """Commit cases as a CaseSet."""
    empty = CaseSet(
        dataset="ellipsoids",
        origin="synthetic" if synthetic else "real",
        channels=("T1w",),
        modalities=("MR",),
        units=("1",),
        labels=labels,
        columns=COLUMNS,
        shards=(),
    )
    shards = commit_shards(store, empty, stage, cases, shard_size=20)
    return CaseSet(**{name: getattr(empty, name) for name in CaseSet.__slots__} | {"shards": shards})


def make_training_set(
    store: FolderStore, *, n: int = 40, grid: Grid = GRID, labels: Mapping[str, int] = LABELS
) -> TrainingSet:
    """Train, control and test cohorts of one law."""
    groups = {}
    for index, (group, count) in enumerate({"train": n, "control": n, "test": n}.items()):
        cases = [ellipsoid_case(f"{group}-{i:03d}", 10_000 * index + i, grid=grid) for i in range(count)]
        groups[group] = make_set(store, "prepared", cases, labels=labels)
    return TrainingSet(
        dataset="ellipsoids",
        grid=grid,
        scales=(SCALE,),
        labels=labels,
        columns=COLUMNS,
        patients=dict.fromkeys(groups, n),
        dropped={},
        **groups,
    )


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> tuple[FolderStore, TrainingSet]:
    """A store with a training set; tests add synthetic sets and never change what is there."""
    store = FolderStore(Path(tmp_path_factory.mktemp("private")))
    return store, make_training_set(store)


@pytest.fixture(scope="session")
def synthesise(cohort: tuple[FolderStore, TrainingSet]) -> Callable[..., CaseSet]:
    """Make a synthetic CaseSet of new cases of the same law, each edited."""

    def make(edit: Edit = lambda case: case, *, n: int = 40, seed: int = 50_000) -> CaseSet:
        cases = [edit(ellipsoid_case(f"{i:03d}", seed + i, synthetic=True)) for i in range(n)]
        return make_set(cohort[0], "synthetic", cases, synthetic=True)

    return make


@pytest.fixture(scope="session")
def spec() -> DatasetSpec:
    """A spec of the ellipsoids; its source is never read here."""
    return DatasetSpec(
        name="ellipsoids",
        title="Ellipsoids",
        source=Source(kind="folder", format="nifti", uri="."),
        channels=(Channel(name="T1w", modality="MR"),),
        grid=GridSpec(shape_zyx=GRID.shape_zyx, spacing_mm=GRID.spacing_mm),
        sampling=Sampling(cases=40),
        release=Release(licence="CC0-1.0"),
        labels=LABELS,
        clinical=COLUMNS,
        gates=Gates(utility_steps=60, utility_seeds=2),
    )


@pytest.fixture(scope="session")
def flat(tmp_path_factory: pytest.TempPathFactory) -> tuple[FolderStore, TrainingSet, CaseSet]:
    """Images of one slice without labels, and synthetic ones of the same law."""
    store = FolderStore(Path(tmp_path_factory.mktemp("flat")))
    grid = Grid(shape_zyx=(1, 24, 20), spacing_mm=(1.0, 1.0, 1.0))
    training_set = make_training_set(store, n=20, grid=grid, labels={})
    cases = [ellipsoid_case(f"{i:03d}", 90_000 + i, grid=grid, synthetic=True) for i in range(20)]
    return store, training_set, make_set(store, "synthetic", cases, synthetic=True, labels={})

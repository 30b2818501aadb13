"""Small real CaseSets, made in code, for the tests of training and generation."""

from dataclasses import replace

import numpy as np

from synthdata.records import Case, CaseSet, ChannelScale, ColumnSpec, Grid, TrainingSet
from synthdata.records.parquet import commit_shards
from synthdata.spec import Channel, DatasetSpec, GridSpec, Release, Sampling, Source
from synthdata.spec_generator import GeneratorSpec
from synthdata.storage import ObjectStore

COLUMNS = (
    ColumnSpec(name="age", kind="number", unit="a", minimum=20, maximum=90),
    ColumnSpec(name="sex", kind="category", values=("F", "M")),
    ColumnSpec(name="marker", kind="number", unit="g/L", minimum=0, maximum=100, role="outcome"),
)


def ball_case(index: int, shape: tuple[int, int, int]) -> Case:
    """A ball whose radius grows with age and whose marker grows with its volume."""
    rng = np.random.default_rng(index)
    age = float(rng.uniform(30, 80))
    radius = 1.5 + age / 40
    axes = np.meshgrid(*[np.arange(side) - (side - 1) / 2 for side in shape], indexing="ij")
    offset = rng.normal(scale=0.4, size=3)
    squared = sum(
        (axis - shift) ** 2 for axis, shift, side in zip(axes, offset, shape, strict=True) if side > 1
    )
    inside = squared < radius**2
    image = np.where(inside, 700, 200) + rng.normal(scale=20, size=shape)
    volume = float(inside.sum())
    return Case(
        case_id=f"C-{index:03d}",
        patient_id=f"P-{index:03d}",
        image=np.rint(image).astype(np.int16)[None],
        mask=inside.astype(np.uint8),
        grid=Grid(shape_zyx=shape, spacing_mm=(1.0, 1.0, 1.0)),
        record={"age": age, "sex": "FM"[index % 2], "marker": min(100.0, volume / 4 + rng.normal())},
    )


def ball_set(store: ObjectStore, *, cases: int = 12, shape: tuple[int, int, int] = (8, 12, 8)) -> TrainingSet:
    """Three groups of balls in a store."""
    empty = CaseSet(
        dataset="balls",
        origin="real",
        channels=("T1w",),
        modalities=("MR",),
        units=("1",),
        labels={"ball": 1},
        columns=COLUMNS,
        shards=(),
    )
    groups = {}
    for number, name in enumerate(("train", "control", "test")):
        members = [ball_case(1000 * number + i, shape) for i in range(cases)]
        groups[name] = replace(empty, shards=commit_shards(store, empty, "prepared", members))
    return TrainingSet(
        dataset="balls",
        grid=Grid(shape_zyx=shape, spacing_mm=(1.0, 1.0, 1.0)),
        scales=(
            ChannelScale(
                channel="T1w",
                modality="MR",
                method="percentile",
                unit="1",
                low=0,
                high=1000,
                percentiles=(0.5, 99.5),
            ),
        ),
        labels={"ball": 1},
        columns=COLUMNS,
        patients=dict.fromkeys(groups, cases),
        dropped={},
        **groups,
    )


def ball_spec(**generator: object) -> DatasetSpec:
    """A spec with a budget of seconds."""
    settings: dict[str, object] = {"preset": "tiny", "seen": 64, "batch": 8, "augment": 0.5} | generator
    return DatasetSpec(
        name="balls",
        title="Balls",
        source=Source(kind="folder", uri="."),
        channels=(Channel(name="T1w", modality="MR"),),
        grid=GridSpec(shape_zyx=(8, 12, 8), spacing_mm=(1.0, 1.0, 1.0)),
        sampling=Sampling(cases=10, steps=2, shard_size=4),
        release=Release(licence="CC-BY-4.0"),
        labels={"ball": 1},
        clinical=COLUMNS,
        generator=GeneratorSpec(**settings),
    )

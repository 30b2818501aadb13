"""Peak of resident memory of training and of drawing against the grid, a process for each point.

    python benchmarks/memory.py [--families flow translation] [--cases 16 64]

Ellipsoids with noise and two labels stand for patients, 8 to learn from; two batches of 4 are learnt, pool and
checkpoint included, since memory does not depend on the number of steps. Cases are drawn through the plan, quality
control and shards of a release without a copy filter (`flow`), or translated one after the other (`translation`,
between two channels).
"""

import argparse
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from sampling import blobs
from translation_data import scale, training_set

from synthdata.generation import generate, plan_samples
from synthdata.generation.engines.local import LocalEngine
from synthdata.models.build import load_generator
from synthdata.records import Case, Checkpoint, Grid, TrainingSet, from_json, to_json
from synthdata.spec import (
    Channel,
    DatasetSpec,
    Gates,
    GeneratorSpec,
    GridSpec,
    Release,
    Sampling,
    Source,
    Translation,
)
from synthdata.storage import ObjectStore, open_store
from synthdata.training import train

GRIDS = ((24, 32, 24), (40, 56, 40), (64, 80, 64))
PATIENTS, BATCH, STEPS = 8, 4, 2
WATERMARK_KEY = bytes(32)
CHANNELS = {"flow": ("T1w",), "translation": ("T1w", "T2w")}


def spec_of(family: str, shape: tuple[int, int, int], cases: int) -> DatasetSpec:
    names = CHANNELS[family]
    translates = family == "translation"
    return DatasetSpec(
        name="pairs",
        title="Ellipsoids",
        source=Source(kind="folder", uri="."),
        channels=tuple(Channel(name=name, modality="MR") for name in names),
        grid=GridSpec(shape_zyx=shape, spacing_mm=(1.0, 1.0, 1.0)),
        sampling=Sampling(cases=cases),
        gates=Gates(copy_share=0),
        release=Release(licence="CC-BY-4.0"),
        labels={"outer": 1, "inner": 2},
        generator=GeneratorSpec(family=family, preset="small", seen=BATCH * STEPS, batch=BATCH),
        translation=Translation(source=names[:1], target=names[1:], draw=False) if translates else None,
    )


def prepared(store: ObjectStore, family: str, shape: tuple[int, int, int]) -> TrainingSet:
    """Patients with as many channels as the family needs; the second is the first with its contrast reversed."""
    images, fields = blobs(shape, PATIENTS)
    cases = []
    for number, (image, label) in enumerate(zip(images.numpy(), fields.numpy(), strict=True)):
        channels = np.concatenate([image, -image])[: len(CHANNELS[family])]
        cases.append(
            Case(
                case_id=f"P{number}",
                patient_id=f"P{number}",
                image=np.rint(500 * (channels + 1)).astype(np.int16),
                mask=(label > 0).sum(axis=0).astype(np.uint8),
                grid=Grid(shape_zyx=shape, spacing_mm=(1.0, 1.0, 1.0)),
                record={},
            )
        )
    scales = tuple(scale(name, "MR") for name in CHANNELS[family])
    return training_set(store, cases, cases, scales, {"outer": 1, "inner": 2})


def learn(family: str, shape: tuple[int, int, int], folder: Path) -> None:
    store = open_store(str(folder))
    found = prepared(store, family, shape)
    (folder / "set.json").write_bytes(to_json(found))
    (folder / "checkpoint.json").write_bytes(to_json(train(spec_of(family, shape, 1), found, store)))


def draw(family: str, shape: tuple[int, int, int], folder: Path, cases: int) -> None:
    store = open_store(str(folder))
    found = from_json(TrainingSet, (folder / "set.json").read_bytes())
    checkpoint = from_json(Checkpoint, (folder / "checkpoint.json").read_bytes())
    if family == "translation":
        model = load_generator(checkpoint, store).model
        for seed in range(cases):
            model.translate(blobs(shape, 1)[0].repeat(1, 2, 1, 1, 1), torch.zeros(1, 0), [seed])
        return
    plan = plan_samples(spec_of(family, shape, cases), checkpoint, found, watermark_key=WATERMARK_KEY)
    generate(plan, checkpoint, found, store, engine=LocalEngine(), watermark_key=WATERMARK_KEY)


def measured(family: str, shape: tuple[int, int, int], folder: str, cases: int) -> int:
    """Peak in MiB of a process that trains (no cases) or draws."""
    order = ["--one", family, folder, str(cases), *map(str, shape)]
    found = subprocess.run([sys.executable, __file__, *order], capture_output=True, text=True, check=False)
    if found.returncode:
        raise SystemExit(f"{family} on {shape} stopped: {found.stderr.strip()[-500:]}")
    return int(found.stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--families", nargs="+", default=list(CHANNELS))
    parser.add_argument("--cases", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--one", nargs=6, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.one:
        family, folder, cases = asked.one[0], Path(asked.one[1]), int(asked.one[2])
        z, y, x = map(int, asked.one[3:])
        if cases:
            draw(family, (z, y, x), folder, cases)
        else:
            learn(family, (z, y, x), folder)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
        return
    drawn = " | ".join(f"{cases} cases drawn, MiB" for cases in asked.cases)
    print(f"| family | grid | training, MiB | {drawn} |\n|---|---|---|{'---|' * len(asked.cases)}")
    for family in asked.families:
        for shape in GRIDS:
            with tempfile.TemporaryDirectory() as folder:
                peaks = [measured(family, shape, folder, cases) for cases in (0, *asked.cases)]
            print(f"| `{family}` | {shape} | {' | '.join(map(str, peaks))} |", flush=True)


if __name__ == "__main__":
    main()

"""MR to CT on the phantom, whose CT without noise is known: error in HU beside the floor that noise sets.

    python benchmarks/phantom_translation.py [--patients 240] [--seen 3000] [--batch 4]

No method can come nearer to a noisy CT than its noise: the floor is the mean absolute difference of the CT and the
same CT without noise. How well the anatomy must be known to reach it is told by the same heads with a skull that is a
little thicker: their CT without noise, beside the true one. The window is the whole range, [-1000, 2000] HU. Learns
from three quarters of the patients.
"""

import argparse
import sys
import tempfile
import time
from dataclasses import replace

import numpy as np
import torch
from translation import spec_of
from translation_data import scale, training_set

from synthdata.models.build import load_generator
from synthdata.phantom.cohort import DEFAULT_VOLUME
from synthdata.phantom.patient import draw_patient
from synthdata.phantom.render import render, volume_grid
from synthdata.preparation.registration import body_mask
from synthdata.records import Case, ChannelScale, TrainingSet
from synthdata.storage import open_store
from synthdata.training import train
from synthdata.validation.translation_metrics import patient_estimate

SEED = 20261126
BONE_HU, SOFT_HU = 250, (-150, 150)
LOW, HIGH = -1000, 2000
LABELS = {"ventricles": 1, "infarct": 2, "haemorrhage": 3}
CHANNELS = ("T1w", "CT")
THICKER_MM = (0.05, 0.1, 0.2, 0.4)


def cohort(count: int) -> tuple[list[Case], dict[str, np.ndarray]]:
    """Cases with noise, and by patient the CT without."""
    grid = volume_grid(*DEFAULT_VOLUME)
    cases, ideal = [], {}
    for number in range(count):
        patient = draw_patient(SEED, number)
        seen = render(patient, CHANNELS, grid)
        name = f"P{number:04d}"
        ideal[name] = render(patient, CHANNELS, grid, ideal=True).images["CT"].astype(np.float32)
        image = np.stack([np.clip(seen.images[channel], -32768, 32767) for channel in CHANNELS])
        low, high = np.percentile(image[0], (0.5, 99.8))
        image[0] = np.rint(1000 * np.clip((image[0] - low) / (high - low), -0.05, 1.05))
        image[1] = np.clip(image[1], LOW, HIGH)
        cases.append(
            Case(
                case_id=name,
                patient_id=name,
                image=image.astype(np.int16),
                mask=seen.mask,
                grid=grid,
                record={},
            )
        )
    return cases, ideal


def told(done: int, total: int, message: str) -> None:
    """Say where the training stands."""
    print(
        f"\r{done} of {total} volumes, {message}",
        end="\n" if done == total else "",
        file=sys.stderr,
        flush=True,
    )


def regions(ideal: np.ndarray, source: np.ndarray) -> dict[str, np.ndarray]:
    body = body_mask(source)
    soft = body & (ideal > SOFT_HU[0]) & (ideal < SOFT_HU[1])
    return {"body": body, "bone": body & (ideal > BONE_HU), "soft tissue": soft}


def measured(cases: list[Case], ideal: dict[str, np.ndarray], found: TrainingSet, ready: object) -> None:
    """Print the table."""
    rows: dict[tuple[str, str], list[float]] = {}
    mean = np.mean([ideal[case.patient_id] for case in cases], axis=0)
    patients = [case.patient_id for case in cases]
    for case in cases:
        image = np.stack(
            [one.to_network(channel) for one, channel in zip(found.scales, case.image, strict=True)]
        )
        _, drawn = ready.model.translate(torch.from_numpy(image)[None], torch.zeros(1, 0), [0])
        guess = (drawn.image[0, 0].numpy() + 1) / 2 * (HIGH - LOW) + LOW
        truth, clean = case.image[1].astype(np.float32), np.clip(ideal[case.patient_id], LOW, HIGH)
        for region, inside in regions(clean, image[0]).items():
            for method, values in (("translated", guess), ("floor", clean), ("mean CT", mean)):
                rows.setdefault((region, method), []).append(float(np.abs(values - truth)[inside].mean()))
            rows.setdefault((region, "translated, beside CT without noise"), []).append(
                float(np.abs(guess - clean)[inside].mean())
            )
    print("| region | method | MAE in HU | times the floor |\n|---|---|---|---|")
    for (region, method), values in rows.items():
        share = np.mean(values) / np.mean(rows[region, "floor"])
        print(f"| {region} | {method} | {patient_estimate(values, patients)} | {share:.2f} |")


def thicker(count: int, ideal: dict[str, np.ndarray]) -> None:
    """Print how far the CT without noise moves where the skull is a little thicker."""
    grid = volume_grid(*DEFAULT_VOLUME)
    print("| skull thicker by, mm | body | bone | soft tissue |\n|---|---|---|---|")
    for more_mm in THICKER_MM:
        found = []
        for number in range(count):
            patient = draw_patient(SEED, number)
            other = replace(patient, skull_mm=patient.skull_mm + more_mm)
            truth = np.clip(ideal[f"P{number:04d}"], LOW, HIGH)
            moved = np.clip(render(other, ("CT",), grid, ideal=True).images["CT"], LOW, HIGH)
            source = render(patient, ("T1w",), grid, ideal=True).images["T1w"].astype(np.float32)
            found.append([np.abs(moved - truth)[inside].mean() for inside in regions(truth, source).values()])
        print(f"| {more_mm} | {' | '.join(f'{value:.1f}' for value in np.mean(found, axis=0))} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=240)
    parser.add_argument("--seen", type=int, default=3000)
    parser.add_argument("--batch", type=int, default=4)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    cases, ideal = cohort(asked.patients)
    thicker(min(8, asked.patients), ideal)
    first = asked.patients * 3 // 4
    ct = ChannelScale(
        channel="CT",
        modality="CT",
        method="window",
        unit="[hnsf'U]",
        low=LOW,
        high=HIGH,
        percentiles=(0, 100),
    )
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(folder)
        found = training_set(store, cases[:first], cases[first:], (scale("T1w", "MR"), ct), LABELS)
        spec = spec_of("phantom", found, asked.seen, "small", asked.batch)
        began = time.process_time()
        ready = load_generator(train(spec, found, store, progress=told), store)
        print(f"# CPU seconds of training: {time.process_time() - began:.0f}")
        measured(cases[first:], ideal, found, ready)


if __name__ == "__main__":
    main()

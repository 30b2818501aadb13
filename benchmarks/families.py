"""One table: every family and number of steps on real volumes, beside MONAI's recipe trained for the same CPU time.

    python benchmarks/families.py --folder KEPT [--rows flow-8 vae gan monai ...] [--utility flow-8 monai] [--seen 1000]

Spec: hippocampus-mr, whose volumes lie below `SYNTHDATA_REALDATA`. Each row is drawn, measured by the validators that
gate a release (fidelity in both feature families, privacy, utility where asked) and kept in the folder; a second call
goes on with rows that are missing. MONAI's side needs `pip install einops`.
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from faulty_generators import cohort, played

from synthdata.generation import generate, plan_samples
from synthdata.generation.engines.local import LocalEngine
from synthdata.models.fields import fields_mask
from synthdata.privacy import measure_privacy
from synthdata.records import Case, CaseSet, TrainingSet, from_json, to_json
from synthdata.spec import DatasetSpec, load_spec
from synthdata.storage.folder import FolderStore
from synthdata.training import train
from synthdata.training.data import load_training_cases
from synthdata.validation import measure_fidelity, measure_utility

SPEC = Path(__file__).parents[1] / "pipelines" / "datasets" / "hippocampus-mr.yaml"
STEPS = (1, 2, 4, 8, 16, 32)
ROWS = ("flow-8", "monai", "vae", "gan", *(f"flow-{steps}" for steps in STEPS if steps != 8))
WATERMARK_KEY = bytes(32)
BATCH = 4


def drawn_by_us(
    name: str, spec: DatasetSpec, training_set: TrainingSet, store: FolderStore
) -> tuple[CaseSet, dict[str, float]]:
    """Cases of one of our families, through the plan, the quality control and the watermark of a release."""
    family, steps, preset = (*name.split("-"), "", "")[:3]
    spec = replace(
        spec,
        generator=replace(spec.generator, family=family, preset=preset or spec.generator.preset),
        sampling=replace(spec.sampling, steps=int(steps or 1)),
    )
    began = time.process_time()
    checkpoint = train(spec, training_set, store)
    trained = time.process_time()
    plan = plan_samples(spec, checkpoint, training_set, watermark_key=WATERMARK_KEY)
    cases = generate(plan, checkpoint, training_set, store, engine=LocalEngine(), watermark_key=WATERMARK_KEY)
    each = (time.process_time() - trained) / plan.cases
    return cases, {"training_s": trained - began, "volume_s": each}


def drawn_by_monai(
    spec: DatasetSpec, training_set: TrainingSet, store: FolderStore, cpu_seconds: float
) -> tuple[CaseSet, dict[str, float]]:
    """Cases of MONAI's recipe."""
    from monai_recipe import train_recipe

    real = load_training_cases(store, training_set)
    began = time.process_time()
    recipe = train_recipe(torch.cat([real.images, real.fields], dim=1), cpu_seconds=cpu_seconds)
    trained = time.process_time()
    rng, values, cases = torch.Generator().manual_seed(0), tuple(training_set.labels.values()), list[Case]()
    while len(cases) < spec.sampling.cases:
        both = recipe.draw(BATCH, rng=rng).float()
        channels = len(training_set.scales)
        masks = fields_mask(both[:, channels:], values).numpy()
        for image, mask in zip(both[:, :channels].numpy(), masks, strict=True):
            encoded = np.stack(
                [scale.to_encoded(one) for scale, one in zip(training_set.scales, image, strict=True)]
            )
            name = f"SYN-{len(cases):05d}"
            cases.append(
                Case(
                    case_id=name,
                    patient_id=name,
                    image=encoded,
                    mask=mask,
                    grid=training_set.grid,
                    record={},
                )
            )
    each = (time.process_time() - trained) / len(cases)
    return played(store, training_set, cases), {"training_s": trained - began, "volume_s": each}


def measured(
    spec: DatasetSpec, training_set: TrainingSet, cases: CaseSet, store: FolderStore
) -> dict[str, str]:
    """What the gates read."""
    fidelity = measure_fidelity(spec, training_set, cases, store)
    privacy = measure_privacy(spec, training_set, cases, store)
    tail = next(test for test in privacy.tests if test.name == "ratio_tail")
    attack = next(test for test in privacy.tests if test.name.startswith("membership"))
    return {
        **{family: str(score) for family, score in fidelity.scores.items()},
        "faults": ", ".join(test.name for test in fidelity.faults if test.outcome == "FAIL") or "none",
        "copies": f"{len(privacy.suspects)} of {cases.cases}",
        "tail_p": f"{tail.p_value:.3g}",
        "privacy": privacy.outcome,
        "auc": f"{attack.statistic:.3f}",
    }


def table(found: dict[str, dict[str, str]]) -> None:
    """All rows that there are."""
    names = list(dict.fromkeys(key for row in found.values() for key in row))
    print("| | " + " | ".join(names) + " |\n" + "|---" * (len(names) + 1) + "|")
    for name, row in found.items():
        print(f"| {name} | " + " | ".join(str(row.get(key, "")) for key in names) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", type=Path, default=SPEC)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--rows", nargs="*", default=list(ROWS))
    parser.add_argument("--utility", nargs="*", default=[])
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--seen", type=int, default=0, help="volumes of training; the spec's without it")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    spec = load_spec(asked.spec)
    spec = replace(
        spec,
        sampling=replace(spec.sampling, cases=asked.cases, counts={}),
        generator=replace(spec.generator, seen=asked.seen or spec.generator.seen),
    )
    store, training_set = cohort(spec, asked.folder, 0, 0)
    kept = asked.folder / "rows"
    kept.mkdir(parents=True, exist_ok=True)
    found: dict[str, dict[str, str]] = {}
    for name in asked.rows:
        path, drawn = kept / f"{name}.json", kept / f"{name}-cases.json"
        row = json.loads(path.read_text()) if path.exists() else {}
        if not row:
            if name == "monai":
                budget = float(json.loads((kept / "flow-8.json").read_text())["training_s"])
                cases, times = drawn_by_monai(spec, training_set, store, budget)
            else:
                cases, times = drawn_by_us(name, spec, training_set, store)
            drawn.write_bytes(to_json(cases))
            row = {key: f"{value:.3g}" for key, value in times.items()}
            row |= measured(spec, training_set, cases, store)
            path.write_text(json.dumps(row))
        if name in asked.utility and "utility" not in row:
            cases = from_json(CaseSet, drawn.read_bytes())
            useful = measure_utility(spec, training_set, cases, store)
            row |= {"utility": f"{useful.ratio} ({useful.tstr.value:.3f} of {useful.trtr.value:.3f})"}
            path.write_text(json.dumps(row))
        found[name] = row
        print(f"# {name}: {row}", flush=True)
    table(found)


if __name__ == "__main__":
    main()

"""What differential privacy costs in fidelity: `plain-flow` on chest X-rays with several budgets and without one.

    pip install 'synthdata[dp]'
    python benchmarks/differential_privacy.py [--store DIR] [--budgets none 8] [--seen N] [--batch N] [--cases N]

Patients are split once; each budget trains anew on the same training patients, draws cases, and is measured against
held-out patients. The finding of a patient is left out: the law of records is not covered. The same steps, batch and
learning rate for all, AdamW with a budget and Muon without;
delta is one over ten times the training patients. With --store a killed run goes on.
"""

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from synthdata.generation import generate, plan_samples
from synthdata.generation.engines import LocalEngine
from synthdata.intake import take_in
from synthdata.preparation import prepare
from synthdata.records import TrainingSet, from_json, to_json
from synthdata.spec import DatasetSpec, load_spec
from synthdata.spec_generator import DifferentialPrivacy
from synthdata.storage.folder import FolderStore
from synthdata.training import train
from synthdata.validation import measure_fidelity

SPEC = Path(__file__).parents[1] / "pipelines" / "datasets" / "chest-xray.yaml"


def bare_spec(options: argparse.Namespace) -> DatasetSpec:
    """The shipped spec without its record and without a copy filter."""
    spec = load_spec(SPEC)
    source = replace(
        spec.source, arrays={name: array for name, array in spec.source.arrays.items() if name != "finding"}
    )
    settings = {"family": "plain-flow", "preset": options.preset, "learning_rate": options.rate}
    return replace(
        spec,
        source=source,
        clinical=(),
        sampling=replace(spec.sampling, cases=options.cases, counts={}, steps=16),
        gates=replace(spec.gates, copy_share=0.0),
        generator=replace(spec.generator, **settings, seen=options.seen, batch=options.batch, augment=0.5),
    )


def prepared(spec: DatasetSpec, store: FolderStore) -> TrainingSet:
    """The training set, made once per store."""
    if store.size("benchmark/training_set.json") is None:
        report = take_in(spec, spec.source.folder(), store, pseudonym_key=bytes(32))
        made = prepare(spec, report, store, split_key=bytes(32))
        store.write("benchmark/training_set.json", to_json(made))
    return from_json(TrainingSet, store.read("benchmark/training_set.json"))


def measured(spec: DatasetSpec, training_set: TrainingSet, store: FolderStore) -> None:
    """Train, draw, measure, print."""
    start = time.perf_counter()
    checkpoint = train(spec, training_set, store)
    print(f"  trained in {time.perf_counter() - start:.0f} s", flush=True)
    if checkpoint.privacy is not None:
        print(f"  {checkpoint.privacy.sentence()}")
    plan = plan_samples(spec, checkpoint, training_set, watermark_key=None)
    cases = generate(plan, checkpoint, training_set, store, engine=LocalEngine(), watermark_key=None)
    (store.root / f"samples-{checkpoint.sha256[:8]}.png").write_bytes(
        store.read((checkpoint.previews or {})["samples"])
    )
    found = measure_fidelity(spec, training_set, cases, store)
    for family, score in found.scores.items():
        print(f"  score of {family}: {score}")
    for triple in found.triples:
        print(f"    {triple.family}/{triple.metric}: {triple.score}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--store", type=Path)
    parser.add_argument("--budgets", nargs="+", default=["none", "8"])
    parser.add_argument("--preset", default="tiny-2d")
    parser.add_argument("--seen", type=int, default=25600)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--clip", type=float, default=0.2)
    parser.add_argument("--cases", type=int, default=500)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = FolderStore(options.store or Path(folder))
        spec = bare_spec(options)
        training_set = prepared(spec, store)
        patients = training_set.patients["train"]
        print(f"{patients} training patients, {training_set.train.cases} cases", flush=True)
        for budget in options.budgets:
            print(f"epsilon {budget}", flush=True)
            wanted = None
            if budget != "none":
                wanted = DifferentialPrivacy(epsilon=float(budget), delta=0.1 / patients, clip=options.clip)
            generator = replace(spec.generator, differential_privacy=wanted)
            measured(replace(spec, generator=generator), training_set, store)


if __name__ == "__main__":
    main()

"""Translation beside pix2pix of the same size and beside baselines, on real pairs.

    python benchmarks/translation.py mr-ct --seen 2400 --monitor 0.2         # a fifth calibrates the spread
    python benchmarks/translation.py flair --seen 800                        # T1 and T2 to FLAIR, leave one patient out
    python benchmarks/translation.py thick-slices --seen 60 --batch 2        # through-plane resolution x 2, likewise

The data lie below the folder `SYNTHDATA_REALDATA`. pix2pix (Isola et al., CVPR 2017) has the same U-Net, cases, order
and number of cases seen; its objective, optimiser and discriminator are those of the paper.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from translation_data import CONTRASTS, mr_ct, multicontrast, scale, training_set

from synthdata.models.build import load_generator
from synthdata.models.nets import UNet
from synthdata.models.patches import join, split
from synthdata.records import Case, TrainingSet
from synthdata.records.parquet import read_cases
from synthdata.spec import (
    Channel,
    DatasetSpec,
    GeneratorSpec,
    GridSpec,
    Release,
    Sampling,
    Source,
    Translation,
)
from synthdata.storage import ObjectStore, open_store
from synthdata.training import train
from synthdata.training.data import load_training_cases
from synthdata.validation.translation import OURS, _mean_targets, compare_case
from synthdata.validation.translation_metrics import METRICS, patient_estimate, translation_errors

L1_WEIGHT = 100.0
DATA = Path(os.environ.get("SYNTHDATA_REALDATA", "../shared/data"))


class Pix2Pix:
    """The objective of pix2pix on the U-Net of our translator."""

    def __init__(self, network: UNet, step: tuple[int, int, int], channels: tuple[int, int]) -> None:
        self.network, self.step, (self.sources, self.targets) = network, step, channels
        widths = (64, 128, 256)
        layers: list[nn.Module] = []
        before = sum(channels)
        for width in widths:
            layers += [nn.Conv2d(before, width, 4, 2, 1), nn.InstanceNorm2d(width), nn.LeakyReLU(0.2)]
            before = width
        layers.pop(1)  # no norm after the first convolution
        self.critic = nn.Sequential(*layers, nn.Conv2d(before, 1, 4, 1, 1))
        self.best = [
            torch.optim.Adam(part.parameters(), lr=2e-4, betas=(0.5, 0.999))
            for part in (self.network, self.critic)
        ]

    def __call__(self, source: torch.Tensor) -> torch.Tensor:
        patches = split(source, self.step)
        axes = [torch.linspace(-1, 1, side) for side in patches.shape[2:]]
        where = torch.stack(torch.meshgrid(*axes, indexing="ij")).expand(len(source), -1, -1, -1, -1)
        told = torch.ones(len(source), 1)
        out = self.network(torch.cat([patches, where], dim=1), torch.ones(len(source)), told)
        return torch.tanh(join(out, self.step))

    def _judge(self, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return self.critic(torch.cat([source, target], dim=1)[:, :, 0])

    def learn(self, source: torch.Tensor, target: torch.Tensor) -> None:
        fake = self(source)
        real_says, fake_says = self._judge(source, target), self._judge(source, fake.detach())
        bce = nn.functional.binary_cross_entropy_with_logits
        wrong = (bce(real_says, torch.ones_like(real_says)) + bce(fake_says, torch.zeros_like(fake_says))) / 2
        self.best[1].zero_grad()
        wrong.backward()
        self.best[1].step()
        says = self._judge(source, fake)
        loss = bce(says, torch.ones_like(says)) + L1_WEIGHT * (fake - target).abs().mean()
        self.best[0].zero_grad()
        loss.backward()
        self.best[0].step()


def spec_of(
    kind: str, found: TrainingSet, seen: int, preset: str, batch: int, *, monitor: float = 0
) -> DatasetSpec:
    names = [one.channel for one in found.scales]
    restores = kind == "thick-slices"
    return DatasetSpec(
        name="pairs",
        title="Pairs",
        source=Source(kind="folder", uri="."),
        channels=tuple(Channel(name=name, modality="MR") for name in names),
        grid=GridSpec(shape_zyx=found.grid.shape_zyx, spacing_mm=found.grid.spacing_mm),
        sampling=Sampling(cases=1),
        release=Release(licence="CC-BY-4.0"),
        labels=dict(found.labels),
        generator=GeneratorSpec(
            family="translation",
            preset=preset,
            seen=seen,
            batch=batch,
            monitor=monitor,
            augment=0.5 if kind == "flair" else 0,  # heads lie upright in a scanner; five patients are few
            flip_x=True,
            learning_rate=2e-3,
        ),
        translation=Translation(
            source=tuple(names if restores else names[:-1]),
            target=tuple(names if restores else names[-1:]),
            degradation="through_plane" if restores else "none",
            draw=False,
        ),
    )


def pix2pix(
    spec: DatasetSpec, found: TrainingSet, store: ObjectStore, model: nn.Module, seen: int
) -> Pix2Pix:
    """Train on the same cases, mirrored in half of the draws."""
    torch.manual_seed(0)
    cases = load_training_cases(store, found)
    translator, places = model.translator, model.map
    body = UNet(
        translator.config.network,
        channels=translator.sources * int(np.prod(translator.step)) + 3,
        out=translator.targets * int(np.prod(translator.step)),
        conditions=0,
        flat=True,
    )
    learner = Pix2Pix(body, translator.step, (translator.sources, translator.targets))
    rng = torch.Generator().manual_seed(0)
    for _ in range(seen // spec.generator.batch):
        chosen = torch.randint(len(cases.images), (spec.generator.batch,), generator=rng)
        images = cases.images[chosen]
        if torch.rand((), generator=rng) < 0.5:
            images = images.flip(-1)
        learner.learn(images[:, list(places.sources)], images[:, list(places.targets)])
    learner.network.eval()
    return learner


def fold(kind: str, train_cases: list[Case], test_cases: list[Case], options: argparse.Namespace) -> list:
    scales = {
        "mr-ct": (scale("T1w", "MR"), scale("CT", "CT")),
        "flair": tuple(scale(name, "MR") for name in CONTRASTS),
        "thick-slices": (scale("t1", "MR"),),
    }[kind]
    labels = {"body": 1} if kind == "mr-ct" else {}
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(folder)
        found = training_set(store, train_cases, test_cases, scales, labels)
        spec = spec_of(kind, found, options.seen, options.preset, options.batch, monitor=options.monitor)
        began = time.process_time()
        ready = load_generator(train(spec, found, store), store)
        ours_s = time.process_time() - began
        began = time.process_time()
        compared = kind != "thick-slices" and not options.alone
        rival = pix2pix(spec, found, store, ready.model, options.seen) if compared else None
        print(
            f"# CPU seconds of training: ours {ours_s:.0f}, pix2pix {time.process_time() - began:.0f}",
            flush=True,
        )
        means = _mean_targets(found, store, ready.model.map)
        for case in read_cases(store, found.test):
            done = compare_case(case, ready, found, means)
            if rival is not None:
                image = torch.from_numpy(
                    np.stack([s.to_network(c) for s, c in zip(found.scales, case.image, strict=True)])
                )[None]
                with torch.no_grad():
                    drawn = rival(image[:, list(ready.model.map.sources)])
                from synthdata.validation.translation import _body

                body = _body(case, image[0, 0].numpy(), found)
                for index, channel in enumerate(ready.model.map.targets):
                    errors = translation_errors(
                        image[0, channel].numpy(), drawn[0, index].numpy(), body, 1000.0
                    )
                    for metric, value in errors.items():
                        done.errors[f"{found.scales[channel].channel}/{metric}"]["pix2pix"] = value
            rows.append(done)
    return rows


def table(rows: list) -> None:
    patients = [row.patient for row in rows]
    print(
        "| | method | mean over patients | ours better by | patients in which ours is better |\n|---|---|---|---|---|"
    )
    for key in rows[0].errors:
        lower = METRICS[key.rsplit("/", 1)[1]]
        for method in rows[0].errors[key]:
            values = [row.errors[key][method] for row in rows]
            ours = [row.errors[key][OURS] for row in rows]
            gains = [(b - a) if lower else (a - b) for a, b in zip(ours, values, strict=True)]
            wins = sum(
                np.mean([g for g, p in zip(gains, patients, strict=True) if p == name]) > 0
                for name in set(patients)
            )
            gain = "" if method == OURS else str(patient_estimate(gains, patients))
            won = "" if method == OURS else f"{wins} of {len(set(patients))}"
            print(f"| {key} | {method} | {patient_estimate(values, patients)} | {gain} | {won} |")
    for name in rows[0].covered:
        print(f"within twice the stated spread, {name}: {np.mean([row.covered[name] for row in rows]):.3f}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=("mr-ct", "flair", "thick-slices"))
    parser.add_argument("--seen", type=int, default=3000)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--monitor", type=float, default=0.0)
    parser.add_argument("--alone", action="store_true", help="without pix2pix")
    parser.add_argument("--preset", default="")
    parser.add_argument("--folds", type=int, default=99)
    options = parser.parse_args()
    options.preset = (
        options.preset or {"mr-ct": "head-2d", "flair": "head-2d", "thick-slices": "small"}[options.kind]
    )
    torch.set_num_threads(1)
    if options.kind == "mr-ct":
        folds = [mr_ct(DATA / "paired_mr_ct_2d")]
    else:
        slices = options.kind == "flair"
        contrasts = CONTRASTS if slices else ("t1",)
        cases = multicontrast(DATA / "multicontrast_brain_mr", contrasts, slices=slices)
        names = sorted({case.patient_id for case in cases})
        folds = [
            ([c for c in cases if c.patient_id != name], [c for c in cases if c.patient_id == name])
            for name in names
        ]
    rows = []
    for number, (train_cases, test_cases) in enumerate(folds[: options.folds], 1):
        rows += fold(options.kind, train_cases, test_cases, options)
        print(
            f"# fold {number}: {len(train_cases)} cases to learn from, {len(test_cases)} to test on",
            flush=True,
        )
    table(rows)


if __name__ == "__main__":
    main()

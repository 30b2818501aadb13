"""One training run: model, optimiser, average and where it stands."""

import math
import time
from collections.abc import Callable
from typing import cast

import numpy as np
import torch
from torch import Tensor

from synthdata.errors import TrainingError
from synthdata.models import ChannelMap, Generator, Geometry, family_of
from synthdata.models.build import VOLUMES, move
from synthdata.models.conditions import ConditionCode
from synthdata.models.protocol import Calibrated
from synthdata.progress import Progress
from synthdata.records import PrivacyGuarantee, TrainingSet
from synthdata.spec import DatasetSpec
from synthdata.training.checkpoint import CheckpointFolder, Progression, flatten_optimizer, restore_optimizer
from synthdata.training.data import TrainingCases, encode_pool
from synthdata.training.ema import PowerAverage
from synthdata.training.monitor import CHECKS, TWICE, Monitor, part_for_monitor
from synthdata.training.optimizers import ADVERSARIAL_RATE, build_optimizers
from synthdata.training.pretrained import load_pretrained, start_from
from synthdata.training.ranks import Ranks
from synthdata.training.schedule import learning_rate
from synthdata.training.stepping import Stepper

SAVE_SECONDS = 60.0
CURVE_POINTS = 200
MAX_REWINDS = 3


class Run:
    """Trains to the end of the budget, and goes on from the last state where a run was killed."""

    def __init__(
        self,
        spec: DatasetSpec,
        training_set: TrainingSet,
        cases: TrainingCases,
        folder: CheckpointFolder,
        ranks: Ranks,
    ) -> None:
        self.spec, self.folder, self.ranks = spec.generator, folder, ranks
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.steps = math.ceil(self.spec.seen / self.spec.batch)
        if self.spec.batch < ranks.count:
            raise TrainingError(
                f"generator.batch is {self.spec.batch} for {ranks.count} processes, expected one item for each"
            )
        family = family_of(self.spec.family)
        if self.spec.preset not in family.presets:
            raise TrainingError(
                f"generator.preset is {self.spec.preset!r}, expected one of {', '.join(family.presets)}"
            )
        self.config = family.presets[self.spec.preset]
        self.geometry = geometry_of(spec, training_set)
        learnt, watched = part_for_monitor(cases, self.spec.monitor)
        torch.manual_seed(self.spec.seed)
        self.model: Generator = family.build(self.config, self.geometry)
        self._fit(cases.rows(learnt) if len(watched) else cases)
        self.monitor: Monitor | None = None
        self.held: tuple[Tensor, Tensor] | None = None  # items and conditions of patients not learnt from
        if len(watched):
            both = cases.rows(learnt), cases.rows(watched)
            items = self.model.encode(both[1].images, both[1].fields)
            self.held = items, both[1].conditions
            if not spec.translates_only:
                self.monitor = Monitor(*both, items, seed=self.spec.seed)
        move(self.model, self.device)
        self.named = [(n, p) for n, p in self.model.named_parameters() if p.requires_grad]
        self.rate = self.spec.learning_rate * (ADVERSARIAL_RATE if family.adversarial else 1.0)
        self.optimizers = self._build_optimizers(adversarial=family.adversarial)
        self.stepper = Stepper(self.model, self.named, self.optimizers, ranks)
        self.average = PowerAverage(self.model)
        self.quiet: dict[str, Tensor] = {}  # average at the last check that found no memorisation
        self.rng = torch.Generator().manual_seed(self.spec.seed)
        self.at = Progression()
        if not self._resume():
            self._save()  # so that a rewind always has somewhere to go
        ranks.share(value.data for _, value in self.named)

    def _build_optimizers(self, *, adversarial: bool) -> tuple[torch.optim.Optimizer, ...]:
        return build_optimizers(self.named, self.rate, adversarial=adversarial)

    def _fit(self, cases: TrainingCases) -> None:
        """Fit codes and laws, and make the pool of items."""
        self.model.fit_codec(cases.images, cases.fields)
        self.pool, self.conditions, case = encode_pool(
            self.model,
            cases,
            seen=self.spec.seen,
            seed=self.spec.seed,
            strength=self.spec.augment,
            flip_x=self.spec.flip_x,
        )
        # The patient of each item, numbered in the order of names, and not its case: two scans of one patient must
        # not confirm each other.
        _, patient = np.unique(cases.patients, return_inverse=True)
        self.owner = torch.from_numpy(patient)[case]
        self.model.fit_law(self.pool, self.conditions, self.owner)
        if self.spec.pretrained and isinstance(self.model, torch.nn.Module):
            start_from(self.model, load_pretrained(self.spec))

    def go(self, progress: Progress, should_stop: Callable[[], bool]) -> None:
        """Train to the end of the budget, or until memorisation rises."""
        saved = told = time.monotonic()
        while self.at.step < self.steps and not self.at.stopped:
            loss = self._step()
            if not math.isfinite(loss):
                self._rewind()
                continue
            self._note(loss)
            if self.monitor is not None and self.at.step % max(1, self.steps // CHECKS) == 0:
                self._watch()
            now = time.monotonic()
            if now - told > 1:
                told = now
                progress(self.at.step * self.spec.batch, self.spec.seen, self._message())
            if should_stop():
                self._save()
                raise TrainingError(
                    f"training was stopped after {self.at.step} of {self.steps} steps: run it again to go on"
                )
            if now - saved > SAVE_SECONDS:
                saved = now
                self._save()
        progress(self.spec.seen, self.spec.seen, self._message())

    def _step(self) -> float:
        rate = learning_rate(self.rate, self.at.step, self.steps, schedule=self.spec.schedule)
        whole = torch.randint(len(self.pool), (self.spec.batch,), generator=self.rng)
        seed = int(torch.randint(1 << 62, (), generator=self.rng)) + self.ranks.rank
        index = self.ranks.part(whole)
        items = self.pool[index].to(self.device)
        if items.ndim == VOLUMES:
            items = items.contiguous(memory_format=torch.channels_last_3d)
        conditions = self.conditions[index].to(self.device)
        self.stepper.parts = max(self.stepper.parts, self.at.parts)
        value = self.stepper.step(
            items, conditions, seed, rate=rate * self.at.rate_factor, batch=self.spec.batch
        )
        self.at.parts = self.stepper.parts
        if math.isfinite(value):
            self.at.step += 1
            self.average.update(self.named, self.at.step)
        return value

    def _watch(self) -> None:
        """Look for memorisation with the averaged weights; stop where it rose twice in a row."""
        if self.monitor is None:
            return
        current = {name: value.detach().clone() for name, value in self.named}
        self._set(self.average.average)
        self.model.eval()
        found = self.monitor.check(self.model, self.device)
        self.model.train()
        self._set(current)
        risen = found.nearer_to_train > found.limit
        self.at.risen = self.at.risen + 1 if risen else 0
        self.at.watched = {"nearer_to_train": found.nearer_to_train, "limit": found.limit, "loss": found.loss}
        if not risen:
            self.quiet = {name: value.clone() for name, value in self.average.average.items()}
        elif self.at.risen >= TWICE:
            self.at.stopped = True
            if self.quiet:
                self.average.average = self.quiet

    def _set(self, weights: dict[str, Tensor]) -> None:
        with torch.no_grad():
            for name, value in self.named:
                value.copy_(weights[name])

    def _message(self) -> str:
        parts = [f"loss {self._recent():.4f}"]
        if self.at.parts > 1:
            parts.append(
                f"out of memory: the batch of {self.spec.batch} is added up from {self.at.parts} parts, "
                "the effective batch is the same"
            )
        if self.at.stopped:
            parts.append("stopped early: samples are nearer to training cases than to the monitor part")
        return "; ".join(parts)

    def _note(self, loss: float) -> None:
        self.at.pending.append(loss)
        if len(self.at.pending) >= max(1, self.steps // CURVE_POINTS):
            self.at.losses.append((self.at.step * self.spec.batch, float(np.mean(self.at.pending))))
            self.at.pending = []

    def _recent(self) -> float:
        if self.at.pending:
            return float(np.mean(self.at.pending))
        return self.at.losses[-1][1] if self.at.losses else math.nan

    def _rewind(self) -> None:
        """Go back to the last good state with half the step, or give up with the reason."""
        rewinds, factor = self.at.rewinds + 1, self.at.rate_factor / 2
        if rewinds > MAX_REWINDS:
            raise TrainingError(
                f"the loss was not finite {rewinds} times, last at step {self.at.step}: "
                "lower generator.learning_rate, or look for wrong intensities in the training set"
            )
        self._resume()
        self.at.rewinds, self.at.rate_factor = rewinds, factor
        self.rng.manual_seed(self.spec.seed + 1000 * rewinds)
        self._save()

    def _save(self) -> None:
        if self.ranks.first:
            tensors = {f"model.{name}": value for name, value in self.named}
            tensors |= {f"average.{name}": value for name, value in self.average.average.items()}
            tensors |= {f"quiet.{name}": value for name, value in self.quiet.items()}
            for index, optimizer in enumerate(self.optimizers):
                tensors |= flatten_optimizer(optimizer, index)
            tensors["rng"] = self.rng.get_state()
            self.folder.save({name: value.cpu() for name, value in tensors.items()}, self.at)
        self.ranks.wait()

    def _resume(self) -> bool:
        found = self.folder.load()
        self.ranks.wait()  # nobody writes before all have read
        if found is None:
            return False
        tensors, at = found
        if any(f"model.{name}" not in tensors for name, _ in self.named):
            raise TrainingError(
                "training cannot resume: its state was written by another version of the network; "
                f"delete {self.folder.pointer} to train anew"
            )
        self.at = at
        self._set({name: tensors[f"model.{name}"] for name, _ in self.named})
        for name, average in self.average.average.items():
            average.copy_(tensors[f"average.{name}"])
        self.quiet = {
            name: tensors[f"quiet.{name}"].to(self.device)
            for name, _ in self.named
            if f"quiet.{name}" in tensors
        }
        for index, optimizer in enumerate(self.optimizers):
            restore_optimizer(optimizer, tensors, index)
        self.rng.set_state(tensors["rng"])
        return True

    def guarantee(self) -> PrivacyGuarantee | None:
        """What the training promises about a patient: nothing, as it is here."""
        return None

    def settled(self) -> dict[str, Tensor]:
        """All tensors of the generator, learned ones averaged; the model holds them from now on."""
        state = self.model.state_dict() | self.average.average
        self.model.load_state_dict({name: value.to(self.device) for name, value in state.items()})
        self.model.eval()
        self.model.settle(self.pool, self.conditions, torch.Generator().manual_seed(self.spec.seed))
        if self.held is not None and family_of(self.spec.family).calibrates:
            cast("Calibrated", self.model).calibrate(*(part.to(self.device) for part in self.held))
        return {name: value.detach().cpu().contiguous() for name, value in self.model.state_dict().items()}


def geometry_of(spec: DatasetSpec, training_set: TrainingSet) -> Geometry:
    """Shapes that a generator of a spec has; a translation's channels as places."""
    channels = None
    if (wanted := spec.translation) is not None:
        names = [scale.channel for scale in training_set.scales]
        channels = ChannelMap(
            sources=tuple(names.index(name) for name in wanted.source),
            targets=tuple(names.index(name) for name in wanted.target),
            degradation=wanted.degradation,
            factor=wanted.factor,
            draw=wanted.draw,
        )
    return Geometry(
        grid=training_set.grid,
        channels=len(training_set.scales),
        labels=len(training_set.labels),
        conditions=ConditionCode(training_set.columns).width,
        translation=channels,
    )

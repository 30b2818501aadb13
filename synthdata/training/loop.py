"""The training loop: one for all families, resumable bit for bit on one device."""

import math
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor

from synthdata.errors import TrainingError
from synthdata.models import ChannelMap, Generator, Geometry, family_of
from synthdata.models.build import pack_config
from synthdata.models.clinical import ClinicalLaw, fit_law
from synthdata.models.conditions import ConditionCode
from synthdata.progress import Progress, silent
from synthdata.records import Checkpoint, TrainingSet, digest_of
from synthdata.spec import DatasetSpec
from synthdata.storage import ObjectStore, commit_blob, keys
from synthdata.training.checkpoint import (
    CODE_VERSION,
    CheckpointFolder,
    Progression,
    flatten_optimizer,
    restore_optimizer,
    train_key_of,
)
from synthdata.training.data import TrainingCases, encode_pool, load_training_cases
from synthdata.training.ema import PowerAverage
from synthdata.training.muon import Muon
from synthdata.training.schedule import learning_rate

SAVE_SECONDS = 60.0
CURVE_POINTS = 200
MAX_REWINDS = 3
GRADIENT_NORM = 1.0
ADVERSARIAL_RATE = 0.2  # of generator.learning_rate, for families that learn by a game


def never() -> bool:
    """Training that nobody stops."""
    return False


def train(
    spec: DatasetSpec,
    training_set: TrainingSet,
    private: ObjectStore,
    *,
    progress: Progress = silent,
    should_stop: Callable[[], bool] = never,
) -> Checkpoint:
    """Train the generator of a spec on the train group, or go on where a killed run stopped.

    Args:
        spec: Names the family, the preset and the budget in volumes seen.
        training_set: Prepared cases; control and test are not looked at.
        private: Store of cases and checkpoints.
        progress: Called about once a second.
        should_stop: Asked after each step; True saves the state and raises.

    Returns:
        The finished checkpoint; the same record, without training, where the run has ended before.

    Raises:
        TrainingError: Too few or unusable cases, loss that stays non-finite after rewinds, or a stop.
    """
    folder = CheckpointFolder(
        private, spec.name, train_key_of(spec.generator, training_set, spec.translation)
    )
    if (done := folder.finished()) is not None:
        return done
    cases = load_training_cases(private, training_set)
    law = fit_law(training_set.columns, cases.records, cases.volumes)
    run = _Run(spec, training_set, cases, folder)
    progress(0, spec.generator.seen, "codes are fitted, training starts")
    run.go(progress, should_stop)
    record = _finish(spec, training_set, private, run, cases, law)
    folder.finish(record)
    return record


class _Run:
    """One training run: model, optimiser, average and where it stands."""

    def __init__(
        self, spec: DatasetSpec, training_set: TrainingSet, cases: TrainingCases, folder: CheckpointFolder
    ) -> None:
        self.spec, self.folder = spec.generator, folder
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.steps = math.ceil(self.spec.seen / self.spec.batch)
        family = family_of(self.spec.family)
        if self.spec.preset not in family.presets:
            raise TrainingError(
                f"generator.preset is {self.spec.preset!r}, expected one of {', '.join(family.presets)}"
            )
        self.config = family.presets[self.spec.preset]
        self.geometry = Geometry(
            grid=training_set.grid,
            channels=len(training_set.scales),
            labels=len(training_set.labels),
            conditions=ConditionCode(training_set.columns).width,
            translation=channel_map_of(spec, training_set),
        )
        torch.manual_seed(self.spec.seed)
        self.model: Generator = family.build(self.config, self.geometry)
        self.model.fit_codec(cases.images, cases.fields)
        self.pool, self.conditions, case = encode_pool(
            self.model,
            cases,
            seen=self.spec.seen,
            seed=self.spec.seed,
            strength=self.spec.augment,
            flip_x=self.spec.flip_x,
        )
        self.model.fit_law(self.pool, self.conditions, case)
        self.model.to(self.device, memory_format=torch.channels_last_3d)
        self.named = [(n, p) for n, p in self.model.named_parameters() if p.requires_grad]
        game, rate = family.adversarial, self.spec.learning_rate
        self.optimizers = build_adversaries(self.named) if game else build_optimizers(self.named, rate)
        self.rate = rate * (ADVERSARIAL_RATE if game else 1.0)
        self.average = PowerAverage(self.model)
        self.rng = torch.Generator().manual_seed(self.spec.seed)
        self.at = Progression()
        if not self._resume():
            self._save()  # so that a rewind always has somewhere to go

    def go(self, progress: Progress, should_stop: Callable[[], bool]) -> None:
        """Train to the end of the budget."""
        saved = told = time.monotonic()
        while self.at.step < self.steps:
            loss = self._step()
            if not math.isfinite(loss):
                self._rewind()
                continue
            self._note(loss)
            now = time.monotonic()
            if now - told > 1:
                told = now
                progress(self.at.step * self.spec.batch, self.spec.seen, f"loss {self._recent():.4f}")
            if should_stop():
                self._save()
                raise TrainingError(
                    f"training was stopped after {self.at.step} of {self.steps} steps: run it again to go on"
                )
            if now - saved > SAVE_SECONDS:
                saved = now
                self._save()
        progress(self.spec.seen, self.spec.seen, f"loss {self._recent():.4f}")

    def _step(self) -> float:
        rate = learning_rate(self.rate, self.at.step, self.steps) * self.at.rate_factor
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
        index = torch.randint(len(self.pool), (self.spec.batch,), generator=self.rng)
        items = self.pool[index].to(self.device).contiguous(memory_format=torch.channels_last_3d)
        conditions = self.conditions[index].to(self.device)
        with torch.autocast("cuda", dtype=torch.bfloat16, enabled=self.device.type == "cuda"):
            loss = self.model.loss(items, conditions, self.rng)
        value = float(loss.detach())
        if not math.isfinite(value):
            return value
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_([p for _, p in self.named], GRADIENT_NORM)
        if not torch.isfinite(norm):
            return math.nan
        for optimizer in self.optimizers:
            optimizer.step()
        self.at.step += 1
        self.average.update(self.named, self.at.step)
        return value

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
        tensors = {f"model.{name}": value for name, value in self.named}
        tensors |= {f"average.{name}": value for name, value in self.average.average.items()}
        for index, optimizer in enumerate(self.optimizers):
            tensors |= flatten_optimizer(optimizer, index)
        tensors["rng"] = self.rng.get_state()
        self.folder.save({name: value.cpu() for name, value in tensors.items()}, self.at)

    def _resume(self) -> bool:
        found = self.folder.load()
        if found is None:
            return False
        tensors, at = found
        if any(f"model.{name}" not in tensors for name, _ in self.named):
            raise TrainingError(
                "training cannot resume: its state was written by another version of the network; "
                f"delete {self.folder.pointer} to train anew"
            )
        self.at = at
        with torch.no_grad():
            for name, value in self.named:
                value.copy_(tensors[f"model.{name}"])
                self.average.average[name].copy_(tensors[f"average.{name}"])
        for index, optimizer in enumerate(self.optimizers):
            restore_optimizer(optimizer, tensors, index)
        self.rng.set_state(tensors["rng"])
        return True

    def settled(self) -> dict[str, Tensor]:
        """All tensors of the generator, learned ones averaged; the model holds them from now on."""
        state = self.model.state_dict() | self.average.average
        self.model.load_state_dict({name: value.to(self.device) for name, value in state.items()})
        self.model.eval()
        self.model.settle(self.pool, self.conditions, torch.Generator().manual_seed(self.spec.seed))
        return {name: value.detach().cpu().contiguous() for name, value in self.model.state_dict().items()}


def build_adversaries(
    named: Sequence[tuple[str, torch.nn.Parameter]],
) -> tuple[torch.optim.Optimizer, ...]:
    """Adam without momentum, as games want it; the step sets its rate."""
    return (torch.optim.Adam([value for _, value in named], lr=0.0, betas=(0.0, 0.99)),)


def channel_map_of(spec: DatasetSpec, training_set: TrainingSet) -> ChannelMap | None:
    """The section translation of a spec, with places for names; None where there is none."""
    if (wanted := spec.translation) is None:
        return None
    names = [scale.channel for scale in training_set.scales]
    return ChannelMap(
        sources=tuple(names.index(name) for name in wanted.source),
        targets=tuple(names.index(name) for name in wanted.target),
        degradation=wanted.degradation,
        factor=wanted.factor,
        draw=wanted.draw,
    )


def build_optimizers(
    named: Sequence[tuple[str, torch.nn.Parameter]], rate: float
) -> tuple[torch.optim.Optimizer, ...]:
    """Muon for the matrices inside the network, AdamW for its ends, its embeddings, norms and biases."""
    inner = [value for name, value in named if value.ndim > 1 and ".blocks." in name]
    known = {id(value) for value in inner}
    outer = [value for _, value in named if id(value) not in known]
    rest = torch.optim.AdamW(outer, lr=rate, betas=(0.9, 0.95), weight_decay=0.01)
    return (Muon(inner, lr=rate), rest) if inner else (rest,)


def _finish(
    spec: DatasetSpec,
    training_set: TrainingSet,
    private: ObjectStore,
    run: _Run,
    cases: TrainingCases,
    law: ClinicalLaw,
) -> Checkpoint:
    data = save(run.settled())
    key = keys.checkpoint(spec.name, run.folder.train_key, run.at.step, "model.safetensors")
    private.write(key, data)
    return Checkpoint(
        dataset=spec.name,
        family=spec.generator.family,
        config=pack_config(run.config, run.geometry, training_set, law, cases.volumes),
        key=key,
        sha256=commit_blob(private, key, data),
        size_bytes=len(data),
        train_key=run.folder.train_key,
        code_version=CODE_VERSION,
        seen=run.at.step * spec.generator.batch,
        losses=tuple((int(seen), float(loss)) for seen, loss in run.at.losses),
        previews=_previews(spec, training_set, private, run, cases),
        monitor={"loss": run.at.losses[-1][1]} if run.at.losses else None,
        parents=(digest_of(training_set),),
    )


def _previews(
    spec: DatasetSpec, training_set: TrainingSet, private: ObjectStore, run: _Run, cases: TrainingCases
) -> dict[str, str] | None:
    """Write the sheet of drawn cases, where the family draws any; name to key."""
    from synthdata.training.preview import preview_sheet

    if spec.translation is not None and not spec.translation.draw:
        return None
    key = keys.checkpoint(spec.name, run.folder.train_key, run.at.step, "samples.png")
    private.write(key, preview_sheet(run.model, training_set, cases.conditions))
    return {"samples": key}

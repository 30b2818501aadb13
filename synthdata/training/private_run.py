"""A training run with differential privacy: patients reach the weights by clipped, noisy gradients alone."""

import hashlib
import hmac
import secrets
from typing import cast

import numpy as np
import torch

from synthdata.errors import ConfigError, TrainingError
from synthdata.models import family_of
from synthdata.models.protocol import ItemLossTeller
from synthdata.records import PrivacyGuarantee, TrainingSet
from synthdata.spec import DatasetSpec
from synthdata.spec_generator import DifferentialPrivacy
from synthdata.storage import ObjectStore, keys
from synthdata.training.accounting import accountant_name, epsilon_spent, noise_for
from synthdata.training.checkpoint import CheckpointFolder
from synthdata.training.data import TrainingCases
from synthdata.training.private_gradient import PrivateGradient
from synthdata.training.ranks import Ranks
from synthdata.training.run import Run
from synthdata.training.schedule import learning_rate


class PrivateRun(Run):
    """Each step draws patients by Poisson sampling and takes one item of each; AdamW follows their noisy mean.

    Nothing that was learnt about patients is kept beside the weights: no losses, no rewinds. All that is random in a
    step follows from a secret key of the private store and the number of the step, so a killed run goes on bit for bit
    and draws the same noise.
    """

    def __init__(
        self,
        spec: DatasetSpec,
        training_set: TrainingSet,
        cases: TrainingCases,
        folder: CheckpointFolder,
        ranks: Ranks,
    ) -> None:
        wanted = spec.generator.differential_privacy
        if wanted is None:
            raise TrainingError(
                "generator.differential_privacy is not set, expected a budget: set it in the spec"
            )
        self.wanted = wanted
        self.accountant = accountant_name()
        self.patients = len(set(cases.patients))
        _check(spec, training_set, wanted, patients=self.patients, processes=ranks.count)
        self.sampling_rate = spec.generator.batch / self.patients
        self.secret = noise_secret(folder.private, folder.train_key)
        super().__init__(spec, training_set, cases, folder, ranks)
        self.sigma = noise_for(
            epsilon=wanted.epsilon, delta=wanted.delta, rate=self.sampling_rate, steps=self.steps
        )
        model = cast("ItemLossTeller", self.model)  # the family says so
        self.gradient = PrivateGradient(model, self.named, clip=wanted.clip, sigma=self.sigma)
        owner = self.owner.numpy()
        self.items_of = [np.flatnonzero(owner == number) for number in range(self.patients)]

    def _build_optimizers(self, *, adversarial: bool) -> tuple[torch.optim.Optimizer, ...]:
        """AdamW for all: rules that look at a matrix as a whole follow the noise."""
        del adversarial
        values = [value for _, value in self.named]
        return (torch.optim.AdamW(values, lr=self.rate, betas=(0.9, 0.95), weight_decay=0.01),)

    def _step(self) -> float:
        """One step; 0 in place of a loss, which nobody shall see."""
        rng = self._random(self.at.step)
        # numbers of all patients, so that those of one do not depend on who else is drawn
        drawn = rng.random(self.patients) < self.sampling_rate
        places, seeds = rng.random(self.patients), rng.integers(1 << 62, size=self.patients)
        chosen = np.flatnonzero(drawn)
        rows = torch.tensor(
            [int(self.items_of[i][int(places[i] * len(self.items_of[i]))]) for i in chosen]
        ).long()
        items, conditions = self.pool[rows].to(self.device), self.conditions[rows].to(self.device)
        found = self.gradient.gradient(items, conditions, [int(seeds[i]) for i in chosen], rng)
        for (_, value), gradient in zip(self.named, found, strict=True):
            value.grad = gradient / self.spec.batch
        rate = learning_rate(self.rate, self.at.step, self.steps, schedule=self.spec.schedule)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()
        self.at.step += 1
        self.average.update(self.named, self.at.step)
        return 0.0

    def _random(self, step: int) -> np.random.Generator:
        """All random numbers of a step."""
        words = hmac.new(self.secret, step.to_bytes(8, "big"), hashlib.sha256).digest()
        return np.random.Generator(np.random.Philox(key=int.from_bytes(words[:16], "big")))

    def _note(self, loss: float) -> None:
        """Nothing: a loss curve is not covered by the guarantee."""

    def _message(self) -> str:
        return f"step {self.at.step} of {self.steps} with noise of {self.sigma:.3g} times the clip"

    def guarantee(self) -> PrivacyGuarantee:
        """What was spent by the steps that were made."""
        spent = epsilon_spent(
            sigma=self.sigma, delta=self.wanted.delta, rate=self.sampling_rate, steps=self.at.step
        )
        return PrivacyGuarantee(
            epsilon=spent,
            delta=self.wanted.delta,
            epsilon_asked=self.wanted.epsilon,
            clip=self.wanted.clip,
            sigma=self.sigma,
            sampling_rate=self.sampling_rate,
            steps=self.at.step,
            patients=self.patients,
            accountant=self.accountant,
        )

    def settled(self) -> dict[str, torch.Tensor]:
        """All tensors of the generator, as of every run; the network is watched no longer."""
        self.gradient.close()
        return super().settled()


def noise_secret(private: ObjectStore, train_key: str) -> bytes:
    """Secret of one run, made of the noise key of its store, which is created on first use."""
    if private.size(keys.NOISE_KEY) is None:
        private.create(keys.NOISE_KEY, secrets.token_bytes(32))
    return hmac.new(private.read(keys.NOISE_KEY), train_key.encode(), hashlib.sha256).digest()


def _check(
    spec: DatasetSpec,
    training_set: TrainingSet,
    wanted: DifferentialPrivacy,
    *,
    patients: int,
    processes: int,
) -> None:
    """Raises ConfigError for what the guarantee does not cover, or would make it empty."""
    if not family_of(spec.generator.family).only_gradients:
        raise ConfigError(
            f"generator.family is {spec.generator.family!r}, which does not say that it learns by gradients alone "
            "(only_gradients): choose plain-flow, or leave differential_privacy out"
        )
    if training_set.columns:
        raise ConfigError(
            "the training set has record columns, whose law differential privacy does not cover yet: prepare it "
            "from a spec without clinical"
        )
    if not wanted.delta * patients < 1:
        raise ConfigError(
            f"generator.differential_privacy.delta is {wanted.delta:g} for {patients} training patients, expected "
            f"less than 1/{patients}: else the record of a patient may be published whole; lower it"
        )
    if spec.generator.batch >= patients:
        raise ConfigError(
            f"generator.batch is {spec.generator.batch} for {patients} training patients, expected fewer: with "
            "differential privacy it is the mean number of patients in a step"
        )
    if processes > 1:
        raise ConfigError(
            f"{processes} processes train together, and differential privacy works in one: start one"
        )

"""A trained generator and the plan of what to draw from it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from synthdata.records.codec import Record


@dataclass(frozen=True, kw_only=True, slots=True)
class PrivacyGuarantee(Record):
    """What the weights of a generator tell about one patient at most, by the way they were trained."""

    epsilon: float  # spent, by the steps that were made
    delta: float
    epsilon_asked: float  # in the spec
    clip: float  # norm to which the gradient of a patient was cut
    sigma: float  # standard deviation of the noise, over the clip
    sampling_rate: float  # probability with which a patient was drawn for a step
    steps: int
    patients: int
    accountant: str
    unit: str = "patient"
    neighbours: str = "one patient's cases give no gradient; the number of patients is public"

    def sentence(self) -> str:
        """All numbers, for people."""
        return (
            f"epsilon {self.epsilon:.4g} at delta {self.delta:.3g} per {self.unit} ({self.neighbours}); accountant "
            f"{self.accountant}, sigma {self.sigma:.4g}, clip {self.clip:g}, {self.steps} steps, each of "
            f"{self.patients} patients drawn with probability {self.sampling_rate:.4g}"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint(Record):
    """A finished generator: safetensors and a config, never pickle."""

    dataset: str
    family: str  # row of `synthdata.models.GENERATORS`
    config: str  # canonical JSON of the family's config
    key: str  # of the safetensors file in the private store
    sha256: str
    size_bytes: int
    train_key: str  # digest of training set, generator section and code version
    code_version: str
    seen: int  # training volumes seen, augmented ones counted each time
    losses: tuple[tuple[int, float], ...] = ()  # (volumes seen, mean loss since the last point), at most 500
    monitor: Mapping[str, float] | None = None  # last values of the monitored numbers
    previews: Mapping[str, str] | None = None  # name to key of a PNG in the private store
    privacy: PrivacyGuarantee | None = None  # where it was trained with differential privacy
    parents: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class SamplePlan(Record):
    """What to draw: one seed per case, so the same plan gives the same bytes, whatever the shard order."""

    VERSION: ClassVar[int] = 2
    dataset: str
    checkpoint: str  # digest
    training_set: str  # digest
    seed: int  # case i uses SeedSequence([seed, i])
    cases: int
    shard_size: int
    steps: int  # of the sampler
    guidance: float = 1.0  # classifier-free guidance weight; 1 is none
    conditions: str = "{}"  # canonical JSON: counts asked for, per column value
    watermark_key: str = ""  # public identifier of the secret key; empty: no watermark
    code_version: str = ""
    copy_share: float = 0.0  # of cases of nobody which the copy filter may remove; 0: no filter

    @property
    def shards(self) -> int:
        """Number of shards."""
        return -(-self.cases // self.shard_size)

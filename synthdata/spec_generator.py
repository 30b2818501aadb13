"""The part of a spec that says what learns, for how long, and with which guarantee."""

import math
from dataclasses import dataclass
from typing import Literal

from synthdata.errors import ConfigError

FITTED_FAMILIES = ("flow", "gan", "translation", "vae")  # fit more on patients than what gradients tell


@dataclass(frozen=True, kw_only=True, slots=True)
class DifferentialPrivacy:
    """Train so that the weights depend on no single patient by more than this; noise follows from the budget."""

    epsilon: float
    delta: float  # below one over the training patients
    clip: float = 1.0  # norm to which the gradient of a patient is cut

    def __post_init__(self) -> None:
        if not 0 < self.epsilon < math.inf or not 0 < self.clip < math.inf:
            raise ConfigError(
                f"generator.differential_privacy has epsilon {self.epsilon} and clip {self.clip}, "
                "expected positive numbers"
            )
        if not 0 < self.delta < 1:
            raise ConfigError(
                f"generator.differential_privacy.delta is {self.delta}, expected a number between 0 and one over "
                "the training patients"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class GeneratorSpec:
    """Which generator, and how long it learns."""

    family: str = "flow"  # row of `synthdata.models.GENERATORS`
    preset: str = "small"  # row of the family's presets
    seen: int = 8000  # budget: training volumes seen
    batch: int = 16
    learning_rate: float = 1e-3
    augment: float = 1.0  # strength of the small deformations, 0 for none
    flip_x: bool = False  # mirror left and right, where the anatomy allows it
    seed: int = 0
    schedule: Literal["cosine", "constant"] = "cosine"  # of the learning rate after its warm-up
    monitor: float = (
        0.0  # share of the training patients who are watched or calibrate a spread, and not learnt from
    )
    pretrained: str = (
        ""  # a local file of weights to start from: safetensors, or torch weights; `${VARIABLE}` works
    )
    pretrained_sha256: str = ""  # of that file
    differential_privacy: DifferentialPrivacy | None = None  # of families that fit nothing on patients

    def __post_init__(self) -> None:
        if not 0 <= self.monitor <= 0.5:
            raise ConfigError(f"generator.monitor is {self.monitor}, expected a share from 0 to 0.5")
        if bool(self.pretrained) != bool(self.pretrained_sha256):
            raise ConfigError(
                "generator has one of pretrained and pretrained_sha256, expected both: a file is used by its digest"
            )
        if self.seen < 1 or self.batch < 1 or not 0 < self.learning_rate < 1:
            raise ConfigError(
                f"generator has seen {self.seen}, batch {self.batch}, learning_rate {self.learning_rate}: "
                "expected positive numbers and a rate below 1"
            )
        if self.differential_privacy is not None:
            self._check_private()

    def _check_private(self) -> None:
        if self.family in FITTED_FAMILIES:
            raise ConfigError(
                f"generator.differential_privacy is set for family {self.family!r}, which fits templates, codes or "
                "laws on patients without noise, expected a family that learns by gradients alone: choose plain-flow"
            )
        if self.monitor:
            raise ConfigError(
                f"generator.monitor is {self.monitor} with generator.differential_privacy, which does not cover what "
                "is watched on patients: set it to 0"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Translation:
    """Source channels in, target channels out; of the generator family `translation`."""

    source: tuple[str, ...]
    target: tuple[str, ...]
    degradation: Literal["none", "through_plane", "in_plane", "noise", "undersampled", "missing_slices"] = (
        "none"
    )
    # none: from one modality to another; else the sources are the targets, made poorer in this way
    factor: float = (
        2.0  # of the degradation: voxels, slices or lines that become one, or the noise over the range
    )
    draw: bool = True  # also learn to draw sources, so that whole new cases can be made and released

    def __post_init__(self) -> None:
        if not self.source or not self.target:
            raise ConfigError("translation.source or translation.target is empty: name a channel in each")
        if self.degradation == "none" and set(self.source) & set(self.target):
            raise ConfigError(
                f"translation goes from {list(self.source)} to {list(self.target)} without degradation, "
                "expected different channels: change one, or say how the sources are degraded"
            )
        if self.degradation != "none" and set(self.source) != set(self.target):
            raise ConfigError(
                f"translation.degradation is {self.degradation}, which restores channels, but source is "
                f"{list(self.source)} and target {list(self.target)}: name the same channels in both"
            )

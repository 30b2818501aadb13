"""What training and generation need of a family of generators; a new family is one file and one table row."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from synthdata.records import Grid
from synthdata.records.codec import Record


@dataclass(frozen=True, kw_only=True, slots=True)
class ChannelMap(Record):
    """Which channels a translation goes from and to."""

    sources: tuple[int, ...]
    targets: tuple[int, ...]
    degradation: str = "none"  # of the sources, where they are a poorer form of the targets
    factor: float = 2.0  # of the degradation
    draw: bool = True  # whole cases can be drawn: sources by a flow, targets by translation


@dataclass(frozen=True, kw_only=True, slots=True)
class Geometry:
    """Shapes that a generator is built for."""

    grid: Grid
    channels: int  # image channels c
    labels: int  # mask labels l, without background
    conditions: int  # width k of the condition vector
    translation: ChannelMap | None = None  # of the family `translation`


class Generator(Protocol):
    """A torch module which learns image and mask jointly, in network scale [-1, 1]."""

    def fit_codec(self, images: Tensor, fields: Tensor) -> None:
        """Fit what is fitted ahead (alignment, linear codes) on images (n, c, z, y, x) and fields (n, l, z, y, x)."""
        ...

    def fit_law(self, items: Tensor, conditions: Tensor, case: Tensor) -> None:
        """Fit what needs no gradient on all items (m, ...) with conditions (m, k); case (m,) the patient of each."""
        ...

    def settle(self, items: Tensor, conditions: Tensor, rng: torch.Generator) -> None:
        """Fit what needs the learned weights, on training items, once training is over."""
        ...

    def encode(self, image: Tensor, fields: Tensor) -> Tensor:
        """One training item from images (b, c, z, y, x) and mask fields (b, l, z, y, x)."""
        ...

    def loss(self, items: Tensor, conditions: Tensor, rng: torch.Generator) -> Tensor:
        """Mean loss of a batch of items (b, ...) with conditions (b, k)."""
        ...

    def sample(
        self, conditions: Tensor, seeds: Sequence[int], *, steps: int, guidance: float
    ) -> tuple[Tensor, Tensor]:
        """Images (b, c, z, y, x) and mask fields (b, l, z, y, x); row i depends on seeds[i] alone."""
        ...

    def eval(self) -> Any:
        """Switch to drawing, as torch modules do."""
        ...

    def train(self) -> Any:
        """Switch to learning, as torch modules do."""
        ...

    def to(self, *args: Any, **options: Any) -> Any:
        """Move to a device, as torch modules do."""
        ...

    def named_parameters(self) -> Any:
        """Learned tensors with their names."""
        ...

    def parameters(self) -> Any:
        """Learned tensors, as torch modules give them."""
        ...

    def state_dict(self) -> dict[str, Tensor]:
        """All tensors of the generator, codes included."""
        ...

    def load_state_dict(self, state: Mapping[str, Tensor]) -> Any:
        """Set all tensors."""
        ...


@runtime_checkable
class Choosy(Protocol):
    """A generator which leaves labels out that too few patients have, and says so."""

    def never_drawn(self) -> list[int]:
        """Labels that it does not draw, from 0."""
        ...


class LossTeller(Protocol):
    """A generator which can say how well it knows a single case; who has the checkpoint can ask it."""

    def case_losses(self, items: Tensor, conditions: Tensor, seeds: Sequence[int]) -> Tensor:
        """Positive losses (b, t) of items (b, ...) with conditions (b, k), at fixed places and with fixed noise."""
        ...


class Calibrated(Protocol):
    """A generator which states how far the truth may lie, and can learn that from patients it did not learn from."""

    def calibrate(self, items: Tensor, conditions: Tensor) -> None:
        """Make what is stated agree with items (n, ...) with conditions (n, k) of patients who were left out."""
        ...


class ItemLossTeller(Generator, Protocol):
    """A generator which can be trained with differential privacy, by the gradient of each patient."""

    network: torch.nn.Module  # has all learned tensors, and treats each row by itself

    def item_losses(self, items: Tensor, conditions: Tensor, seeds: Sequence[int]) -> Tensor:
        """Losses (b,) of items (b, ...) with conditions (b, k); row i depends on row i and seeds[i] alone."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """One row of `GENERATORS`."""

    config: type[Any]  # frozen dataclass
    presets: Mapping[str, Any]  # name to config
    build: Callable[[Any, Geometry], Any]  # gives a torch module which is a Generator
    adversarial: bool = False  # learns by a game: plain Adam without momentum at a fifth of the rate
    tells_losses: bool = False  # is a LossTeller too
    calibrates: bool = False  # is Calibrated too
    only_gradients: bool = False  # is an ItemLossTeller too, and fits nothing on patients but by gradients

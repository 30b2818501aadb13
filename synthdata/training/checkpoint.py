"""Resumable state of a training run, keyed by what is learnt from and never by the run."""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from synthdata.errors import IntegrityError, MissingObjectError, TrainingError
from synthdata.models import family_of
from synthdata.records import Checkpoint, TrainingSet, digest_of, from_json
from synthdata.spec_generator import GeneratorSpec, Translation
from synthdata.storage import ObjectStore, keys, read_verified

CODE_VERSION = "flow-19"  # changes when the same inputs would be learnt differently


@dataclass(kw_only=True, slots=True)
class Progression:
    """Where a run stands; all of it is in `state.json`."""

    step: int = 0
    losses: list[tuple[int, float]] = field(default_factory=list)
    pending: list[float] = field(default_factory=list)  # losses since the last point of the curve
    rate_factor: float = 1.0  # lowered by each rewind
    rewinds: int = 0
    parts: int = 1  # into which a batch is cut to fit into memory
    watched: dict[str, float] = field(default_factory=dict)  # last values of the monitor
    risen: int = 0  # checks in a row which found memorisation
    stopped: bool = False  # early, since memorisation rose


def train_key_of(
    spec: GeneratorSpec, training_set: TrainingSet, translation: Translation | None = None
) -> str:
    """Digest of all that decides the weights."""
    preset = family_of(spec.family).presets.get(spec.preset)
    section = asdict(spec)
    if spec.differential_privacy is None:
        del section["differential_privacy"]  # keys of runs without it stay what they were
    document = {
        "set": digest_of(training_set),
        "generator": section,
        "config": None if preset is None else asdict(preset),
        "code": CODE_VERSION,
    }
    if translation is not None:
        document["translation"] = asdict(translation)
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:32]


class CheckpointFolder:
    """Checkpoints of one training run in the private store."""

    def __init__(self, private: ObjectStore, dataset: str, train_key: str) -> None:
        self.private, self.dataset, self.train_key = private, dataset, train_key
        self.pointer = keys.checkpoint_pointer(dataset, train_key)

    def finished(self) -> Checkpoint | None:
        """The finished checkpoint, where the run has ended before."""
        document = self._read_pointer()
        if document is None or "record" not in document:
            return None
        record = from_json(Checkpoint, json.dumps(document["record"]).encode())
        read_verified(self.private, record.key, record.sha256)
        return record

    def finish(self, record: Checkpoint) -> None:
        """Point to the finished checkpoint and drop the resumable state."""
        from synthdata.records import to_json

        document = self._read_pointer() or {}
        self.private.write(self.pointer, json.dumps({"record": json.loads(to_json(record))}).encode())
        self._drop(document)

    def save(self, tensors: dict[str, Tensor], progression: Progression) -> None:
        """Write the state, then the pointer, then drop the state before."""
        before = self._read_pointer() or {}
        key = keys.checkpoint(self.dataset, self.train_key, progression.step, "resume.safetensors")
        data = save({name: value.detach().contiguous() for name, value in tensors.items()})
        self.private.write(key, data)
        document = {"key": key, "sha256": hashlib.sha256(data).hexdigest(), "state": asdict(progression)}
        self.private.write(self.pointer, json.dumps(document).encode())
        if before.get("key") != key:
            self._drop(before)

    def load(self) -> tuple[dict[str, Tensor], Progression] | None:
        """The newest whole state, or None for a new run.

        Raises:
            TrainingError: The state was cut or changed.
        """
        document = self._read_pointer()
        if document is None or "key" not in document:
            return None
        try:
            data = read_verified(self.private, document["key"], document["sha256"])
        except (IntegrityError, MissingObjectError) as error:
            raise TrainingError(
                f"training cannot resume: {error}; delete {self.pointer} to train anew"
            ) from error
        state = document["state"] | {"losses": [tuple(point) for point in document["state"]["losses"]]}
        return load(data), Progression(**state)

    def _read_pointer(self) -> dict[str, Any] | None:
        try:
            document: dict[str, Any] = json.loads(self.private.read(self.pointer))
        except MissingObjectError:
            return None
        except ValueError:
            raise TrainingError(f"{self.pointer} is not JSON: delete it to train anew") from None
        return document

    def _drop(self, document: dict[str, Any]) -> None:
        if "key" in document:
            self.private.delete(document["key"])


def flatten_optimizer(optimizer: torch.optim.Optimizer, number: int) -> dict[str, Tensor]:
    """Tensors of an optimiser's state, named `optimizer.<number>.<parameter>.<name>`."""
    state = optimizer.state_dict()["state"]
    return {
        f"optimizer.{number}.{index}.{name}": value if isinstance(value, Tensor) else torch.tensor(value)
        for index, values in state.items()
        for name, value in values.items()
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor], number: int) -> None:
    """Put tensors of `flatten_optimizer` back."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith(f"optimizer.{number}."):
            _, _, index, part = name.split(".", 3)
            state.setdefault(int(index), {})[part] = value
    document = optimizer.state_dict()
    document["state"] = state
    optimizer.load_state_dict(document)

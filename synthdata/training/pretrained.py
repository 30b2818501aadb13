"""Weights to start from, from a local file that is known by its digest; nothing is downloaded or unpickled."""

import hashlib
import io
from collections.abc import Mapping

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from torch import Tensor

from synthdata.errors import IntegrityError, TrainingError
from synthdata.spec import expanded
from synthdata.spec_generator import GeneratorSpec
from synthdata.storage.disk import disk_sentence

PREFIXES = ("module.", "model.", "network.", "net.")  # that trainers put before the names of a network
REFUSED = torch.serialization.pickle.UnpicklingError  # type: ignore[attr-defined] # what weights_only raises
NESTED = ("state_dict", "model", "network", "unet_state_dict")  # under which bundles keep their tensors


def load_pretrained(spec: GeneratorSpec) -> dict[str, Tensor]:
    """Tensors of the file that a spec names, by name.

    Raises:
        IntegrityError: The file has another SHA-256 than the spec says.
        TrainingError: The file cannot be read, or holds anything but tensors.
    """
    path = expanded(spec.pretrained, "generator.pretrained")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise TrainingError(disk_sentence("the file of generator.pretrained", error, "read")) from None
    digest = hashlib.sha256(data).hexdigest()
    if digest != spec.pretrained_sha256.lower():
        raise IntegrityError.of("the file of generator.pretrained", digest, spec.pretrained_sha256)
    try:
        found = load_safetensors(data) if path.suffix == ".safetensors" else _torch_tensors(data)
    except (SafetensorError, RuntimeError, REFUSED, EOFError, ValueError) as error:
        raise TrainingError(
            "the file of generator.pretrained holds something else than tensors, expected safetensors or a torch file "
            "that weights_only reads: save its state_dict alone"
        ) from error
    return found


def start_from(model: torch.nn.Module, tensors: Mapping[str, Tensor]) -> int:
    """Copy tensors into the learned weights of the same name and shape; how many were copied.

    Raises:
        TrainingError: None fits, so the file is of another network.
    """
    learned = dict(model.named_parameters())
    by_tail: dict[str, list[str]] = {}
    for name in learned:
        for start in range(name.count(".") + 1):
            by_tail.setdefault(name.split(".", start)[-1], []).append(name)
    copied = 0
    with torch.no_grad():
        for name, value in tensors.items():
            fits = [own for own in by_tail.get(_bare(name), ()) if learned[own].shape == value.shape]
            if len(fits) == 1:
                learned[fits[0]].copy_(value)
                copied += 1
    if not copied:
        raise TrainingError(
            f"none of the {len(tensors)} tensors of generator.pretrained has the name and shape of one of the "
            f"{len(learned)} of the preset: choose the preset that the file was trained with"
        )
    return copied


def _torch_tensors(data: bytes) -> dict[str, Tensor]:
    found = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    for name in NESTED:
        if isinstance(found, Mapping) and isinstance(found.get(name), Mapping):
            found = found[name]
            break
    if not isinstance(found, Mapping) or not all(isinstance(value, Tensor) for value in found.values()):
        raise ValueError("no mapping of names to tensors")
    return dict(found)


def _bare(name: str) -> str:
    for prefix in PREFIXES:
        name = name.removeprefix(prefix)
    return name

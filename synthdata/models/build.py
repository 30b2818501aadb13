"""A checkpoint's config to JSON and back to a ready generator."""

import json
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load

from synthdata.errors import GenerationError
from synthdata.models import ChannelMap, Generator, Geometry, family_of
from synthdata.models.clinical import ClinicalLaw
from synthdata.records import Checkpoint, Grid, TrainingSet, from_json, to_json
from synthdata.records.codec import build_value
from synthdata.storage import ObjectStore, read_verified

VOLUMES = 5  # axes of a batch of volumes, and of their kernels


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadyGenerator:
    """A generator with its weights, and the law of its records."""

    model: Generator
    geometry: Geometry
    law: ClinicalLaw
    volume_range: np.ndarray  # (l, 2): least and greatest training volume of each label in mm3


def pack_config(
    config: Any, geometry: Geometry, training_set: TrainingSet, law: ClinicalLaw, volumes: np.ndarray
) -> str:
    """Canonical JSON of all but the weights."""
    document = {
        "config": asdict(config),
        "channels": geometry.channels,
        "labels": geometry.labels,
        "conditions": geometry.conditions,
        "translation": None if geometry.translation is None else json.loads(to_json(geometry.translation)),
        "grid": json.loads(to_json(training_set.grid)),
        "law": json.loads(to_json(law)),
        "volume_range": [[float(v.min()), float(v.max())] for v in volumes.T],
    }
    return json.dumps(document, sort_keys=True, separators=(",", ":"))


def move(model: Generator, device: torch.device) -> None:
    """Put a generator on a device, kernels of volumes with the channels last: convolutions are faster with them."""
    model.to(device)
    for value in model.parameters():
        if value.ndim == VOLUMES:
            value.data = value.data.contiguous(memory_format=torch.channels_last_3d)


def load_generator(checkpoint: Checkpoint, private: ObjectStore) -> ReadyGenerator:
    """Build the generator of a checkpoint with its weights, ready to sample.

    Raises:
        IntegrityError: The weights are not those that the checkpoint names.
        GenerationError: The weights do not fit the config (another code version).
    """
    document = json.loads(checkpoint.config)
    family = family_of(checkpoint.family)
    geometry = Geometry(
        grid=from_json(Grid, json.dumps(document["grid"]).encode()),
        channels=document["channels"],
        labels=document["labels"],
        conditions=document["conditions"],
        translation=from_json(ChannelMap, json.dumps(document["translation"]).encode())
        if document.get("translation")
        else None,
    )
    model = family.build(build_value(family.config, document["config"]), geometry)
    data = read_verified(private, checkpoint.key, checkpoint.sha256)
    try:
        model.load_state_dict(load(data))
    except (RuntimeError, SafetensorError) as error:
        raise GenerationError(
            f"the checkpoint of {checkpoint.dataset} was written by code {checkpoint.code_version} "
            "and does not fit this version: train it again"
        ) from error
    device = "cuda" if torch.cuda.is_available() else "cpu"
    move(model.eval(), torch.device(device))
    return ReadyGenerator(
        model=model,
        geometry=geometry,
        law=from_json(ClinicalLaw, json.dumps(document["law"]).encode()),
        volume_range=np.array(document["volume_range"]).reshape(-1, 2),
    )

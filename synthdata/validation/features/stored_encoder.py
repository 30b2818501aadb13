"""The feature encoder of a dataset: trained once, then read from the private store."""

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from synthdata.errors import ConfigError, IntegrityError, RecordError
from synthdata.records.case_set import CaseSet
from synthdata.records.codec import digest_of
from synthdata.records.parquet import read_cases
from synthdata.records.training import TrainingSet
from synthdata.spec import DatasetSpec, expanded
from synthdata.storage import keys
from synthdata.storage.disk import disk_sentence
from synthdata.storage.protocol import ObjectStore

if TYPE_CHECKING:
    from synthdata.validation.features.encoder import Encoder, EncoderConfig

MOST_CASES = 1000  # of the training part, evenly spread, so that memory is bounded


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class EncoderFile:
    """A frozen encoder and the SHA-256 of its safetensors file."""

    network: "Encoder"
    sha256: str


def encoder_key(training_set: TrainingSet) -> str:
    """Key of the encoder's weights: dataset and digest of training part, scales, grid and encoder version."""
    from synthdata.validation.features.encoder import VERSION

    scales = [(scale.channel, scale.low, scale.high) for scale in training_set.scales]
    what = json.dumps([VERSION, digest_of(training_set.train), scales, training_set.grid.shape_zyx])
    return keys.feature_encoder(training_set.dataset, hashlib.sha256(what.encode()).hexdigest())


def encoder_of(spec: DatasetSpec, training_set: TrainingSet, private: ObjectStore) -> EncoderFile:
    """The encoder that a spec names by path and SHA-256, or the one of the training set.

    Raises:
        ConfigError: The file cannot be read, is no encoder, or is one for other channels or for 2D instead of 3D.
        IntegrityError: The file has another SHA-256 than the spec says.
    """
    if spec.encoder is None:
        return load_encoder(training_set, private)
    path = expanded(spec.encoder.weights, "encoder.weights")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(disk_sentence("the file of encoder.weights", error, "read")) from None
    digest = hashlib.sha256(data).hexdigest()
    if digest != spec.encoder.sha256.lower():
        raise IntegrityError.of("the file of encoder.weights", digest, spec.encoder.sha256)
    network = _own_network(data)
    wanted = (len(training_set.scales), training_set.grid.shape_zyx[0] == 1)
    if (network.config.channels, network.config.flat) != wanted:
        raise ConfigError(
            f"the encoder of encoder.weights takes {network.config.channels} channels of "
            f"{'images' if network.config.flat else 'volumes'}, expected {wanted[0]} of "
            f"{'images' if wanted[1] else 'volumes'}: name another file"
        )
    return EncoderFile(network=network, sha256=digest)


def _own_network(data: bytes) -> "Encoder":
    """The network of a safetensors file whose metadata hold its config."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    from synthdata.validation.features.encoder import Encoder, EncoderConfig

    try:
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        config = json.loads(header["__metadata__"]["config"])
        sizes = {name: tuple(config[name]) for name in ("pooling", "widths")}
        network = Encoder(EncoderConfig(**(config | sizes))).eval()
        network.load_state_dict(load(data))
    except (ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise ConfigError(
            "the file of encoder.weights is no feature encoder, expected safetensors of "
            "validation.features.encoder.Encoder with its config in the metadata: write it with `encoder_file`"
        ) from error
    return network


def encoder_file(network: "Encoder") -> bytes:
    """Safetensors of an encoder and its config, as `encoder.weights` of a spec takes them."""
    from safetensors.torch import save

    return save(network.state_dict(), metadata=_metadata(network.config))


def load_encoder(training_set: TrainingSet, private: ObjectStore) -> EncoderFile:
    """The encoder of a training set; trains it on the `train` part where the store has none.

    Args:
        training_set: Names the training cases; control and test are never read.
        private: Where the cases and the weights are kept.

    Raises:
        ConfigError: Fewer than two training cases.
        RecordError: The stored file is no encoder of this version.
    """
    from safetensors.torch import load

    from synthdata.validation.features.encoder import Encoder, EncoderConfig, train_encoder

    key = encoder_key(training_set)
    config = EncoderConfig.of(len(training_set.scales), training_set.grid.shape_zyx)
    if private.size(key) is None:
        images = _training_images(training_set, private)
        trained = train_encoder(images, config)
        private.create(key, encoder_file(trained))
    data = private.read(key)  # also by the one who trained it: what others read is what counts
    network = Encoder(config).eval()
    try:
        network.load_state_dict(load(data))
    except (RuntimeError, ValueError) as error:
        raise RecordError(
            f"object {key} is no encoder of this version: delete it, it is trained again"
        ) from error
    return EncoderFile(network=network, sha256=hashlib.sha256(data).hexdigest())


def _metadata(config: "EncoderConfig") -> dict[str, str]:
    return {"config": json.dumps(config.plain(), sort_keys=True)}


def _training_images(training_set: TrainingSet, private: ObjectStore) -> np.ndarray:
    """Training images in network intensities, float32 (n, c, z, y, x), at most `MOST_CASES`."""
    from synthdata.validation.features.encoder import to_network

    train: CaseSet = training_set.train
    every = max(1, -(-train.cases // MOST_CASES))
    images = [
        to_network(case.image, training_set.scales)
        for index, case in enumerate(read_cases(private, train))
        if index % every == 0
    ]
    return np.stack(images) if images else np.zeros((0, 1, 1, 1, 1), np.float32)

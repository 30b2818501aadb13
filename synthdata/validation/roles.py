"""Features of generated, training, degraded and test cases, side by side."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from synthdata.errors import ConfigError
from synthdata.progress import Progress
from synthdata.records.case import Case
from synthdata.records.case_set import CaseSet
from synthdata.records.training import TrainingSet
from synthdata.storage.protocol import ObjectStore
from synthdata.validation.features import Change, Family, Features, check_same_width, features_of
from synthdata.validation.features.stored_encoder import EncoderFile

BLUR_VOXELS = 2.0
DEGRADED = "degraded"


def blurred(case: Case) -> Case:
    """The case with its image blurred by a Gaussian of 2 voxels; the mask stays."""
    from scipy import ndimage

    sigma = [0.0 if size == 1 else BLUR_VOXELS for size in case.grid.shape_zyx]
    smooth = [
        ndimage.gaussian_filter(channel.astype(np.float32), sigma, mode="nearest") for channel in case.image
    ]
    return replace(case, image=np.rint(np.stack(smooth)).astype(np.int16))


def role_tables(
    training_set: TrainingSet,
    synthetic: CaseSet,
    private: ObjectStore,
    family: Family,
    *,
    degraded: bool = True,
    encoder: EncoderFile | None = None,
    progress: Progress,
) -> dict[str, Features]:
    """Features by role, at most `MOST_CASES` of each (`features.extract`); rows are the same cases in every family.

    Args:
        training_set: Its train and test parts are two of the roles.
        synthetic: Generated cases.
        private: Where cases and features are kept.
        family: Of features.
        degraded: Whether blurred training cases are a role, too.
        encoder: For the family `encoder`; that of the training set without it.
        progress: Told after each case.

    Raises:
        ShapeError: Two roles have features of different extractors.
        ConfigError: A patient is in train and in test.
    """
    blur = Change(name=f"blur-{BLUR_VOXELS:g}", apply=blurred)
    wanted = {
        "generated": (synthetic, None),
        "train": (training_set.train, None),
        "test": (training_set.test, None),
        **({DEGRADED: (training_set.train, blur)} if degraded else {}),
    }
    tables = {}
    for role, (case_set, change) in wanted.items():
        tables[role] = features_of(
            case_set, training_set, private, family, change=change, encoder=encoder, progress=progress
        )
    for table in tables.values():
        check_same_width(table, tables["test"])
    check_apart(tables["train"].patient_ids, tables["test"].patient_ids)
    return tables


def check_apart(train: Sequence[str], test: Sequence[str]) -> None:
    """Raise unless no patient is in both groups: held-out cases of a training patient would make all scores good."""
    if both := set(train) & set(test):
        raise ConfigError(
            f"{len(both)} patients have cases in train and in test, expected none: prepare the dataset again, which "
            "splits by patient"
        )

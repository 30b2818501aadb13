"""What the generator draws at the end of training, as one picture for people."""

import numpy as np
import torch
from torch import Tensor

from synthdata.models import Generator
from synthdata.models.fields import fields_mask
from synthdata.records import Case, TrainingSet
from synthdata.validation.pictures import case_sheet

CASES = 12
STEPS = 8


def preview_sheet(model: Generator, training_set: TrainingSet, conditions: Tensor) -> bytes:
    """PNG of drawn cases with their masks.

    Args:
        model: With the weights that are released.
        training_set: Its grid, scales and labels.
        conditions: Condition vectors (n, k) to draw for, the first of them.
    """
    told = conditions[:CASES]
    images, fields = model.sample(told, list(range(len(told))), steps=STEPS, guidance=1.0)
    masks = fields_mask(fields.float().cpu(), tuple(training_set.labels.values())).numpy()
    cases = [
        _case(index, image, masks[index], training_set) for index, image in enumerate(images.float().cpu())
    ]
    return case_sheet(cases, training_set.scales, training_set.labels)


def _case(index: int, image: torch.Tensor, mask: np.ndarray, training_set: TrainingSet) -> Case:
    channels = zip(training_set.scales, image.numpy(), strict=True)
    return Case(
        case_id=f"SYN-preview-{index}",
        patient_id=f"SYN-preview-{index}",
        image=np.stack([scale.to_encoded(channel) for scale, channel in channels]),
        mask=mask,
        grid=training_set.grid,
        record={},
    )

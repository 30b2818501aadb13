"""Masks as smooth fields: one signed distance per label, so that a network sees shapes, not staircases."""

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor

CLIP_VOXELS = 5.0  # distances beyond this carry no shape


def mask_fields(mask: np.ndarray, values: tuple[int, ...]) -> np.ndarray:
    """Signed distance maps of a label map.

    Args:
        mask: uint8 (z, y, x).
        values: Mask value of each label.

    Returns:
        float32 (l, z, y, x) in [-1, 1]: distance to the border of the label in voxels over `CLIP_VOXELS`,
        positive inside.
    """
    fields = np.full((len(values), *mask.shape), -1.0, dtype=np.float32)
    for index, value in enumerate(values):
        inside = mask == value
        if inside.all():
            fields[index] = 1.0
        elif inside.any():
            distance = distance_transform_edt(inside) - distance_transform_edt(~inside)
            half = np.where(inside, -0.5, 0.5)  # the border lies between two voxels
            fields[index] = np.clip((distance + half) / CLIP_VOXELS, -1, 1)
    return fields


def fields_mask(fields: Tensor, values: tuple[int, ...]) -> Tensor:
    """Label map uint8 (b, z, y, x) of fields (b, l, z, y, x): the label deepest inside, 0 outside of all."""
    if not values:
        return torch.zeros((fields.shape[0], *fields.shape[2:]), dtype=torch.uint8)
    depth, index = fields.max(dim=1)
    table = torch.tensor(values, dtype=torch.uint8)
    return torch.where(depth > 0, table[index], torch.zeros((), dtype=torch.uint8))

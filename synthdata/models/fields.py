"""Masks as smooth fields: one signed distance per label, so that a network sees shapes, not staircases."""

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor

CLIP_VOXELS = 5.0  # distances beyond this carry no shape
MOST_OFFSET = 0.2  # one voxel
ROUNDS = 3


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


def offsets(drawn: Tensor, real: Tensor) -> Tensor:
    """What to add to drawn fields so that each label is as large as in real ones, on average.

    A mean of outlines that do not match is smaller than they are.

    Args:
        drawn: Fields (n, l, z, y, x).
        real: Fields (m, l, z, y, x).

    Returns:
        (1, l, 1, 1, 1), within `MOST_OFFSET`.
    """
    labels = drawn.shape[1]
    found = drawn.new_zeros(1, labels, 1, 1, 1)
    depth, index = real.max(dim=1)
    for _ in range(ROUNDS):  # neighbours share a border
        for label in range(labels):
            share = float(((index == label) & (depth > 0)).float().mean())
            others = torch.cat(
                [drawn[:, :label] + found[:, :label], drawn[:, label + 1 :] + found[:, label + 1 :]], 1
            )
            rival = others.amax(1).clamp_min(0) if labels > 1 else drawn.new_zeros(())
            needed = (rival - drawn[:, label]).flatten()  # a voxel is of the label if more than this is added
            near = needed[needed.abs() < MOST_OFFSET]
            rank = round(share * len(needed)) - int((needed <= -MOST_OFFSET).sum())
            if len(near):  # half-way between the last voxel that shall be of the label and the next one
                both = [near.kthvalue(min(max(k, 1), len(near))).values for k in (rank, rank + 1)]
                found[0, label] = (both[0] + both[1]) / 2
    return found

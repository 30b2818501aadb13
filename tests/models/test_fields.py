"""Masks as fields, and how large drawn labels are."""

import torch

from synthdata.models.fields import CLIP_VOXELS, MOST_OFFSET, fields_mask, offsets

SIDE = 24


def balls(radii: list[float], *, centre: float = SIDE / 2) -> torch.Tensor:
    """Fields of one ball each, as smooth as drawn ones, (n, 1, z, y, x)."""
    place = torch.stack(torch.meshgrid(*(3 * [torch.arange(SIDE) + 0.5 - centre]), indexing="ij"))
    distance = place.square().sum(0).sqrt()
    return torch.stack([((r - distance) / CLIP_VOXELS).clamp(-1, 1) for r in radii])[:, None]


def volume(fields: torch.Tensor) -> float:
    """Mean voxels of all labels together."""
    count = fields.shape[1]
    return float((fields_mask(fields, tuple(range(1, count + 1))) > 0).flatten(1).sum(1).float().mean())


def test_offsets_make_drawn_labels_as_large_as_real_ones_on_average() -> None:
    real, drawn = balls([6, 7, 8]), balls([5.2, 6.2, 7.2])
    found = offsets(drawn, real)
    assert abs(volume(drawn + found) / volume(real) - 1) < 0.05 < abs(volume(drawn) / volume(real) - 1)


def test_labels_that_share_a_border_are_put_right_together() -> None:
    real, drawn = balls([8]), balls([7.4])
    left = torch.linspace(-1, 1, SIDE).view(1, 1, 1, 1, SIDE).expand_as(real)
    real, drawn = (torch.cat([torch.minimum(f, left), torch.minimum(f, -left)], 1) for f in (real, drawn))
    moved = drawn + offsets(drawn, real)
    for label in range(2):
        wanted, got = (float((fields_mask(f, (1, 2)) == label + 1).sum()) for f in (real, moved))
        assert abs(got / wanted - 1) < 0.1


def test_an_offset_is_never_more_than_a_voxel_and_nothing_where_all_is_right() -> None:
    far = offsets(balls([3]), balls([9]))
    assert 0 < float(far) <= MOST_OFFSET
    assert abs(float(offsets(balls([6, 7]), balls([6, 7])))) < 0.02
    empty = torch.full((2, 1, SIDE, SIDE, SIDE), -1.0)
    assert float(offsets(empty, balls([6, 7]))) == 0.0

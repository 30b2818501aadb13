import numpy as np
import torch

from synthdata.models.codec import PatchCodec
from synthdata.models.fields import CLIP_VOXELS, fields_mask, mask_fields


def blobs(n: int, seed: int = 0) -> list[tuple[torch.Tensor, torch.Tensor]]:
    rng = np.random.default_rng(seed)
    z, y, x = np.meshgrid(*[np.arange(s) for s in (8, 12, 8)], indexing="ij")
    items = []
    for _ in range(n):
        centre, radius = rng.uniform((3, 4, 3), (5, 8, 5)), rng.uniform(2, 3)
        inside = (z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2 < radius**2
        image = np.where(inside, 0.5, -0.5) + 0.05 * rng.standard_normal(inside.shape)
        fields = mask_fields(inside.astype(np.uint8), (1,))
        items.append((torch.from_numpy(image[None].astype(np.float32)), torch.from_numpy(fields)))
    return items


def fitted(components: tuple[int, int]) -> PatchCodec:
    codec = PatchCodec(channels=1, labels=1, shape_zyx=(8, 12, 8), patch_zyx=(4, 4, 4), components=components)
    codec.fit(blobs(24))
    return codec


def stacked(items: list[tuple[torch.Tensor, torch.Tensor]]) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.stack([i for i, _ in items]), torch.stack([f for _, f in items])


def test_items_hold_the_whole_image() -> None:
    image, fields = stacked(blobs(4, seed=1))
    codec = fitted((16, 64))
    items = codec.encode(image, fields)
    standard, decoded_fields = codec.decode(items[:, : codec.width], items[:, codec.width :])
    inside = image.clamp(*codec.ends[0])  # of the scale of the training images
    assert torch.allclose(codec.restore(standard), inside, atol=1e-4)
    assert torch.allclose(decoded_fields, fields, atol=1e-4)


def test_codes_have_mean_variance_one() -> None:
    codec = fitted((16, 8))
    codes = codec.encode(*stacked(blobs(24)))[:, : codec.width]
    variance = (codes - codes.mean(dim=(0, 2, 3, 4), keepdim=True)).square().mean()
    assert abs(float(variance) - 1) < 0.1


def test_masks_survive_a_short_code() -> None:
    image, fields = stacked(blobs(8, seed=2))
    codec = fitted((8, 12))
    mask = fields_mask(codec.decode(codec.encode(image, fields)[:, : codec.width])[1], (1,))
    true = fields_mask(fields, (1,))
    assert float(2 * ((mask > 0) & (true > 0)).sum() / ((mask > 0).sum() + (true > 0).sum())) > 0.9


def test_saturated_voxels_are_told_apart_and_come_back_exactly() -> None:
    items = [
        (image.clamp(-0.5, 0.5), fields) for image, fields in blobs(24)
    ]  # half of the image lies at each end
    codec = PatchCodec(channels=1, labels=1, shape_zyx=(8, 12, 8), patch_zyx=(4, 4, 4), components=(64, 8))
    codec.fit(items)
    image, fields = stacked(items)
    standard, _ = codec.decode(codec.encode(image, fields)[:, : codec.width])
    noisy = codec.restore(
        standard + 0.1 * torch.randn(standard.shape, generator=torch.Generator().manual_seed(0))
    )
    saturated = image == 0.5
    assert saturated.float().mean() > 0.02
    assert (noisy[saturated] == 0.5).float().mean() > 0.95


def test_fields_are_signed_distances_and_give_the_mask_back() -> None:
    mask = np.zeros((9, 9, 9), np.uint8)
    mask[2:7, 2:7, 2:7] = 3
    mask[4, 4, 4] = 5
    fields = mask_fields(mask, (3, 5))
    assert fields[0, 4, 4, 2] == np.float32(0.5 / CLIP_VOXELS)  # half a voxel inside the border
    assert fields[0, 4, 4, 0] == np.float32(-1.5 / CLIP_VOXELS)
    assert np.array_equal(fields_mask(torch.from_numpy(fields)[None], (3, 5))[0].numpy(), mask)


def test_an_absent_label_is_outside_everywhere() -> None:
    assert (mask_fields(np.zeros((4, 4, 4), np.uint8), (1,)) == -1).all()

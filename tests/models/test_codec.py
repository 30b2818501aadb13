import numpy as np
import pytest
import torch

from synthdata.models.codec import FIELD_STD, PatchCodec
from synthdata.models.fields import fields_mask, mask_fields


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
    codec.fit(*stacked(blobs(24)), torch.ones(1))
    return codec


def stacked(items: list[tuple[torch.Tensor, torch.Tensor]]) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.stack([i for i, _ in items]), torch.stack([f for _, f in items])


def decoded(codec: PatchCodec, codes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Image and fields."""
    standard, fields = codec.decode(codes)
    return codec.expected(fields, codec.centre, codec.share) + codec.spread * standard, fields


def test_a_whole_code_holds_image_and_fields() -> None:
    image, fields = stacked(blobs(4, seed=1))
    codec = fitted((64, 64))
    restored, restored_fields = decoded(codec, codec.encode(image, fields))
    assert torch.allclose(restored, image, atol=1e-3)
    assert torch.allclose(restored_fields, fields, atol=1e-4)


def test_the_mask_alone_tells_most_of_the_image() -> None:
    image, fields = stacked(blobs(8, seed=3))
    codec = fitted((16, 8))
    told = codec.expected(fields, codec.centre, codec.share)
    assert float((image - told).square().mean()) < 0.1 * float((image - codec.centre).square().mean())


def test_a_label_that_codes_shall_not_hold_is_left_out() -> None:
    codec = PatchCodec(channels=1, labels=1, shape_zyx=(8, 12, 8), patch_zyx=(4, 4, 4), components=(16, 8))
    image, fields = stacked(blobs(24))
    codec.fit(image, fields, torch.zeros(1))
    codes = codec.encode(image, fields)
    assert torch.equal(codes[:, codec.kept :], torch.zeros_like(codes[:, codec.kept :]))
    assert float(codes[:, : codec.kept].std()) > 0.5


def test_codes_have_mean_variance_one_and_fields_are_louder() -> None:
    codec = fitted((16, 8))
    codes = codec.encode(*stacked(blobs(24)))
    variance = (codes - codes.mean(dim=(0, 2, 3, 4), keepdim=True)).square().mean(dim=(0, 2, 3, 4))
    assert float(variance[: codec.kept].mean()) == pytest.approx(1, rel=0.1)
    assert float(variance[codec.kept :].mean()) == pytest.approx(FIELD_STD**2, rel=0.1)


def test_masks_survive_a_short_code() -> None:
    image, fields = stacked(blobs(8, seed=2))
    codec = fitted((8, 12))
    mask = fields_mask(codec.decode(codec.encode(image, fields))[1], (1,))
    true = fields_mask(fields, (1,))
    assert float(2 * ((mask > 0) & (true > 0)).sum() / ((mask > 0).sum() + (true > 0).sum())) > 0.9

import torch

from synthdata.models.saturation import Saturation


def test_saturated_voxels_are_told_apart_and_come_back_exactly() -> None:
    rng = torch.Generator().manual_seed(0)
    images = torch.randn(20, 1, 4, 8, 8, generator=rng).clamp(
        -0.5, 0.5
    )  # a third of the voxels lies at each end
    saturation = Saturation(1)
    saturation.fit(images)
    noisy = saturation.closed(saturation.opened(images) + 0.1 * torch.randn(images.shape, generator=rng))
    for end in (-0.5, 0.5):
        assert float((noisy[images == end] == end).float().mean()) > 0.99
    assert torch.equal(saturation.closed(saturation.opened(images)), images)


def test_an_end_with_few_voxels_is_left_alone() -> None:
    images = torch.randn(20, 2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    saturation = Saturation(2)
    saturation.fit(images)
    assert torch.equal(saturation.opened(images), images)

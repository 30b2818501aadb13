import torch

from synthdata.models.saturation import NEAR, Saturation


def test_saturated_voxels_are_told_apart_and_come_back() -> None:
    rng = torch.Generator().manual_seed(0)
    images = torch.randn(20, 1, 4, 8, 8, generator=rng).clamp(
        -0.5, 0.5
    )  # a third of the voxels lies at each end
    saturation = Saturation(1)
    saturation.fit(images)
    noisy = saturation.closed(saturation.opened(images) + 0.1 * torch.randn(images.shape, generator=rng))
    for end in (-0.5, 0.5):
        assert float((noisy[images == end] == end).float().mean()) > 0.99
    torch.testing.assert_close(saturation.closed(saturation.opened(images)), images, rtol=0, atol=NEAR * 1.0)


def test_an_end_with_few_voxels_is_left_alone() -> None:
    images = torch.randn(20, 2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    saturation = Saturation(2)
    saturation.fit(images)
    assert torch.equal(saturation.opened(images), images)


def test_voxels_that_smoothing_took_off_an_end_are_moved_with_those_that_lie_there() -> None:
    images = torch.linspace(-1, 1, 1000).view(1, 1, 10, 10, 10).clone()
    images[..., :4] = -1.0
    images[..., 0] += 0.004  # of a scale of 2
    images[..., 1] += 0.02
    saturation = Saturation(1)
    saturation.fit(images)
    moved = saturation.opened(images) < images
    assert moved[..., 0].all()
    assert moved[..., 2:4].all()
    assert not moved[..., 1].any()

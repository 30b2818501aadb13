import torch

from synthdata.models.degradation import degrade
from synthdata.models.local_regression import LocalRegression


def smooth(count: int, channels: int, shape: tuple[int, int, int]) -> torch.Tensor:
    rng = torch.Generator().manual_seed(0)
    coarse = torch.rand((count, channels, *(-(-side // 4) for side in shape)), generator=rng)
    return torch.nn.functional.interpolate(coarse, size=shape, mode="trilinear") * 2 - 1


def test_a_curve_of_two_channels_is_found() -> None:
    source = smooth(6, 2, (1, 16, 16))
    unit = (source + 1) / 2
    target = unit[:, :1] ** 3 - unit[:, :1] * unit[:, 1:] + 0.2
    regression = LocalRegression(shape_zyx=(1, 16, 16), step=(1, 2, 2), channels=(2, 1), degree=3)
    regression.fit(source, target, torch.ones(6, 1, 1, 16, 16))
    assert (regression(source) - target).abs().mean() < 0.1 * (target - target.mean()).abs().mean()


def test_what_lies_beside_a_place_counts() -> None:
    source = smooth(6, 1, (8, 16, 16))
    target = source.roll(2, dims=3)
    body = torch.zeros(6, 1, 8, 16, 16)
    body[..., 4:, :] = 1  # beyond what was rolled around
    regression = LocalRegression(shape_zyx=(8, 16, 16), step=(2, 2, 2), channels=(1, 1), degree=1)
    regression.fit(source, target, body)
    found, before = (((image - target).abs() * body).mean() for image in (regression(source), source))
    assert found < 0.3 * before


def test_two_slices_of_which_the_mean_was_measured_are_told_apart() -> None:
    fine = smooth(8, 1, (16, 16, 16))
    measured = degrade(fine, "through_plane", 2, torch.Generator())
    regression = LocalRegression(shape_zyx=(16, 16, 16), step=(2, 2, 2), channels=(1, 1), degree=1)
    regression.fit(measured.image[:6], fine[:6], torch.ones(6, 1, 16, 16, 16))
    found = measured.restore(regression(measured.image))
    plain = (measured.image - fine)[6:].abs().mean()
    assert (found - fine)[6:].abs().mean() < 0.8 * plain


def test_its_error_within_the_body_is_kept() -> None:
    rng = torch.Generator().manual_seed(1)
    source = smooth(4, 1, (1, 32, 32))
    target = source + 0.1 * torch.randn(source.shape, generator=rng)
    body = torch.zeros(4, 1, 1, 32, 32)
    body[..., 8:24, 8:24] = 1
    target = torch.where(body > 0, target, torch.full_like(target, 5.0))
    regression = LocalRegression(shape_zyx=(1, 32, 32), step=(1, 2, 2), channels=(1, 1), degree=1)
    regression.fit(source, target, body)
    assert 0.05 < float(regression.residual_std) < 0.15


def test_a_case_does_not_find_its_own_target_in_the_mean_of_few() -> None:
    rng = torch.Generator().manual_seed(2)
    source = torch.randn((4, 1, 1, 32, 32), generator=rng).clamp(-1, 1)
    target = torch.randn((4, 1, 1, 32, 32), generator=rng)  # which the source tells nothing of
    regression = LocalRegression(shape_zyx=(1, 32, 32), step=(1, 2, 2), channels=(1, 1), degree=1)
    regression.fit(source, target, torch.ones(4, 1, 1, 32, 32))
    assert (regression(source) - target).square().mean() > 0.9

import pytest
import torch

from synthdata.models.noise import Noise


def anatomy(n: int, *, flat: bool = False) -> torch.Tensor:
    """Two channels: a step between two tissues, and in the second one a saturated half."""
    image = torch.full((n, 2, 1 if flat else 12, 16, 16), -0.4)
    image[..., 8:] = 0.3
    image[:, 1, ..., 8:] = 1.0
    return image


def scanned(n: int, *, seed: int, flat: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """Images of patients whose noise differs, cut at 1, and its standard deviation (n,)."""
    rng = torch.Generator().manual_seed(seed)
    levels = 0.05 * (0.3 * torch.randn(n, generator=rng)).exp()
    clean = anatomy(n, flat=flat)
    noise = levels.view(-1, 1, 1, 1, 1) * torch.randn(clean.shape, generator=rng)
    return torch.where(clean >= 1, clean, clean + noise), levels


def fitted(images: torch.Tensor) -> tuple[Noise, torch.Tensor]:
    noise = Noise(channels=2, shape_zyx=tuple(images.shape[2:]))  # type: ignore[arg-type] - three sides
    return noise, noise.fit(images)


@pytest.mark.parametrize("flat", [False, True], ids=["volume", "slice"])
def test_smoothing_takes_noise_away_and_keeps_edges(flat: bool) -> None:
    images, _ = scanned(12, seed=0, flat=flat)
    if flat:
        images = images.tile(1, 1, 1, 4, 4)
    _, smooth = fitted(images)
    clean = anatomy(12, flat=flat).tile(1, 1, 1, *((4, 4) if flat else (1, 1)))
    before, after = (images - clean).square().mean(), (smooth - clean).square().mean()
    assert float(after / before) < (0.35 if flat else 0.2)
    edge = smooth[:, 0, ..., 8].mean() - smooth[:, 0, ..., 7].mean()
    assert float(edge) == pytest.approx(0.7, abs=0.03)


def test_levels_follow_the_noise_of_each_patient() -> None:
    images, levels = scanned(30, seed=1)
    noise, _ = fitted(images)
    found = noise.levels(images)[:, 0]
    assert float(torch.corrcoef(torch.stack([found.log(), levels.log()]))[0, 1]) > 0.9
    assert float(noise.level[0, 1]) == pytest.approx(0.3, abs=0.12)


def test_drawn_noise_has_the_loudness_of_the_patients_and_none_where_the_scale_ends() -> None:
    images, _ = scanned(40, seed=2)
    noise, smooth = fitted(images)
    rng = torch.Generator().manual_seed(3)
    clean = anatomy(40)
    drawn = noise(clean, torch.randn(clean.shape, generator=rng), torch.randn(40, 2, generator=rng))
    true = (images - smooth)[:, 0].std()
    assert float((drawn - clean)[:, 0].std()) == pytest.approx(float(true), rel=0.2)
    assert float((drawn - clean)[:, 1, ..., 8:].abs().max()) < 1e-3
    spread = (drawn - clean)[:, 0].flatten(1).std(1).log().std()
    assert float(spread) == pytest.approx(0.3, abs=0.12)


def test_images_without_noise_stay_as_they_are() -> None:
    images = anatomy(4)
    noise, smooth = fitted(images)
    assert torch.allclose(smooth, images, atol=1e-3)
    drawn = noise(images, torch.randn(images.shape), torch.zeros(4, 2))
    assert torch.allclose(drawn, images, atol=1e-3)


def test_constant_images_and_single_voxels_have_finite_noise() -> None:
    for shape in ((3, 2, 1, 1, 1), (3, 2, 2, 3, 3)):
        noise, smooth = fitted(torch.zeros(shape))
        assert torch.isfinite(smooth).all()
        assert torch.isfinite(noise(smooth, torch.randn(shape), torch.randn(3, 2))).all()

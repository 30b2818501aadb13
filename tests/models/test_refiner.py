import pytest
import torch

from synthdata.models.refiner import Refiner


def correlated(shape: tuple[int, ...], rng: torch.Generator) -> torch.Tensor:
    """Noise that is smooth along x, with unit variance."""
    white = torch.randn(shape, generator=rng)
    return (white + white.roll(1, -1)) / 2**0.5


@pytest.mark.parametrize("shape", [(8, 12, 10), (8, 12, 11), (1, 16, 16)], ids=["even", "odd", "flat"])
def test_texture_has_the_spread_and_the_correlation_of_the_residuals(shape: tuple[int, int, int]) -> None:
    rng = torch.Generator().manual_seed(0)
    refiner = Refiner(channels=1, labels=0, shape_zyx=shape, widths=(8, 16))
    spread = torch.full((1, 1, *shape), 0.1)
    spread[..., shape[2] // 2 :] = 0.4
    images = torch.zeros(60, 1, *shape)
    refiner.fit_texture(spread * correlated((60, 1, *shape), rng), images)
    drawn = refiner.texture(images, torch.randn(images.shape, generator=rng))
    assert float(drawn[..., 1 : shape[2] // 2 - 1].std()) == pytest.approx(0.1, rel=0.15)
    assert float(drawn[..., shape[2] // 2 + 2 :].std()) == pytest.approx(0.4, rel=0.15)
    unit = drawn / drawn.std(0, keepdim=True)
    assert float((unit[..., 1:] * unit[..., :-1]).mean()) == pytest.approx(0.5, abs=0.1)
    if shape[0] > 1:
        assert abs(float((unit[:, :, 1:] * unit[:, :, :-1]).mean())) < 0.1


def test_brighter_parts_get_the_noise_of_brighter_parts() -> None:
    rng = torch.Generator().manual_seed(0)
    refiner = Refiner(channels=1, labels=0, shape_zyx=(4, 8, 8), widths=(8, 16))
    images = (torch.rand(200, 1, 1, 1, 1, generator=rng) < 0.5).float().expand(200, 1, 4, 8, 8) - 0.5
    noise = torch.randn(images.shape, generator=rng) * torch.where(images > 0, 0.3, 0.1)
    refiner.fit_texture(noise, images)
    drawn = refiner.texture(images, torch.randn(images.shape, generator=rng))
    assert float(drawn[images > 0].std()) == pytest.approx(0.3, rel=0.15)
    assert float(drawn[images < 0].std()) == pytest.approx(0.1, rel=0.25)


def test_the_refiner_begins_as_the_identity() -> None:
    refiner = Refiner(channels=2, labels=1, shape_zyx=(6, 8, 10), widths=(8, 16, 16))
    standard, fields = torch.randn(1, 2, 6, 8, 10), torch.randn(1, 1, 6, 8, 10)
    refined = refiner(standard, standard, fields)
    assert torch.allclose(refined[0], standard, atol=0.2)
    assert torch.allclose(refined[1], fields, atol=0.2)

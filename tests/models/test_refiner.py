import math

import pytest
import torch
from torch.nn import functional

from synthdata.models.refiner import Drawn, Refined, Refiner


def correlated(shape: tuple[int, ...], rng: torch.Generator) -> torch.Tensor:
    """Noise that is smooth along x, with unit variance."""
    white = torch.randn(shape, generator=rng)
    return (white + white.roll(1, -1)) / 2**0.5


def drawn(standard: torch.Tensor, fields: torch.Tensor) -> Drawn:
    return Drawn(
        standard=standard,
        image=standard,
        fields=fields,
        centre=torch.zeros_like(standard),
        spread=torch.ones_like(standard),
    )


@pytest.mark.parametrize("shape", [(8, 12, 10), (8, 12, 11), (1, 16, 16)], ids=["even", "odd", "flat"])
def test_texture_has_the_correlation_of_the_residuals_and_the_spread_that_is_asked_for(
    shape: tuple[int, int, int],
) -> None:
    rng = torch.Generator().manual_seed(0)
    refiner = Refiner(channels=1, labels=0, shape_zyx=shape, widths=(8, 16))
    refiner.fit_texture(correlated((60, 1, *shape), rng))
    log_std = torch.full((60, 1, *shape), 0.1).log()
    log_std[..., shape[2] // 2 :] = math.log(0.4)
    empty = torch.zeros(60, 1, *shape)
    refined = Refined(standard=empty, fields=empty[:, :0], log_std=log_std)
    texture = refiner.texture(refined, torch.randn(empty.shape, generator=rng), torch.zeros(60, 1))
    assert float(texture[..., 1 : shape[2] // 2 - 1].std()) == pytest.approx(0.1, rel=0.15)
    assert float(texture[..., shape[2] // 2 + 2 :].std()) == pytest.approx(0.4, rel=0.15)
    unit = texture / texture.std(0, keepdim=True)
    assert float((unit[..., 1:] * unit[..., :-1]).mean()) == pytest.approx(0.5, abs=0.1)
    if shape[0] > 1:
        assert abs(float((unit[:, :, 1:] * unit[:, :, :-1]).mean())) < 0.1


def test_the_refiner_learns_edges_and_how_noisy_each_place_is() -> None:
    """Blurred blocks in, sharp ones with noise in their bright half and a few wild voxels out."""
    rng = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    refiner = Refiner(channels=1, labels=0, shape_zyx=(1, 16, 16), widths=(16, 16))
    optimizer = torch.optim.AdamW(refiner.parameters(), lr=3e-3)
    none = torch.zeros(16, 0, 1, 16, 16)

    def batch() -> tuple[torch.Tensor, torch.Tensor]:
        sharp = torch.where(torch.rand(16, 1, 1, 4, 4, generator=rng) < 0.5, 1.0, -1.0)
        return sharp.repeat_interleave(4, 3).repeat_interleave(4, 4), torch.randn(
            16, 1, 1, 16, 16, generator=rng
        )

    for _ in range(150):
        sharp, noise = batch()
        wild = 5.0 * (torch.rand(sharp.shape, generator=rng) < 0.02)
        blurred = functional.avg_pool3d(sharp, (1, 3, 3), 1, (0, 1, 1), count_include_pad=False)
        truth = sharp + noise * torch.where(sharp > 0, 0.4, 0.05) + wild
        refined = refiner(drawn(blurred, none))
        optimizer.zero_grad()
        refiner.loss(refined, truth, none).backward()
        optimizer.step()
    sharp, _ = batch()
    blurred = functional.avg_pool3d(sharp, (1, 3, 3), 1, (0, 1, 1), count_include_pad=False)
    with torch.no_grad():
        refined = refiner(drawn(blurred, none))
    assert float((refined.standard - sharp).square().mean()) < 0.5 * float((blurred - sharp).square().mean())
    assert float(refined.log_std.exp()[sharp > 0].median()) == pytest.approx(0.4, rel=0.35)
    assert (
        float(refined.log_std.exp()[sharp < 0].median()) < 0.35
    )  # wild voxels are errors, not texture: with them 0.7


def test_how_loud_the_texture_is_differs_between_patients_as_it_did_in_training() -> None:
    rng = torch.Generator().manual_seed(0)
    shape = (4, 12, 12)
    refiner = Refiner(channels=1, labels=0, shape_zyx=shape, widths=(8, 16))
    loud = (0.3 * torch.randn(200, 1, generator=rng)).exp()[:, :, None, None, None]
    refiner.fit_texture(0.5 * loud * torch.randn(200, 1, *shape, generator=rng))
    empty = torch.zeros(400, 1, *shape)
    refined = Refined(standard=empty, fields=empty[:, :0], log_std=empty)
    drawn = refiner.texture(
        refined, torch.randn(empty.shape, generator=rng), torch.randn(400, 1, generator=rng)
    )
    rms = drawn.square().mean(dim=(2, 3, 4)).sqrt()
    assert float(rms.log().std()) == pytest.approx(0.3, rel=0.2)
    assert float(rms.square().mean()) == pytest.approx(1, rel=0.1)


def test_the_refiner_begins_as_the_identity() -> None:
    refiner = Refiner(channels=2, labels=1, shape_zyx=(6, 8, 10), widths=(8, 16, 16))
    standard, fields = torch.randn(1, 2, 6, 8, 10), torch.randn(1, 1, 6, 8, 10)
    refined = refiner(drawn(standard, fields))
    assert torch.equal(refined.standard, standard)
    assert torch.equal(refined.fields, fields)

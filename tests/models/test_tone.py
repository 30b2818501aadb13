import pytest
import torch

from synthdata.models.tone import Tone


def cases(n: int, *, seed: int, gain: float, edge: float) -> tuple[torch.Tensor, torch.Tensor]:
    """A bright core, one label, in noisy air; between them a share of voxels with values in the middle."""
    rng = torch.Generator().manual_seed(seed)
    fields = torch.full((n, 1, 4, 8, 8), -1.0)
    fields[:, :, 1:3, 2:6, 2:6] = 0.5
    image = torch.where(fields > 0, 0.6, -0.8) + gain * torch.randn(fields.shape, generator=rng)
    middle = torch.rand(fields.shape, generator=rng) < edge
    between = 1.2 * torch.rand(fields.shape, generator=rng) - 0.7
    return torch.where(middle & (fields < 0), between, image), fields


def classes(tone: Tone, image: torch.Tensor, fields: torch.Tensor) -> torch.Tensor:
    """Classes where a smooth air and a smooth core are expected."""
    return tone.classes(torch.where(fields > 0, 0.6, -0.8).expand_as(image), fields)


def fit(
    tone: Tone, drawn: tuple[torch.Tensor, torch.Tensor], true: tuple[torch.Tensor, torch.Tensor]
) -> None:
    tone.fit((drawn[0], classes(tone, *drawn)), (true[0], classes(tone, *true)))


def test_an_unfitted_tone_changes_nothing() -> None:
    image, fields = cases(2, seed=0, gain=0.1, edge=0.0)
    tone = Tone(channels=1, labels=1)
    assert torch.allclose(tone(image, classes(tone, image, fields)), image, atol=1e-5)


def test_drawn_regions_get_the_quantiles_of_true_ones_and_keep_their_order() -> None:
    tone = Tone(channels=1, labels=1)
    drawn, true = cases(120, seed=1, gain=0.3, edge=0.1), cases(120, seed=2, gain=0.05, edge=0.02)
    fit(tone, drawn, true)
    image, fields = cases(120, seed=3, gain=0.3, edge=0.1)
    toned = tone(image, classes(tone, image, fields))
    for inside in (fields > 0, fields < 0):
        ours, theirs = toned[inside].sort().values, true[0][inside].sort().values
        assert float((ours - theirs).abs().mean()) < 0.02
        order = image[inside].argsort()
        assert bool((toned[inside][order].diff() >= -1e-6).all())


def test_a_region_with_few_voxels_is_left_as_it_is() -> None:
    tone = Tone(channels=1, labels=1)
    few = [cases(10, seed=seed, gain=gain, edge=0.0) for seed, gain in ((1, 0.3), (2, 0.05))]
    fit(tone, *few)  # 320 voxels of the core
    image, fields = cases(2, seed=3, gain=0.3, edge=0.0)
    toned = tone(image, classes(tone, image, fields))
    assert torch.allclose(toned[fields > 0], image[fields > 0], atol=1e-5)
    assert float(toned[fields < 0].std()) == pytest.approx(0.05, rel=0.2)


def test_voxels_of_which_other_intensities_were_expected_have_a_map_of_their_own() -> None:
    rng = torch.Generator().manual_seed(0)
    tone = Tone(channels=1, labels=0)
    expected = torch.where(torch.rand(40, 1, 1, 20, 20, generator=rng) < 0.5, -0.45, 0.45)
    kinds = tone.classes(expected, expected[:, :0])
    noise = torch.randn(expected.shape, generator=rng)
    true = expected + torch.where(expected > 0, 0.02, 0.1) * noise.flip(0)
    tone.fit((expected + 0.05 * noise, kinds), (true, kinds))
    toned = tone(expected + 0.05 * noise, kinds)
    assert float(toned[expected > 0].std()) == pytest.approx(0.02, rel=0.1)
    assert float(toned[expected < 0].std()) == pytest.approx(0.1, rel=0.1)


def test_values_beyond_what_was_fitted_stay_beyond() -> None:
    tone = Tone(channels=1, labels=0)
    knots = torch.linspace(0, 1, 4000).view(1, 1, 1, 1, 4000)
    kinds = torch.zeros(knots.shape, dtype=torch.int64)
    tone.fit((knots, kinds), (2 * knots, kinds))
    toned = tone(torch.tensor([-1.0, 0.5, 3.0]).view(1, 1, 1, 1, 3), kinds[..., :3])
    assert torch.allclose(toned.flatten(), torch.tensor([-1.0, 1.0, 4.0]), atol=1e-2)

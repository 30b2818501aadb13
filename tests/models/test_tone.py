import pytest
import torch

from synthdata.models.tone import Tone


def cases(n: int, *, seed: int, gain: float, edge: float) -> tuple[torch.Tensor, torch.Tensor]:
    """A bright core, class 1, in noisy air, class 0; between them a share of voxels with values in the middle."""
    rng = torch.Generator().manual_seed(seed)
    classes = torch.zeros((n, 4, 8, 8), dtype=torch.int64)
    classes[:, 1:3, 2:6, 2:6] = 1
    core = classes[:, None] == 1
    image = torch.where(core, 0.6, -0.8) + gain * torch.randn(core.shape, generator=rng)
    middle = torch.rand(core.shape, generator=rng) < edge
    between = 1.2 * torch.rand(core.shape, generator=rng) - 0.7
    return torch.where(middle & ~core, between, image), classes


def fields(classes: torch.Tensor, count: int = 2) -> torch.Tensor:
    """Fields of tissues with borders as the classes have them."""
    return torch.stack([torch.where(classes == index, 0.1, -0.1) for index in range(count)], dim=1)


def fit_drawn(tone: Tone, images: torch.Tensor, classes: torch.Tensor) -> None:
    tone.fit_drawn(images, classes, fields(classes, tone.tissues))
    tone.width.zero_()


def ramps(n: int, *, sharp: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Two tissues that pass into each other, or border sharply; images, fields and classes."""
    shift = torch.linspace(-1, 1, n).view(n, 1, 1, 1, 1)
    place = torch.linspace(-4, 4, 33).view(1, 1, 1, 1, 33) + shift
    place = place.expand(n, 1, 4, 8, 33)
    image = torch.where(place > 0, 0.5, -0.5) if sharp else place / 8
    tissues = torch.cat([-place, place], dim=1) / 5
    return image, tissues, tissues.argmax(1)


@pytest.mark.parametrize("sharp", [True, False], ids=["sharp", "gradual"])
def test_borders_are_as_sharp_as_those_of_patients(sharp: bool) -> None:
    tone = Tone(channels=1, tissues=2, labels=0)
    true, tissues, classes = ramps(20, sharp=sharp)
    tone.fit_true(true, classes)
    steep = 0.5 * torch.tanh(3 * torch.linspace(-4, 4, 33)).expand(20, 1, 4, 8, 33) * 0.9
    noise = 0.2 * torch.randn(true.shape, generator=torch.Generator().manual_seed(0))
    tone.fit_drawn(steep + noise, classes, tissues)
    toned = tone(steep + noise, classes, tissues)

    def jump(image: torch.Tensor) -> float:
        return float(image.diff(dim=-1).abs()[classes[:, None].diff(dim=-1) != 0].mean())

    plain = Tone(channels=1, tissues=2, labels=0)
    plain.load_state_dict(tone.state_dict() | {"width": torch.zeros(1)})
    hard = plain(steep + noise, classes, tissues)
    assert abs(jump(toned) - jump(true)) <= abs(jump(hard) - jump(true))
    assert (float(tone.width) > 0) is not sharp


def test_an_unfitted_tone_changes_nothing() -> None:
    image, classes = cases(2, seed=0, gain=0.1, edge=0.0)
    assert torch.allclose(
        Tone(channels=1, tissues=2, labels=0)(image, classes, fields(classes)), image, atol=1e-5
    )


def test_drawn_regions_get_the_quantiles_of_true_ones_and_keep_their_order() -> None:
    tone = Tone(channels=1, tissues=2, labels=0)
    true = cases(120, seed=2, gain=0.05, edge=0.02)
    tone.fit_true(*true)
    fit_drawn(tone, *cases(120, seed=1, gain=0.3, edge=0.1))
    image, classes = cases(120, seed=3, gain=0.3, edge=0.1)
    toned = tone(image, classes, fields(classes))
    for index in (0, 1):
        inside = classes[:, None] == index
        ours, theirs = toned[inside].sort().values, true[0][inside].sort().values
        assert float((ours - theirs).abs().mean()) < 0.02
        order = image[inside].argsort()
        assert bool((toned[inside][order].diff() >= -1e-6).all())


@pytest.mark.parametrize("few", ["true", "drawn"])
def test_a_region_with_few_voxels_is_left_as_it_is(few: str) -> None:
    tone = Tone(channels=1, tissues=2, labels=0)  # 320 voxels of the core in 10 cases
    tone.fit_true(*cases(10 if few == "true" else 120, seed=2, gain=0.05, edge=0.0))
    fit_drawn(tone, *cases(10 if few == "drawn" else 120, seed=1, gain=0.3, edge=0.0))
    image, classes = cases(2, seed=3, gain=0.3, edge=0.0)
    toned = tone(image, classes, fields(classes))
    core = classes[:, None] == 1
    assert torch.allclose(toned[core], image[core], atol=1e-5)
    assert float(toned[~core].std()) == pytest.approx(0.05, rel=0.2)


def test_values_beyond_what_was_fitted_stay_beyond() -> None:
    tone = Tone(channels=1, tissues=1, labels=0)
    knots = torch.linspace(0, 1, 4000).view(1, 1, 1, 1, 4000)
    classes = torch.zeros((1, 1, 1, 4000), dtype=torch.int64)
    tone.fit_true(2 * knots, classes)
    fit_drawn(tone, knots, classes)
    toned = tone(
        torch.tensor([-1.0, 0.5, 3.0]).view(1, 1, 1, 1, 3), classes[..., :3], torch.zeros(1, 1, 1, 1, 3)
    )
    assert torch.allclose(toned.flatten(), torch.tensor([-1.0, 1.0, 4.0]), atol=1e-2)

import pytest
import torch

from synthdata.errors import ConfigError
from synthdata.models.nets import UNetConfig
from synthdata.models.protocol import ChannelMap, Geometry
from synthdata.models.translation import TranslationConfig, TranslationGenerator
from synthdata.models.translator import Translator, TranslatorConfig
from synthdata.records import Grid
from tests.models.test_flow import SMALL, cohort

NETWORK = UNetConfig(widths=(16, 16), blocks=(1, 1), heads=2)


def pairs(*, flat: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """A source, and a target that is a curve of it."""
    images, fields = cohort(flat=flat, labels=1)
    return torch.cat([images, 0.5 - images.square()], dim=1), fields


def built(law: str, *, flat: bool, translation: ChannelMap) -> TranslationGenerator:
    torch.manual_seed(0)
    z, y, x = pairs(flat=flat)[0].shape[2:]
    config = TranslationConfig(
        translator=TranslatorConfig(law=law, network=NETWORK, jitter=0, steps=4),  # type: ignore[arg-type]
        drawer=SMALL,
    )
    geometry = Geometry(
        grid=Grid(shape_zyx=(z, y, x), spacing_mm=(1.0, 1.0, 1.0)),
        channels=2 if translation.degradation == "none" else 1,
        labels=1,
        conditions=0,
        translation=translation,
    )
    return TranslationGenerator(config, geometry)


def learnt(
    model: TranslationGenerator, images: torch.Tensor, fields: torch.Tensor, steps: int
) -> list[float]:
    told = torch.zeros(len(images), 0)
    model.fit_codec(images, fields)
    items = model.encode(images, fields)
    model.fit_law(items, told, torch.arange(len(items)))
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    rng, losses = torch.Generator().manual_seed(0), []
    for _ in range(steps):
        index = torch.randint(len(items), (4,), generator=rng)
        loss = model.loss(items[index], told[index], rng)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(float(loss.detach()))
    model.settle(items, told, torch.Generator().manual_seed(0))
    return losses


@pytest.mark.parametrize(("law", "steps"), [("mean", 60), ("flow", 240)])
def test_a_curve_between_two_channels_is_learnt(law: str, steps: int) -> None:
    images, fields = pairs(flat=True)
    model = built(law, flat=True, translation=ChannelMap(sources=(0,), targets=(1,), draw=False))
    learnt(model, images, fields, steps=steps)
    with torch.no_grad():
        start = (images[:, 1:].mean(0) - images[:, 1:]).abs().mean()
        _, found = model.eval().translate(images, torch.zeros(16, 0), list(range(16)), members=4)
    assert (found.image - images[:, 1:]).abs().mean() < 0.6 * start
    assert found.spread.shape == found.image.shape
    assert (found.spread > 0).all()


@pytest.mark.parametrize("flat", [False, True], ids=["volume", "slice"])
def test_whole_cases_are_drawn_and_their_targets_follow_their_sources(flat: bool) -> None:
    images, fields = pairs(flat=flat)
    model = built("mean", flat=flat, translation=ChannelMap(sources=(0,), targets=(1,)))
    learnt(model, images, fields, steps=4)
    drawn, shapes = model.eval().sample(torch.zeros(3, 0), [5, 6, 7], steps=3, guidance=1.0)
    assert drawn.shape == (3, 2, *images.shape[2:])
    assert shapes.shape == (3, 1, *images.shape[2:])
    again, _ = model.sample(torch.zeros(1, 0), [6], steps=3, guidance=1.0)
    assert torch.allclose(again, drawn[1:2], atol=1e-4)  # a row depends on its seed alone
    told = torch.ones(3, 1)
    assert torch.allclose(model.translator.draw(drawn[:, :1], told, [5, 6, 7]), drawn[:, 1:], atol=1e-5)


def test_what_was_measured_survives_the_restoration() -> None:
    images, fields = cohort(flat=False, labels=1)
    how = ChannelMap(sources=(0,), targets=(0,), degradation="missing_slices", factor=2, draw=False)
    model = built("mean", flat=False, translation=how)
    learnt(model, images, fields, steps=2)
    _, found = model.eval().translate(images[:2], torch.zeros(2, 0), [0, 1])
    assert torch.allclose(found.image[:, :, ::2], images[:2, :, ::2])


def test_an_ensemble_is_wide_where_the_source_tells_nothing() -> None:
    images, fields = pairs(flat=True)
    loud = torch.randn(images[:, 1:].shape, generator=torch.Generator().manual_seed(2))
    images = torch.cat([images[:, :1], torch.where(images[:, :1] > 0, loud, images[:, 1:])], dim=1)
    model = built("flow", flat=True, translation=ChannelMap(sources=(0,), targets=(1,), draw=False))
    learnt(model, images, fields, steps=150)
    _, found = model.eval().translate(images, torch.zeros(16, 0), list(range(16)), members=6)
    inside = images[:, :1] > 0
    assert found.spread[inside].mean() > 1.5 * found.spread[~inside].mean()


@pytest.mark.parametrize("law", ["mean", "flow"])
def test_the_spread_is_made_what_errors_are_on_patients_left_out(law: str) -> None:
    images, fields = pairs(flat=True)
    rng = torch.Generator().manual_seed(3)
    images[:, 1:] += 0.1 * torch.randn(images[:, 1:].shape, generator=rng)
    model = built(law, flat=True, translation=ChannelMap(sources=(0,), targets=(1,), draw=False))
    learnt(model, images[:8], fields[:8], steps=20)
    held = model.eval().encode(images[8:12], fields[8:12])
    model.calibrate(held, torch.zeros(4, 0))
    _, found = model.translate(images[12:], torch.zeros(4, 0), [12, 13, 14, 15])
    _, _, body = model._parts(model.encode(images[12:], fields[12:]))
    within = (found.image - images[12:, 1:]).abs() <= 2 * found.spread
    assert 0.85 < within[body > 0].float().mean() < 0.99


def test_a_network_on_a_large_grid_has_no_attention() -> None:
    def attends(shape: tuple[int, int, int]) -> bool:
        translator = Translator(
            TranslatorConfig(network=NETWORK),
            shape_zyx=shape,
            spacing_mm=(1.0, 1.0, 1.0),
            channels=(1, 1),
            conditions=0,
        )
        return any("attention" in name for name, _ in translator.named_parameters())

    assert attends((8, 16, 16))
    assert not attends((64, 80, 64))


def test_a_generator_that_only_translates_draws_no_cases() -> None:
    model = built("mean", flat=True, translation=ChannelMap(sources=(0,), targets=(1,), draw=False))
    with pytest.raises(ConfigError, match="draws no cases"):
        model.sample(torch.zeros(1, 0), [1], steps=1, guidance=1.0)

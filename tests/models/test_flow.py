import pytest
import torch

from synthdata.models.flow import FlowGenerator
from synthdata.models.flow_config import FlowConfig
from synthdata.models.nets import UNetConfig
from synthdata.models.protocol import Geometry
from synthdata.models.spectrum import WaveNoise, shrunk_correlation
from synthdata.records import Grid
from tests.models.test_alignment import heads

SMALL = FlowConfig(
    image_components=8,
    field_components=4,
    network=UNetConfig(widths=(16, 16), blocks=(1, 1), heads=2),
    refiner=(8, 8),
)


def cohort(*, flat: bool, labels: int, n: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    """Heads, and fields of a core in all of them and of a spot in every second one."""
    images = heads(n, seed=3)
    images = images[:, :, 8:9] if flat else images
    core = (images - 0.9).clamp(-1, 1)
    spot = torch.full_like(images, -1.0)
    spot[::2, :, :, 10:13, 6:9] = 0.3
    return images, torch.cat([core, spot], dim=1)[:, :labels]


def fitted(*, flat: bool, labels: int, conditions: int) -> tuple[FlowGenerator, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    images, fields = cohort(flat=flat, labels=labels)
    z, y, x = images.shape[2:]
    grid = Grid(shape_zyx=(z, y, x), spacing_mm=(1.0, 1.0, 1.0))
    geometry = Geometry(grid=grid, channels=1, labels=labels, conditions=conditions)
    model = FlowGenerator(SMALL, geometry)
    told = torch.rand(len(images), conditions, generator=torch.Generator().manual_seed(1))
    model.fit_codec(images, fields)
    items = model.encode(images, fields)
    model.fit_law(items, told, torch.arange(len(items)))
    return model, items, told


@pytest.mark.parametrize("flat", [False, True], ids=["volume", "slice"])
@pytest.mark.parametrize(
    ("labels", "conditions"), [(2, 2), (2, 0), (0, 1)], ids=["all", "no-record", "no-mask"]
)
def test_every_kind_of_dataset_is_learnt_and_drawn(flat: bool, labels: int, conditions: int) -> None:
    model, items, told = fitted(flat=flat, labels=labels, conditions=conditions)
    loss = model.loss(items[:4], told[:4], torch.Generator().manual_seed(0))
    loss.backward()
    assert torch.isfinite(loss)
    model.settle(items, told, torch.Generator().manual_seed(0))
    images, fields = model.sample(told[:3], [5, 6, 7], steps=3, guidance=1.0)
    assert images.shape == (3, 1, *model.geometry.grid.shape_zyx)
    assert fields.shape == (3, labels, *model.geometry.grid.shape_zyx)
    assert torch.isfinite(images).all()
    again, _ = model.sample(told[1:2], [6], steps=3, guidance=1.0)
    assert torch.allclose(again, images[1:2], atol=1e-4)  # a row depends on its seed alone
    assert not torch.allclose(images[0], images[1], atol=0.1)


def test_before_any_training_the_draws_have_outline_and_findings_of_the_patients() -> None:
    model, items, told = fitted(flat=False, labels=2, conditions=2)
    model.settle(items, told, torch.Generator().manual_seed(0))
    images, fields = model.sample(told, list(range(16)), steps=4, guidance=1.0)
    real, real_fields = cohort(flat=False, labels=2)
    assert float((images > 0).float().mean()) == pytest.approx(float((real > 0).float().mean()), rel=0.15)
    spots = (fields[:, 1].flatten(1).amax(1) > 0).float().mean()
    assert 0.2 < float(spots) < 0.8  # half of the patients have one
    truth = (real_fields[::2, 1] > 0).flatten(1).sum(1).float().mean()
    drawn = (fields[:, 1] > 0).flatten(1).sum(1).float()
    assert 0.4 < float(drawn[drawn > 0].mean() / truth) < 2.5


@pytest.mark.parametrize("points", [(5, 8, 6), (1, 8, 6), (2, 2, 3)], ids=["volume", "slice", "smallest"])
def test_waves_are_as_loud_and_as_smooth_as_the_long_ones_that_were_measured(
    points: tuple[int, int, int],
) -> None:
    rng = torch.Generator().manual_seed(0)
    noise = WaveNoise((2, *points))
    smooth = torch.zeros(400, 2, *points)
    smooth[..., :2, :2, :2] = torch.randn(smooth[..., :2, :2, :2].shape, generator=rng)
    noise.fit(noise.added(smooth) / noise.added(smooth).std(0), torch.arange(400))
    drawn = noise(torch.randn(4000, 2, *points, generator=rng))
    # also at the borders, where cosines are loudest
    assert torch.allclose(drawn.std(0), torch.ones_like(drawn[0]), atol=0.1)


def test_what_is_rough_is_left_out_and_not_made_up_for() -> None:
    rng = torch.Generator().manual_seed(0)
    noise = WaveNoise((1, 10, 14, 10))
    noise.fit(torch.randn(100, 1, 10, 14, 10, generator=rng), torch.arange(100))
    drawn = noise(torch.randn(100, 1, 10, 14, 10, generator=rng))
    assert 0 < float(drawn.square().mean()) < 0.2
    assert float((drawn[..., 1:] * drawn[..., :-1]).mean() / drawn.square().mean()) > 0.6


def test_the_longest_waves_keep_how_channels_go_together() -> None:
    rng = torch.Generator().manual_seed(0)
    size = torch.randn(60, 1, 1, 1, 1, generator=rng)
    ramp = torch.linspace(-1, 1, 8).view(1, 1, 1, 1, 8)
    fields = torch.cat([size * ramp, size * ramp], dim=1) + 0.1 * torch.randn(60, 2, 4, 6, 8, generator=rng)
    noise = WaveNoise((2, 4, 6, 8))
    noise.fit(fields, torch.arange(60))
    drawn = noise(torch.randn(500, 2, 4, 6, 8, generator=rng))
    slopes = (drawn * ramp).mean(dim=(2, 3, 4))
    assert float(torch.corrcoef(slopes.T)[0, 1]) > 0.8


def test_few_patients_shrink_correlations_and_scans_of_one_patient_do_not_count_twice() -> None:
    rng = torch.Generator().manual_seed(0)
    off = 1 - torch.eye(30)
    values = torch.randn(20, 30, generator=rng)
    values = values / values.square().mean(0).sqrt()
    alone = shrunk_correlation(values, torch.arange(20))
    assert float((alone * off).abs().mean()) < 0.3 * float((values.T @ values / 20 * off).abs().mean())
    twice = shrunk_correlation(values.repeat(2, 1), torch.arange(20).repeat(2))
    assert torch.allclose(alone, twice, atol=1e-5)
    assert float(torch.linalg.eigvalsh(alone).min()) > 0


def test_what_patients_do_not_share_of_their_outlines_is_drawn_smoothly() -> None:
    model, _, told = fitted(flat=False, labels=2, conditions=2)
    before, _ = model.sample(told, list(range(16)), steps=2, guidance=1.0)
    assert float(model.law.dropped[model.codec.kept :].mean()) > 0
    assert float(model.law.dropped[: model.codec.kept].abs().sum()) == 0
    model.law.dropped.zero_()
    after, _ = model.sample(told, list(range(16)), steps=2, guidance=1.0)
    spread = [images.std(0).mean() for images in (before, after)]
    assert float(spread[0]) > float(spread[1])

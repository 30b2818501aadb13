from dataclasses import replace
from typing import Any

import pytest
import torch

from synthdata.models.gan import GanConfig, GanGenerator
from synthdata.models.protocol import Geometry
from synthdata.models.vae import VaeConfig, VaeGenerator
from synthdata.records import Grid
from tests.models.test_flow import SMALL, cohort

VAE = VaeConfig(codes=SMALL, widths=(16, 16), latents=4)
GAN = GanConfig(codes=SMALL, critic=(8, 16))


def fitted(
    build: Any, config: Any, *, flat: bool, labels: int = 2, conditions: int = 2
) -> tuple[Any, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    images, fields = cohort(flat=flat, labels=labels, n=12 if flat else 6)
    z, y, x = images.shape[2:]
    grid = Grid(shape_zyx=(z, y, x), spacing_mm=(1.0, 1.0, 1.0))
    model = build(config, Geometry(grid=grid, channels=1, labels=labels, conditions=conditions))
    told = torch.rand(len(images), conditions, generator=torch.Generator().manual_seed(1))
    model.fit_codec(images, fields)
    items = model.encode(images, fields)
    model.fit_law(items, told, torch.arange(len(items)))
    return model, items, told


@pytest.mark.parametrize("family", [(VaeGenerator, VAE), (GanGenerator, GAN)], ids=["vae", "gan"])
@pytest.mark.parametrize(
    ("flat", "labels", "conditions"),
    [(False, 2, 2), (True, 2, 0), (True, 0, 1)],
    ids=["volume", "slice", "no-mask"],
)
def test_every_kind_of_dataset_is_learnt_and_drawn(
    family: tuple[Any, Any], flat: bool, labels: int, conditions: int
) -> None:
    model, items, told = fitted(*family, flat=flat, labels=labels, conditions=conditions)
    loss = model.loss(items[:4], told[:4], torch.Generator().manual_seed(0))
    loss.backward()
    learned = [p for p in model.parameters() if p.grad is not None and p.grad.abs().sum() > 0]
    assert len(learned) > 10
    assert torch.isfinite(loss)
    model.settle(items, told, torch.Generator().manual_seed(0))
    images, fields = model.sample(told[:3], [5, 6, 7], steps=8, guidance=1.0)
    assert images.shape == (3, 1, *model.geometry.grid.shape_zyx)
    assert fields.shape == (3, labels, *model.geometry.grid.shape_zyx)
    again, _ = model.sample(told[1:2], [6], steps=8, guidance=1.0)
    assert torch.allclose(again, images[1:2], atol=1e-4)  # a row depends on its seed alone
    assert not torch.allclose(images[0], images[1], atol=0.1)


def test_the_prior_is_that_of_the_patients_latents() -> None:
    model, items, told = fitted(VaeGenerator, VAE, flat=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    rng = torch.Generator().manual_seed(0)
    for _ in range(25):
        loss = model.loss(items, told, rng)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.settle(items, told, rng)
    with torch.no_grad():
        flagged = torch.cat([told, torch.ones(len(told), 1)], dim=1)
        latents, log_variance = model.compress(items[:, : model.width], flagged, model._given(items))
        drawn = torch.stack([model.prior.draw(row, rng) for row in told.repeat(64, 1)])
    error = (
        float((0.5 * log_variance).exp().amax()) / len(items) ** 0.5
    )  # each patient's latents are drawn once
    assert torch.allclose(drawn.mean(0), latents.mean(0), atol=4 * error)
    assert float(drawn.std(0).mean()) == pytest.approx(
        float((latents.var(0) + log_variance.exp().mean(0)).sqrt().mean()), rel=0.3
    )
    codes = items[:, : model.width]
    drawn_codes = model.draw_codes(told, model._given(items), [rng] * len(told))
    assert float(drawn_codes.detach().std(0).mean()) == pytest.approx(
        float(codes.std(0).mean()), rel=0.35
    )  # no blur


def test_each_player_learns_from_its_own_loss_alone() -> None:
    model, items, told = fitted(GanGenerator, replace(GAN, penalty=0.0), flat=True)
    codes, given = items[:, : model.width], model._given(items)
    flagged = torch.cat([told, torch.ones(len(told), 1)], dim=1)
    model.code_loss(codes, flagged, given, torch.Generator().manual_seed(0)).backward()
    drawn = model.draw_codes(told, given, [torch.Generator().manual_seed(0)] * len(told))
    seen = model._seen(drawn.detach(), given, 0)
    gradient = model.critic.plain.bias.grad
    assert gradient.abs().sum() < 1e-6  # a constant added to real and drawn scores changes nothing
    assert model.critic.plain.weight.grad.abs().sum() > 0
    assert model.network.leave.weight.grad.abs().sum() > 0
    assert seen.shape[1] == model.width + model.given

import math

import pytest
import torch
from torch import Tensor

from synthdata.errors import ConfigError
from synthdata.models import Geometry, family_of
from synthdata.models.cosine import CosineCode
from synthdata.models.plain_flow import PlainFlow
from synthdata.records import Grid

SHAPES = [(8, 12, 8), (1, 16, 12)]


def model_of(shape: tuple[int, int, int], *, conditions: int = 2, labels: int = 1) -> PlainFlow:
    grid = Grid(shape_zyx=shape, spacing_mm=(1.0, 1.0, 1.0))
    family = family_of("plain-flow")
    torch.manual_seed(0)
    preset = "tiny-2d" if shape[0] == 1 else "tiny"
    model: PlainFlow = family.build(
        family.presets[preset], Geometry(grid=grid, channels=2, labels=labels, conditions=conditions)
    )
    return model


def smooth(shape: tuple[int, int, int], channels: int, seed: int, count: int = 3) -> Tensor:
    coarse = torch.randn(count, channels, 2, 2, 2, generator=torch.Generator().manual_seed(seed))
    if shape[0] == 1:
        coarse = coarse[:, :, :1]
    return torch.nn.functional.interpolate(coarse, shape, mode="trilinear", align_corners=False).tanh()


@pytest.mark.parametrize("patch", [(4, 4, 4), (1, 2, 2), (2, 4, 3)])
def test_the_whole_cosine_code_is_orthonormal_and_is_undone(patch: tuple[int, int, int]) -> None:
    voxels = math.prod(patch)
    code = CosineCode(channels=2, patch_zyx=patch, kept=voxels)
    torch.testing.assert_close(code.basis @ code.basis.T, torch.eye(voxels), atol=1e-6, rtol=0)
    volume = torch.randn(2, 2, *(2 * side for side in patch), generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(code.decode(code.encode(volume)), volume, atol=1e-5, rtol=0)


def test_the_first_cosine_is_the_mean_and_few_keep_what_is_smooth() -> None:
    code = CosineCode(channels=1, patch_zyx=(4, 4, 4), kept=24)
    flat = torch.full((1, 1, 4, 4, 4), 0.5)
    encoded = code.encode(flat)
    assert float(encoded[0, 0]) == pytest.approx(1.0)
    assert float(encoded[0, 1:].abs().max()) < 1e-6
    volume = smooth((8, 12, 8), 1, seed=2)
    left = code.decode(code.encode(volume)) - volume
    assert float(left.square().mean()) < 0.01 * float(volume.var())


@pytest.mark.parametrize("shape", SHAPES)
def test_nothing_but_weights_is_in_the_state_and_fitting_changes_none(shape: tuple[int, int, int]) -> None:
    model = model_of(shape)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert set(before) == {name for name, _ in model.named_parameters()}
    images, fields = smooth(shape, 2, seed=3), smooth(shape, 1, seed=4)
    model.fit_codec(images, fields)
    items = model.encode(images, fields)
    model.fit_law(items, torch.zeros(3, 2), torch.arange(3))
    model.settle(items, torch.zeros(3, 2), torch.Generator())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("shape", SHAPES)
def test_a_row_depends_on_its_own_seed_alone(shape: tuple[int, int, int]) -> None:
    model = model_of(shape).eval()
    for value in model.parameters():
        value.data += 0.02 * torch.randn(value.shape, generator=torch.Generator().manual_seed(5))
    items = model.encode(smooth(shape, 2, seed=6), smooth(shape, 1, seed=7))
    told = torch.randn(3, 2, generator=torch.Generator().manual_seed(8))
    losses = model.item_losses(items, told, [1, 2, 3])
    torch.testing.assert_close(losses[1:2], model.item_losses(items[1:2], told[1:2], [2]))
    images, fields = model.sample(told, [1, 2, 3], steps=3, guidance=1.5)
    one, its_fields = model.sample(told[2:], [3], steps=3, guidance=1.5)
    torch.testing.assert_close(images[2:], one, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(fields[2:], its_fields, atol=1e-5, rtol=1e-5)
    assert images.shape == (3, 2, *shape)
    assert fields.shape == (3, 1, *shape)


def test_a_few_steps_lower_the_loss_at_the_same_noise() -> None:
    model = model_of((1, 16, 12))
    items = model.encode(smooth((1, 16, 12), 2, seed=9), smooth((1, 16, 12), 1, seed=10))
    told, optimizer = torch.zeros(3, 2), torch.optim.AdamW(model.parameters(), lr=2e-3)
    rng, seeds = torch.Generator().manual_seed(11), list(range(48))
    repeated = items.repeat(16, 1, 1, 1, 1), torch.zeros(48, 2), seeds
    before = float(model.item_losses(*repeated).detach().mean())
    for _ in range(40):
        optimizer.zero_grad()
        model.loss(items, told, rng).backward()
        optimizer.step()
    assert float(model.item_losses(*repeated).detach().mean()) < 0.8 * before


def test_it_draws_images_without_labels_and_tells_losses_of_cases() -> None:
    model = model_of((1, 16, 12), labels=0, conditions=0).eval()
    images, fields = model.sample(torch.zeros(2, 0), [1, 2], steps=2, guidance=1.0)
    assert fields.shape == (2, 0, 1, 16, 12)
    items = model.encode(images, fields)
    assert (model.case_losses(items, torch.zeros(2, 0), [1, 2]) > 0).all()


def test_a_grid_that_the_patch_does_not_divide_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected multiples of the patch"):
        model_of((1, 15, 12))

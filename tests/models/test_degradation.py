import pytest
import torch

from synthdata.errors import ConfigError
from synthdata.models.degradation import KINDS, check_degradation, degrade

VOLUME = torch.tanh(torch.randn((2, 1, 9, 12, 10), generator=torch.Generator().manual_seed(0)))
FACTORS = {"noise": 0.1}


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in {"none", "noise"}])
def test_the_truth_agrees_with_the_measurement_and_is_not_changed_by_it(kind: str) -> None:
    poorer = degrade(VOLUME, kind, 2, torch.Generator().manual_seed(1))
    assert torch.allclose(poorer.restore(VOLUME), VOLUME, atol=1e-5)
    assert not torch.allclose(poorer.image, VOLUME, atol=0.05)


@pytest.mark.parametrize("kind", ["through_plane", "in_plane", "undersampled", "missing_slices"])
def test_restoring_twice_changes_nothing_more(kind: str) -> None:
    poorer = degrade(VOLUME, kind, 3, torch.Generator().manual_seed(1))
    once = poorer.restore(torch.zeros_like(VOLUME))
    assert torch.allclose(poorer.restore(once), once, atol=1e-5)
    assert (once - VOLUME).abs().mean() < VOLUME.abs().mean()


def test_a_constant_volume_survives_averaging_and_missing_slices() -> None:
    flat = torch.full((1, 1, 7, 8, 8), 0.25)
    for kind in ("through_plane", "in_plane", "missing_slices"):
        assert torch.allclose(degrade(flat, kind, 2, torch.Generator()).image, flat, atol=1e-6)


def test_the_noise_has_the_standard_deviation_that_was_asked_for() -> None:
    bright = torch.full((1, 1, 8, 32, 32), 0.8)
    noisy = degrade(bright, "noise", 0.05, torch.Generator().manual_seed(3)).image
    assert float((noisy - bright).std()) == pytest.approx(2 * 0.05, rel=0.05)  # the range is 2


@pytest.mark.parametrize(
    ("kind", "factor", "shape"),
    [
        ("blur", 2, (8, 8, 8)),
        ("noise", 2, (8, 8, 8)),
        ("in_plane", 1.5, (8, 8, 8)),
        ("through_plane", 2, (1, 8, 8)),
    ],
)
def test_what_cannot_be_done_is_refused(kind: str, factor: float, shape: tuple[int, int, int]) -> None:
    with pytest.raises(ConfigError, match="translation"):
        check_degradation(kind, factor, shape)

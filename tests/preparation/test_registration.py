import numpy as np
import pytest

from synthdata.preparation.registration import LEAST_OVERLAP, body_mask, least_overlap, overlap


def head(centre: tuple[float, float], *, ring: bool) -> np.ndarray:
    """A disc with a bright or dark rim, and noise in the air."""
    y, x = np.meshgrid(np.arange(48), np.arange(40), indexing="ij")
    radius = np.hypot((y - centre[0]) / 1.2, x - centre[1])
    image = np.where(radius < 14, 500.0, 0.0)
    image[(radius > 12) & (radius < 14)] = 1000.0 if ring else 100.0
    return (image + np.random.default_rng(0).normal(scale=15, size=image.shape))[None]


def test_the_body_is_found_in_both_modalities() -> None:
    bright, dark = body_mask(head((24, 20), ring=True)), body_mask(head((24, 20), ring=False))
    assert overlap(bright, dark) > 0.85
    assert bright.sum() == pytest.approx(np.pi * 14**2 * 1.2, rel=0.1)


def test_a_pair_that_lies_elsewhere_is_told_from_a_registered_one() -> None:
    fixed, moved = head((24, 20), ring=True), head((24, 31), ring=False)
    registered = np.stack([fixed, head((24, 20), ring=False)])
    assert least_overlap(registered, [0], [1]) > LEAST_OVERLAP
    assert least_overlap(np.stack([fixed, moved]), [0], [1]) < LEAST_OVERLAP


def test_an_empty_channel_overlaps_with_nothing() -> None:
    assert not body_mask(np.zeros((1, 8, 8))).any()
    assert least_overlap(np.stack([head((24, 20), ring=True), np.zeros((1, 48, 40))]), [0], [1]) == 0

from dataclasses import replace

import numpy as np
import pytest

from synthdata.errors import ShapeError
from synthdata.privacy.alterations import GATING, REPORTED, altered
from synthdata.privacy.blocks import block_factor, block_mean
from synthdata.privacy.thumbnails import Thumbnailer
from synthdata.privacy.views import View
from synthdata.records import ChannelScale

SCALE = ChannelScale(channel="T1w", modality="MR", method="percentile", unit="1", low=0, high=1000)


@pytest.mark.parametrize("shape", [(40, 56, 40), (24, 40, 32), (1, 28, 28), (1, 256, 256), (160, 200, 160)])
def test_thumbnails_are_bounded(shape: tuple[int, int, int]) -> None:
    factor = block_factor(shape)
    assert block_mean(np.zeros((1, *shape), np.float32), factor).size <= 8000


def test_a_mirrored_volume_has_a_mirrored_thumbnail(rng: np.random.Generator) -> None:
    volume = rng.normal(size=(1, 9, 12, 40)).astype(np.float32)
    thumb, mirrored = (block_mean(part, (3, 3, 3)) for part in (volume, volume[..., ::-1]))
    np.testing.assert_allclose(mirrored, thumb[..., ::-1], atol=1e-6)


def test_views_do_not_know_the_groups(cohort, new_people) -> None:
    """The same pool in another order, as if train and control had changed places, gives the same distances."""
    make = Thumbnailer((10, 16, 16), cohort.training_set.scales, (1, 2))
    pool = make.of_cases(new_people(40, 1))
    turned = pool.take(np.r_[np.arange(20, 40), np.arange(20)])
    query = make.of_cases(new_people(5, 2))
    for name in ("image", "mask", "moved"):
        one, two = View(name, pool), View(name, turned)
        distances = [
            np.linalg.norm(view.embed(query)[0][:, None] - view.embed(pool)[0], axis=2) for view in (one, two)
        ]
        np.testing.assert_allclose(distances[0], distances[1], rtol=1e-2)


def test_a_moved_and_mirrored_copy_lies_on_its_original_in_the_moved_view(cohort, rng) -> None:
    make = Thumbnailer((10, 16, 16), cohort.training_set.scales, (1, 2))
    pool = make.of_cases(cohort.train)
    view = View("mask", pool)
    rows = list(altered(iter(cohort.train[:6]), (SCALE,), {"flip": GATING["flip"]}, rng=rng))
    posed = view.embed(make.collect(rows), posed=True)
    distance = np.linalg.norm(posed[:, :, None] - view.embed(pool)[0], axis=3).min(axis=0)
    assert (distance.argmin(axis=1) == np.arange(6)).all()
    assert (distance.min(axis=1) < 0.05 * np.median(distance)).all()


def test_alterations_keep_the_encoding(cohort, rng) -> None:
    rows = list(altered(iter(cohort.train[:3]), (SCALE,), GATING | REPORTED, rng=rng))
    kinds = [kind for kind, *_ in rows]
    assert set(kinds) == set(GATING | REPORTED)
    for _, _, image, mask in rows:
        assert image.dtype == np.int16
        assert mask.dtype == np.uint8
        assert image.min() >= -25
        assert image.max() <= 1025
    exact = next(row for row in rows if row[0] == "exact")
    np.testing.assert_array_equal(exact[2], cohort.train[0].image)


def test_a_case_on_another_grid_is_refused(cohort) -> None:
    case = cohort.train[0]
    wrong = replace(
        case, image=case.image[:, :9], mask=case.mask[:9], grid=replace(case.grid, shape_zyx=(9, 16, 16))
    )
    with pytest.raises(ShapeError, match="prepare it on the grid"):
        Thumbnailer((10, 16, 16), (SCALE,), (1, 2)).of_cases([wrong])


def test_a_pool_of_equal_cases_is_refused(cohort) -> None:
    make = Thumbnailer((10, 16, 16), (SCALE,), (1, 2))
    with pytest.raises(ShapeError, match="look the same"):
        View("image", make.of_cases([cohort.train[0]] * 8))

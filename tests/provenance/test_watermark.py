"""The promises of the watermark: found by its key, silent without it, hardly visible, nowhere in the air."""

import os
from pathlib import Path

import numpy as np
import pytest

from synthdata.errors import ShapeError
from synthdata.provenance.watermark import CEILING, CODEWORDS, FALSE_POSITIVE_RATE, TILE, detect, embed
from synthdata.provenance.watermark import _folded_slices as folded_slices


def test_a_marked_volume_is_found_by_its_key_and_by_no_other(scan, scale, key) -> None:
    marked = embed(scan(1), [scale], key=key, case_id="SYN-1")
    assert detect(marked, key=key).marked
    assert not detect(marked, key=b"x" * 32).marked


def test_one_slice_is_enough(scan, scale, key) -> None:
    found = [
        detect(embed(scan(seed), [scale], key=key, case_id=str(seed))[0, 8], key=key).marked
        for seed in range(10)
    ]
    assert sum(found) >= 9


@pytest.mark.parametrize(
    "change",
    [
        lambda image: image * 0.37 - 1024.5,
        lambda image: 1000 - image,
        lambda image: image.astype(np.float32) / 1000,
        lambda image: np.rint(image * 0.255).clip(0, 255).astype(np.uint8),
        lambda image: image[:, :, 3:-2, 1:],
        lambda image: image.transpose(0, 1, 3, 2)[..., ::-1],
        lambda image: image + np.random.default_rng(0).normal(0, 10, image.shape),
    ],
    ids=["gain and offset", "inverted", "float", "8 bits", "crop", "turned", "noise of 1 %"],
)
def test_the_mark_survives(change, scan, scale, key) -> None:
    marked = embed(scan(2), [scale], key=key, case_id="SYN-2")
    assert detect(change(marked), key=key).marked


def test_gain_and_offset_do_not_change_the_score(scan, scale, key) -> None:
    marked = embed(scan(3), [scale], key=key, case_id="SYN-3")
    score = detect(marked, key=key).z_score
    assert detect(marked.astype(np.float64) * 250 + 7e4, key=key).z_score == pytest.approx(score, rel=1e-3)


def test_air_keeps_its_value_and_tissue_moves_by_one_percent_of_the_range_at_most(scan, scale, key) -> None:
    image = scan(4)
    marked = embed(image, [scale], key=key, case_id="SYN-4")
    assert (marked[image == 0] == 0).all()
    moved = np.abs(marked.astype(int) - image)
    spread = scale.high - scale.low
    assert 0 < np.sqrt((moved**2).mean()) <= CEILING * spread
    assert moved.max() <= 2 * CEILING * spread
    assert marked.min() >= image.min()
    assert marked.max() <= image.max()


def test_tissue_keeps_its_mean(scan, scale, key) -> None:
    image = scan(5)
    tissue = image > 0
    marked = embed(image, [scale], key=key, case_id="SYN-5")
    assert marked[tissue].mean() == pytest.approx(image[tissue].mean(), abs=0.05)


def test_the_same_case_gets_the_same_bytes(scan, scale, key) -> None:
    first, second = (embed(scan(6), [scale], key=key, case_id="SYN-6") for _ in range(2))
    assert (first == second).all()


def test_cases_share_no_tile_so_that_their_mean_lays_none_bare(scan, scale, key) -> None:
    found = {
        detect(embed(scan(seed, (4, 40, 32)), [scale], key=key, case_id=str(seed)), key=key).codeword
        for seed in range(12)
    }
    assert len(found) >= 9


def test_an_image_without_detail_gives_no_evidence(key) -> None:
    detection = detect(np.full((8, 32, 32), 7), key=key)
    assert (detection.slices, detection.p_value) == (0, 1.0)


def test_a_constant_image_stays_as_it_is(scale, key) -> None:
    image = np.full((1, 2, 32, 32), 40, np.int16)
    assert (embed(image, [scale], key=key, case_id="SYN-7") == image).all()


def test_unmarked_images_score_as_the_stated_null_over_random_keys(scan) -> None:
    """100 000 keys' tiles against each image: unit variance, and no more beyond z than Hoeffding's bound allows."""
    scores = scores_of_random_keys(
        np.stack([folded_slices(scan(s)[0].astype(np.float32)).sum(0) for s in range(20)])
    )
    assert scores.std() == pytest.approx(1, abs=0.01)
    assert all(share_beyond(scores, z) <= hoeffding(z) for z in (3.0, 4.0, 5.0))


@pytest.mark.realdata
def test_real_images_score_as_the_stated_null_over_random_keys() -> None:
    path = Path(os.environ.get("SYNTHDATA_REALDATA", "../shared/data")) / "xray_chest" / "pneumonia28.npz"
    if not path.is_file():
        pytest.skip("no real X-rays: set SYNTHDATA_REALDATA")
    images = np.load(path)["train_images"][:500].astype(np.float32)
    scores = scores_of_random_keys(folded_slices(images))
    assert scores.std() == pytest.approx(1, abs=0.01)
    assert all(share_beyond(scores, z) <= hoeffding(z) for z in (3.0, 4.0, 5.0))


def scores_of_random_keys(folded: np.ndarray) -> np.ndarray:
    """Scores of 100 000 random tiles against each folded image, shape (images, tiles)."""
    rng = np.random.default_rng(11)
    unit = folded.reshape(len(folded), -1).astype(np.float32)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    tiles = (rng.integers(0, 2, (TILE**2, 10_000), dtype=np.int8) * 2.0 - 1 for _ in range(10))
    return np.concatenate([unit @ tile.astype(np.float32) for tile in tiles], axis=1)


def share_beyond(scores: np.ndarray, z: float) -> float:
    return float((np.abs(scores) > z).mean())


def hoeffding(z: float) -> float:
    """Bound of the share of scores beyond z, of sums of signs with unit variance."""
    return float(2 * np.exp(-(z**2) / 2))


def test_unmarked_images_are_not_called_marked(scan, key) -> None:
    assert not any(detect(scan(seed), key=bytes([seed]) * 32).marked for seed in range(20))
    assert 1 / CODEWORDS > FALSE_POSITIVE_RATE


def test_an_image_of_another_type_is_refused_with_what_was_expected(scan, scale, key) -> None:
    with pytest.raises(ShapeError, match="expected int16"):
        embed(scan(8).astype(np.float32), [scale], key=key, case_id="SYN-8")
    with pytest.raises(ShapeError, match=r"expected \(y, x\)"):
        detect(np.zeros(9), key=key)

"""Patients are split by a keyed hash, and nobody sits in two groups under two names."""

import numpy as np
import pytest
from scipy import ndimage

from synthdata.errors import ConfigError
from synthdata.preparation.duplicates import DuplicateSearch, signature
from synthdata.preparation.preparing import clusters
from synthdata.preparation.split import position, split_patients
from synthdata.spec import Split

KEY = b"k" * 32
PATIENTS = [f"P-{index:05d}" for index in range(1000)]


def test_positions_are_uniform_and_depend_on_the_key() -> None:
    at = np.array([position(patient, KEY) for patient in PATIENTS])
    expected = (np.arange(1000) + 0.5) / 1000
    assert np.abs(np.sort(at) - expected).max() < 0.052  # Kolmogorov-Smirnov at 1 %
    assert at[0] != position(PATIENTS[0], b"j" * 32)


def test_train_and_control_are_equal_and_shares_are_met() -> None:
    split = split_patients(PATIENTS, Split(), KEY)
    counts = {name: list(split.group.values()).count(name) for name in ("train", "control", "test")}
    assert counts["train"] == counts["control"]
    assert counts["train"] == pytest.approx(400, abs=45)
    assert counts["test"] == pytest.approx(200, abs=40)
    assert len(split.group) + len(split.trimmed) == 1000


def test_nobody_changes_between_groups_when_patients_are_added() -> None:
    before = split_patients(PATIENTS[:600], Split(), KEY)
    after = split_patients(PATIENTS, Split(), KEY)
    moved = [name for name in before.group if after.group.get(name, before.group[name]) != before.group[name]]
    assert moved == []


def test_a_small_cohort_fills_all_groups_whatever_the_key() -> None:
    for key in range(50):
        split = split_patients(PATIENTS[:10], Split(), bytes([key]) * 32)
        assert sorted(split.group.values()) == ["control"] * 4 + ["test"] * 2 + ["train"] * 4


def test_nobody_is_in_control_and_nobody_trimmed_where_no_privacy_is_tested() -> None:
    split = split_patients(PATIENTS[:5], Split(train=0.5, control=0, test=0.5), KEY)
    assert sorted(split.group.values()) == ["test"] * 3 + ["train"] * 2
    assert not split.trimmed


def test_too_few_patients_are_refused_with_a_sentence() -> None:
    with pytest.raises(ConfigError, match=r"2 patients gives .* expected one or more each: add patients"):
        split_patients(PATIENTS[:2], Split(), KEY)


def heads(count: int, shape: tuple[int, int, int]) -> np.ndarray:
    """Images which share most of their anatomy and differ in some, with a little noise: int16 (n, 1, z, y, x)."""
    rng = np.random.default_rng(1)
    common = ndimage.gaussian_filter(rng.normal(size=shape), 2) * 3000
    own = np.stack([ndimage.gaussian_filter(rng.normal(size=shape), 2) * 1000 for _ in range(count)])
    return np.rint(500 + common + own + rng.normal(scale=10, size=own.shape)).astype(np.int16)[:, None]


@pytest.mark.parametrize("shape", [(12, 16, 14), (1, 40, 40)])
def test_copies_with_one_percent_of_noise_are_found_and_different_people_are_not(shape) -> None:
    images, rng, search = heads(40, shape), np.random.default_rng(2), DuplicateSearch()
    stored = [
        *images,
        (images[3] + rng.normal(scale=10, size=images[3].shape)).astype(np.int16),
        images[7].copy(),
    ]
    names = [*(f"P-{index:02d}" for index in range(40)), "P-98", "P-99"]
    for image, name in zip(stored, names, strict=True):
        search.add(image, name)
    assert search.pairs(lambda index: stored[index]) == [("P-03", "P-98"), ("P-07", "P-99")]


def test_two_like_images_of_one_patient_are_no_finding() -> None:
    image, search = heads(1, (8, 8, 8))[0], DuplicateSearch()
    for _ in range(2):
        search.add(image, "P-1")
    assert search.pairs(lambda _: image) == []


def test_two_copies_alone_are_found_though_they_have_no_residual() -> None:
    image, search = heads(1, (8, 8, 8))[0], DuplicateSearch()
    for name in ("P-1", "P-2"):
        search.add(image, name)
    assert search.pairs(lambda _: image) == [("P-1", "P-2")]


def test_signatures_are_small_and_keep_the_mean() -> None:
    image = heads(1, (40, 56, 40))[0]
    small = signature(image)
    assert small.size <= 2048
    assert small.mean() == pytest.approx(image.mean(), rel=0.02)


def test_chains_of_pairs_become_one_cluster() -> None:
    found = clusters([("a", "b"), ("c", "d"), ("b", "c"), ("e", "f")])
    assert sorted(map(sorted, found)) == [["a", "b", "c", "d"], ["e", "f"]]

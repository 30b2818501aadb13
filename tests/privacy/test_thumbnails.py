"""Thumbnails and arrays on disk are those in memory; who is drawn for a fit has nothing to do with groups."""

from dataclasses import fields

import numpy as np
import pytest

from synthdata.errors import ShapeError, StoreError
from synthdata.privacy.limits import BATCH, MOST_FITTED
from synthdata.privacy.patches import PatchSearch
from synthdata.privacy.scratch import Kept, Scratch
from synthdata.privacy.thumbnails import Thumbnailer, fitted_rows
from tests.blobs import SCALE, SHAPE


def test_thumbnails_on_disk_are_those_in_memory(new_people) -> None:
    make, cases = Thumbnailer(SHAPE, (SCALE,), (1, 2)), new_people(7, 3)
    rows = np.array([5, 0, 6])
    kept, held = make.stored(iter(cases)), make.of_cases(cases).take(rows)
    taken = kept.take(rows)
    assert (len(kept), kept.labels, kept.shape_zyx) == (7, held.labels, held.shape_zyx)
    for field in fields(held):
        assert np.array_equal(getattr(taken, field.name), getattr(held, field.name))


def test_thumbnails_of_no_case_are_refused_by_name() -> None:
    with pytest.raises(ShapeError, match="no cases"):
        Thumbnailer(SHAPE, (SCALE,), ()).stored(iter(()))


@pytest.mark.parametrize("shape", [(3, 4), (0, 2, 2), (1,)])
def test_an_array_comes_back_from_disk(rng: np.random.Generator, shape: tuple[int, ...]) -> None:
    scratch, values = Scratch(), rng.normal(size=shape)
    turned = scratch.keep(rng.normal(size=(5, 3)).astype(np.float32).T), scratch.keep(values)
    assert scratch.read(turned[0]).shape == (3, 5)
    assert np.array_equal(scratch.read(turned[1]), values)


def test_a_file_that_lost_its_end_is_a_sentence() -> None:
    with pytest.raises(StoreError, match="gave 0 bytes, expected 24"):
        Scratch().read(Kept(0, (3,), np.dtype(np.float64)))


def test_who_is_drawn_for_a_fit_depends_on_names_alone(rng: np.random.Generator) -> None:
    names = np.array([f"p{number:05d}" for number in rng.permutation(MOST_FITTED + 500)])
    drawn = fitted_rows(names)
    assert len(drawn) == MOST_FITTED
    order = rng.permutation(len(names))
    assert set(names[order][fitted_rows(names[order])]) == set(names[drawn])
    assert np.array_equal(fitted_rows(names[:30]), np.arange(30))


def test_parts_are_found_batch_by_batch_as_at_once(cohort, new_people, monkeypatch) -> None:
    make = Thumbnailer(SHAPE, (SCALE,), (1, 2))
    real, cases = make.of_cases(cohort.train), make.of_cases(new_people(11, 5))
    people = np.arange(len(real))
    whole = PatchSearch.fitted(real, people, people)
    monkeypatch.setattr(f"{PatchSearch.__module__}.BATCH", 4)
    parts = PatchSearch.fitted(make.stored(iter(cohort.train)), people, people)
    assert whole is not None
    assert parts is not None
    assert BATCH > len(real)
    for one, other in ((whole.real, parts.real), (whole.matches(cases), parts.matches(cases))):
        assert np.array_equal(one.patient, other.patient)
        np.testing.assert_allclose(one.ratio, other.ratio, rtol=1e-4)

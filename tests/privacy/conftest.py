"""Cohorts of blobs, and people who are in no group."""

from collections.abc import Callable

import numpy as np
import pytest

from synthdata.records import Case
from tests import blobs
from tests.blobs import Cohort


@pytest.fixture(scope="session")
def make_cohort(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Cohort]:
    """A cohort of n training and n control patients."""
    return lambda patients: blobs.make_cohort(tmp_path_factory.mktemp("store"), patients)


@pytest.fixture(scope="session")
def cohort(make_cohort: Callable[[int], Cohort]) -> Cohort:
    return make_cohort(64)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


@pytest.fixture(scope="session")
def new_people() -> Callable[[int, int], list[Case]]:
    """Cases of people who are in no group; the arguments are a count and a seed."""
    return lambda count, seed: blobs.strangers("S", count, np.random.default_rng(seed))

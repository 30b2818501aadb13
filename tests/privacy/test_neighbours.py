import numpy as np
import pytest
from scipy.spatial.distance import cdist

from synthdata.errors import ConfigError, ShapeError
from synthdata.privacy.cohort import duplicate_clusters
from synthdata.privacy.neighbours import merge_nearest, nearest_patients
from synthdata.privacy.ratio_tail import matches_of


def brute_force(
    queries: np.ndarray, pool: np.ndarray, patients: np.ndarray, own: np.ndarray | None = None
) -> np.ndarray:
    """Least distance to each patient, sorted, shape (m, P)."""
    distance = cdist(queries, pool)
    least = np.stack([distance[:, patients == p].min(axis=1) for p in np.unique(patients)], axis=1)
    if own is not None:
        least[np.arange(len(queries)), own] = np.inf
    return np.sort(least, axis=1)


@pytest.mark.parametrize("memory_mb", [1, 64])
def test_neighbours_equal_brute_force_whatever_the_memory(rng: np.random.Generator, memory_mb: int) -> None:
    pool, queries = rng.normal(size=(500, 40)), rng.normal(size=(901, 40))
    patients = np.sort(rng.permutation(np.r_[np.arange(120), rng.integers(0, 120, 380)]))
    found = nearest_patients(queries, pool, patients, k=3, memory_mb=memory_mb)
    np.testing.assert_allclose(found.distance, brute_force(queries, pool, patients)[:, :3], rtol=1e-12)
    assert (patients[found.case] == found.patient).all()


def test_neighbours_are_exact_near_zero_where_the_float32_form_is_not(rng: np.random.Generator) -> None:
    pool = 1000 + rng.normal(size=(200, 64))
    queries = pool[:50] + 1e-6 * rng.normal(size=(50, 64))
    single = pool.astype(np.float32)
    rough = (single[:50] ** 2).sum(1)[:, None] + (single**2).sum(1) - 2 * single[:50] @ single.T
    assert np.abs(np.sqrt(np.maximum(rough[range(50), range(50)], 0)) - 8e-6).max() > 0.1
    found = nearest_patients(queries, pool, np.arange(200), k=2)
    np.testing.assert_allclose(found.distance, brute_force(queries, pool, np.arange(200))[:, :2], rtol=1e-9)
    assert (found.patient[:, 0] == np.arange(50)).all()


def test_neighbours_leave_out_the_own_patient(rng: np.random.Generator) -> None:
    pool, patients = rng.normal(size=(60, 5)), np.repeat(np.arange(20), 3)
    found = nearest_patients(pool, pool, patients, own=patients)
    assert (found.patient != patients[:, None]).all()
    want = brute_force(pool, pool, patients, own=patients)[:, :2]
    np.testing.assert_allclose(found.distance, want, rtol=1e-12)


def test_second_neighbour_is_of_another_duplicate_cluster(rng: np.random.Generator) -> None:
    pool = rng.normal(size=(40, 8))
    pool[1] = pool[0] + 1e-4  # the same person under two ids
    clusters = duplicate_clusters(pool, np.arange(40))
    assert clusters[0] == clusters[1]
    assert len(np.unique(clusters)) == 39
    query = pool[:1] + 1e-3
    blind = matches_of(nearest_patients(query, pool, np.arange(40)))
    seeing = matches_of(nearest_patients(query, pool, np.arange(40), clusters=clusters))
    assert blind.ratio[0] > 0.8
    assert seeing.ratio[0] < 0.01


@pytest.mark.parametrize(
    ("people", "cases", "k"), [(9, 9, 5), (30, 400, 5), (700, 900, 2), (40, 41, 1), (55, 87, 2)]
)
def test_clusters_of_any_size_and_own_patients_give_what_brute_force_gives(
    rng: np.random.Generator, people: int, cases: int, k: int
) -> None:
    patients = rng.permutation(np.r_[np.arange(people), rng.integers(0, people, cases - people)])
    clusters = np.arange(people)
    clusters[1 : people // 4] = 0  # a quarter of the patients are one cluster, others are alone
    pool, queries = rng.normal(size=(cases, 12)), rng.normal(size=(77, 12))
    own = rng.integers(-1, people, 77)
    found = nearest_patients(queries, pool, patients, k=k, own=own, clusters=clusters)
    distance = cdist(queries, pool)
    distance[own[:, None] == patients] = np.inf
    least = [distance[:, clusters[patients] == label].min(axis=1) for label in np.unique(clusters)]
    np.testing.assert_allclose(found.distance, np.sort(np.stack(least, axis=1), axis=1)[:, :k], rtol=1e-12)
    assert (found.patient != own[:, None]).all()
    assert (patients[found.case] == found.patient).all()


def test_merged_poses_give_the_least_distance_to_each_patient(rng: np.random.Generator) -> None:
    pool, poses = rng.normal(size=(50, 6)), rng.normal(size=(4, 30, 6))
    merged = merge_nearest([nearest_patients(pose, pool, np.arange(50)) for pose in poses], np.arange(50))
    least = np.sort(np.min([cdist(pose, pool) for pose in poses], axis=0), axis=1)
    np.testing.assert_allclose(merged.distance, least[:, :2], rtol=1e-12)


def test_two_cases_at_distance_zero_are_no_evidence() -> None:
    pool = np.zeros((3, 2))
    assert matches_of(nearest_patients(pool[:1], pool, np.arange(3))).ratio[0] == 1


def test_neighbours_refuse_what_cannot_be_compared(rng: np.random.Generator) -> None:
    pool = rng.normal(size=(9, 4))
    with pytest.raises(ShapeError, match="one width"):
        nearest_patients(np.zeros((2, 5)), pool, np.arange(9))
    with pytest.raises(ShapeError, match="not finite"):
        nearest_patients(np.full((2, 4), np.nan), pool, np.arange(9))
    with pytest.raises(ConfigError, match="add patients"):
        nearest_patients(pool, pool, np.zeros(9, int))

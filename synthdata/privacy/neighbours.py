"""Exact nearest patients of each query: float32 products choose candidates, float64 differences decide."""

from dataclasses import dataclass

import numpy as np

from synthdata.errors import ConfigError, ShapeError

FLOAT32_UNIT = 2.0**-24
NOBODY = -1  # group of a query which has no own patient in the pool


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Nearest:
    """The k nearest patients of each query, each from another cluster of duplicates."""

    patient: np.ndarray  # int64 (m, k), index of the patient in the pool
    case: np.ndarray  # int64 (m, k), row of the pool which is that patient's nearest case
    distance: np.ndarray  # float64 (m, k), Euclidean, ascending

    def take(self, rows: slice) -> "Nearest":
        """Some of the queries."""
        return Nearest(patient=self.patient[rows], case=self.case[rows], distance=self.distance[rows])


def nearest_patients(
    queries: np.ndarray,
    pool: np.ndarray,
    patients: np.ndarray,
    *,
    k: int = 2,
    own: np.ndarray | None = None,
    clusters: np.ndarray | None = None,
    memory_mb: int = 128,
) -> Nearest:
    """Find the k nearest patients of each query, without approximation.

    The float32 form |x|² + |y|² - 2xy is wrong by a bounded amount, which matters most near zero, where copies are.
    So every pair that the bound cannot exclude is measured again as |x - y|² in float64.

    Args:
        queries: Vectors, shape (m, d).
        pool: Vectors of the reference cases, shape (n, d).
        patients: Patient of each pool row, whole numbers 0..P-1, shape (n,).
        k: How many different patients, 1 <= k.
        own: Patient of each query that is left out, shape (m,); -1 leaves out nobody.
        clusters: Cluster of duplicates of each patient, shape (P,); the k found are of k different clusters.
        memory_mb: Bound of the working arrays; fewer queries at once, the same result.

    Returns:
        Patients, cases and distances (same unit as the vectors), nearest first.

    Raises:
        ShapeError: The arrays do not fit together or hold a value that is not finite.
        ConfigError: There are fewer than k clusters to find.
    """
    _check(queries, pool, patients)
    people = int(patients.max()) + 1
    clusters = np.arange(people) if clusters is None else clusters
    own = np.full(len(queries), NOBODY) if own is None else own
    if len(np.unique(clusters)) - int((own >= 0).any()) < k:
        raise ConfigError(
            f"pool has {len(np.unique(clusters))} separate patients, expected more than {k}: add patients"
        )
    centre = pool.mean(axis=0, dtype=np.float64)
    search = _Search(pool=pool - centre, patients=patients, clusters=clusters, k=k)
    rows = max(1, (memory_mb << 20) // (32 * max(len(pool), people, queries.shape[1])))
    parts = [
        search.block(queries[start : start + rows] - centre, own[start : start + rows])
        for start in range(0, len(queries), rows)
    ]
    patient, case, distance = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Nearest(patient=patient, case=case, distance=distance)


class _Search:
    """The pool, prepared once for all blocks of queries."""

    def __init__(self, *, pool: np.ndarray, patients: np.ndarray, clusters: np.ndarray, k: int) -> None:
        self.order = np.argsort(patients, kind="stable")
        self.pool = pool[self.order].astype(np.float64)
        self.patients, self.starts = np.unique(patients[self.order], return_index=True)
        self.patient_of_row = patients[self.order]
        self.clusters, self.k = clusters, k
        self.single = self.pool.astype(np.float32)
        self.squares = np.einsum("nd,nd->n", self.pool, self.pool)

    def block(self, queries: np.ndarray, own: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Patients, cases, distances of one block of queries."""
        norms = np.einsum("md,md->m", queries, queries)
        rough = norms[:, None] + self.squares - 2 * (queries.astype(np.float32) @ self.single.T)
        own_row = own[:, None] == self.patient_of_row
        rough[own_row] = np.inf
        bound = _float32_error(norms, float(self.squares.max()), queries.shape[1])
        limit = self._limit(_least(rough, self.starts)) + 2 * bound
        query, row = np.nonzero((rough <= limit[:, None]) & ~own_row)
        exact = self._exact(queries, query, row)
        return self._best(len(queries), query, row, exact)

    def _limit(self, per_patient: np.ndarray) -> np.ndarray:
        """Rough squared distance of the k-th nearest cluster, shape (m,)."""
        labels, column = np.unique(self.clusters[self.patients], return_inverse=True)
        order = np.argsort(column, kind="stable")
        starts = np.searchsorted(column[order], np.arange(len(labels)))
        per_cluster = _least(per_patient[:, order], starts)
        limit: np.ndarray = np.partition(per_cluster, self.k - 1, axis=1)[:, self.k - 1]
        return limit

    def _exact(self, queries: np.ndarray, query: np.ndarray, row: np.ndarray) -> np.ndarray:
        """Squared distances of pairs in float64, some thousand pairs at a time."""
        exact = np.empty(len(query))
        step = max(1, (8 << 20) // (8 * queries.shape[1]))
        for start in range(0, len(query), step):
            pair = slice(start, start + step)
            difference = queries[query[pair]] - self.pool[row[pair]]
            exact[pair] = np.einsum("pd,pd->p", difference, difference)
        return exact

    def _best(
        self, count: int, query: np.ndarray, row: np.ndarray, exact: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Nearest case of each of the k nearest clusters; ties go to the lower row."""
        order = np.lexsort((row, exact, query))
        query, row, exact = query[order], row[order], exact[order]
        cluster = self.clusters[self.patient_of_row[row]]
        _, first = np.unique(query * (self.clusters.max() + 1) + cluster, return_index=True)
        first.sort()  # one row per query and cluster, nearest first within the query
        query, row, exact = query[first], row[first], exact[first]
        begin = np.searchsorted(query, np.arange(count))
        take = begin[:, None] + np.arange(self.k)
        chosen = row[take]
        return self.patient_of_row[chosen], self.order[chosen], np.sqrt(exact[take])


def _least(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Minimum of each run of columns; the columns themselves where each run is one."""
    if len(starts) == values.shape[1]:
        return values
    least: np.ndarray = np.minimum.reduceat(values, starts, axis=1)
    return least


def merge_nearest(parts: list[Nearest], clusters: np.ndarray) -> Nearest:
    """Nearest over several poses of the same queries: the least distance to each patient, then the k nearest.

    The second of the whole is among the first two of the pose where it is nearest, so k lists of k suffice.
    """
    k = parts[0].patient.shape[1]
    patient, case, distance = (
        np.concatenate([getattr(part, name) for part in parts], axis=1)
        for name in ("patient", "case", "distance")
    )
    order = np.argsort(distance, axis=1, kind="stable")
    patient, case, distance = (np.take_along_axis(values, order, 1) for values in (patient, case, distance))
    cluster = clusters[patient]
    seen_before = np.zeros(cluster.shape, bool)
    for column in range(1, cluster.shape[1]):
        seen_before[:, column] = (cluster[:, :column] == cluster[:, column : column + 1]).any(axis=1)
    pick = np.argsort(seen_before, axis=1, kind="stable")[:, :k]
    return Nearest(
        patient=np.take_along_axis(patient, pick, 1),
        case=np.take_along_axis(case, pick, 1),
        distance=np.take_along_axis(distance, pick, 1),
    )


def _float32_error(norms: np.ndarray, largest: float, width: int) -> np.ndarray:
    """Bound of |rough - exact|: rounding of the inputs and of a dot product of `width` terms. Higham 2002, eq. 3.5."""
    gamma = (width + 4) * FLOAT32_UNIT
    bound: np.ndarray = 2 * gamma / (1 - gamma) * np.sqrt(norms * largest) + 1e-12 * (norms + largest)
    return bound


def _check(queries: np.ndarray, pool: np.ndarray, patients: np.ndarray) -> None:
    if queries.ndim != 2 or pool.ndim != 2 or queries.shape[1] != pool.shape[1] or not len(queries):
        raise ShapeError(
            f"queries have shape {queries.shape} and the pool {pool.shape}, expected (m, d) and (n, d) of one width: "
            "use one view for both"
        )
    if patients.shape != (len(pool),) or not len(pool):
        raise ShapeError(
            f"patients have shape {patients.shape}, expected ({len(pool)},): one per case of the pool"
        )
    if not (np.isfinite(queries).all() and np.isfinite(pool).all()):
        raise ShapeError(
            "vectors hold a value that is not finite: find the case with NaN or infinity and remove it"
        )

"""Exact nearest patients of each query: float32 products choose candidates, float64 differences decide."""

from dataclasses import dataclass

import numpy as np

from synthdata.errors import ConfigError, ShapeError
from synthdata.privacy.limits import MEMORY_MB

FLOAT32_UNIT = 2.0**-24
GROUP = 32  # cases whose least distance is looked at first
QUERIES, TILE = (
    512,
    1024,
)  # queries and cases of a block of products: what stays in the cache is searched faster
BEYOND = np.float32(1e38)  # in place of |y|² where a group has no case: beyond all others, and finite
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
    memory_mb: int = MEMORY_MB,
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
    return PatientIndex(pool, patients, k=k, clusters=clusters).search(queries, own=own, memory_mb=memory_mb)


class PatientIndex:
    """The pool of `nearest_patients`, prepared once for many queries.

    Rows of the float32 products are the cases of the pool in groups, each cluster whole in one of them. The least of
    each group is looked at first: the k-th smallest of them bounds the k-th nearest cluster, and few groups are below.
    """

    def __init__(
        self, pool: np.ndarray, patients: np.ndarray, *, k: int = 2, clusters: np.ndarray | None = None
    ) -> None:
        """Arguments and what is raised as for `nearest_patients`."""
        _check_pool(pool, patients)
        self.clusters = np.arange(int(patients.max()) + 1) if clusters is None else clusters
        self.order = np.lexsort((patients, self.clusters[patients]))
        self.centre = pool.mean(axis=0, dtype=np.float64)
        self.pool = pool[self.order] - self.centre
        self.patient_of_row, self.k = patients[self.order], k
        sizes = np.unique(self.clusters[self.patient_of_row], return_counts=True)[1]
        self.separate = len(sizes)  # clusters
        self.width = max(int(sizes.max()), min(GROUP, len(pool) // (4 * k)), 1)
        slots, self.groups = _slots(sizes, self.width)
        self.row_of_slot = np.full(self.groups * self.width, -1)
        self.row_of_slot[slots] = np.arange(len(pool))
        squares = np.einsum("nd,nd->n", self.pool, self.pool)
        self.largest = float(squares.max())
        self.single = np.zeros((self.groups * self.width, pool.shape[1] + 1), np.float32)  # -2 y and |y|²
        self.single[:, -1] = BEYOND
        self.single[slots, :-1] = -2 * self.pool
        self.single[slots, -1] = squares
        members = np.unique(self.patient_of_row, return_index=True, return_counts=True)
        self.first_slot, self.cases = np.zeros((2, len(self.clusters)), np.int64)
        self.first_slot[members[0]], self.cases[members[0]] = slots[members[1]], members[2]

    def search(
        self, queries: np.ndarray, *, own: np.ndarray | None = None, memory_mb: int = MEMORY_MB
    ) -> Nearest:
        """The nearest patients of some queries; arguments and what is raised as for `nearest_patients`."""
        _check_queries(queries, self.pool)
        own = np.full(len(queries), NOBODY) if own is None else own
        if self.separate - int((own >= 0).any()) < self.k:
            raise ConfigError(
                f"pool has {self.separate} separate patients, expected more than {self.k}: add patients"
            )
        bytes_of_query = 8 * self.groups + 8 * TILE + 64 * queries.shape[1]
        rows = max(1, min(QUERIES, (memory_mb << 20) // bytes_of_query))
        parts = [
            self._block(queries[start : start + rows] - self.centre, own[start : start + rows])
            for start in range(0, len(queries), rows)
        ]
        patient, case, distance = (np.concatenate(part) for part in zip(*parts, strict=True))
        return Nearest(patient=patient, case=case, distance=distance)

    def _block(self, queries: np.ndarray, own: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Patients, cases, distances of one block of queries."""
        terms = np.ones((queries.shape[1] + 1, len(queries)), np.float32)
        terms[:-1] = queries.T
        query, row = self._candidates(terms, queries, own)
        return self._best(len(queries), query, row, self._exact(queries, query, row))

    def _least(self, terms: np.ndarray, own: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Least product |y|² - 2xy of each group, (groups, m), and of each tile of groups; |x|² is left out."""
        step = max(1, TILE // self.width)
        products = np.empty((step * self.width, terms.shape[1]), np.float32)
        least = np.empty((self.groups, terms.shape[1]), np.float32)
        slot, query = self._own_slots(own)
        tiles = []
        for start in range(0, self.groups, step):
            groups = slice(start, min(start + step, self.groups))
            first, last = groups.start * self.width, groups.stop * self.width
            rough = products[: last - first]  # fresh memory for each tile would cost as much as the search
            np.matmul(self.single[first:last], terms, out=rough)
            mine = slice(*np.searchsorted(slot, (first, last)))
            rough[slot[mine] - first, query[mine]] = np.inf
            rough.reshape(-1, self.width, rough.shape[1]).min(axis=1, out=least[groups])
            tiles.append(least[groups].min(axis=0))
        return least, np.stack(tiles)

    def _own_slots(self, own: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Slots of the cases of each query's own patient, ascending, and the query."""
        query = np.flatnonzero(own >= 0)
        count = self.cases[own[query]]
        within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        slot, query = np.repeat(self.first_slot[own[query]], count) + within, np.repeat(query, count)
        order = np.argsort(slot, kind="stable")
        return slot[order], query[order]

    def _candidates(
        self, terms: np.ndarray, queries: np.ndarray, own: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Pairs (query, row) which the bound cannot exclude."""
        least, tiles = self._least(terms, own)
        limit = np.full(len(queries), np.inf)
        if self.groups >= self.k:
            few = tiles if len(tiles) >= 4 * self.k else least  # the k-th smallest of fewer is a bound, too
            nearest = np.partition(few, self.k - 1, axis=0)[self.k - 1].astype(np.float64)
            norms = np.einsum("md,md->m", queries, queries)
            limit = nearest + 2 * _float32_error(norms, self.largest, queries.shape[1])
        group, query = np.nonzero(least <= limit)
        found = [
            self._within(terms, limit, group[start : start + TILE], query[start : start + TILE])
            for start in range(0, len(group), TILE)
        ]
        query, row = (np.concatenate(part) for part in zip(*found, strict=True))
        other = (row >= 0) & (self.patient_of_row[row] != own[query])
        return query[other], row[other]

    def _within(
        self, terms: np.ndarray, limit: np.ndarray, group: np.ndarray, query: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Pairs (query, row) of some groups, measured again one by one."""
        members = self.single.reshape(self.groups, self.width, -1)[group]
        near = np.matmul(members, terms.T[query][:, :, None])[:, :, 0]
        pair, member = np.nonzero(near <= limit[query][:, None])
        return query[pair], self.row_of_slot[group[pair] * self.width + member]

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


def _slots(sizes: np.ndarray, width: int) -> tuple[np.ndarray, int]:
    """Slot of each row, and the number of groups of `width` slots; clusters of `sizes` rows are never divided."""
    starts, free = [], 0
    for size in sizes.tolist():
        if free % width + size > width:
            free += width - free % width
        starts.append(free)
        free += size
    within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.repeat(starts, sizes) + within, -(-free // width)


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
    """Bound of the error of |y|² - 2xy: rounded inputs, then a sum of `width` + 1 products. Higham 2002, eq. 3.5."""
    gamma = (width + 5) * FLOAT32_UNIT
    size = 2 * np.sqrt(norms * largest) + largest
    bound: np.ndarray = gamma / (1 - gamma) * size + 1e-12 * (norms + largest)
    return bound


def _check_queries(queries: np.ndarray, pool: np.ndarray) -> None:
    if queries.ndim != 2 or queries.shape[1] != pool.shape[1] or not len(queries):
        raise ShapeError(
            f"queries have shape {queries.shape} and the pool {pool.shape}, expected (m, d) and (n, d) of one width: "
            "use one view for both"
        )
    _check_finite(queries)


def _check_pool(pool: np.ndarray, patients: np.ndarray) -> None:
    if pool.ndim != 2 or not len(pool) or patients.shape != (len(pool),):
        raise ShapeError(
            f"patients have shape {patients.shape} and the pool {pool.shape}, expected (n,) and (n, d): one patient "
            "per case of the pool"
        )
    _check_finite(pool)


def _check_finite(vectors: np.ndarray) -> None:
    if not np.isfinite(vectors).all():
        raise ShapeError(
            "vectors hold a value that is not finite: find the case with NaN or infinity and remove it"
        )

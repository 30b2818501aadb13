"""Exact nearest patients of each query: float32 products choose candidates, float64 differences decide."""

from dataclasses import dataclass

import numpy as np

from synthdata.errors import ConfigError, ShapeError

FLOAT32_UNIT = 2.0**-24
GROUP = 32  # cases whose least distance is looked at first
CACHED = 4 << 20  # bytes of a block of products: what stays in the cache is searched faster
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
    bytes_of_query = 5 * search.columns + 32 * queries.shape[1]
    rows = max(1, min(memory_mb << 20, CACHED) // bytes_of_query)
    parts = [
        search.block(queries[start : start + rows] - centre, own[start : start + rows])
        for start in range(0, len(queries), rows)
    ]
    patient, case, distance = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Nearest(patient=patient, case=case, distance=distance)


class _Search:
    """The pool, prepared once for all blocks of queries.

    Columns of the float32 products are the rows of the pool in groups, each cluster whole in one of them. The least of
    each group is looked at first: the k-th smallest of them bounds the k-th nearest cluster, and few groups are below.
    Member j of group g is column j * groups + g, so that the least of all groups is taken along whole lines of memory.
    """

    def __init__(self, *, pool: np.ndarray, patients: np.ndarray, clusters: np.ndarray, k: int) -> None:
        self.order = np.lexsort((patients, clusters[patients]))
        self.pool = pool[self.order].astype(np.float64)
        self.patient_of_row = patients[self.order]
        self.clusters, self.k = clusters, k
        sizes = np.unique(clusters[self.patient_of_row], return_counts=True)[1]
        self.width = max(int(sizes.max()), min(GROUP, len(pool) // (4 * k)), 1)
        self.column, self.groups = _columns(sizes, self.width)
        self.row_of_column = np.zeros(self.groups * self.width, np.int64)
        self.row_of_column[self.column] = np.arange(len(pool))
        squares = np.einsum("nd,nd->n", self.pool, self.pool)
        self.largest = float(squares.max())
        self.single = np.zeros((self.groups * self.width, pool.shape[1] + 1), np.float32)  # -2 y and |y|²
        self.empty = np.setdiff1d(np.arange(self.columns), self.column)  # columns which are no case
        self.single[self.column, :-1] = -2 * self.pool
        self.single[self.column, -1] = squares
        self.products = np.empty((0, self.columns), np.float32)
        members = np.unique(self.patient_of_row, return_index=True, return_counts=True)
        self.first_row, self.cases = np.zeros((2, int(patients.max()) + 1), np.int64)
        self.first_row[members[0]], self.cases[members[0]] = members[1:]

    @property
    def columns(self) -> int:
        """Columns of the products."""
        return self.groups * self.width

    def block(self, queries: np.ndarray, own: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Patients, cases, distances of one block of queries."""
        terms = np.ones((len(queries), queries.shape[1] + 1), np.float32)
        terms[:, :-1] = queries
        if len(self.products) < len(queries):
            self.products = np.empty((len(queries), self.columns), np.float32)
        rough = self.products[: len(queries)]  # fresh memory for each block would cost as much as the search
        np.matmul(terms, self.single.T, out=rough)  # |y|² - 2xy: |x|² is the same for all of a query
        rough[:, self.empty] = np.inf  # not in the products, where 0 times infinity may be met
        self._leave_out(rough, own)
        query, row = self._candidates(rough, queries)
        return self._best(len(queries), query, row, self._exact(queries, query, row))

    def _leave_out(self, rough: np.ndarray, own: np.ndarray) -> None:
        """Put the cases of each query's own patient beyond all others."""
        query = np.flatnonzero(own >= 0)
        count = self.cases[own[query]]
        within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        row = np.repeat(self.first_row[own[query]], count) + within
        rough[np.repeat(query, count), self.column[row]] = np.inf

    def _candidates(self, rough: np.ndarray, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pairs (query, row) which the bound cannot exclude."""
        grouped = rough.reshape(len(rough), self.width, self.groups)
        least = grouped.min(axis=1)
        norms = np.einsum("md,md->m", queries, queries)
        limit = np.full(len(rough), np.inf)
        if self.groups >= self.k:
            nearest = np.partition(least, self.k - 1, axis=1)[:, self.k - 1].astype(np.float64)
            limit = nearest + 2 * _float32_error(norms, self.largest, queries.shape[1])
        query, group = np.nonzero(least <= limit[:, None])
        near = grouped[query, :, group]
        pair, slot = np.nonzero((near <= limit[query][:, None]) & (near < np.inf))
        return query[pair], self.row_of_column[slot * self.groups + group[pair]]

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


def _columns(sizes: np.ndarray, width: int) -> tuple[np.ndarray, int]:
    """Column of each row, and the number of groups of `width` columns; clusters of `sizes` rows are never divided."""
    starts, free = [], 0
    for size in sizes.tolist():
        if free % width + size > width:
            free += width - free % width
        starts.append(free)
        free += size
    within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    group, member = np.divmod(np.repeat(starts, sizes) + within, width)
    groups = -(-free // width)
    return member * groups + group, groups


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

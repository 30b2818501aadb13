"""Copies of a part of a patient: a case is cut into overlapping boxes, and each box is searched for by itself.

A box is a fifth of the thumbnail along each long axis, at eight places along it, so that half of the field of view that
was pasted from a patient holds several. Within a box image and masks are compared together, without the brightness and
contrast of the box; boxes that are flat in most patients are left out. The query is looked up as it lies and mirrored,
in patients that lie at rest and moved by a voxel of the full grid along every axis (two in a slice): each is made a
thumbnail anew, so that a part that was moved is found as one that was not. Principal components are whitened, fitted on
train and control alike.

Boxes differ in how alike patients are there. So each has its own law P(r < x) = x^D of r = d1 / d2, by real cases
without their own patient, with a D of its own in the tail where that is less. A rare finding that only one other person
has makes r small in one place where nobody was copied. So a case counts by two boxes without a common voxel that match
the same patient, by the larger of both chances. How many such pairs count as independent is chosen so that the median
real case has 1/2; `copy_search` sets its threshold by real cases as for any view, and needs the order alone.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from synthdata.privacy.boxes import Place, are_apart, fitted_places, spread_of
from synthdata.privacy.copy_search import TAIL_SHARE
from synthdata.privacy.limits import BATCH, DISK_MB
from synthdata.privacy.neighbours import PatientIndex, merge_nearest
from synthdata.privacy.ratio_tail import Matches, matches_of
from synthdata.privacy.scratch import Kept, Scratch
from synthdata.privacy.thumbnails import Thumbnails, ThumbnailSource, fitted_rows
from synthdata.privacy.views import Pose

POSES = (Pose(), Pose(flip=True))
REACH, REACH_SLICE = 1, 2  # voxels by which patients are moved, in volumes and in slices
LEAST_RATIO = 1e-12
FIELDS = ("ratio", "patient", "case", "distance")  # of matches

Poses = tuple[np.ndarray, np.ndarray]  # of one case: images (s, c, z, y, x) and masks (s, l, z, y, x)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Law:
    """How small d1 / d2 becomes in one box where nobody was copied."""

    dimension: float  # D
    start: float  # the ratio where the tail begins
    tail: float  # dimension of the tail

    @classmethod
    def of(cls, ratios: np.ndarray) -> "_Law":
        """Fit to ratios of real cases; Hill's estimate in the tail."""
        logs = np.sort(-np.log(np.maximum(ratios, LEAST_RATIO)))[::-1]
        count = max(5, int(TAIL_SHARE * len(logs)))
        start = logs[min(count, len(logs) - 1)]
        means = float(logs.mean()), float((logs[:count] - start).mean())
        whole, tail = (1 / max(mean, 1e-9) for mean in means)
        return cls(dimension=whole, start=float(np.exp(-start)), tail=min(whole, tail))

    def chance(self, ratio: np.ndarray) -> np.ndarray:
        """Probability of a ratio as small, the larger one of both laws."""
        small = np.maximum(ratio, LEAST_RATIO)
        whole = small**self.dimension
        in_tail = TAIL_SHARE * np.minimum(small / self.start, 1.0) ** self.tail
        chance: np.ndarray = np.where(small < self.start, np.maximum(whole, in_tail), whole)
        return chance


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class MovedCases:
    """Real cases that can be read again, moved about."""

    lengths: tuple[int, ...]  # of the moves, in voxels, ascending
    read: Callable[[int], Iterable[Poses]]  # each case in the first so many moves

    def affordable(self, cases: int, width: int) -> int:
        """How many moves of one case there is room for: all of a length, or none of it."""
        most = DISK_MB * 2**20 / (4 * cases * max(width, 1))
        counts = [np.searchsorted(self.lengths, length, side="right") for length in sorted(set(self.lengths))]
        return max([int(count) for count in counts if count <= most], default=1)


class PatchSearch:
    """Boxes of the real patients, in which the same boxes of other cases are looked up.

    The boxes of all cases lie on disk, real ones and those that are looked up; of these one place, and of what
    was found one batch of cases, is in memory at a time. Components and laws are those of `MOST_FITTED` cases; the
    search is among all.
    """

    def __init__(
        self,
        cases: ThumbnailSource,
        places: Sequence[Place],
        patient: np.ndarray,
        clusters: np.ndarray,
        moved: MovedCases | None,
    ) -> None:
        """Keep the boxes of real cases and learn the law of each; see `fitted`."""
        self.clusters, self.places = clusters, tuple(places)
        width = sum(place.width for place in places)
        self.moves = 1 if moved is None else moved.affordable(len(cases), width)
        self.moves_wanted = 1 if moved is None else len(moved.lengths)
        self.patient, self.scratch = np.repeat(patient, self.moves), Scratch()
        rows = _at_rest(cases) if moved is None else moved.read(self.moves)
        self.known = _by_place(
            [self.scratch.keep(vectors) for vectors in self._embed(batch)]
            for batch in _batches(rows, max(1, BATCH // self.moves))
        )
        self.apart = [np.array([are_apart(place.box, other.box) for other in places]) for place in places]
        chosen = fitted_rows(cases.patient)
        self.units = len(np.unique(patient[chosen]))  # patients behind the laws
        found = _Found(self._search(cases, chosen, patient[chosen]))
        self.laws = [_Law.of(found.ratios(index)) for index in range(len(places))]
        least = float(np.median(np.concatenate([self._pairs(part)[0] for part in found])))
        self.independent = np.log(0.5) / np.log1p(-min(max(least, 1e-12), 0.5))
        self.real = _joined([self._least(part) for part in found])  # of the cases behind the laws

    @classmethod
    def fitted(
        cls,
        cases: ThumbnailSource,
        patient: np.ndarray,
        clusters: np.ndarray,
        *,
        moved: MovedCases | None = None,
    ) -> "PatchSearch | None":
        """Fit on real cases.

        Args:
            cases: Thumbnails of train and control.
            patient: Index of the patient of each, (n,).
            clusters: Cluster of duplicates of each patient, (P,).
            moved: The same cases in the same order, moved about; without them parts are found where they lay alone.

        Returns:
            The search; None where all boxes are flat or the same in all patients.
        """
        places = list(fitted_places(cases.take(fitted_rows(cases.patient))))
        return cls(cases, places, patient, clusters, moved) if places else None

    def matches(self, cases: ThumbnailSource) -> Matches:
        """For each case the chance of its most striking boxes, in place of a ratio, and the patient whom they match."""
        found = _Found(self._search(cases, np.arange(len(cases)), np.full(len(cases), -1)))
        return _joined([self._least(part) for part in found])

    def _embed(self, batch: Sequence[Poses]) -> list[np.ndarray]:
        """Vectors float32 (cases * s, k) of some cases in each box."""
        images, masks = (np.concatenate([poses[index] for poses in batch]) for index in (0, 1))
        spread = spread_of(images)
        return [place.embed(images, masks, spread) for place in self.places]

    def _search(
        self, cases: ThumbnailSource, rows: np.ndarray, own: np.ndarray
    ) -> Iterator[Iterator[Matches]]:
        """Matches of some cases, for each box those of each batch; `own` is the patient left out for each, (m,)."""
        scratch = Scratch()
        batches = [slice(start, start + BATCH) for start in range(0, len(rows), BATCH)]
        asked = _by_place(self._asked(cases.take(rows[batch]), scratch) for batch in batches)
        for known, queries in zip(self.known, asked, strict=True):
            vectors = np.concatenate([self.scratch.read(kept) for kept in known])
            index = PatientIndex(vectors, self.patient, clusters=self.clusters)
            yield (
                self._nearest(index, scratch.read(kept), own[batch])
                for kept, batch in zip(queries, batches, strict=True)
            )

    def _asked(self, cases: Thumbnails, scratch: Scratch) -> list[Kept]:
        """Vectors (poses * m, k) of some cases in each box."""
        spread, vectors = spread_of(cases.image), list[list[np.ndarray]]()
        for pose in POSES:
            image, mask = (pose.apply(part, cases.factor) for part in (cases.image, cases.mask))
            vectors.append([place.embed(image, mask, spread) for place in self.places])
        return [scratch.keep(np.concatenate(posed)) for posed in zip(*vectors, strict=True)]

    def _nearest(self, index: PatientIndex, queries: np.ndarray, own: np.ndarray) -> Matches:
        """Nearest patients over all poses; queries (poses * m, k)."""
        found = index.search(queries, own=np.tile(own, len(POSES)))
        parts = [found.take(slice(start, start + len(own))) for start in range(0, len(queries), len(own))]
        matches = matches_of(merge_nearest(parts, self.clusters))
        return replace(matches, case=matches.case // self.moves)

    def _rare(self, found: Sequence[Matches]) -> np.ndarray:
        """Chance of so small a ratio in each box, (boxes, m)."""
        return np.stack([law.chance(part.ratio) for law, part in zip(self.laws, found, strict=True)])

    def _pairs(self, found: Sequence[Matches]) -> tuple[np.ndarray, np.ndarray]:
        """Least chance of two boxes apart that match one patient, (m,), and the box of each case."""
        rare, patient = self._rare(found), np.stack([part.patient for part in found])
        least, best = np.ones(rare.shape[1]), rare.argmin(axis=0)
        for index, apart in enumerate(self.apart):
            others = np.where(patient[apart] == patient[index], rare[apart], 1.0).min(axis=0, initial=1.0)
            both = np.maximum(rare[index], others)
            best = np.where(both < least, index, best)
            least = np.minimum(least, both)
        return least, best

    def _least(self, found: Sequence[Matches]) -> Matches:
        """The most striking pair of boxes of each case."""
        rare, best = self._pairs(found)
        rows = np.arange(len(rare))
        chosen = {name: np.stack([getattr(part, name) for part in found])[best, rows] for name in FIELDS}
        return Matches(
            **chosen | {"ratio": -np.expm1(self.independent * np.log1p(-np.minimum(rare, 1 - 1e-9)))}
        )


class _Found:
    """What was found in each box, on disk: batch by batch, or box by box."""

    def __init__(self, found: Iterable[Iterable[Matches]]) -> None:
        """Keep matches, for each box those of each batch."""
        self.scratch = Scratch()
        self.kept = [
            [self.scratch.keep(np.stack([getattr(part, name) for name in FIELDS])) for part in parts]
            for parts in found
        ]

    def __iter__(self) -> Iterator[list[Matches]]:
        """Matches in each box, of one batch of cases after the other."""
        for batch in _by_place(self.kept):
            yield [self._matches(kept) for kept in batch]

    def ratios(self, place: int) -> np.ndarray:
        """Of all cases in one box."""
        return np.concatenate([self._matches(kept).ratio for kept in self.kept[place]])

    def _matches(self, kept: Kept) -> Matches:
        ratio, patient, case, distance = self.scratch.read(kept)
        return Matches(
            ratio=ratio, patient=patient.astype(np.int64), case=case.astype(np.int64), distance=distance
        )


def _joined(parts: Sequence[Matches]) -> Matches:
    """Matches of all batches."""
    return Matches(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in FIELDS})


def _by_place(rows: Iterable[Sequence[Kept]]) -> list[list[Kept]]:
    """Rows as columns."""
    return [list(column) for column in zip(*rows, strict=True)]


def _at_rest(cases: ThumbnailSource) -> Iterator[Poses]:
    """Each case as it lies."""
    for row in range(len(cases)):
        case = cases.take(np.array([row]))
        yield case.image, case.mask


def _batches(rows: Iterable[Poses], size: int) -> Iterator[list[Poses]]:
    """Some cases at a time."""
    source = iter(rows)
    while batch := list(islice(source, size)):
        yield batch

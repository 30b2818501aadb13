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
from itertools import islice, product

import numpy as np

from synthdata.privacy.copy_search import TAIL_SHARE
from synthdata.privacy.neighbours import merge_nearest, nearest_patients
from synthdata.privacy.ratio_tail import Matches, matches_of
from synthdata.privacy.views import Pose, Thumbnails, block_weight, whitening

PATCH = "patch"  # name among the views
PART = 5  # a box is this part of a long axis
PLACES = 8  # of boxes along a long axis
SHORT = 8  # voxels of an axis that is not cut
LEAST_CONTRAST = 0.25  # standard deviation within a box over that of the case, in the median patient
FLOOR = 0.1  # of the case's standard deviation: a box with less contrast is not blown up
POSES = (Pose(), Pose(flip=True))
BATCH = 512  # cases searched at once
MEMORY_MB = 512  # of the boxes of real patients, moved about; more of them are moved less
REACH, REACH_SLICE = 1, 2  # voxels by which patients are moved, in volumes and in slices
LEAST_RATIO = 1e-12
FIELDS = ("ratio", "patient", "case", "distance")  # of matches

Box = tuple[slice, slice, slice]
Poses = tuple[np.ndarray, np.ndarray]  # of one case: images (s, c, z, y, x) and masks (s, l, z, y, x)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Place:
    """One box: how its content becomes a vector."""

    box: Box
    mean: np.ndarray  # float32 (d,)
    basis: np.ndarray  # float32 (d, k), blocks weighted

    @property
    def width(self) -> int:
        """Numbers of a vector."""
        return int(self.basis.shape[1])

    def embed(self, image: np.ndarray, mask: np.ndarray, spread: np.ndarray) -> np.ndarray:
        """Vectors float32 (m, k) of images (m, c, z, y, x), masks (m, l, z, y, x) and the images' spread (m, c)."""
        joined = np.concatenate(_content(image, mask, spread, self.box), axis=1)
        vectors: np.ndarray = (joined - self.mean) @ self.basis
        return vectors


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
        """How many moves of one case the memory allows: all of a length, or none of it."""
        most = MEMORY_MB * 2**20 / (4 * cases * max(width, 1))
        counts = [np.searchsorted(self.lengths, length, side="right") for length in sorted(set(self.lengths))]
        return max([int(count) for count in counts if count <= most], default=1)


class PatchSearch:
    """Boxes of the real patients, in which the same boxes of other cases are looked up."""

    def __init__(
        self,
        cases: Thumbnails,
        places: Sequence[_Place],
        patient: np.ndarray,
        clusters: np.ndarray,
        moved: MovedCases | None,
    ) -> None:
        """Hold the boxes of real cases and learn the law of each; see `fitted`."""
        self.clusters, self.places = clusters, tuple(places)
        self.moves = (
            1 if moved is None else moved.affordable(len(cases), sum(place.width for place in places))
        )
        rows = _at_rest(cases) if moved is None else moved.read(self.moves)
        parts = [self._embed(batch) for batch in _batches(rows, max(1, BATCH // self.moves))]
        self.patient = np.repeat(patient, self.moves)
        self.vectors = [np.concatenate([part[index] for part in parts]) for index in range(len(places))]
        self.apart = [np.array([are_apart(place.box, other.box) for other in places]) for place in places]
        found = self._found(cases, patient)
        self.laws = [_Law.of(part.ratio) for part in found]
        least = float(np.median(self._pairs(found)[0]))
        self.independent = np.log(0.5) / np.log1p(-min(max(least, 1e-12), 0.5))
        self.real = self._least(found)

    @classmethod
    def fitted(
        cls,
        cases: Thumbnails,
        patient: np.ndarray,
        clusters: np.ndarray,
        *,
        moved: MovedCases | None = None,
    ) -> "PatchSearch | None":
        """Fit on all real cases.

        Args:
            cases: Thumbnails of train and control.
            patient: Index of the patient of each, (n,).
            clusters: Cluster of duplicates of each patient, (P,).
            moved: The same cases in the same order, moved about; without them parts are found where they lay alone.

        Returns:
            The search; None where all boxes are flat or the same in all patients.
        """
        spread = _spread(cases.image)
        flat = np.maximum(spread.max(axis=1), 1e-6)
        chosen = (
            _place(cases, spread, box)
            for box in boxes_of(cases.image.shape[2:])
            if np.median(_contrast(cases.image, box) / flat) >= LEAST_CONTRAST
        )
        places = [place for place in chosen if place is not None]
        return cls(cases, places, patient, clusters, moved) if places else None

    def matches(self, cases: Thumbnails) -> Matches:
        """For each case the chance of its most striking boxes, in place of a ratio, and the patient whom they match."""
        return self._least(self._found(cases, np.full(len(cases), -1)))

    def _embed(self, batch: Sequence[Poses]) -> list[np.ndarray]:
        """Vectors float32 (cases * s, k) of some cases in each box."""
        images, masks = (np.concatenate([poses[index] for poses in batch]) for index in (0, 1))
        spread = _spread(images)
        return [place.embed(images, masks, spread) for place in self.places]

    def _found(self, cases: Thumbnails, own: np.ndarray) -> list[Matches]:
        """Matches in each box."""
        parts = [
            self._batch(cases.image[rows], cases.mask[rows], cases.factor, own[rows])
            for rows in (slice(start, start + BATCH) for start in range(0, len(cases), BATCH))
        ]
        return [
            Matches(
                **{name: np.concatenate([getattr(part[index], name) for part in parts]) for name in FIELDS}
            )
            for index in range(len(self.places))
        ]

    def _batch(
        self, image: np.ndarray, mask: np.ndarray, factor: tuple[int, int, int], own: np.ndarray
    ) -> list[Matches]:
        vectors: list[list[np.ndarray]] = [[] for _ in self.places]
        spread = _spread(image)
        for pose in POSES:
            moved = pose.apply(image, factor), pose.apply(mask, factor)
            for place, kept in zip(self.places, vectors, strict=True):
                kept.append(place.embed(*moved, spread))
        return [
            self._nearest(np.concatenate(kept), known, own)
            for known, kept in zip(self.vectors, vectors, strict=True)
        ]

    def _nearest(self, queries: np.ndarray, known: np.ndarray, own: np.ndarray) -> Matches:
        """Nearest patients over all poses; queries (poses * m, k), the real cases (n * moves, k)."""
        found = nearest_patients(
            queries.astype(np.float64),
            known.astype(np.float64),
            self.patient,
            own=np.tile(own, len(POSES)),
            clusters=self.clusters,
        )
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


def _at_rest(cases: Thumbnails) -> Iterator[Poses]:
    """Each case as it lies."""
    for image, mask in zip(cases.image, cases.mask, strict=True):
        yield image[None], mask[None]


def _batches(rows: Iterable[Poses], size: int) -> Iterator[list[Poses]]:
    """Some cases at a time."""
    source = iter(rows)
    while batch := list(islice(source, size)):
        yield batch


def are_apart(one: Box, other: Box) -> bool:
    """Whether two boxes have no voxel in common."""
    return any(a.stop <= b.start or b.stop <= a.start for a, b in zip(one, other, strict=True))


def boxes_of(shape_zyx: tuple[int, ...]) -> tuple[Box, ...]:
    """Overlapping boxes that cover a thumbnail."""
    z, y, x = (_intervals(size) for size in shape_zyx)
    return tuple(product(z, y, x))


def _intervals(size: int) -> list[slice]:
    if size <= SHORT:
        return [slice(0, size)]
    side = -(-size // PART)
    starts = np.unique(np.rint(np.linspace(0, size - side, PLACES)).astype(int))
    return [slice(int(start), int(start) + side) for start in starts]


def _contrast(image: np.ndarray, box: Box) -> np.ndarray:
    """Largest standard deviation of a channel within the box, (n,)."""
    inside = image[(slice(None), slice(None), *box)]
    contrast: np.ndarray = inside.reshape(*inside.shape[:2], -1).std(axis=2).max(axis=1)
    return contrast


def _spread(image: np.ndarray) -> np.ndarray:
    """Standard deviation of each channel, (m, c)."""
    spread: np.ndarray = image.reshape(*image.shape[:2], -1).std(axis=2)
    return spread


def _content(
    image: np.ndarray, mask: np.ndarray, whole: np.ndarray, box: Box
) -> tuple[np.ndarray, np.ndarray]:
    """Image without its brightness and contrast, and masks, each (m, d)."""
    inside = image[(slice(None), slice(None), *box)].reshape(*image.shape[:2], -1)
    spread = np.maximum(np.maximum(inside.std(axis=2), FLOOR * whole), 1e-6)
    scaled = (inside - inside.mean(axis=2, keepdims=True)) / spread[:, :, None]
    labels = mask[(slice(None), slice(None), *box)]
    return scaled.reshape(len(image), -1), labels.reshape(len(image), -1)


def _place(cases: Thumbnails, spread: np.ndarray, box: Box) -> _Place | None:
    """Fit one box; image and masks have equal total variance. None where nothing varies."""
    blocks = _content(cases.image, cases.mask, spread, box)
    weights = [block_weight(float(block.var(axis=0).sum())) for block in blocks]
    if not any(weights):
        return None
    scale = np.concatenate(
        [np.full(block.shape[1], weight) for block, weight in zip(blocks, weights, strict=True)]
    )
    joined = np.concatenate(blocks, axis=1)
    mean = joined.mean(axis=0)
    rows = (joined - mean) * scale
    basis = (scale[:, None] * whitening(rows, PATCH)).astype(np.float32)
    return _Place(box=box, mean=mean, basis=basis)

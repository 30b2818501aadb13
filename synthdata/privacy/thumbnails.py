"""Thumbnails: low-pass copies of cases, which the privacy gate compares; in memory, or on disk where they are many."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from synthdata.errors import ShapeError
from synthdata.privacy.blocks import Move, block_factor, block_mean, moved_along, moved_block_means
from synthdata.privacy.limits import MOST_FITTED
from synthdata.privacy.scratch import Kept, Scratch
from synthdata.records import Case, ChannelScale

EMPTY = "a set has no cases: materialise the stage which fills it"


class ThumbnailSource(Protocol):
    """Thumbnails of cases, wherever they are."""

    @property
    def factor(self) -> tuple[int, int, int]:
        """Voxels of a block along z, y, x."""
        ...

    @property
    def patient(self) -> tuple[str, ...]:
        """Patient of each case."""
        ...

    @property
    def labels(self) -> int:
        """Number of labels."""
        ...

    @property
    def shape_zyx(self) -> tuple[int, int, int]:
        """Blocks along each axis."""
        ...

    def __len__(self) -> int: ...

    def take(self, index: np.ndarray) -> "Thumbnails":
        """Some of the cases, in memory."""
        ...


def fitted_rows(patient: Sequence[str]) -> np.ndarray:
    """Rows that laws and components are fitted on: all, or some drawn without a look at their group, ascending."""
    by_patient = np.argsort(np.array(patient), kind="stable")  # pools list train before control
    drawn: np.ndarray = np.sort(by_patient[np.random.default_rng(0).permutation(len(patient))[:MOST_FITTED]])
    return drawn


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Thumbnails:
    """Low-pass copies of some cases, as they lie and with the centre of their labels moved to the grid's centre."""

    image: np.ndarray  # float32 (n, c, z, y, x), about [-1, 1]
    mask: np.ndarray  # float32 (n, l, z, y, x), share of each label in the block
    centred_image: np.ndarray  # like image
    centred_mask: np.ndarray  # like mask
    factor: tuple[int, int, int]  # voxels of a block along z, y, x
    case_id: tuple[str, ...]
    patient: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.case_id)

    @property
    def labels(self) -> int:
        """Number of labels."""
        return int(self.mask.shape[1])

    @property
    def shape_zyx(self) -> tuple[int, int, int]:
        """Blocks along each axis."""
        z, y, x = self.image.shape[2:]
        return z, y, x

    def take(self, index: np.ndarray) -> "Thumbnails":
        """Some of the cases."""
        return Thumbnails(
            image=self.image[index],
            mask=self.mask[index],
            centred_image=self.centred_image[index],
            centred_mask=self.centred_mask[index],
            factor=self.factor,
            case_id=tuple(self.case_id[i] for i in index),
            patient=tuple(self.patient[i] for i in index),
        )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class StoredThumbnails:
    """Thumbnails on disk; only those that are taken are in memory."""

    scratch: Scratch
    kept: tuple[tuple[Kept, ...], ...]  # of each case: image, mask, centred image, centred mask
    factor: tuple[int, int, int]
    case_id: tuple[str, ...]
    patient: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.case_id)

    @property
    def labels(self) -> int:
        """Number of labels."""
        return self.kept[0][1].shape[0]

    @property
    def shape_zyx(self) -> tuple[int, int, int]:
        """Blocks along each axis."""
        _, z, y, x = self.kept[0][0].shape
        return z, y, x

    def take(self, index: np.ndarray) -> Thumbnails:
        """Some of the cases, in memory."""
        image, mask, centred_image, centred_mask = (
            np.stack([self.scratch.read(self.kept[row][part]) for row in index]) for part in range(4)
        )
        return Thumbnails(
            image=image,
            mask=mask,
            centred_image=centred_image,
            centred_mask=centred_mask,
            factor=self.factor,
            case_id=tuple(self.case_id[row] for row in index),
            patient=tuple(self.patient[row] for row in index),
        )


class Thumbnailer:
    """Makes thumbnails of cases on one grid."""

    def __init__(
        self, shape_zyx: tuple[int, int, int], scales: Sequence[ChannelScale], labels: Sequence[int]
    ) -> None:
        self.scales, self.labels = tuple(scales), tuple(sorted(labels))
        self.shape_zyx, self.factor = shape_zyx, block_factor(shape_zyx)

    def arrays(self, image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, ...]:
        """Thumbnails of one encoded image (c, z, y, x) and its mask (z, y, x): as they lie, then centred."""
        pair = self._arrays(image, mask)
        move = _to_the_centre(mask) if self.labels else np.zeros(3)
        centred = tuple(_shifted(part, move) for part in pair) if move.any() else pair
        return tuple(block_mean(part, self.factor) for part in (*pair, *centred))

    def moved(self, case: Case, moves: Sequence[Move]) -> tuple[np.ndarray, np.ndarray]:
        """Thumbnails of a case moved by whole voxels of the full grid, (s, c, z, y, x) and (s, l, z, y, x)."""
        images, masks = (
            moved_block_means(part, self.factor, moves) for part in self._arrays(case.image, case.mask)
        )
        return images, masks

    def _arrays(self, image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Image in network scale (c, z, y, x) and labels one of n (l, z, y, x)."""
        if image.shape != (len(self.scales), *self.shape_zyx):
            want = (len(self.scales), *self.shape_zyx)
            raise ShapeError(
                f"a case has an image of shape {image.shape}, expected {want}: prepare it on the grid"
            )
        scaled = np.stack(
            [scale.to_network(channel) for scale, channel in zip(self.scales, image, strict=True)]
        )
        onehot = np.zeros((len(self.labels), *mask.shape), np.float32)
        for row, label in enumerate(self.labels):
            onehot[row] = mask == label
        return scaled, onehot

    def collect(self, rows: Iterable[tuple[str, str, np.ndarray, np.ndarray]]) -> Thumbnails:
        """Thumbnails of (case_id, patient, image, mask); holds one full case at a time."""
        names, patients, parts = [], [], []
        for case_id, patient, image, mask in rows:
            names.append(case_id)
            patients.append(patient)
            parts.append(self.arrays(image, mask))
        if not names:
            raise ShapeError(EMPTY)
        image, mask, centred_image, centred_mask = (np.stack(part) for part in zip(*parts, strict=True))
        return Thumbnails(
            image=image,
            mask=mask,
            centred_image=centred_image,
            centred_mask=centred_mask,
            factor=self.factor,
            case_id=tuple(names),
            patient=tuple(patients),
        )

    def of_cases(self, cases: Iterable[Case]) -> Thumbnails:
        """Thumbnails of a stream of cases."""
        return self.collect((case.case_id, case.patient_id, case.image, case.mask) for case in cases)

    def stored(self, cases: Iterable[Case]) -> "StoredThumbnails":
        """The same on disk: one case is in memory at a time, however many there are."""
        scratch, kept = Scratch(), list[tuple[Kept, ...]]()
        names = []
        for case in cases:
            names.append((case.case_id, case.patient_id))
            kept.append(tuple(scratch.keep(part) for part in self.arrays(case.image, case.mask)))
        if not kept:
            raise ShapeError(EMPTY)
        case_id, patient = zip(*names, strict=True)
        return StoredThumbnails(
            scratch=scratch, kept=tuple(kept), factor=self.factor, case_id=case_id, patient=patient
        )


def _to_the_centre(mask: np.ndarray) -> np.ndarray:
    """Voxels along z, y, x that bring the centroid of all labels to the centre of the grid; zeros without labels."""
    found = np.nonzero(mask)
    if not len(found[0]):
        return np.zeros(3)
    centroid = np.array([float(axis.mean()) for axis in found])
    move: np.ndarray = (np.array(mask.shape) - 1) / 2 - centroid
    return move


def _shifted(volumes: np.ndarray, move: np.ndarray) -> np.ndarray:
    """Volumes (c, z, y, x) moved by a fraction of voxels, edges repeated."""
    for axis, step in enumerate(move, start=1):
        if step and volumes.size:
            volumes = moved_along(volumes, float(step), axis)
    return volumes

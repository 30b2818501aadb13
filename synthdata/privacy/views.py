"""Views of a case: vectors in which a copy lies near its original. Fitted on train and control alike.

A case is first made a thumbnail (block means of the encoded image and of one-hot masks, a low-pass), so that texture
that a generator adds does not hide a copy. Each view is a principal component analysis of thumbnails of the pooled
real patients, whitened. Nothing here knows which patients were trained on.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from synthdata.errors import ConfigError, ShapeError
from synthdata.privacy.blocks import moved_along
from synthdata.privacy.thumbnails import Thumbnails, ThumbnailSource, fitted_rows

KEPT_VARIANCE = 0.95
MOST_COMPONENTS = 32
LEAST_VARIANCE = 1e-8
SHIFT_VOXELS = 2  # that the moved view searches without labels
BATCH = 256  # cases embedded at once


@dataclass(frozen=True, slots=True)
class Pose:
    """A change of place, to find an original that was moved: applied to the query."""

    flip: bool = False  # of the x axis
    shift: tuple[float, float, float] = (0.0, 0.0, 0.0)  # voxels of the full grid along z, y, x

    def apply(self, volumes: np.ndarray, factor: tuple[int, int, int]) -> np.ndarray:
        """Move thumbnails (n, c, z, y, x); linear interpolation, edges repeated."""
        moved = volumes[..., ::-1] if self.flip else volumes
        for axis, (step, block) in enumerate(zip(self.shift, factor, strict=True), start=2):
            if step:
                moved = moved_along(moved, step / block, axis)
        return moved


def poses(
    *, centred: bool, shape_zyx: tuple[int, int, int], factor: tuple[int, int, int]
) -> tuple[Pose, ...]:
    """Both flips; without labels to centre on, each with a grid of shifts of up to 2 voxels.

    The grid is as fine as the thumbnail needs: steps of one voxel where it keeps all voxels of a slice.
    """
    fine = shape_zyx[0] == 1 and max(factor) == 1
    whole = tuple(float(step) for step in range(-SHIFT_VOXELS, SHIFT_VOXELS + 1))
    steps = (0.0,) if centred else whole if fine else (-1.4, 0.0, 1.4)
    deep = (0.0,) if shape_zyx[0] == 1 else steps
    moves = [(z, y, x) for z in deep for y in steps for x in steps]
    moves.sort(key=lambda move: sum(abs(part) for part in move))  # the pose at rest comes first
    return tuple(Pose(flip=flip, shift=move) for flip in (False, True) for move in moves)


class View:
    """One representation, fitted on the pooled real patients.

    image: standardised intensities and masks, as they lie. mask: masks alone, centred, both flips. moved: ranks of
    intensity and masks, centred, both flips (and shifts where there are no labels to centre on).
    """

    def __init__(self, name: str, pool: ThumbnailSource) -> None:
        """Fit; name is image, mask or moved."""
        self.name = name
        labelled, (z, y, x) = pool.labels > 0, pool.shape_zyx
        if name == "mask" and not labelled:
            raise ConfigError("a dataset without labels has no mask view: leave it out")
        searched = poses(centred=labelled, shape_zyx=(z, y, x), factor=pool.factor)
        self.poses = (Pose(),) if name == "image" else searched
        reach = 0 if labelled or name == "image" else SHIFT_VOXELS
        self.margin = tuple(
            -(-reach // f) if size > 1 else 0 for size, f in zip((z, y, x), pool.factor, strict=True)
        )
        blocks = self._flat(self._parts(pool.take(fitted_rows(pool.patient))))
        self.means = [block.mean(axis=0) for block in blocks]
        self.weights = [block_weight(float(block.var(axis=0).sum())) for block in blocks]
        self.basis = whitening(self._join(blocks), name)

    def embed(self, thumbnails: ThumbnailSource, *, posed: bool = False) -> np.ndarray:
        """Vectors, float64 (poses, n, k); the pose at rest alone unless `posed`."""
        chosen = self.poses if posed else self.poses[:1]
        index = np.arange(len(thumbnails))
        parts = [
            self._rows(thumbnails.take(index[start : start + BATCH]), chosen)
            for start in range(0, len(index), BATCH)
        ]
        return np.concatenate(parts, axis=1)

    def _rows(self, thumbnails: Thumbnails, chosen: Sequence[Pose]) -> np.ndarray:
        """Vectors of some cases in some poses, (poses, n, k)."""
        parts = self._parts(thumbnails)
        posed = ([pose.apply(part, thumbnails.factor) for part in parts] for pose in chosen)
        return np.stack([self._join(self._flat(moved)).astype(np.float64) @ self.basis for moved in posed])

    def _parts(self, thumbnails: Thumbnails) -> list[np.ndarray]:
        """Images and masks of the view, each (n, c, z, y, x), at rest."""
        at_rest = self.name == "image"
        image = thumbnails.image if at_rest else thumbnails.centred_image
        mask = thumbnails.mask if at_rest else thumbnails.centred_mask
        chosen = [] if self.name == "mask" else [image]
        return [*chosen, mask] if mask.shape[1] else chosen

    def _flat(self, parts: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Each part as a matrix (n, d), float32, without the margin that a shift may have lost."""
        z, y, x = self.margin
        inner = [
            part[:, :, z : part.shape[2] - z, y : part.shape[3] - y, x : part.shape[4] - x] for part in parts
        ]
        if self.name != "mask":  # normalised here, so that what lies in the margin has no say
            inner[0] = (_standardised if self.name == "image" else _ranked)(inner[0])
        return [part.reshape(len(part), -1).astype(np.float32) for part in inner]

    def _join(self, blocks: list[np.ndarray]) -> np.ndarray:
        """Blocks of equal total variance beside each other."""
        scaled = zip(blocks, self.means, self.weights, strict=True)
        return np.concatenate([(block - mean) * weight for block, mean, weight in scaled], axis=1)


def block_weight(variance: float) -> float:
    """Makes the total variance of a block 1; a block that never varies but by rounding counts nothing."""
    return float(1 / np.sqrt(variance)) if variance > LEAST_VARIANCE else 0.0


def view_names(*, labelled: bool) -> tuple[str, ...]:
    """The views of a dataset."""
    return ("image", "mask", "moved") if labelled else ("image", "moved")


def _standardised(images: np.ndarray) -> np.ndarray:
    """Mean 0 and standard deviation 1 per case and channel; a flat channel stays 0."""
    axes = (2, 3, 4)
    centred = images - images.mean(axis=axes, keepdims=True)
    scaled: np.ndarray = centred / np.maximum(centred.std(axis=axes, keepdims=True), 1e-6)
    return scaled


def _ranked(images: np.ndarray) -> np.ndarray:
    """Ranks per case and channel, -1..1: the same after any rising change of intensity."""
    flat = images.reshape(*images.shape[:2], -1)
    ranks = stats.rankdata(flat, axis=2, method="average")
    scaled: np.ndarray = (2 * (ranks - 0.5) / flat.shape[2] - 1).reshape(images.shape)
    return scaled.astype(np.float32)


def whitening(rows: np.ndarray, name: str) -> np.ndarray:
    """Columns that map centred rows (n, d) to whitened principal components (n, k); float64."""
    wide = rows.shape[0] <= rows.shape[1]  # the smaller one of both products has the same eigenvalues
    values, vectors = np.linalg.eigh((rows @ rows.T if wide else rows.T @ rows).astype(np.float64))
    values, vectors = values[::-1], vectors[:, ::-1]
    positive = values > max(values[0], 1e-12) * 1e-6
    if not positive.any():
        raise ShapeError(
            f"all real cases look the same in the {name} view: check the images that preparation wrote"
        )
    share = np.cumsum(values[positive]) / values[positive].sum()
    enough = int(np.searchsorted(share, KEPT_VARIANCE)) + 1
    kept = min(enough, MOST_COMPONENTS, max(2, len(rows) // 4), len(share))
    axes = vectors[:, :kept]
    if wide:
        axes = rows.T.astype(np.float64) @ axes / np.sqrt(values[:kept])
    basis: np.ndarray = axes * np.sqrt(len(rows) / values[:kept])
    return basis

"""A keyed watermark in the pixels: a faint pattern that only the holder of the key can find.

Spread spectrum, blind and zero-bit: each slice of a case carries the same tile of random signs, scaled by
the local contrast. The key has many such tiles and a case takes the one which its own pixels favour already
(dirty-paper coding: the host helps instead of being noise). The detector whitens an image, folds it onto
the tile and correlates with all tiles of the key. Its statistic is a sum of random signs with fixed
weights, so its false-positive rate holds for any image, whatever its content: see `Detection`.

Source:
    Cox et al., "Secure Spread Spectrum Watermarking for Multimedia", IEEE Trans. Image Process. 6(12), 1997;
    Costa, "Writing on Dirty Paper", IEEE Trans. Information Theory 29(3), 1983;
    Hoeffding, "Probability Inequalities for Sums of Bounded Random Variables", JASA 58, 1963, theorem 2.
"""

import hashlib
import hmac
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Self

import numpy as np

from synthdata.errors import ShapeError
from synthdata.records.training import ChannelScale

TILE = 32  # pixels; the pattern repeats, so that a crop holds all of it
CODEWORDS = (
    256  # tiles of a key; each is used with both signs, so the mean of a release does not lay one bare
)
FALSE_POSITIVE_RATE = 1e-6  # per image that the detector is asked about
STRENGTH = (
    0.5  # amplitude (root mean square) of the mark, in local standard deviations of the fine detail ...
)
FLOOR = 0.0015  # ... but at least this part of the range low..high where there is any detail at all ...
CEILING = 0.01  # ... and at most this part
CLIP = 3.0  # standard deviations; an edge tells the detector no more than this
ORIENTATIONS = 8  # flips and turns of a slice
BATCH_PIXELS = 1 << 22  # whitened at once, so that memory does not grow with a volume


@dataclass(frozen=True, kw_only=True, slots=True)
class Detection:
    """What the detector found.

    `p_value` is an upper bound of the chance that an image made without the key scores as high, over the
    random choice of the key; it counts all tiles and, where they were searched, all shifts and orientations.
    Lower is more evidence.
    """

    z_score: float  # of the best hypothesis; about normal (0, 1) for each one, without a mark
    p_value: float  # upper bound, in [0, 1]
    slices: int  # slices with enough detail to carry a mark
    codeword: int  # pattern of the best hypothesis
    searched: bool  # whether shifts and orientations were tried

    @property
    def marked(self) -> bool:
        """Whether the mark is there, wrong once in a million images without one."""
        return self.p_value <= FALSE_POSITIVE_RATE

    def corrected(self, tries: int) -> Self:
        """The same finding when it is the best of several looks at one image (Bonferroni)."""
        return replace(self, p_value=min(1.0, self.p_value * tries))


def embed(image: np.ndarray, scales: Sequence[ChannelScale], *, key: bytes, case_id: str) -> np.ndarray:
    """Mark all slices of a case.

    Args:
        image: Voxels int16 (c, z, y, x), encoded as `scales` says.
        scales: One per channel; the amplitude is a part of low..high.
        key: Secret.
        case_id: Breaks the tie between tiles where the image favours none.

    Returns:
        A new int16 array of the same shape, within the range of values that each channel had. Pixels without
        detail around them (air, clipped regions) are as they were.

    Raises:
        ShapeError: The image is no int16 (c, z, y, x), or its channels are not those of `scales`.
    """
    if image.dtype != np.int16 or image.ndim != 4 or len(image) != len(scales):
        raise ShapeError(
            f"image is {image.dtype} of shape {image.shape}, "
            f"expected int16 (c, z, y, x) with {len(scales)} channels"
        )
    height, width = image.shape[2:]
    tile = _without_mean(_favoured_tile(image, key, case_id))
    carrier = np.tile(tile, (-(-height // TILE), -(-width // TILE)))[:height, :width]
    marked = np.empty_like(image)
    for channel, (volume, scale) in enumerate(zip(image, scales, strict=True)):
        pixels = volume.astype(np.float32)
        spread = scale.high - scale.low
        deviation = _local_deviation(_detail(pixels))
        amplitude = np.clip(STRENGTH * deviation, FLOOR * spread, CEILING * spread)
        amplitude *= _free_to_move(volume)
        pixels += amplitude * carrier
        marked[channel] = np.rint(pixels).clip(volume.min(initial=0), volume.max(initial=0)).astype(np.int16)
    return marked


def detect(pixels: np.ndarray, *, key: bytes, search: bool = True, turned: bool = False) -> Detection:
    """Look for the mark of a key.

    Args:
        pixels: A slice (y, x), a volume (z, y, x) or a case (c, z, y, x), of any numeric type and scale.
        key: Secret.
        search: Where the pattern is not found in place, try all shifts, flips and turns, for a crop or
            another orientation. They are paid for in the p-value.
        turned: Try flips and turns of the whole slices in place, which costs next to nothing, also without `search`.

    Raises:
        ShapeError: The array has no or more than four axes.
    """
    if not 2 <= pixels.ndim <= 4:
        raise ShapeError(f"pixels have shape {pixels.shape}, expected (y, x), (z, y, x) or (c, z, y, x)")
    folded, used = np.zeros((TILE, TILE)), 0
    for slices in _batches(pixels):
        tiles = _folded_slices(slices)
        folded += tiles.sum(axis=0)
        used += int(tiles.any(axis=(1, 2)).sum())
    energy = float(np.sqrt((folded**2).sum()))
    if energy == 0:
        return Detection(z_score=0.0, p_value=1.0, slices=0, codeword=0, searched=False)
    folded /= energy
    turns = list(_turned(folded, (pixels.shape[-2], pixels.shape[-1]))) if turned else [folded]
    all_scores = np.abs(_signs(key).reshape(CODEWORDS, -1) @ np.stack(turns).reshape(len(turns), -1).T)
    codeword = int(all_scores.max(axis=1).argmax())
    best = float(all_scores.max())
    bound = _bound(best, hypotheses=CODEWORDS * len(turns), share=0.5 if search else 1.0)
    if not search or bound <= FALSE_POSITIVE_RATE:
        return Detection(z_score=best, p_value=bound, slices=used, codeword=codeword, searched=False)
    moved, moved_codeword = _best_moved(folded, key)
    moved_bound = _bound(moved, hypotheses=CODEWORDS * TILE**2 * ORIENTATIONS, share=0.5)
    if moved_bound < bound:
        return Detection(
            z_score=moved, p_value=moved_bound, slices=used, codeword=moved_codeword, searched=True
        )
    return Detection(z_score=best, p_value=bound, slices=used, codeword=codeword, searched=True)


def _turned(folded: np.ndarray, shape_yx: tuple[int, int]) -> Iterator[np.ndarray]:
    """The tile as it was folded from slices (y, x) before each flip and turn of them; the first one is the tile itself.

    A slice of n rows that was turned over has row n - 1 - y where row y was.
    """
    places = np.arange(TILE)
    for tile, sides in ((folded, shape_yx), (folded.T, shape_yx[::-1])):
        rows, columns = ((side - 1 - places) % TILE for side in sides)
        yield from (tile, tile[rows], tile[:, columns], tile[rows][:, columns])


def _bound(score: float, *, hypotheses: int, share: float) -> float:
    """Upper bound of P(max |score| >= z) over random signs: 2 exp(-z²/2) for each hypothesis (Hoeffding)."""
    return min(1.0, 2 * hypotheses / share * math.exp(-(score**2) / 2))


def _batches(pixels: np.ndarray) -> Iterator[np.ndarray]:
    """The slices of an array, float32 (n, y, x), a bounded number at once."""
    slices = pixels.reshape(-1, *pixels.shape[-2:])
    step = max(1, BATCH_PIXELS // max(1, slices[:1].size))
    for start in range(0, len(slices), step):
        yield np.nan_to_num(slices[start : start + step].astype(np.float32))


def _favoured_tile(image: np.ndarray, key: bytes, case_id: str) -> np.ndarray:
    """The tile of the key, with its sign, with which the unmarked slices correlate best already."""
    mean = np.zeros((TILE, TILE))
    for slices in _batches(image):
        tiles = _folded_slices(slices)
        norms = np.sqrt((tiles**2).sum(axis=(1, 2), keepdims=True))
        mean += (tiles / np.where(norms > 0, norms, 1)).sum(axis=0)
    scores = _signs(key).reshape(CODEWORDS, -1) @ mean.ravel()
    if not scores.any():
        arbitrary: np.ndarray = _signs(key)[hmac.digest(key, case_id.encode(), "sha256")[0] % CODEWORDS]
        return arbitrary
    best = int(np.abs(scores).argmax())
    tile: np.ndarray = _signs(key)[best] * np.sign(scores[best])
    return tile


@lru_cache(maxsize=4)
def _signs(key: bytes) -> np.ndarray:
    """Independent random signs, float32 (CODEWORDS, TILE, TILE), from the key alone."""
    stream = hashlib.shake_256(b"synthdata watermark 1:" + key).digest(CODEWORDS * TILE**2 // 8)
    bits = np.unpackbits(np.frombuffer(stream, np.uint8)).reshape(CODEWORDS, TILE, TILE)
    return bits.astype(np.float32) * 2 - 1


def _without_mean(tile: np.ndarray) -> np.ndarray:
    """The tile less its mean over 3 x 3 pixels on the torus, unit variance: tissue keeps its mean value."""
    coarse = tile
    for axis in (0, 1):
        coarse = (np.roll(coarse, 1, axis) + np.roll(coarse, -1, axis) + 2 * coarse) / 4
    fine: np.ndarray = tile - coarse
    fine /= fine.std()
    return fine


def _free_to_move(volume: np.ndarray) -> np.ndarray:
    """Pixels (z, y, x) that differ from a neighbour in their slice and lie inside the range of the volume."""
    free = np.zeros(volume.shape, bool)
    for ahead, behind in ((np.s_[:, 1:], np.s_[:, :-1]), (np.s_[:, :, 1:], np.s_[:, :, :-1])):
        differs = volume[ahead] != volume[behind]
        free[ahead] |= differs
        free[behind] |= differs
    free &= (volume > volume.min(initial=0)) & (volume < volume.max(initial=0))
    return free


def _detail(slices: np.ndarray) -> np.ndarray:
    """Slices (z, y, x) without their coarse part: twice the difference to a 3 x 3 binomial mean."""
    for _ in range(2):
        coarse = _neighbours(_neighbours(slices, axis=1, middle=2.0), axis=2, middle=2.0)
        slices = slices - coarse
    return slices


def _neighbours(slices: np.ndarray, *, axis: int, middle: float) -> np.ndarray:
    """Weighted mean of each pixel and its two neighbours along one axis, edges repeated."""
    length = slices.shape[axis]
    padded = np.pad(slices, [(1, 1) if number == axis else (0, 0) for number in range(3)], mode="edge")
    before, after = padded.take(range(length), axis), padded.take(range(2, length + 2), axis)
    mean: np.ndarray = (before + after + middle * slices) / (2 + middle)
    return mean


def _local_deviation(detail: np.ndarray) -> np.ndarray:
    """Local standard deviation of the detail, over 5 x 5 pixels, weighted to the middle."""
    power = detail**2
    for axis in (1, 2, 1, 2):
        power = _neighbours(power, axis=axis, middle=1.0)
    deviation: np.ndarray = np.sqrt(power)
    return deviation


def _folded_slices(slices: np.ndarray) -> np.ndarray:
    """Whitened slices (z, y, x), each summed onto one tile: (z, TILE, TILE)."""
    detail = _detail(slices)
    deviation = _local_deviation(detail)
    level = np.sqrt((detail**2).mean(axis=(1, 2), keepdims=True))
    level[level == 0] = 1
    white = np.clip(detail / (deviation + 0.1 * level), -CLIP, CLIP) / (deviation / level + 0.5)
    depth, height, width = white.shape
    rows, columns = -(-height // TILE), -(-width // TILE)
    padded = np.zeros((depth, rows * TILE, columns * TILE), np.float32)
    padded[:, :height, :width] = white
    folded: np.ndarray = padded.reshape(depth, rows, TILE, columns, TILE).sum(axis=(1, 3))
    return folded


def _best_moved(folded: np.ndarray, key: bytes) -> tuple[float, int]:
    """Highest score over all cyclic shifts and orientations, and its pattern."""
    spectra = np.conj(np.fft.rfft2(_signs(key)))
    best, codeword = 0.0, 0
    for turned in (folded, folded.T):
        for tile in (turned, turned[::-1], turned[:, ::-1], turned[::-1, ::-1]):
            scores = np.abs(np.fft.irfft2(np.fft.rfft2(tile) * spectra, s=(TILE, TILE)))
            highest = scores.reshape(CODEWORDS, -1).max(axis=1)
            if highest.max() > best:
                best, codeword = float(highest.max()), int(highest.argmax())
    return best, codeword

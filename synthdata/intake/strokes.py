"""Where a volume has many strokes side by side, as a line of text has: places worth a closer look.

Text that was drawn into slices differs from what lies below and beside it by edges one or two pixels wide, many along
a row. Tissue has such edges too, but it changes from slice to slice where text does not, and goes on where text ends:
what few slices have and their neighbours lack, or what all slices share, is nearly free of tissue. Values are looked
at in 128 levels and every other row, so that a volume costs a few milliseconds.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import reduce

import numpy as np

TOP = 127  # levels are whole numbers from 0 to it, so that differences fit into 8 bits
ROW_STEP = 2  # px between the rows that are looked at; letters of 8 px are crossed by three
SHARE = 0.16  # of the window: a stroke stands out by more,
NOISE = 4.0  # and by so many standard deviations of the noise
GAUSSIAN = 0.6745 * math.sqrt(6)  # median of absolute second differences of noise, by its standard deviation
# HU of air, soft tissue, brain and bone in which text of CT is drawn, and bits cut off their levels.
CT_BRAIN = ((-1000, -160, 5), (-160, 240, 4), (0, 80, 1), (240, 1500, 6))
CT_SOFT = ((-1000, -160, 6), (-160, 240, 2), (240, 1500, 7))
# By how much a stroke stands out; the first whose noise is lower is taken.
CT_LEAST = ((CT_BRAIN, 12), (CT_SOFT, 16))
BLOCK, BLOCKS = 32, 3  # px of a block of columns, and blocks among which strokes are counted together
ROWS = 3  # rows that are looked at, counted together,
MOST_OF_ROW = 12  # no row more than so often
LEAST_STROKES = 12  # counted: four a row
WINDOWS, APART = 6, 8  # of what slices share so many windows, so many rows that are looked at from each other
LONE_WINDOWS = 24  # of all slices together, if each has one alone
SAME = 16  # levels: how little ink differs between the slices that share it, a codec's noise included
REACH = 2  # slices from each other, of which one lacks ink that the other has, beside neighbours
LEAST_SLICES = 4  # of a part of a volume whose slices are taken to share their text


@dataclass(frozen=True, slots=True)
class Scale:
    """How values become levels, and by how many levels a stroke stands out."""

    windows: tuple[tuple[int, int, int], ...]  # lowest and highest value, and how many bits are cut off
    least: int

    def of(self, pixels: np.ndarray) -> np.ndarray:
        """Levels, int8, of whole numbers of any shape."""
        levels = _inside(pixels, *self.windows[0])
        for window in self.windows[1:]:
            levels += _inside(pixels, *window)
        return levels.astype(np.int8)


@dataclass(frozen=True, slots=True)
class Window:
    """Where an image has most strokes."""

    strokes: int
    row: int  # of its middle, px
    columns: tuple[int, int]  # the first, and the one behind the last


@dataclass(frozen=True, slots=True)
class Place:
    """A window with many strokes, in a slice or in what slices share."""

    window: Window
    light: bool  # or darker than what lies about
    slices: tuple[int, ...]  # whose common ink it is,
    beside: tuple[int, ...]  # and those that lack it
    turned: bool  # rows and columns are exchanged, so that a line that stands lies
    extremes: tuple[np.ndarray, ...] = ()  # lowest and highest values (y, x) of slices that share ink


def scale_of(pixels: np.ndarray, *, modality: str) -> Scale:
    """How values of a volume become levels.

    Args:
        pixels: Whole numbers (n, y, x); CT in HU.
        modality: CT has windows of its own; others are scaled from the 1st to the 99.8th percentile.
    """
    some = pixels[:: max(1, len(pixels) // 4), :: max(1, pixels.shape[1] // 32)]
    for windows, least in CT_LEAST if modality == "CT" else _of_percentiles(pixels):
        noise = int(NOISE * _noise(Scale(windows, 0).of(some)))
        if noise <= least:
            break
    return Scale(windows, max(2, least, noise))


def _of_percentiles(pixels: np.ndarray) -> list[tuple[tuple[tuple[int, int, int], ...], int]]:
    """The window from the 1st to the 99.8th percentile, and by how much a stroke stands out of it."""
    step = max(1, min(pixels.shape[1:]) // 32)
    low, high = (int(bound) for bound in np.percentile(pixels[:, ::step, ::step], (1, 99.8)))
    bits = max(0, (high - low).bit_length() - TOP.bit_length())
    return [(((low, high, bits),), int(SHARE * ((high - low) >> bits)))]


def _inside(values: np.ndarray, low: int, high: int, bits: int) -> np.ndarray:
    """Values inside a window, from 0, the lowest bits cut off, int16."""
    if values.dtype != np.int16 or high - low > np.iinfo(np.int16).max:
        values = values.astype(np.int32)
    inside: np.ndarray = np.clip(values, low, high)
    inside -= low
    inside >>= bits
    return inside.astype(np.int16, copy=False)


def _noise(levels: np.ndarray) -> float:
    """Standard deviation of noise: the median of absolute second differences along rows, which tissue hardly has."""
    some = levels.astype(np.int16)
    bent = np.abs(some[..., 2:] - 2 * some[..., 1:-1] + some[..., :-2])
    bent = bent[(some[..., 1:-1] > 0) & (some[..., 1:-1] < some.max())]
    median = float(np.median(bent)) if bent.size else 0.0
    return median / GAUSSIAN


def shared_places(pixels: np.ndarray, scale: Scale) -> Iterator[Place]:
    """Light strokes in the least, and dark ones in the most, that all slices have, or halves of them, and all alike.

    Args:
        pixels: Whole numbers (n, y, x).
        scale: How values become levels.
    """
    for slices in _parts(len(pixels)):
        part = pixels[slices.start : slices.stop]
        extremes = (part.min(axis=0), part.max(axis=0))
        lowest, highest = scale.of(extremes[0]), scale.of(extremes[1])
        same = highest - lowest <= SAME
        for light, image in ((True, lowest), (False, TOP - highest)):
            for turned in (False, True):
                rows, alike = (image.T, same.T) if turned else (image, same)
                strokes = _strokes(rows[None, ::ROW_STEP], scale.least, alike[None, ::ROW_STEP])
                for window in _windows(strokes[0], rows.shape[1], WINDOWS):
                    yield Place(window, light, tuple(slices), (), turned, extremes)


def _parts(count: int) -> list[range]:
    """All slices, the first, the last and the middle half."""
    half = max(LEAST_SLICES, count // 2)
    firsts = sorted({0, (count - half) // 2, count - half}) if half < count else []
    return [range(count), *(range(first, first + half) for first in firsts)]


def lone_places(pixels: np.ndarray, scale: Scale, *, turned: bool) -> Iterator[Place]:
    """Strokes that slices have more, or less, of than the slices beside them.

    Args:
        pixels: Whole numbers (n, y, x).
        scale: How values become levels.
        turned: Look along columns instead of along rows, and at the nearest slices alone.
    """
    lines = np.swapaxes(pixels, 1, 2) if turned else pixels
    levels = np.ascontiguousarray(scale.of(lines[:, ::ROW_STEP]))
    count = len(levels)
    for reach in (1,) if turned else sorted({1, min(REACH, count // 2)}):
        before = np.concatenate([levels[reach : 2 * reach], levels[:-reach]])
        behind = np.concatenate([levels[reach:], levels[count - 2 * reach : count - reach]])
        for light in (True, False):
            ink = levels - np.maximum(before, behind) if light else np.minimum(before, behind) - levels
            np.maximum(ink, 0, out=ink)
            strokes = _strokes(ink, scale.least)
            for index in map(int, np.flatnonzero(strokes.max(axis=(1, 2), initial=0) >= LEAST_STROKES)):
                beside = (
                    index - reach if index >= reach else index + reach,
                    index + reach if index + reach < count else index - reach,
                )
                for window in _windows(strokes[index], ink.shape[2], max(1, LONE_WINDOWS // count)):
                    yield Place(window, light, (index,), beside, turned)


def _strokes(ink: np.ndarray, least: int, allowed: np.ndarray | None = None) -> np.ndarray:
    """Strokes in each window of images (n, y, x), by its first row and first block of columns."""
    count, height, width = ink.shape
    rows, blocks = max(0, height - ROWS + 1), -(-width // BLOCK)
    steep = (ink[..., 2:] - ink[..., :-2]) > least
    if allowed is not None:
        steep &= allowed[..., 2:]
    if np.count_nonzero(steep) < LEAST_STROKES:
        return np.zeros((count, rows, 1), np.uint8)
    rises = np.zeros((count, height, blocks * BLOCK), bool)
    np.greater(steep[..., 1:], steep[..., :-1], out=rises[..., : width - 3])
    strokes = np.bitwise_count(np.packbits(rises, axis=-1).view(f"u{BLOCK // 8}"))
    firsts = max(1, blocks - BLOCKS + 1)
    along = np.minimum(
        _summed(strokes[..., at : at + firsts] for at in range(min(BLOCKS, blocks))), MOST_OF_ROW
    )
    return _summed(along[:, at : rows + at] for at in range(ROWS))


def _summed(parts: Iterable[np.ndarray]) -> np.ndarray:
    """The sum of at least one array."""
    return reduce(np.add, parts)


def _windows(strokes: np.ndarray, width: int, most: int) -> Iterator[Window]:
    """The windows with most strokes, apart from each other."""
    strokes = strokes.copy()
    for _ in range(most):
        row, block = divmod(int(strokes.argmax()), strokes.shape[1])
        if strokes[row, block] < LEAST_STROKES:
            return
        columns = (block * BLOCK, min(width, (block + BLOCKS) * BLOCK))
        yield Window(int(strokes[row, block]), row * ROW_STEP + ROWS, columns)
        strokes[max(0, row - APART) : row + APART, max(0, block - BLOCKS + 1) : block + BLOCKS] = 0

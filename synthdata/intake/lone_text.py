"""Where ink that one slice of a volume alone has lies in a row, as letters of a line do.

Tissue goes on from slice to slice; text that was drawn into one slice does not. What a slice has more, or less, of than
both neighbours is ink on an empty ground, whatever lies below. A first look counts strokes along every other row; only
slices with rows of many strokes are looked at for letters.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

SHARE = 0.16  # of the window: a letter stands out from both neighbours by more,
NOISE = 4.0  # and by so many standard deviations of the noise
MOST_BITS = 14  # of a value inside the window, so that differences fit into 16 bits
ROW_STEP = 2  # px between the rows of the first look; letters of 8 px are crossed by three
BLOCK, BLOCKS = 32, 3  # px of a block of columns, and blocks among which strokes are counted together
LEAST_STROKES = 5  # along a row, in so many blocks,
LEAST_ROWS = 2  # in rows of which no more than one between them has fewer
MOST_SLICES = 4  # of a volume and a window that are looked at for letters, those of most such rows
LEAST_LETTER, LARGEST_LETTER = 3, 64  # px, height
LEAST_AREA = 5  # px of a letter
MOST_BLOBS = 400  # in a slice; beyond, it is noise, and the largest are looked at
LEVEL = 0.5  # of the height: how much neighbours in a row overlap,
GAP = 1.4  # and how far apart they are: a blank or a dash
LEAST_LETTERS = 5  # of a line; letters that touch count by their width,
# and those off the line or of another height take from it
ALIKE = 1.6  # ratio of heights on one line,
BASELINE = 0.15  # of the height: how far from it letters stand
LEAST_ASPECT = 2.0  # width of a line by its height
MARGIN, AROUND = (6, 6), (10, 30)  # px, y and x
MOST_LINES = 4  # of a volume, those of most letters


@dataclass(frozen=True, slots=True)
class LoneLine:
    """A row of blobs which one slice alone has."""

    letters: float  # alike and on one line
    ink: np.ndarray  # (y, x) uint8, what the slice alone has, white on black
    grey: np.ndarray  # (y, x) uint8, the slice itself with more of what lies around


def lone_lines(pixels: np.ndarray, windows: Sequence[tuple[float, float]]) -> list[LoneLine]:
    """Rows of blobs that one slice alone has, those of most letters first.

    Args:
        pixels: Whole numbers (n, y, x), n >= 2.
        windows: Lowest and highest value of ink, several where ink may be drawn in several.
    """
    found: list[LoneLine] = []
    for low, high in windows:
        values, span = _inside(pixels[:, ::ROW_STEP], low, high)
        least = _least(values, span)
        for index, light in _slices_with_strokes(values, least):
            whole, _ = _inside(_neighbours(pixels, index), low, high)
            ink = _lone(whole if light else -whole)
            found += _rows(ink, whole[0], least, span)
    return sorted(found, key=lambda line: line.letters, reverse=True)[:MOST_LINES]


def _inside(pixels: np.ndarray, low: float, high: float) -> tuple[np.ndarray, int]:
    """Values inside the window, from 0 to the second result, in 16 bits; wider windows are made coarser."""
    bottom, top = int(low), max(int(high), int(low) + 1)
    spare = max(0, (top - bottom).bit_length() - MOST_BITS)
    if spare or pixels.dtype != np.int16:
        pixels = pixels.astype(np.int32)
    inside = np.clip(pixels, bottom, top)
    inside -= bottom
    inside >>= spare
    return inside.astype(np.int16, copy=False), max(1, (top - bottom) >> spare)


def _least(values: np.ndarray, span: int) -> int:
    """By how much ink stands out from both neighbours (n, y, x).

    The noise is the median of absolute second differences along rows, which tissue hardly has.
    """
    some = values[:: max(1, len(values) // 4), :: max(1, values.shape[1] // 16)].astype(np.int32)
    bent = np.abs(some[..., 2:] - 2 * some[..., 1:-1] + some[..., :-2])
    bent = bent[(some[..., 1:-1] > 0) & (some[..., 1:-1] < span)]
    noise = float(np.median(bent)) / (0.6745 * np.sqrt(6)) if bent.size else 0.0
    return max(1, int(SHARE * span), int(NOISE * noise))


def _slices_with_strokes(values: np.ndarray, least: int) -> list[tuple[int, bool]]:
    """Slices whose ink, light (True) or dark, has rows of many strokes; those of most such rows."""
    steps = values[1:] - values[:-1]
    up, down = steps > least, steps < -least
    found = []
    for index in range(len(values)):
        before, behind = (
            max(0, index - 1),
            min(index, len(steps) - 1),
        )  # steps; at an end the one that there is
        first, last = index == 0, index == len(values) - 1
        for light, rise, fall in ((True, up, down), (False, down, up)):
            ink = (fall if first else rise)[before] & (rise if last else fall)[behind]
            if np.count_nonzero(ink) >= LEAST_STROKES * LEAST_ROWS:
                found.append((_rows_of_strokes(ink), index, light))
    enough = sorted((one for one in found if one[0] >= LEAST_ROWS), reverse=True)
    return [(index, light) for _, index, light in enough[:MOST_SLICES]]


def _rows_of_strokes(ink: np.ndarray) -> int:
    """How many rows of a slice (y, x) have many strokes close together, with another such row beside them."""
    starts = np.zeros((len(ink), -(-ink.shape[1] // BLOCK) * BLOCK), bool)
    np.greater(ink[:, 1:], ink[:, :-1], out=starts[:, : ink.shape[1] - 1])
    strokes = np.bitwise_count(np.packbits(starts, axis=1).view(f"u{BLOCK // 8}"))
    blocks = max(1, strokes.shape[1] - BLOCKS + 1)
    many = sum(strokes[:, at : at + blocks] for at in range(min(BLOCKS, strokes.shape[1]))) >= LEAST_STROKES
    return int(np.count_nonzero((many[1:] & many[:-1]).any(axis=1)))


def _neighbours(pixels: np.ndarray, index: int) -> np.ndarray:
    """A slice and both neighbours (3, y, x); at an end the one that there is comes twice."""
    last = len(pixels) - 1
    return pixels[[index, index - 1 if index else 1, index + 1 if index < last else last - 1]]


def _lone(values: np.ndarray) -> np.ndarray:
    """By how much (y, x) the first of three slices is above both others."""
    lone: np.ndarray = values[0] - np.maximum(values[1], values[2])
    return lone


def _rows(ink: np.ndarray, image: np.ndarray, least: int, span: int) -> Iterator[LoneLine]:
    """Rows of blobs in what a slice alone has (y, x); span is the width of the window in its values."""
    from scipy.sparse.csgraph import connected_components

    boxes = _blobs(ink > least)
    if len(boxes) == 0:
        return
    count, groups = connected_components(_beside(boxes), directed=False)
    signs = np.bincount(groups, _widths(boxes), count)
    for group in np.flatnonzero(signs >= LEAST_LETTERS):
        row = boxes[groups == group]
        letters = _letters(row)
        (top, _, left, _), (_, bottom, _, right) = row.min(axis=0), row.max(axis=0)
        if letters >= LEAST_LETTERS and right - left >= LEAST_ASPECT * (bottom - top):
            edges = (int(top), int(bottom), int(left), int(right))
            yield LoneLine(letters, _cut(ink, edges, MARGIN, span), _cut(image, edges, AROUND, span))


def _widths(boxes: np.ndarray) -> np.ndarray:
    """How many letters (k,) a box may be, by its width."""
    top, bottom, left, right = boxes.T
    letters: np.ndarray = np.maximum(1, np.rint((right - left) / (bottom - top)))
    return letters


def _cut(
    values: np.ndarray, edges: tuple[int, int, int, int], margin: tuple[int, int], span: int
) -> np.ndarray:
    """A cut-out (y, x) with a margin in y and x, from 0 to 255."""
    top, bottom, left, right = edges
    cut = values[max(0, top - margin[0]) : bottom + margin[0], max(0, left - margin[1]) : right + margin[1]]
    grey: np.ndarray = np.clip(cut * (255.0 / span), 0, 255).astype(np.uint8)
    return grey


def _letters(boxes: np.ndarray) -> float:
    """How many letters of a row (k, 4) stand on one line and are alike in height, times their share."""
    top, bottom = boxes[:, 0], boxes[:, 1]
    heights = bottom - top
    usual = float(np.median(heights))
    alike = (heights >= usual / ALIKE) & (heights <= usual * ALIKE)
    alike &= abs(bottom - np.median(bottom)) <= max(1.0, BASELINE * usual)
    letters = _widths(boxes)
    return float(letters[alike].sum() ** 2 / letters.sum())


def _blobs(mask: np.ndarray) -> np.ndarray:
    """Boxes (k, 4) of what may be letters: first row, row behind the last, first column, column behind the last."""
    from scipy import ndimage

    if np.count_nonzero(mask) < LEAST_LETTERS * LEAST_AREA:
        return np.zeros((0, 4), int)
    labels, _ = ndimage.label(mask, np.ones((3, 3), bool))
    areas = np.bincount(labels.ravel())[1:]
    boxes = np.array(
        [
            (rows.start, rows.stop, columns.start, columns.stop)
            for rows, columns in ndimage.find_objects(labels)
        ]
    )
    heights = boxes[:, 1] - boxes[:, 0]
    kept = (areas >= LEAST_AREA) & (heights >= LEAST_LETTER) & (heights <= LARGEST_LETTER)
    order = np.argsort(areas[kept])[::-1][:MOST_BLOBS]
    chosen: np.ndarray = boxes[kept][order]
    return chosen


def _beside(boxes: np.ndarray) -> np.ndarray:
    """Which boxes (k, k) stand beside each other on one line."""
    top, bottom, left, right = boxes.T
    height = np.maximum.outer(bottom - top, bottom - top)
    level = np.minimum.outer(bottom, bottom) - np.maximum.outer(top, top)
    gap = np.maximum.outer(left, left) - np.minimum.outer(right, right)
    beside: np.ndarray = (level >= LEVEL * height) & (gap <= GAP * height)
    return beside

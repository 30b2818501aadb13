"""How much a place with many strokes looks like a line of text, and what the engine reads of it.

Letters of a line share one grey value, are of full contrast or none, and stand on calm ground; where tissue makes as
many strokes, it makes them all about, of many values. How these weigh was fitted, not chosen: a logistic regression
over text that was drawn into some volumes and clean places of the same (`benchmarks/text_in_volumes.py --fit`).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from operator import attrgetter

import numpy as np

from synthdata.intake.strokes import MOST_OF_ROW, ROWS, TOP, Place, Scale

BAND = 4  # px above and below the middle of a window, in which its strokes are looked at,
FLANK = 12  # and in which the ground about them is
# Px above and below a window's middle row, and beside its columns, that are read.
READ, WIDE = (28, 28), (56, 160)
AROUND = 9  # px about a pixel, from whose mean shared ink stands out
SAME = 6  # levels: how little ink differs between the slices that share it, a codec's noise included
ONE_VALUE = 4  # levels: of strokes that share one grey value
ZOOM_LONE, ZOOM_SHARED, ZOOM_SMALL = 2.0, 2.5, 3.0  # times that the engine enlarges an image
SURE = 4.0  # log odds of text from which on it is read enlarged more, and with more of what lies about it
WEIGHTS = {  # of each feature, where one slice has a line alone, and where slices share it
    "strokes": (3.18, 5.38),
    "peaks": (22.06, 14.03),
    "alike": (3.39, 3.39),
    "contrast": (-0.19, 0.61),
    "either": (7.91, -3.73),
    "full": (3.26, 11.25),
    "ground": (-0.49, -4.64),
    "across": (-6.19, -4.55),
    "along": (-3.58, -4.09),
    "calm": (-4.82, -7.27),
    "exact": (13.38, 4.17),
    "still": (0.0, 1.75),
    "moving": (0.0, 5.76),
    "constant": (-10.32, -2.09),
}


@dataclass(frozen=True, slots=True)
class Likely:
    """A place as it looks at full resolution."""

    place: Place
    score: float  # log odds of text
    views: tuple[tuple[np.ndarray, float], ...]  # images (y, x) uint8 for the engine; its zoom


@dataclass(frozen=True, slots=True)
class _Cut:
    """Levels about a window, int16 (y, x)."""

    values: np.ndarray  # of the slice, or what slices share, themselves
    image: np.ndarray  # the slice, or what slices share
    ink: np.ndarray  # by how much it stands out
    moving: np.ndarray | None  # by how much slices differ that are to share it
    row: int  # of the window's middle
    columns: slice  # of the window


def likely_line(pixels: np.ndarray, place: Place, scale: Scale) -> Likely:
    """A place of a volume as it looks at full resolution.

    Args:
        pixels: Whole numbers (n, y, x).
        place: Where strokes lie side by side.
        scale: How values become levels.
    """
    area = _area(place)
    cut = _cut(pixels, place, scale, area)
    features, contrast, level = _features(cut, place, scale.least)
    kind = 0 if place.beside else 1
    score = sum(value * WEIGHTS[name][kind] for name, value in features.items())
    ink, grey = _ink(cut.ink, contrast), _grey(cut.image, level, contrast, place)
    if not place.beside:  # on one of its slices, text is not mixed with the extremes of all of them
        one = scale.of(_turned(pixels[place.slices[len(place.slices) // 2]], place)[area])
        ink = _grey(one, level, 2 * contrast, place)
    zoom = ZOOM_LONE if place.beside else ZOOM_SHARED
    views = [(ink, zoom), (grey, zoom)]
    if score >= SURE:  # small letters, and large ones, which a place cuts off
        wide = _cut(pixels, place, scale, _area(place, WIDE))
        views += [(grey, ZOOM_SMALL), (_ink(wide.ink, contrast), 1.0)]
    return Likely(place, score, tuple((_turned(image, place), zoom) for image, zoom in views))


def _ink(ink: np.ndarray, contrast: float) -> np.ndarray:
    """White on black."""
    white: np.ndarray = np.clip(ink * (255.0 / contrast), 0, 255).astype(np.uint8)
    return white


def _grey(levels: np.ndarray, level: float, contrast: float, place: Place) -> np.ndarray:
    """Levels about the ink's."""
    grey = np.clip((levels - level) * (TOP / contrast) + (255 if place.light else 0), 0, 255)
    shown: np.ndarray = grey.astype(np.uint8)
    return shown


def features_of(pixels: np.ndarray, place: Place, scale: Scale) -> dict[str, float]:
    """What WEIGHTS are weights of, for whoever fits them anew."""
    return _features(_cut(pixels, place, scale, _area(place)), place, scale.least)[0]


def apart(lines: Iterable[Likely]) -> Iterator[Likely]:
    """The likeliest of those that are about the same line, light or dark; the likeliest of all first."""
    kept: list[Likely] = []
    for line in sorted(lines, key=attrgetter("score"), reverse=True):
        if not any(_same_line(line.place, other.place) for other in kept):
            kept.append(line)
            yield line


def _same_line(one: Place, other: Place) -> bool:
    if (one.light, one.turned) != (other.light, other.turned) or set(one.slices).isdisjoint(other.slices):
        return False
    first, second = one.window, other.window
    beside = first.columns[0] < second.columns[1] and second.columns[0] < first.columns[1]
    return beside and abs(first.row - second.row) <= FLANK


def _turned(image: np.ndarray, place: Place) -> np.ndarray:
    return image.T if place.turned else image


def _area(place: Place, margin: tuple[int, int] = READ) -> tuple[slice, slice]:
    """Rows and columns that are looked at about a window."""
    row, (first, last) = place.window.row, place.window.columns
    return slice(max(0, row - margin[0]), row + margin[0]), slice(max(0, first - margin[1]), last + margin[1])


def _cut(pixels: np.ndarray, place: Place, scale: Scale, area: tuple[slice, slice]) -> _Cut:
    return _cut_of_lone(pixels, place, scale, area) if place.beside else _cut_of_shared(place, scale, area)


def _cut_of_lone(pixels: np.ndarray, place: Place, scale: Scale, area: tuple[slice, slice]) -> _Cut:
    """Ink is what a slice has more, or less, of than both slices beside it."""
    values = _turned(pixels[place.slices[0]], place)[area]
    image = scale.of(values).astype(np.int16)
    first, second = (scale.of(_turned(pixels[index], place)[area]) for index in place.beside)
    ink = image - np.maximum(first, second) if place.light else np.minimum(first, second) - image
    return _Cut(values, image, ink, None, *_middle(place, area))


def _cut_of_shared(place: Place, scale: Scale, area: tuple[slice, slice]) -> _Cut:
    """Ink stands out from what lies about it in the least, or the most, that slices have."""
    from scipy import ndimage

    lowest, highest = (_turned(extreme, place)[area] for extreme in place.extremes)
    values = lowest if place.light else highest
    image = scale.of(values).astype(np.int16)
    ground = ndimage.uniform_filter(image, AROUND)
    moving = scale.of(highest) - scale.of(lowest)
    return _Cut(
        values, image, image - ground if place.light else ground - image, moving, *_middle(place, area)
    )


def _middle(place: Place, area: tuple[slice, slice]) -> tuple[int, slice]:
    """The middle row and the columns of a window, in what was cut out about it."""
    row, (first, last) = place.window.row, place.window.columns
    return row - area[0].start, slice(first - area[1].start, last - area[1].start)


def _features(cut: _Cut, place: Place, least: int) -> tuple[dict[str, float], float, float]:
    """What tells text from tissue, and the contrast and the level of the ink."""
    band = (slice(max(0, cut.row - BAND), cut.row + BAND), cut.columns)
    flank = cut.ink[max(0, cut.row - FLANK) : cut.row + FLANK, cut.columns]
    ink, image = cut.ink[band], cut.image[band]
    strong = np.sort(ink[ink > least])
    contrast = float(strong[len(strong) * 3 // 4]) if len(strong) else 2.0 * least
    peaks = (
        (ink[:, 1:-1] >= ink[:, :-2])
        & (ink[:, 1:-1] > ink[:, 2:])
        & (ink[:, 1:-1] > max(least, contrast / 2))
    )
    alike, level = _most_alike(image[:, 1:-1][peaks])
    half = contrast / 2
    still, moving = _stillness(cut, band, peaks, contrast)
    features = {
        "strokes": place.window.strokes / (MOST_OF_ROW * ROWS),
        "peaks": float(peaks.mean()) if peaks.size else 0.0,
        "alike": alike,
        "contrast": contrast / TOP,
        "either": float(((ink < half / 2) | (ink > 1.5 * half)).mean()),
        "full": float((ink > half).mean()),
        "ground": float((flank > half).mean()),
        "across": float((abs(flank[:, 2:] - flank[:, :-2]) > half).mean()),
        "along": float((abs(flank[2:] - flank[:-2]) > half).mean()),
        "calm": _calm(cut, half),
        "exact": _most_exact(cut.values[band][ink > half]) if level > ONE_VALUE else 0.0,
        "still": still,
        "moving": moving,
        "constant": 1.0,
    }
    return features, max(1.0, contrast), level


def _most_alike(values: np.ndarray) -> tuple[float, float]:
    """The largest share of levels that are one grey value, and that value."""
    if not len(values):
        return 0.0, 0.0
    ordered = np.sort(values)
    shares = np.searchsorted(ordered, ordered + ONE_VALUE, side="right") - np.arange(len(ordered))
    best = int(shares.argmax())
    return float(shares[best] / len(ordered)), float(ordered[best]) + ONE_VALUE / 2


def _calm(cut: _Cut, half: float) -> float:
    """Share of steep pixels above or below the band, whichever is calmer."""
    shares = [1.0]
    for first in (cut.row - 3 * FLANK // 2, cut.row + FLANK // 2):
        behind = first + FLANK
        rows = cut.ink[max(0, first) : max(0, behind), cut.columns]
        if len(rows) >= FLANK // 2:
            shares.append(float((abs(rows[:, 2:] - rows[:, :-2]) > half).mean()))
    return min(shares)


def _most_exact(values: np.ndarray) -> float:
    """The share of the value that most pixels of the ink have."""
    if not len(values):
        return 0.0
    ordered = np.sort(values)
    edges = np.flatnonzero(np.diff(ordered, prepend=ordered[0] - 1, append=ordered[-1] + 1))
    return float(np.diff(edges).max() / len(values))


def _stillness(
    cut: _Cut, band: tuple[slice, slice], peaks: np.ndarray, contrast: float
) -> tuple[float, float]:
    """Share of peaks that are the same in all slices, and by how much the ink differs between them."""
    if cut.moving is None:
        return 0.0, 0.0
    moving, ink = cut.moving[band], cut.ink[band] > 0.75 * contrast
    still = float((moving[:, 1:-1][peaks] <= SAME).mean()) if peaks.any() else 0.0
    return still, float(np.median(moving[ink])) / TOP if ink.any() else 1.0

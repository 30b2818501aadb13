"""Is text burned into the pixels? Slices that could hold it are looked at by an engine that reads text.

A declared Burned In Annotation = NO is a claim. All images of projections are read. A volume has many slices, and
reading is slow: it is read where pixels are the same in all slices, as drawn ink is, where one grey value of a slice
has more pixels than its neighbours, or where ink that one slice alone has lies in a row; then the middle slice, the
projection and the slices with ink.
"""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np

from synthdata.intake.lone_text import lone_lines
from synthdata.intake.text_engine import TextEngine, TextLine
from synthdata.intake.word_lists import gazetteer, imaging_words, vocabulary

LEAST_SIDE = 48  # px: a smaller image holds no legible line
READ = 0.6  # least confidence of a line
LEAST_SIGNS = 3  # letters and digits of a line which is text
MOST_DIGITS = 2  # of a line whose words are all of imaging, such as PORTABLE 2
LEAST_PIECE = 5  # letters of a remark that tell it
WORDS = re.compile(r"[^\W\d_]+")
WINDOWS_HU = ((-160.0, 240.0), (0.0, 80.0))  # soft tissue and brain, in which text of CT is drawn
AIR_HU = (-1000.0, 240.0)  # dark letters over air lie below the other windows
MOST_INKS = 4  # grey values of a volume which are read as ink, each in the slice that has most of it
INKS = 4  # grey values of a slice which may be ink
MOST_VALUES = 1 << 17  # between the lowest and the highest value of a slice that is looked at for ink
LEAST_INK = 12  # px of one value, more than its neighbours have
INK_SPREAD = 6.0  # standard deviations of a count
INK_MIXED = 0.3  # of the window: how far an edge of a letter is from the ink
SPOT_REACH = (3, 15)  # px, y and x, within which ink belongs to one line
SPOT_MARGIN = 6  # px
MOST_SPOTS = 6
OVERLAP = (10, 40)  # px, y and x
LEAST_SPOT, LARGEST_SPOT = 20, 128  # px: width of a line with its reach, height of it
LEAST_STILL = 8  # px which are the same in all slices,
STILL_SPREAD, STILL_CONTRAST = (
    0.03,
    0.12,
)  # up to a codec's noise, and stand out from those around, of the window
STILL_WINDOW = 9  # px
STEPS = 4096.0
STILL_SLICES = 3  # from which on it tells something that a pixel is the same in all


def holds_text(pixels: np.ndarray, engine: TextEngine, *, modality: str) -> bool:
    """True where a slice or a projection of slices shows text.

    Args:
        pixels: Values (n, y, x); CT in HU.
        engine: Reads text.
        modality: Of MR and CT only slices which could hold text are read, of others all.
    """
    if min(pixels.shape[1:]) < LEAST_SIDE:
        return False
    of_volume = modality in {"MR", "CT"} and len(pixels) >= STILL_SLICES
    images = _telling(_whole(pixels), modality) if of_volume else _all(pixels, modality)
    return any(is_text(line) for image in images for line in engine.lines(image))


def is_text(line: TextLine) -> bool:
    """True for a line which was read with confidence, and is more than a mark of side, view or device."""
    signs = sum(char.isalnum() for char in line.text)
    if line.confidence < READ or signs < LEAST_SIGNS:
        return False
    words = WORDS.findall(line.text.lower())
    harmless = all(len(word) <= 2 or word in imaging_words() or _is_remark(word) for word in words)
    return not (words and harmless and sum(map(str.isdigit, line.text)) <= MOST_DIGITS)


@lru_cache(1 << 12)
def _is_remark(word: str) -> bool:
    """What markers say about position and place, also cut off by the border and with one letter misread."""
    remarks = vocabulary("remarks")
    if word in remarks:
        return True
    if len(word) < LEAST_PIECE or word in gazetteer():
        return False
    pieces = (piece for remark in remarks for piece in (remark[: len(word)], remark[-len(word) :]))
    return any(len(piece) == len(word) and _misread(piece, word) <= 1 for piece in pieces)


def _misread(said: str, read: str) -> int:
    """How many letters differ."""
    return sum(one != other for one, other in zip(said, read, strict=True))


def _all(pixels: np.ndarray, modality: str) -> Iterator[np.ndarray]:
    for image in pixels:
        yield from _greys(image, modality)


def _telling(pixels: np.ndarray, modality: str) -> Iterator[np.ndarray]:
    """Grey images (y, x) of a volume in which its text would show; none where nothing hints at text."""
    middle = pixels[len(pixels) // 2]
    inks = _distinct(
        sorted((ink for index in range(len(pixels)) for ink in _inks(pixels, index)), reverse=True)
    )
    for _, index, ink in inks:
        yield from _spots(pixels[index] == ink, _near(pixels[index], ink, modality))
    if modality == "CT":
        soft = np.clip(pixels, *WINDOWS_HU[0])
        edges, grey = _still(soft), next(_greys(middle, modality, WINDOWS_HU[:1]))
        yield from _spots(edges, grey)
        yield from _quarters(grey) if edges.any() else ()
    still = _still(pixels)
    if still.any():
        grey = _grey(middle)
        yield from _spots(still, np.where(still, 255, grey // 4).astype(np.uint8))
        yield from _spots(still, grey)
        yield np.where(still, 255, grey // 4).astype(np.uint8)
        yield from _greys(middle, modality)
        yield _grey(pixels.max(axis=0))
    for _, index, ink in inks:
        yield np.where(pixels[index] == ink, 255, _grey(pixels[index]) // 4).astype(np.uint8)
    lone = lone_lines(pixels, (AIR_HU, *WINDOWS_HU) if modality == "CT" else (_bounds(pixels),))
    yield from (image for line in lone for image in (line.ink, line.grey))
    for index in {index for _, index, _ in inks}:
        yield from _greys(pixels[index], modality)


def _distinct(inks: list[tuple[float, int, float]]) -> list[tuple[float, int, float]]:
    """The strongest inks, each value once: the padding of all slices would else hide the text of one."""
    found: dict[float, tuple[float, int, float]] = {}
    for one in inks:
        found.setdefault(one[2], one)
    return list(found.values())[:MOST_INKS]


def _spots(ink: np.ndarray, grey: np.ndarray) -> Iterator[np.ndarray]:
    """Cut-outs of a grey image (y, x) where ink lies as close together as in a line of text.

    A cut-out is small, so the engine enlarges it, and reads letters of 8 to 12 pixels as it reads larger ones.
    """
    from scipy import ndimage

    labels, count = ndimage.label(ndimage.binary_dilation(ink, np.ones(SPOT_REACH, bool)))
    if not count:
        return
    amounts = np.bincount(labels[ink], minlength=count + 1)
    places = ndimage.find_objects(labels)
    for label in np.argsort(amounts[1:])[::-1][:MOST_SPOTS]:
        rows, columns = places[label]
        height, width = rows.stop - rows.start, columns.stop - columns.start
        if amounts[label + 1] < LEAST_INK or height > LARGEST_SPOT or max(height, width) < LEAST_SPOT:
            continue
        yield grey[
            max(0, rows.start - SPOT_MARGIN) : rows.stop + SPOT_MARGIN,
            max(0, columns.start - SPOT_MARGIN) : columns.stop + SPOT_MARGIN,
        ]


def _near(image: np.ndarray, ink: float, modality: str) -> np.ndarray:
    """255 at the value of the ink, less where it is mixed with what lies below, as at edges of letters."""
    low, high = WINDOWS_HU[0] if modality == "CT" else np.percentile(image[::2, ::2], (1, 99.8))
    distance = abs(image - ink) / max(INK_MIXED * float(high - low), 1.0)
    near: np.ndarray = np.clip(255 * (1 - distance), 0, 255).astype(np.uint8)
    return near


def _whole(pixels: np.ndarray) -> np.ndarray:
    """Whole numbers, also of values which are fractions."""
    if pixels.dtype.kind in "iu":
        return pixels
    low, high = float(pixels.min()), float(pixels.max())
    scale = 1.0 if high - low > STEPS else STEPS / max(high - low, 1e-9)
    return np.rint(pixels * scale).astype(np.int64)


def _still(pixels: np.ndarray) -> np.ndarray:
    """Pixels (y, x) which hardly differ between slices, and stand out from those around: ink on every slice."""
    from scipy import ndimage

    mean = pixels.mean(axis=0, dtype=np.float32)
    low, high = np.percentile(mean[::2, ::2], (1, 99.8))
    window = max(float(high - low), 1.0)
    same: np.ndarray = np.ptp(pixels, axis=0) <= STILL_SPREAD * window
    if same.sum() < LEAST_STILL:
        return np.zeros_like(same)
    ink: np.ndarray = same & (
        abs(mean - ndimage.uniform_filter(mean, STILL_WINDOW)) >= STILL_CONTRAST * window
    )
    return ink if ink.sum() >= LEAST_STILL else np.zeros_like(ink)


def _inks(pixels: np.ndarray, index: int) -> list[tuple[float, int, float]]:
    """Excess, slice and value of grey values which have many more pixels than their neighbours."""
    image = pixels[index]
    low, high = int(image.min()), int(image.max())
    if high - low >= MOST_VALUES:
        return []
    counts = np.bincount(np.subtract(image, low, dtype=np.intp).ravel())
    padded = np.concatenate([counts[:1].repeat(4), counts, counts[-1:].repeat(4)])
    around = sum(padded[4 + shift : 4 + shift + len(counts)] for shift in (-4, -3, -2, 2, 3, 4)) / 6
    excess = counts - around
    excess[:2] = 0  # air, or padding
    sure = (excess >= LEAST_INK) & (excess >= INK_SPREAD * np.sqrt(around + 1))
    found = np.flatnonzero(sure)
    best = found[np.argsort(excess[found])[::-1][:INKS]]
    return [(float(excess[at]), index, float(at + low)) for at in best]


def _quarters(grey: np.ndarray) -> Iterator[np.ndarray]:
    """Four cut-outs which overlap by a line of small text, for the engine to enlarge."""
    height, width = grey.shape
    for rows in (slice(0, height // 2 + OVERLAP[0]), slice(height // 2 - OVERLAP[0], height)):
        for columns in (slice(0, width // 2 + OVERLAP[1]), slice(width // 2 - OVERLAP[1], width)):
            yield grey[max(0, rows.start) : rows.stop, max(0, columns.start) : columns.stop]


def _greys(
    image: np.ndarray, modality: str, windows: Sequence[tuple[float, float]] = ()
) -> Iterator[np.ndarray]:
    if not windows:
        yield _grey(image)
    for low, high in (windows or WINDOWS_HU) if modality == "CT" else ():
        yield np.clip((image - low) * (255.0 / (high - low)), 0, 255).astype(np.uint8)


def _bounds(pixels: np.ndarray) -> tuple[float, float]:
    """The 1st and the 99.8th percentile of all slices."""
    low, high = np.percentile(pixels[:, ::4, ::4], (1, 99.8))
    return float(low), float(high)


def _grey(image: np.ndarray) -> np.ndarray:
    """Values to 0..255 between the 1st and the 99.8th percentile, outliers clipped."""
    low, high = np.percentile(
        image[:: max(1, image.shape[0] // 512), :: max(1, image.shape[1] // 512)], (1, 99.8)
    )
    grey: np.ndarray = np.clip((image - low) * (255.0 / max(high - low, 1e-6)), 0, 255).astype(np.uint8)
    return grey

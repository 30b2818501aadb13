"""Is text burned into the pixels? Slices that could hold it are looked at by an engine that reads text.

A declared Burned In Annotation = NO is a claim. All images of projections are read. A volume has many slices, and
reading is slow: the engine reads the few places whose strokes look like a line of text, in what all or half of the
slices share, and in what a slice has that the slices beside it lack.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from heapq import nlargest
from itertools import islice
from operator import attrgetter

import numpy as np

from synthdata.intake.likely_lines import Likely, apart, likely_line
from synthdata.intake.strokes import lone_places, scale_of, shared_places
from synthdata.intake.text_engine import LARGEST_ZOOM, TextEngine, TextLine
from synthdata.intake.word_lists import gazetteer, imaging_words, vocabulary

LEAST_SIDE = 48  # px: a smaller image holds no legible line
READ = 0.6  # least confidence of a line
LEAST_SIGNS = 3  # letters and digits of a line which is text
MOST_DIGITS = 2  # of a line whose words are all of imaging, such as PORTABLE 2
LEAST_PIECE = 5  # letters of a remark that tell it
WORDS = re.compile(r"[^\W\d_]+")
WINDOWS_HU = ((-160.0, 240.0), (0.0, 80.0))  # soft tissue and brain, in which text of CT is drawn
MOST_PLACES = 32  # of most strokes, of each kind, that are looked at,
SHARED, LYING, STANDING = (
    (4, -1.7),
    (4, -1.7),
    (2, 0.0),
)  # so many of the likeliest are read: in what slices share, and
# lying and standing in what one has alone; and the least log odds, which 3, 4 and 10 in 100 readable texts lie below
STEPS = 4096.0
LEAST_SLICES = 5  # of a volume whose slices tell enough about each other; all slices of shorter ones are read


def holds_text(pixels: np.ndarray, engine: TextEngine, *, modality: str) -> bool:
    """True where a slice or a projection of slices shows text.

    Args:
        pixels: Values (n, y, x); CT in HU.
        engine: Reads text.
        modality: Of MR and CT only slices which could hold text are read, of others all.
    """
    if min(pixels.shape[1:]) < LEAST_SIDE:
        return False
    if modality in {"MR", "CT"} and len(pixels) >= LEAST_SLICES:
        images = (view for line in _likely_lines(_whole(pixels), modality) for view in line.views)
    else:
        images = ((image, LARGEST_ZOOM) for image in _all(pixels, modality))
    return any(is_text(line) for image, zoom in images for line in engine.lines(image, zoom=zoom))


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


def _likely_lines(pixels: np.ndarray, modality: str) -> Iterator[Likely]:
    """Places of a volume (n, y, x) that look like text, the likeliest of each kind."""
    scale = scale_of(pixels, modality=modality)
    lying, standing = (lone_places(pixels, scale, turned=turned) for turned in (False, True))
    kinds = ((shared_places(pixels, scale), SHARED), (lying, LYING), (standing, STANDING))
    for places, (most, least) in kinds:
        strong = nlargest(MOST_PLACES, places, key=attrgetter("window.strokes"))
        likely = (likely_line(pixels, place, scale) for place in strong)
        yield from islice(apart(line for line in likely if line.score >= least), most)


def _whole(pixels: np.ndarray) -> np.ndarray:
    """Whole numbers, also of values which are fractions."""
    if pixels.dtype.kind in "iu":
        return pixels
    low, high = float(pixels.min()), float(pixels.max())
    scale = 1.0 if high - low > STEPS else STEPS / max(high - low, 1e-9)
    return np.rint(pixels * scale).astype(np.int64)


def _greys(image: np.ndarray, modality: str) -> Iterator[np.ndarray]:
    yield _grey(image)
    for low, high in WINDOWS_HU if modality == "CT" else ():
        yield np.clip((image - low) * (255.0 / (high - low)), 0, 255).astype(np.uint8)


def _grey(image: np.ndarray) -> np.ndarray:
    """Values to 0..255 between the 1st and the 99.8th percentile, outliers clipped."""
    low, high = np.percentile(
        image[:: max(1, image.shape[0] // 512), :: max(1, image.shape[1] // 512)], (1, 99.8)
    )
    grey: np.ndarray = np.clip((image - low) * (255.0 / max(high - low, 1e-6)), 0, 255).astype(np.uint8)
    return grey

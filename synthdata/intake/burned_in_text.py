"""Is text burned into the pixels? Slices that could hold it are looked at by an engine that reads text.

A declared Burned In Annotation = NO is a claim. All images of projections are read. A volume has many slices, and
reading is slow: it is read where pixels are the same in all slices, as drawn ink is, or where one grey value of a slice
has more pixels than its neighbours; then the middle slice, the projection and the slices with ink.
"""

import re
from collections.abc import Iterator

import numpy as np

from synthdata.intake.person_names import imaging_words
from synthdata.intake.text_engine import TextEngine, TextLine

LEAST_SIDE = 48  # px: a smaller image holds no legible line
READ = 0.6  # least confidence of a line
LEAST_SIGNS = 3  # letters and digits of a line which is text
MOST_DIGITS = 2  # of a line whose words are all of imaging, such as PORTABLE 2
WORDS = re.compile(r"[^\W\d_]+")
WINDOWS_HU = ((-160.0, 240.0), (0.0, 80.0))  # soft tissue and brain, in which text of CT is drawn
MOST_SLICES = 3  # of a volume which are read for their ink
INKS = 2  # grey values of a slice which may be ink
LEAST_INK = 12  # px of one value, more than its neighbours have
INK_SPREAD = 6.0  # standard deviations of a count
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
    harmless = all(len(word) <= 2 or word in imaging_words() for word in words)
    return not (words and harmless and sum(map(str.isdigit, line.text)) <= MOST_DIGITS)


def _all(pixels: np.ndarray, modality: str) -> Iterator[np.ndarray]:
    for image in pixels:
        yield from _greys(image, modality)


def _telling(pixels: np.ndarray, modality: str) -> Iterator[np.ndarray]:
    """Grey images (y, x) of a volume in which its text would show; none where nothing hints at text."""
    middle = pixels[len(pixels) // 2]
    still = _still(pixels)
    if still.any():
        yield np.where(still, 255, _grey(middle) // 4).astype(np.uint8)
        yield from _greys(middle, modality)
        yield _grey(pixels.max(axis=0))
    inks = sorted((ink for index in range(len(pixels)) for ink in _inks(pixels, index)), reverse=True)
    for _, index, ink in inks[:MOST_SLICES]:
        yield np.where(pixels[index] == ink, 255, _grey(pixels[index]) // 4).astype(np.uint8)
    for index in {index for _, index, _ in inks[:MOST_SLICES]}:
        yield from _greys(pixels[index], modality)


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
    stands_out = abs(mean - ndimage.uniform_filter(mean, STILL_WINDOW)) >= STILL_CONTRAST * window
    ink: np.ndarray = stands_out & (np.ptp(pixels, axis=0) <= STILL_SPREAD * window)
    return ink if ink.sum() >= LEAST_STILL else np.zeros_like(ink)


def _inks(pixels: np.ndarray, index: int) -> list[tuple[float, int, float]]:
    """Excess, slice and value of grey values which have many more pixels than their neighbours."""
    image = pixels[index].astype(np.int64)
    low = int(image.min())
    counts = np.bincount((image - low).ravel()) if int(image.max()) - low < 1 << 17 else np.zeros(8, int)
    padded = np.pad(counts, 4, mode="edge")
    around = sum(padded[4 + shift : 4 + shift + len(counts)] for shift in (-4, -3, -2, 2, 3, 4)) / 6
    excess = counts - around
    excess[:2] = 0  # air, or padding
    sure = (excess >= LEAST_INK) & (excess >= INK_SPREAD * np.sqrt(around + 1))
    best = np.argsort(excess * sure)[::-1][:INKS]
    return [(float(excess[at]), index, float(at + low)) for at in best if sure[at]]


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

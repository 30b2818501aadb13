"""One canonical form of pixels, on which Parquet, DICOM, NIfTI and a lossless PNG of an image agree.

The form is the dense rank of each pixel among the values of the image: 0 for the lowest, 1 for the next ...
It does not change under an offset, a slope, a unit, a float type or any other strictly increasing map, so the
hash finds an image without trusting a header for the scale. Two images share it only if one is such a map of
the other.
"""

import hashlib
from collections.abc import Iterator

import numpy as np

CANONICAL_FORM = "dense-rank/1"  # written into a registry; a reader refuses another one
MIN_VALUES = 16  # different values ...
MIN_PIXELS = (
    64  # ... and pixels off the commonest one, below which an image says too little about where it is from
)
DENSE_SPAN = 1 << 16  # whole numbers over a narrower span are ranked by a table, without a sort


def ranks(pixels: np.ndarray) -> np.ndarray:
    """Dense ranks of the pixels, int32, same shape; NaN ranks highest."""
    if np.issubdtype(pixels.dtype, np.integer) and pixels.size:
        low, high = int(pixels.min()), int(pixels.max())
        if high - low < DENSE_SPAN:
            shifted = pixels.astype(np.int64) - low
            present = np.bincount(shifted.ravel(), minlength=high - low + 1) > 0
            table = (np.cumsum(present) - 1).astype(np.int32)
            tabled: np.ndarray = table[shifted]
            return tabled
    inverse = np.unique(pixels, return_inverse=True)[1]
    sorted_ranks: np.ndarray = inverse.reshape(pixels.shape).astype(np.int32)
    return sorted_ranks


def pixel_hash(ranked: np.ndarray) -> bytes:
    """SHA-256 of an image in canonical form: the shape as `<i4`, then the ranks as `<i4`, C order."""
    shape = np.asarray((ranked.ndim, *ranked.shape), "<i4").tobytes()
    return hashlib.sha256(shape + np.ascontiguousarray(ranked, "<i4").tobytes()).digest()


def is_telling(ranked: np.ndarray) -> bool:
    """Whether an image can be told from others: an empty or a nearly empty slice is like any other."""
    counts = np.bincount(ranked.ravel())
    return len(counts) >= MIN_VALUES and ranked.size - int(counts.max()) >= MIN_PIXELS


def orientations(ranked: np.ndarray) -> Iterator[np.ndarray]:
    """The eight flips and turns of a slice (y, x), as it is first, then each with light and dark swapped."""
    top = ranked.max(initial=0)
    for values in (ranked, top - ranked):
        for turned in (values, values.T):
            yield turned
            yield turned[::-1]
            yield turned[:, ::-1]
            yield turned[::-1, ::-1]

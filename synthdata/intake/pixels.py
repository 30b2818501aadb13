"""Stored pixels to values: decoding, sign, MONOCHROME1, padding, rescale."""

import io
import math
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import generate_fragments
from pydicom.pixels.decoders.base import Decoder, get_decoder
from pydicom.uid import JPEGLSLossless, JPEGLSNearLossless

from synthdata.intake.codestreams import unwrapped
from synthdata.intake.dicom_file import DAMAGE, Instance
from synthdata.intake.frames import Frame
from synthdata.intake.lookup import Table
from synthdata.intake.pixel_plan import WRAPPED, PixelPlan
from synthdata.intake.plain_file import END_OF_ITEMS
from synthdata.intake.scales import ARBITRARY, NO_TABLE, Scale

FASTEST = {
    str(JPEGLSLossless): "pyjpegls",
    str(JPEGLSNearLossless): "pyjpegls",
}  # 3 times as fast as the default
INT16 = np.iinfo(np.int16)
EXACT = 1 << 24  # up to it float32 holds each whole number
INT32, INT64 = np.iinfo(np.int32), np.iinfo(np.int64)


def stored_slices(instance: Instance, data: bytes, frames: Sequence[Frame]) -> np.ndarray | None:
    """Numbers of some slices of a file, as they are stored, with unused bits dropped.

    Args:
        instance: What was read of the file's header.
        data: The file.
        frames: Which of its slices, n of them.

    Returns:
        Array (n, y, x) of an integer type; None where the pixel data cannot be decoded.
    """
    plan = instance.pixels
    numbers = [0] if plan.tiles else [frame.number for frame in frames]
    try:
        if plan.offset >= 0:
            stored = _native(plan, data, numbers)
        else:
            stored = _jpeg_ls(plan, data) if plan.jpeg_ls_at >= 0 else None
            stored = _decoded(data, numbers) if stored is None else stored
    except DAMAGE:
        return None
    if stored is None or stored.shape != (len(numbers), *plan.shape_yx) or stored.dtype.kind not in "iu":
        return None
    if plan.tiles:
        stored = _tiles(stored[0], plan.tiles, instance.shape_yx)[[frame.number for frame in frames]]
    return _stored_bits(stored, plan)


def _native(plan: PixelPlan, data: bytes, numbers: Sequence[int]) -> np.ndarray | None:
    size = plan.shape_yx[0] * plan.shape_yx[1]
    kind = np.dtype(plan.dtype)
    if plan.offset + (max(numbers) + 1) * size * kind.itemsize > len(data):
        return None
    frames = [
        np.frombuffer(data, kind, size, plan.offset + number * size * kind.itemsize) for number in numbers
    ]
    stored = frames[0] if len(frames) == 1 else np.stack(frames)
    return stored.reshape(len(numbers), *plan.shape_yx)


def _jpeg_ls(plan: PixelPlan, data: bytes) -> np.ndarray | None:
    """The one frame (1, y, x) by the codec itself, as pydicom gives it; None where that takes more than the codec."""
    codec = _jpeg_ls_codec()
    if codec is None:
        return None
    try:
        offsets, frame = generate_fragments(data[plan.jpeg_ls_at : -len(END_OF_ITEMS)])
        if any(offsets):  # a frame that begins elsewhere
            return None
        decoded, told = codec.decode_pixel_data(frame)
    except DAMAGE:
        return None
    kind = np.dtype(plan.dtype)
    bits = 8 if told["bits_per_sample"] <= 8 else 16
    shape = (told["height"], told["width"])
    if told["components"] != 1 or bits != 8 * kind.itemsize or shape != plan.shape_yx:
        return None
    return np.frombuffer(decoded, kind).reshape(1, *shape)


@cache
def _jpeg_ls_codec() -> Any:
    """The package pyjpegls, or None where it is not installed."""
    return import_module("jpeg_ls") if find_spec("jpeg_ls") is not None else None


def _decoded(data: bytes, numbers: Sequence[int]) -> np.ndarray:
    dataset = dcmread(io.BytesIO(data))
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax == WRAPPED:
        return _wrapped(dataset, numbers)
    decoder = get_decoder(syntax)
    fastest = FASTEST.get(syntax, "")
    if fastest in decoder.available_plugins:
        try:
            return _frames_by(decoder, dataset, numbers, fastest)
        except DAMAGE:  # what one decoder cannot read another may
            pass
    return _frames_by(decoder, dataset, numbers, "")


def _wrapped(dataset: Dataset, numbers: Sequence[int]) -> np.ndarray:
    """Frames (n, y, x) which are encapsulated as they are."""
    kind = np.dtype(f"<{'i' if dataset.PixelRepresentation else 'u'}{dataset.BitsAllocated // 8}")
    shape = (int(dataset.get("NumberOfFrames", 1) or 1), int(dataset.Rows), int(dataset.Columns))
    native, _ = unwrapped(dataset.PixelData, shape[0], shape[1] * shape[2] * kind.itemsize)
    return np.frombuffer(native, kind).reshape(shape)[list(numbers)]


def _frames_by(decoder: Decoder, dataset: Dataset, numbers: Sequence[int], plugin: str) -> np.ndarray:
    """Frames (n, y, x) by a plugin of pydicom; empty: whichever comes first."""
    frames = (decoder.as_array(dataset, index=number, raw=True, decoding_plugin=plugin) for number in numbers)
    return np.stack([frame for frame, _ in frames])


def _tiles(mosaic: np.ndarray, tiles: int, shape_yx: tuple[int, int]) -> np.ndarray:
    """Tiles (n, y, x) of a mosaic, row by row."""
    rows, columns = shape_yx
    side = math.isqrt(tiles - 1) + 1
    grid = mosaic.reshape(side, rows, side, columns).transpose(0, 2, 1, 3)
    return grid.reshape(side * side, rows, columns)[:tiles]


def _stored_bits(stored: np.ndarray, plan: PixelPlan) -> np.ndarray:
    """Drop unused bits, which may hold an overlay, and extend the sign."""
    allocated = 8 * stored.dtype.itemsize
    above = allocated - plan.bits_stored - plan.unused_low_bits
    if not 0 < plan.bits_stored < allocated or above < 0:
        return stored
    native = stored.astype(stored.dtype.newbyteorder("="), copy=False)
    shifted: np.ndarray = native << above >> (above + plan.unused_low_bits)  # arithmetic where it has a sign
    return shifted


def values_of(
    stored: np.ndarray, plan: PixelPlan, scale: Scale, table: Table | None = None, *, unit: str = ""
) -> tuple[np.ndarray, np.ndarray | None] | None:
    """Values of stored numbers in the unit of a scale, and where they stand for no measurement.

    MONOCHROME1 says how an image is shown, so it turns numbers without a unit around, and leaves what was measured.

    Args:
        stored: Numbers of slices, any shape, as `stored_slices` gives them.
        plan: How their file stores them.
        scale: The way to values.
        table: Of the scale, where it has one.
        unit: Of the channel; empty: that of the scale.

    Returns:
        A signed integer type where slope and intercept are whole, else float64; and a mask of the padding, or None
        where nothing is padded. None instead of both where a measured number lies outside the range of the scale.
    """
    if _are_values(stored, plan, scale):
        return stored.astype(np.int16, copy=False), None
    numbers: np.ndarray = stored.astype(np.int64 if stored.dtype.itemsize > 2 else np.int32)
    padded = _padded(numbers, plan)
    inverted = plan.inverted and ARBITRARY in {unit, scale.unit}
    if math.isfinite(scale.first) or math.isfinite(scale.last):
        outside = (numbers < scale.first) | (numbers > scale.last)
        if (outside if padded is None else outside & ~padded).any():
            return None
    if table is not None:
        return _looked_up(numbers, table, padded, inverted=inverted)
    if inverted:
        low, high = _range(plan, signed=stored.dtype.kind == "i")
        numbers = low + high - numbers
    largest = abs(scale.slope) * (1 << (8 * stored.dtype.itemsize)) + abs(scale.intercept)
    whole = scale.slope.is_integer() and scale.intercept.is_integer()
    if not whole or largest > INT64.max / 2:
        return numbers * np.float64(scale.slope) + scale.intercept, padded
    if largest > INT32.max:
        numbers = numbers.astype(np.int64)
    values = numbers if scale.slope == 1 else numbers * int(scale.slope)
    return (values if scale.intercept == 0 else values + int(scale.intercept)), padded


def _looked_up(
    numbers: np.ndarray, table: Table, padded: np.ndarray | None, *, inverted: bool
) -> tuple[np.ndarray, np.ndarray | None] | None:
    measured = numbers if padded is None else np.where(padded, table.first, numbers)
    values = table.of(measured)
    if values is None:
        return None
    return (table.values.min() + table.values.max() - values if inverted else values), padded


def _are_values(stored: np.ndarray, plan: PixelPlan, scale: Scale) -> bool:
    """True where the stored numbers are the values already, and fit int16."""
    bits = min(plan.bits_stored, 8 * stored.dtype.itemsize) + (stored.dtype.kind == "u")
    plain = plan.padding is None and not plan.inverted and scale.slope == 1 and scale.intercept == 0
    mapped = math.isfinite(scale.first) or math.isfinite(scale.last) or scale.table != NO_TABLE
    return plain and bits <= 16 and not mapped


def _padded(numbers: np.ndarray, plan: PixelPlan) -> np.ndarray | None:
    """Where a number stands for no measurement; None where none does."""
    if plan.padding is None:
        return None
    padded: np.ndarray = (numbers >= plan.padding[0]) & (numbers <= plan.padding[1])
    return padded if padded.any() else None


def _range(plan: PixelPlan, *, signed: bool) -> tuple[int, int]:
    """Lowest and highest number that the stored bits hold."""
    bits = plan.bits_stored
    return (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)


def narrow(volume: np.ndarray) -> np.ndarray | None:
    """int16 where that is exact, else float32; None where a value is NaN or infinite, or float32 does not hold it.

    Args:
        volume: Values of any shape and numeric type.
    """
    if volume.dtype == np.int16 and volume.dtype.isnative:
        return volume
    if volume.dtype.kind == "f" and not np.isfinite(volume).all():
        return None
    inside = volume.size and volume.min() >= INT16.min and volume.max() <= INT16.max
    if inside and (volume.dtype.kind in "iu" or np.array_equal(volume, np.rint(volume))):
        return volume.astype(np.int16, copy=False)
    with np.errstate(over="ignore"):
        result: np.ndarray = volume.astype(np.float32)
    return result if volume.dtype.kind in "iu" or np.isfinite(result).all() else None


def rounding_note(volume: np.ndarray) -> str:
    """A note where whole numbers are too large for float32 to hold each of them; else empty.

    Args:
        volume: Values of any shape and numeric type, before `narrow`.
    """
    if volume.dtype.kind not in "iu" or volume.dtype.itemsize <= 2 or not volume.size:
        return ""
    most = max(-int(volume.min()), int(volume.max()))
    return f"whole numbers above {EXACT} were rounded to what float32 holds" if most > EXACT else ""

"""Stored pixels to values: decoding, sign, MONOCHROME1, padding, rescale."""

import io

import numpy as np
from pydicom import dcmread

from synthdata.intake.dicom_file import DAMAGE, Instance, PixelPlan

AIR_HU = -1024.0  # stands for CT pixels outside the field of view
INT16 = np.iinfo(np.int16)


def slice_values(instance: Instance, data: bytes) -> np.ndarray | None:
    """Values of one slice in the unit of its modality (HU for CT).

    Args:
        instance: What was read of the file's header.
        data: The file.

    Returns:
        Array (y, x), float32 or an integer type; None where the pixel data cannot be decoded.
    """
    plan, (rows, columns) = instance.pixels, instance.shape_yx
    if plan.offset >= 0:
        stored = np.frombuffer(data, np.dtype(plan.dtype), rows * columns, plan.offset).reshape(rows, columns)
    else:
        try:
            stored = np.asarray(dcmread(io.BytesIO(data)).pixel_array)
        except DAMAGE:
            return None
        if stored.shape != (rows, columns):
            return None
    return _values(stored, plan, is_ct=instance.modality == "CT")


def _values(stored: np.ndarray, plan: PixelPlan, *, is_ct: bool) -> np.ndarray:
    signed = stored.dtype.kind == "i"
    stored = _stored_bits(
        stored.astype(np.int32 if signed or stored.dtype.itemsize < 4 else np.int64), plan, signed
    )
    padded = stored == plan.padding if plan.padding is not None else None
    if plan.inverted:
        low, high = (
            (-(1 << (plan.bits_stored - 1)), (1 << (plan.bits_stored - 1)) - 1)
            if signed
            else (
                0,
                (1 << plan.bits_stored) - 1,
            )
        )
        stored = low + high - stored
    if plan.slope == 1 and plan.intercept.is_integer():
        values: np.ndarray = stored + int(plan.intercept)
    else:
        values = stored * np.float64(plan.slope) + plan.intercept
    if padded is not None and is_ct:
        values[padded] = AIR_HU
    return values


def _stored_bits(stored: np.ndarray, plan: PixelPlan, signed: bool) -> np.ndarray:  # noqa: FBT001
    """Drop unused high bits, which may hold an overlay, and extend the sign."""
    bits = plan.bits_stored
    if not 0 < bits < 8 * np.dtype(plan.dtype).itemsize:
        return stored
    stored = stored & ((1 << bits) - 1)
    if signed:
        stored = np.where(stored >= 1 << (bits - 1), stored - (1 << bits), stored)
    return stored


def narrow(volume: np.ndarray) -> np.ndarray | None:
    """int16 where that is exact, else float32; None where a value is NaN or infinite.

    Args:
        volume: Values of any shape and numeric type.
    """
    if volume.dtype.kind == "f" and not np.isfinite(volume).all():
        return None
    inside = volume.size and volume.min() >= INT16.min and volume.max() <= INT16.max
    if inside and (volume.dtype.kind in "iu" or np.array_equal(volume, np.rint(volume))):
        return volume.astype(np.int16)
    return volume.astype(np.float32)

"""Columns of Arrow on plain buffers: `pa.array` would import pandas where that is installed, a fifth of a second."""

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa

TEXT, TRUTH, REAL = pa.string(), pa.bool_(), pa.float64()
WHOLE: dict[pa.DataType, np.dtype] = {pa.int64(): np.dtype(np.int64), pa.int32(): np.dtype(np.int32)}
MOST_TEXT_BYTES = (1 << 31) - 1  # of one column, whose offsets have 32 bits


def column(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """A column as `pa.array` builds it, which is asked wherever a value is not plainly of the type.

    Args:
        values: None where there is none.
        kind: Texts, numbers, truths, or lists of as many numbers each.

    Raises:
        pa.ArrowException: A value is not of that type.
    """
    if pa.types.is_fixed_size_list(kind):
        if any(value is None or len(value) != kind.list_size for value in values):
            return pa.array(values, kind)
        return pa.FixedSizeListArray.from_arrays(column([*chain(*values)], kind.value_type), type=kind)
    there = np.array([value is not None for value in values], bool)
    buffers = _buffers([value for value in values if value is not None], there, kind)
    if buffers is None:
        return pa.array(values, kind)
    return pa.Array.from_buffers(kind, len(values), [None if there.all() else _bits(there), *buffers])


def _buffers(present: list[Any], there: np.ndarray, kind: pa.DataType) -> list[pa.Buffer] | None:
    """Buffers behind the one of what is there; None where a value is not plainly of the type."""
    kinds = {type(value) for value in present}
    if kind == TEXT and kinds <= {str}:
        return _texts(present, there)
    if kind == TRUTH and kinds <= {bool}:
        return [_bits(_spread(np.array(present, bool), there))]
    if kind == REAL and kinds <= {float}:
        return [pa.py_buffer(_spread(np.array(present, np.float64), there))]
    if kind in WHOLE and kinds <= {int}:
        most = 1 << (8 * WHOLE[kind].itemsize - 1)
        if all(-most <= value < most for value in present):
            return [pa.py_buffer(_spread(np.array(present, WHOLE[kind]), there))]
    return None


def _texts(present: list[str], there: np.ndarray) -> list[pa.Buffer] | None:
    try:
        parts = [text.encode() for text in present]
    except UnicodeEncodeError:
        return None
    lengths = _spread(np.array([len(part) for part in parts], np.int64), there)
    ends = np.concatenate([[0], lengths.cumsum()])
    if ends[-1] > MOST_TEXT_BYTES:
        return None
    return [pa.py_buffer(ends.astype(np.int32)), pa.py_buffer(b"".join(parts))]


def _spread(present: np.ndarray, there: np.ndarray) -> np.ndarray:
    """Values at their places, zeros between them."""
    filled = np.zeros(len(there), present.dtype)
    filled[there] = present
    return filled


def _bits(flags: np.ndarray) -> pa.Buffer:
    return pa.py_buffer(np.packbits(flags, bitorder="little"))

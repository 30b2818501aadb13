"""Memory of arrays that were let go stays with the process for the next ones, while a long piece of work lasts.

By itself the C library of Linux hands large pieces back to the operating system at once, and each next array is mapped
anew, page by page: in a virtual machine that costs as much as reading the array's file.
"""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3  # parameters of mallopt(3)
LARGEST_KEPT_BYTES = 32 << 20  # the most that glibc takes; larger arrays are mapped as before
STEP_BYTES = 16 << 20  # by which the heap grows
KEPT_BYTES = 1 << 30  # at its end


@contextmanager
def kept_memory() -> Iterator[None]:
    """Keep freed memory until the end, then give it back."""
    keep_memory()
    try:
        yield
    finally:
        library = _glibc()
        if library is not None:
            library.malloc_trim(0)


def keep_memory() -> None:
    """Keep freed memory from now on. Does nothing where there is no such allocator."""
    library = _glibc()
    if library is not None:
        library.mallopt(MMAP_THRESHOLD, LARGEST_KEPT_BYTES)
        library.mallopt(TRIM_THRESHOLD, KEPT_BYTES)
        library.mallopt(TOP_PAD, STEP_BYTES)


@cache
def _glibc() -> ctypes.CDLL | None:
    """The C library where it is glibc."""
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None

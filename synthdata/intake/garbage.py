"""Many small objects which all stay until the end: Python need not search them for rubbish again and again."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def staying() -> Iterator[None]:
    """What is made here stays: it is not searched while it is made, nor afterwards, until `searched` ends."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()


@contextmanager
def searched() -> Iterator[None]:
    """Let all be searched again at the end, which frees what refers to itself."""
    try:
        yield
    finally:
        gc.unfreeze()

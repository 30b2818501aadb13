"""Siemens mosaics: the slices of a volume side by side in one image, undone with Siemens' own header."""

import math
from dataclasses import replace

import numpy as np

from synthdata.intake.csa import csa_values
from synthdata.intake.frames import Frame
from synthdata.intake.header import Header

CSA_CREATOR, CSA_GROUP, CSA_IMAGE_HEADER = "SIEMENS CSA HEADER", 0x0029, 0x10
MR_CREATOR, MR_GROUP, NUMBER_OF_TILES = "SIEMENS MR HEADER", 0x0019, 0x0A


def is_mosaic(header: Header) -> bool:
    """True where Image Type says so."""
    values = header.get("ImageType") or []
    return "MOSAIC" in ([values] if isinstance(values, str) else [str(value) for value in values])


def tile_shape(shape_yx: tuple[int, int], tiles: int) -> tuple[int, int]:
    """Rows and columns of one tile. Raises ValueError where the image is no square of such tiles."""
    side = math.isqrt(tiles - 1) + 1 if tiles > 0 else 0
    if side < 1 or shape_yx[0] % side or shape_yx[1] % side:
        raise ValueError("a mosaic is no square of equal tiles")
    return shape_yx[0] // side, shape_yx[1] // side


def tiles_of(header: Header, whole: Frame, shape_yx: tuple[int, int]) -> tuple[Frame, ...]:
    """Slices of a mosaic, in their order in the image.

    Args:
        header: The file, with Siemens' private header of the image.
        whole: The mosaic as if it were one slice; its position is that of a plane as large as the mosaic.
        shape_yx: Rows and columns of the mosaic.

    Raises:
        ValueError: The private header was removed or does not fit, so number and direction of slices are unknown.
    """
    tiles, normal = _layout(header)
    rows, columns = tile_shape(shape_yx, tiles)
    if whole.spacing_mm is None or len(whole.position_mm) != 3 or len(whole.orientation) != 6:
        raise ValueError("a mosaic lacks its geometry")
    row, column = np.array(whole.orientation).reshape(2, 3)
    if abs(abs(np.cross(row, column) @ normal) - 1) > 1e-3:
        raise ValueError("the normal of a mosaic does not fit its orientation")
    excess = (np.array(shape_yx) - (rows, columns)) / 2 * whole.spacing_mm
    first = np.array(whole.position_mm) + excess[1] * row + excess[0] * column
    places = first + np.arange(tiles)[:, None] * whole.distance_mm * normal
    return tuple(
        replace(whole, number=number, order=(whole.order[0], number), position_mm=tuple(place.tolist()))
        for number, place in enumerate(places)
    )


def _layout(header: Header) -> tuple[int, np.ndarray]:
    """Number of tiles, and the unit vector from each slice to the next, shape (3,)."""
    block = header.private(CSA_GROUP, CSA_CREATOR, CSA_IMAGE_HEADER)
    values = csa_values(block if isinstance(block, bytes) else b"")
    tiles, normal = values.get("NumberOfImagesInMosaic", ()), values.get("SliceNormalVector", ())
    stated = header.private(MR_GROUP, MR_CREATOR, NUMBER_OF_TILES)
    if len(tiles) != 1 or len(normal) != 3 or (isinstance(stated, int) and stated != int(tiles[0])):
        raise ValueError("a mosaic does not tell its slices")
    vector = np.array([float(value) for value in normal])
    return int(tiles[0]), vector / np.linalg.norm(vector)

"""One file of an image set from its bytes: PNG, NIfTI, or NPZ with one array; told by content."""

import io
import re

import numpy as np

from synthdata.intake.inventory import SeenFile
from synthdata.intake.listing import MAXIMUM_BYTES
from synthdata.intake.nifti_file import NiftiImage, is_nifti, read_nifti
from synthdata.intake.npz_source import NPZ_DAMAGE, hidden_in_npz, is_npz
from synthdata.intake.telling import reason_of
from synthdata.records.grid import Grid

PNG = b"\x89PNG\r\n\x1a\n"
PNG_END, PNG_FRAME = b"IEND", 12  # the last chunk; bytes of a chunk around its content
ARRAY = "image"  # of an NPZ file with several
ADDRESS = re.compile(r"https?://\S+")
GREY_MODES = frozenset({"1", "L", "I", "I;16", "I;16B", "I;16L", "F"})


def picture_kind(data: bytes) -> str:
    """`png`, `nifti`, `npz`, or empty for another file."""
    if data.startswith(PNG):
        return "png"
    return "nifti" if is_nifti(data) else "npz" if is_npz(data) else ""


def read_picture(seen: SeenFile, data: bytes, spacing_mm: tuple[float, float, float]) -> NiftiImage | None:
    """Voxels (1, z, y, x) and their grid; reasons are booked with the file.

    Args:
        seen: The file's entry in the inventory.
        data: Its bytes.
        spacing_mm: Along z, y, x, for files which state none (PNG, NPZ).

    Returns:
        The image, or None where the file is damaged, coloured or of an unknown kind.
    """
    kind = picture_kind(data)
    if kind == "nifti":
        return read_nifti(seen, data)
    try:
        array = _png(seen, data) if kind == "png" else _npz(seen, data)
    except NPZ_DAMAGE:  # a SyntaxError is also what Pillow raises for a broken chunk
        seen.reasons.add("file.malformed")
        return None
    if array is None:
        return None
    shape = (array.shape[0], array.shape[1], array.shape[2])
    return NiftiImage(voxels=array[None], grid=Grid(shape_zyx=shape, spacing_mm=spacing_mm))


def _png(seen: SeenFile, data: bytes) -> np.ndarray | None:
    """Grey values (1, y, x); red, green and blue are taken where they are equal."""
    from PIL import Image

    if data[_png_end(data) :].strip(b"\0"):
        seen.reasons.add("deid.trailing_bytes")
    with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
        if image.width * image.height * 4 > MAXIMUM_BYTES:
            seen.reasons.add("file.too_large")
            return None
        image.load()
        if "exif" in image.info:
            seen.reasons.add("deid.embedded_document")
        told = [(str(key), value) for key, value in image.info.items() if isinstance(value, str)]
        seen.reasons |= {reason_of(said for key, text in told for said in (key, _told(key, text)))} - {""}
        if image.mode in GREY_MODES:
            return np.asarray(image)[None]
        pixels = np.asarray(image.convert("RGBA"))
    if (pixels[..., :1] == pixels[..., 1:3]).all() and (pixels[..., 3] == pixels[..., 3].flat[0]).all():
        return np.ascontiguousarray(pixels[..., 0])[None]
    seen.reasons.add("pixels.colour")
    return None


def _png_end(data: bytes) -> int:
    """The place behind the last chunk. Source: PNG 1.2, section 3.2 (length, kind, content, check sum)."""
    at = len(PNG)
    while at + PNG_FRAME <= len(data):
        kind, length = data[at + 4 : at + 8], int.from_bytes(data[at : at + 4], "big")
        at += PNG_FRAME + length
        if kind == PNG_END:
            break
    return at


def _told(keyword: str | object, text: str) -> str:
    """A text chunk as it is judged: an address in `Software` (PNG 1.2, 4.2.3) is that of a program and of no house."""
    return ADDRESS.sub("", text) if keyword == "Software" else text


def _npz(seen: SeenFile, data: bytes) -> np.ndarray | None:
    """The one array (y, x) or (z, y, x), or that of the name `image`."""
    seen.reasons |= hidden_in_npz(data)
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        name = archive.files[0] if len(archive.files) == 1 else ARRAY
        array: np.ndarray = archive[name]
    if array.ndim not in {2, 3} or array.dtype.kind not in "biuf" or not array.size:
        seen.reasons.add("file.malformed")
        return None
    return array[None] if array.ndim == 2 else array

"""One NIfTI file from its bytes: header texts judged, voxels turned to (z, y, x), geometry to LPS."""

import gzip
import io
import math
import zlib
from dataclasses import dataclass

import nibabel as nib
import numpy as np
from nibabel.arrayproxy import ArrayProxy

from synthdata.errors import ShapeError
from synthdata.intake.dicom_file import DAMAGE
from synthdata.intake.file_names import identifies
from synthdata.intake.geometry import grid_of_affine
from synthdata.intake.inventory import SeenFile
from synthdata.intake.listing import MAXIMUM_BYTES
from synthdata.intake.telling import reason_of
from synthdata.intake.text_patterns import bytes_look_identifying
from synthdata.records.grid import Grid

GZIP = b"\x1f\x8b"
GZIP_HEADER, GZIP_EXTRA, GZIP_NAME, GZIP_COMMENT = 10, 4, 8, 16  # bytes; flags
EXTENSION_FLAG = 4  # bytes between header and extensions
PAIR, HEADER_BYTES, PAIR_BYTES = b"ni1\0", 348, frozenset({348, 352})
MAGIC = (b"n+1\0", b"n+2\0")
MM_PER_UNIT = {1: 1e3, 3: 1e-3}  # metre and micrometre; others count as mm, as with other readers
UNIT_OF_SPACE = 7  # bits of the units
SAME_PLACE_MM = 0.01
TEXT_FIELDS = ("descrip", "aux_file", "intent_name", "db_name", "data_type")


@dataclass(frozen=True, kw_only=True, slots=True)
class NiftiImage:
    """Voxels (c, z, y, x) in the file's scaled values, and where they lie."""

    voxels: np.ndarray
    grid: Grid
    note: str = ""  # what the header says in two ways, for the report


def is_pair(data: bytes) -> bool:
    """True for the header of an Analyze image, or of a NIfTI image whose voxels are in a file of their own."""
    if len(data) not in PAIR_BYTES and data[344:348] != PAIR:
        return False
    sizes = {int.from_bytes(data[:4], order) for order in ("little", "big")}
    axes = {int.from_bytes(data[40:42], order) for order in ("little", "big")}
    return HEADER_BYTES in sizes and not axes.isdisjoint(range(1, 8))


def is_nifti(data: bytes) -> bool:
    """True for the magic word of a single-file NIfTI, plain or gzip."""
    if data[:2] == GZIP:
        try:
            data = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(data, 352)
        except zlib.error:
            return False
    return data[344:348] in MAGIC or data[4:8] in MAGIC


def read_nifti(seen: SeenFile, data: bytes) -> NiftiImage | None:
    """Read one file; reasons are booked with the file.

    Args:
        seen: The file's entry in the inventory.
        data: Its bytes.

    Returns:
        The image, or None where the file is damaged.
    """
    try:
        plain = _unpacked(data)
        if plain is None:
            seen.reasons.add("file.too_large")
            return None
        kind = nib.Nifti2Image if plain[4:8] in MAGIC else nib.Nifti1Image
        image = kind.from_stream(io.BytesIO(plain))
        seen.reasons |= _header_codes(image.header) | _hidden(image, plain)
        seen.reasons |= _packed_codes(data)
        affine, note = _placed(image)
        if affine is None:
            seen.reasons.add("series.no_geometry")
            return None
        array = np.asanyarray(image.dataobj)
        if array.dtype.kind not in "biuf":
            seen.reasons.add("pixels.colour" if array.dtype.names else "pixels.complex")
            return None
        return _turned(array, affine, note)
    except ShapeError:
        seen.reasons.add("series.sheared")
    except (EOFError, OSError, zlib.error):
        seen.reasons.add("file.truncated")
    except (*DAMAGE, nib.filebasedimages.ImageFileError, nib.spatialimages.HeaderDataError):
        seen.reasons.add("file.malformed")
    return None


def _unpacked(data: bytes) -> bytes | None:
    """The plain file, or None where it would be larger than intake reads."""
    if data[:2] != GZIP:
        return data
    with gzip.GzipFile(fileobj=io.BytesIO(data)) as reader:
        plain = reader.read(MAXIMUM_BYTES + 1)
    return plain if len(plain) <= MAXIMUM_BYTES else None


def _header_codes(header: nib.Nifti1Header) -> set[str]:
    reasons = set()
    if len(header.extensions):
        reasons.add("deid.nifti_extension")
    names = header.template_dtype.names or ()
    fields = [header[name].tobytes() for name in TEXT_FIELDS if name in names]
    texts = [text for field in fields for text in _decoded(field).split("\0") if text]
    return reasons | ({reason_of(texts)} - {""})


def _decoded(field: bytes) -> str:
    try:
        return field.decode("utf-8")
    except UnicodeDecodeError:
        return field.decode("latin-1")


def _hidden(image: nib.Nifti1Image, plain: bytes) -> set[str]:
    """Bytes between the header and the voxels, and behind them."""
    stored, reasons = image.dataobj, set[str]()
    if not isinstance(stored, ArrayProxy):
        return reasons
    start = stored.offset
    end = start + stored.dtype.itemsize * math.prod(stored.shape)
    if not len(image.header.extensions) and any(plain[image.header.sizeof_hdr + EXTENSION_FLAG : start]):
        reasons.add("deid.nifti_extension")
    if end > len(plain):  # or memory would be taken for what the file does not have
        raise EOFError
    if any(plain[end:]):
        reasons.add("deid.trailing_bytes")
    return reasons


def _packed_codes(data: bytes) -> set[str]:
    """What gzip keeps beside what it packed: a name, a comment, fields of programs. Source: RFC 1952, 2.3."""
    reasons = set[str]()
    if data[:2] != GZIP:
        return reasons
    flags, rest = data[3], data[GZIP_HEADER:]
    if flags & GZIP_EXTRA:
        size = 2 + int.from_bytes(rest[:2], "little")
        if bytes_look_identifying(rest[2:size]):
            reasons.add("deid.trailing_bytes")
        rest = rest[size:]
    if flags & GZIP_NAME:
        name, _, rest = rest.partition(b"\0")
        if identifies(name.decode("latin-1")):
            reasons.add("deid.file_name")
    if flags & GZIP_COMMENT and rest.partition(b"\0")[0]:
        reasons.add("deid.trailing_bytes")
    return reasons


def _placed(image: nib.Nifti1Image) -> tuple[np.ndarray | None, str]:
    """Affine to RAS in mm, None where the header states no orientation, and a note where it states two.

    Source:
        NIfTI-1 (nifti1.h), methods 2 and 3 (qform and sform); method 1 tells no left from right.
    """
    header = image.header
    stated, quaternion = int(header["sform_code"]) > 0, int(header["qform_code"]) > 0
    if not (stated or quaternion):
        return None, ""
    scale = np.diag([MM_PER_UNIT.get(int(header["xyzt_units"]) & UNIT_OF_SPACE, 1.0)] * 3 + [1.0])
    affine = scale @ image.affine
    if not (stated and quaternion):
        return affine, ""
    shape = (*image.shape[:3], 1, 1, 1)[:3]
    corners = np.array([[x, y, z, 1] for x in (0, 1) for y in (0, 1) for z in (0, 1)], dtype=float)
    corners[:, :3] *= np.array(shape) - 1
    other = scale @ image.get_qform()  # type: ignore[no-untyped-call] # of nibabel
    apart = float(np.linalg.norm(corners @ (affine - other).T, axis=1).max())
    if not math.isfinite(apart) or apart <= SAME_PLACE_MM:
        return affine, ""
    size = 10.0 ** math.floor(math.log10(apart))
    return affine, f"headers whose sform and qform put voxels {size:g} mm or more apart: the sform was used"


def _turned(array: np.ndarray, affine: np.ndarray, note: str) -> NiftiImage:
    """Axes (x, y, z) or (x, y, z, c) to (c, z, y, x)."""
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim == 5 and array.shape[3] == 1:
        array = array[:, :, :, 0]
    if array.ndim not in {3, 4}:
        raise ValueError("not an image of numbers with three or four axes")
    voxels = array[None] if array.ndim == 3 else np.moveaxis(array, 3, 0)
    return NiftiImage(
        voxels=np.ascontiguousarray(voxels.transpose(0, 3, 2, 1)),
        grid=grid_of_affine(affine, array.shape[:3]),
        note=note,
    )

"""Open a file of any released format, or an export of one: its pixels and the marks in its header."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from synthdata.errors import UnreadableFileError
from synthdata.provenance.dicom_marks import COMMENT, ID_PREFIX, HeaderMarks
from synthdata.provenance.nifti import first_bytes, is_nifti, read_nifti

if TYPE_CHECKING:
    import pyarrow.parquet as pq
    import pydicom

FileKind = Literal["DICOM", "NIfTI", "PNG", "JPEG", "NPY", "Parquet"]
MAGIC: dict[bytes, FileKind] = {
    b"\x89PNG": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"\x93NUMPY": "NPY",
    b"PAR1": "Parquet",
}
DICOM_PREAMBLE = 128
LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601


@dataclass(frozen=True, kw_only=True, slots=True)
class Content:
    """What a file holds, as far as `verify` asks."""

    kind: FileKind
    marks: HeaderMarks
    images: Iterator[np.ndarray]  # each (y, x), (z, y, x) or (c, z, y, x); read as they are asked for
    without_pixels: str = ""  # why there are no pixels to look at


def kind_of(path: Path) -> FileKind:
    """The format of a file by its first bytes. Raises UnreadableFileError for another one."""
    try:
        head = first_bytes(path)
    except OSError as error:
        raise UnreadableFileError(
            f"{path.name} cannot be read ({error.strerror or type(error).__name__}): "
            "check the path and the rights"
        ) from None
    if head[DICOM_PREAMBLE : DICOM_PREAMBLE + 4] == b"DICM":
        return "DICOM"
    if is_nifti(head):
        return "NIfTI"
    for magic, kind in MAGIC.items():
        if head.startswith(magic):
            return kind
    raise UnreadableFileError(
        f"{path.name} has the first bytes of no known image, "
        "expected DICOM, NIfTI-1, PNG, JPEG, NPY or a Parquet shard of a release: export it as one of these"
    )


def open_file(path: Path) -> Content:
    """Read the header of a file; the pixels follow when they are asked for.

    Raises:
        UnreadableFileError: No known format, cut, or damaged; also from the iterator, for damaged pixels.
    """
    kind = kind_of(path)
    readers = {"DICOM": _dicom, "NIfTI": _nifti, "NPY": _npy, "Parquet": _parquet}
    return readers[kind](path) if kind in readers else _picture(path, kind)


def _dicom(path: Path) -> Content:
    import pydicom

    from synthdata.provenance.dicom_marks import read_marks

    try:
        dataset = pydicom.dcmread(path)
        marks = read_marks(dataset)
    except Exception:  # noqa: BLE001 - pydicom raises classes of many kinds on damaged files
        raise UnreadableFileError(
            f"{path.name} is damaged or was cut, expected a whole DICOM file: send it again"
        ) from None
    missing = ""
    if dataset.get("Modality") == "SEG":
        missing = "a segmentation carries its marks in the header alone"
    elif not any(name in dataset for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        missing = "the object has no pixels"
    return Content(
        kind="DICOM",
        marks=marks,
        images=iter(()) if missing else _frames(dataset, path),
        without_pixels=missing,
    )


def _frames(dataset: "pydicom.Dataset", path: Path) -> Iterator[np.ndarray]:
    """Stored values: neither the hash nor the watermark asks for slope and offset."""
    try:
        pixels = dataset.pixel_array
    except Exception:  # noqa: BLE001 - decoders raise classes of many kinds
        raise UnreadableFileError(
            f"{path.name} has pixels which cannot be decoded: "
            "install pylibjpeg for compressed ones (pip install 'synthdata[dicom]'), or send the file again"
        ) from None
    yield _grey(pixels, colours=int(dataset.get("SamplesPerPixel", 1)))


def _nifti(path: Path) -> Content:
    voxels, description = read_nifti(path)
    shape = voxels.shape
    image = voxels.reshape(-1, *shape[-3:]) if voxels.ndim > 3 else voxels
    marks = _sidecar_marks(path) if COMMENT not in description else _text_marks("descrip", description)
    return Content(kind="NIfTI", marks=marks, images=_if_image(image, path))


def _npy(path: Path) -> Content:
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError):
        raise UnreadableFileError(
            f"{path.name} is no whole NPY file of plain numbers: save it again"
        ) from None
    return Content(kind="NPY", marks=HeaderMarks(found=()), images=_if_image(array, path))


def _picture(path: Path, kind: FileKind) -> Content:
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError:
        raise UnreadableFileError(f"{path.name} is {kind}, which needs Pillow: pip install pillow") from None
    try:
        with Image.open(path) as picture:
            picture.load()
            text = " ".join(str(value) for value in picture.info.values())
            pixels = np.asarray(
                picture.convert("RGB") if picture.mode not in {"L", "I", "I;16", "F"} else picture
            )
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError):
        raise UnreadableFileError(
            f"{path.name} is damaged or was cut, expected a whole {kind}: send it again"
        ) from None
    grey = _grey(pixels, colours=pixels.shape[2] if pixels.ndim == 3 else 1)
    return Content(kind=kind, marks=_text_marks("text", text), images=_if_image(grey, path))


def _parquet(path: Path) -> Content:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        names, metadata = file.schema_arrow.names, file.schema_arrow.metadata or {}
    except (pa.ArrowInvalid, OSError):
        raise UnreadableFileError(
            f"{path.name} is cut or damaged, expected a whole Parquet file: pull it again"
        ) from None
    if not {"image", "shape_zyx", "patient_id"} <= set(names):
        raise UnreadableFileError(
            f"{path.name} has no columns image, shape_zyx and patient_id, expected a shard of cases: "
            "give one of the files data/cases-*.parquet of a release"
        )
    found = ["origin"] if metadata.get(b"synthdata.origin") == b"synthetic" else []
    patients = file.read(columns=["patient_id"])["patient_id"].to_pylist()
    if patients and all(str(patient).startswith(ID_PREFIX) for patient in patients):
        found.append("patient_id")
    dataset = metadata.get(b"synthdata.dataset", b"").decode()
    marks = HeaderMarks(found=tuple(found), origin=dataset if found else "")
    return Content(kind="Parquet", marks=marks, images=_cases(file, path))


def _cases(file: "pq.ParquetFile", path: Path) -> Iterator[np.ndarray]:
    import pyarrow as pa

    from synthdata.records.parquet import read_file

    try:
        for case in read_file(file, ()):
            yield case.image
    except (pa.ArrowInvalid, OSError, KeyError, json.JSONDecodeError):
        raise UnreadableFileError(f"{path.name} has cases which cannot be read: pull it again") from None


def _if_image(array: np.ndarray, path: Path) -> Iterator[np.ndarray]:
    if not 2 <= array.ndim <= 4 or not (np.issubdtype(array.dtype, np.number) and array.dtype.kind != "c"):
        raise UnreadableFileError(
            f"{path.name} holds {array.dtype} of {array.ndim} axes, "
            "expected numbers (y, x), (z, y, x) or (c, z, y, x)"
        )
    return iter((array,))


def _grey(pixels: np.ndarray, *, colours: int) -> np.ndarray:
    """Luminance of a colour picture (..., 3 or 4); grey stored as colour stays exact."""
    if colours == 1:
        return pixels
    rgb = pixels[..., :3]
    if (rgb[..., :1] == rgb).all():
        same: np.ndarray = rgb[..., 0]
        return same
    grey: np.ndarray = rgb.astype(np.float32) @ LUMINANCE
    return grey


def _text_marks(field: str, text: str) -> HeaderMarks:
    """A header field which holds our whole sentence: nobody writes it by chance."""
    return HeaderMarks(found=(field,) if COMMENT in text else ())


def _sidecar_marks(path: Path) -> HeaderMarks:
    """The JSON beside a NIfTI file, as a release and BIDS have it."""
    try:
        sidecar = json.loads(path.with_name(f"{path.name.split('.nii')[0]}.json").read_bytes())
    except (OSError, ValueError):
        return HeaderMarks(found=())
    stated = isinstance(sidecar, dict) and sidecar.get("SyntheticData") is True
    return HeaderMarks(found=("sidecar SyntheticData",) if stated else ())

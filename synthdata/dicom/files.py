"""Datasets to Part 10 files: Explicit VR Little Endian, preamble of zeros, no clock."""

import io
import struct
from pathlib import Path

from pydicom import dcmwrite
from pydicom.charset import convert_encodings
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element
from pydicom.tag import BaseTag
from pydicom.uid import UID, ExplicitVRLittleEndian
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

from synthdata.dicom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_NAME
from synthdata.errors import StoreError

CHARACTER_SET = "ISO_IR 192"  # UTF-8
UTF_8 = convert_encodings(CHARACTER_SET)
UNDEFINED_LENGTH = 0xFFFFFFFF
LAST_OF_FILE_META = 0x0002FFFF
SPECIFIC_CHARACTER_SET = BaseTag(0x00080005)
IDENTIFIERS = (BaseTag(0x00080016), BaseTag(0x00080018))  # SOP Class and Instance UID
PREFIX = bytes(128) + b"DICM"
LONG_FORM = frozenset(EXPLICIT_VR_LENGTH_32)  # value representations whose length takes four bytes


def encode(dataset: Dataset) -> bytes:
    """Bytes of the DICOM file; the same dataset gives the same bytes.

    Args:
        dataset: With SOP Class and Instance UID; its own file meta information is replaced. Elements of
            group 2 in the dataset itself are refused by pydicom.

    Returns:
        A Part 10 file: preamble of zeros, file meta information, dataset in Explicit VR Little Endian.

    Raises:
        ValueError: The dataset lacks a unique identifier, or holds an element of group 0 or 2.
    """
    if _keeps_its_encoding(dataset):
        return PREFIX + _meta_bytes(dataset) + _dataset_bytes(dataset)
    dataset.file_meta = file_meta(dataset)
    dataset.preamble = bytes(128)
    buffer = io.BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True, implicit_vr=False, little_endian=True)
    return buffer.getvalue()


def save(dataset: Dataset, path: Path) -> None:
    """Write one DICOM file; it appears under its name only when it is whole.

    Raises:
        StoreError: The folder cannot be written.
    """
    data = encode(dataset)
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_bytes(data)
        partial.replace(path)
    except OSError as error:
        raise StoreError(
            f"a DICOM file could not be written ({error.strerror}): "
            "check the folder, its rights and the free space"
        ) from None


def file_meta(dataset: Dataset) -> FileMetaDataset:
    """File meta information (group 2) of a dataset."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_NAME
    return meta


def raw_element(tag: int, representation: str, value: bytes) -> RawDataElement:
    """An element as it stands in a file; immutable, so datasets can share it."""
    padding = b"\0" if representation in {"UI", "OB"} else b" "
    padded = value + padding if len(value) % 2 else value
    return RawDataElement(
        BaseTag(tag), representation, len(padded), padded, 0, is_implicit_VR=False, is_little_endian=True
    )


def raw_elements(dataset: Dataset) -> dict[BaseTag, DataElement | RawDataElement]:
    """Elements of a dataset in UTF-8, each encoded once."""
    elements: dict[BaseTag, DataElement | RawDataElement] = {}
    for element in dataset:
        data = _element_bytes(element)
        start = 12 if element.VR in LONG_FORM else 8
        elements[element.tag] = raw_element(element.tag, element.VR, data[start:])
    return elements


def _keeps_its_encoding(dataset: Dataset) -> bool:
    """True where raw elements can be written as they are, and the file meta information is complete."""
    return (
        dataset.original_encoding == (False, True)
        and dataset.original_character_set == UTF_8
        and _text(dataset, SPECIFIC_CHARACTER_SET) == CHARACTER_SET
        and all(_text(dataset, tag) for tag in IDENTIFIERS)
        and min(dataset.keys()) > LAST_OF_FILE_META
    )


def _text(dataset: Dataset, tag: BaseTag) -> str:
    """Value of an element with one text; raw ones stay raw."""
    element = dataset.get_item(tag) if tag in dataset else None
    value = element.value if element is not None else ""
    return value.decode().rstrip(" \0") if isinstance(value, bytes) else str(value)


def _meta_bytes(dataset: Dataset) -> bytes:
    """File meta information (group 2), encoded. Source: DICOM PS3.10, 7.1."""
    sop_class, sop_instance = (_text(dataset, tag) for tag in IDENTIFIERS)
    texts = (
        (0x00020002, "UI", sop_class),
        (0x00020003, "UI", sop_instance),
        (0x00020010, "UI", ExplicitVRLittleEndian),
        (0x00020012, "UI", IMPLEMENTATION_CLASS_UID),
        (0x00020013, "SH", IMPLEMENTATION_NAME),
    )
    raw = [raw_element(0x00020001, "OB", b"\0\1")]
    raw += [raw_element(tag, representation, text.encode()) for tag, representation, text in texts]
    group = b"".join(map(_element_bytes, raw))
    return _element_bytes(raw_element(0x00020000, "UL", struct.pack("<L", len(group)))) + group


def _dataset_bytes(dataset: Dataset) -> bytes:
    """All elements in the order of their tags, without retired group lengths."""
    elements = {int(tag): element for tag, element in dataset.items()}
    return b"".join(_element_bytes(elements[tag]) for tag in sorted(elements) if tag & 0xFFFF)


def _element_bytes(element: DataElement | RawDataElement) -> bytes:
    """One element in Explicit VR Little Endian. Source: DICOM PS3.5, 7.1.2."""
    if not isinstance(element, RawDataElement) or element.length == UNDEFINED_LENGTH or element.VR is None:
        buffer = DicomBytesIO()
        buffer.is_little_endian, buffer.is_implicit_VR = True, False
        write_data_element(buffer, element, UTF_8)
        return buffer.getvalue()
    value, tag = element.value or b"", int(element.tag)
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, element.VR.encode())
    form = "<xxL" if element.VR in LONG_FORM else "<H"
    return head + struct.pack(form, len(value)) + value

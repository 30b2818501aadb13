"""Datasets to Part 10 files: Explicit VR Little Endian, preamble of zeros, no clock."""

import io
from pathlib import Path

from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from synthdata.dicom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_NAME
from synthdata.errors import StoreError


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

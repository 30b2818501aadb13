"""DICOM image series and segmentations of the phantom and of the release, reproducible byte for byte."""

from synthdata.dicom.files import encode, save
from synthdata.dicom.header import Deidentification, SeriesHeader
from synthdata.dicom.measurements import ReportHeader, measurement_report
from synthdata.dicom.multiframe import multiframe_dataset
from synthdata.dicom.segmentation import SegmentationHeader, segmentation_dataset
from synthdata.dicom.series import image_datasets
from synthdata.dicom.uids import uid_of

__all__ = [
    "Deidentification",
    "ReportHeader",
    "SegmentationHeader",
    "SeriesHeader",
    "encode",
    "image_datasets",
    "measurement_report",
    "multiframe_dataset",
    "save",
    "segmentation_dataset",
    "uid_of",
]

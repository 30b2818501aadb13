"""What objects that are made from images share, segmentations and reports: series, equipment, and no clock."""

from dataclasses import dataclass
from typing import Any

from pydicom.dataset import Dataset

from synthdata.dicom.texts import DUMMY_DATE, DUMMY_TIME
from synthdata.dicom.uids import uid_of


@dataclass(frozen=True, kw_only=True, slots=True)
class EvidenceHeader:
    """What such an object says of itself; patient and study come from what it refers to."""

    series_uid: str
    series_number: int
    series_description: str
    manufacturer: str = "synthdata"
    model_name: str = "synthdata"
    software: str = "synthdata"
    lesions: tuple[str, ...] = ()  # labels which are abnormalities, not anatomy

    def series(self) -> dict[str, Any]:
        """Arguments of highdicom's classes for an object which is alone in its series."""
        return {
            "series_instance_uid": self.series_uid,
            "series_number": self.series_number,
            "series_description": self.series_description,
            "sop_instance_uid": uid_of(self.series_uid, 0),
            "instance_number": 1,
            "manufacturer": self.manufacturer,
            "manufacturer_model_name": self.model_name,
            "software_versions": self.software,
        }


def without_clock(dataset: Dataset) -> Dataset:
    """Replace what highdicom takes from the clock, so that the same case gives the same bytes."""
    for keyword in ("InstanceCreationDate", "InstanceCreationTime"):
        if keyword in dataset:
            delattr(dataset, keyword)
    for item in dataset.get("ContributingEquipmentSequence", []):
        item.pop("ContributionDateTime", None)
    dataset.ContentDate, dataset.ContentTime = DUMMY_DATE, DUMMY_TIME
    return dataset

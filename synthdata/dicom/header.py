"""What is said once of a series: patient, study, equipment and the evidence of de-identification."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pydicom import config
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    CTImageStorage,
    DigitalXRayImageStorageForPresentation,
    MRImageStorage,
)
from pydicom.valuerep import validate_value

from synthdata.dicom.codes import code_item
from synthdata.errors import ConfigError

Modality = Literal["MR", "CT", "CR", "DX"]
SOP_CLASSES: Mapping[str, UID] = {
    "MR": MRImageStorage,
    "CT": CTImageStorage,
    "CR": ComputedRadiographyImageStorage,
    "DX": DigitalXRayImageStorageForPresentation,
}
THIRD_IMAGE_TYPE: Mapping[str, tuple[str, ...]] = {"MR": ("OTHER",), "CT": ("AXIAL",)}
OLDEST_STATED_AGE = 90  # years; higher ages are aggregated, HIPAA Safe Harbor, 45 CFR 164.514(b)(2)(i)(C)

TEXTS: Mapping[str, str] = {  # value representation of the fields which become texts
    "patient_id": "LO",
    "patient_name": "PN",
    "sex": "CS",
    "study_uid": "UI",
    "series_uid": "UI",
    "frame_of_reference_uid": "UI",
    "series_description": "LO",
    "study_description": "LO",
    "body_part": "CS",
    "manufacturer": "LO",
    "model_name": "LO",
    "software": "LO",
}

BASIC_PROFILE = "113100|Basic Application Confidentiality Profile"
CLEAN_FACES = "113102|Clean Recognizable Visual Features Option"
CLEAN_DESCRIPTORS = "113105|Clean Descriptors Option"
KEEP_CHARACTERISTICS = "113108|Retain Patient Characteristics Option"


@dataclass(frozen=True, kw_only=True, slots=True)
class Deidentification:
    """Evidence of de-identification. Source: DICOM PS3.15, Annex E; PS3.16, CID 7050."""

    method: str  # free text, at most 64 characters
    codes: tuple[str, ...] = (BASIC_PROFILE,)  # `<DCM code>|<meaning>`
    burned_in: bool = False  # text in the pixels
    recognizable: bool | None = False  # a face can be rebuilt; None: not said
    dates: Literal["REMOVED", "MODIFIED", "UNMODIFIED"] = "REMOVED"

    def apply(self, dataset: Dataset) -> None:
        """Write the evidence into a dataset."""
        dataset.PatientIdentityRemoved = "YES"
        dataset.DeidentificationMethod = self.method
        dataset.DeidentificationMethodCodeSequence = [code_item(code, "DCM") for code in self.codes]
        dataset.LongitudinalTemporalInformationModified = self.dates
        dataset.BurnedInAnnotation = "YES" if self.burned_in else "NO"
        if self.recognizable is not None:
            dataset.RecognizableVisualFeatures = "YES" if self.recognizable else "NO"


@dataclass(frozen=True, kw_only=True, slots=True)
class SeriesHeader:
    """All that the slices of one series share."""

    modality: Modality
    patient_id: str
    patient_name: str
    sex: Literal["M", "F", "O", ""]
    age_years: float | None
    study_uid: str
    series_uid: str
    frame_of_reference_uid: str  # ignored for CR and DX, which have none
    series_description: str
    series_number: int
    body_part: str  # DICOM Body Part Examined, such as HEAD; empty: not said
    unit: str  # `[hnsf'U]` for CT, else 1
    window: tuple[float, float]  # lower and upper end for display, in the unit
    study_description: str = ""
    image_type: tuple[str, ...] = ("ORIGINAL", "PRIMARY")  # values 1 and 2; value 3 follows from the modality
    manufacturer: str = ""
    model_name: str = ""
    software: str = ""
    deidentification: Deidentification | None = None
    attributes: Mapping[str, str | int | float | list[str]] = field(default_factory=dict)
    # further attributes by DICOM keyword, such as EchoTime

    def __post_init__(self) -> None:
        low, high = self.window
        if self.modality not in SOP_CLASSES:
            raise ConfigError(f"modality is {self.modality!r}, expected one of {', '.join(SOP_CLASSES)}")
        if not low < high:
            raise ConfigError(f"window is {self.window}, expected low < high")
        if (self.modality == "CT") != (self.unit == "[hnsf'U]"):
            raise ConfigError(
                f"a {self.modality} series is in {self.unit!r}: expected [hnsf'U] for CT, 1 for others"
            )

        for name, representation in TEXTS.items():
            _require_valid(name, representation, getattr(self, name))
        for keyword, value in self.attributes.items():
            for item in value if isinstance(value, list) else [value]:
                _require_valid(keyword, dictionary_VR(keyword), item)

    def apply(self, dataset: Dataset) -> None:
        """Write patient, study, series and equipment; dates and times stay empty."""
        self._patient_and_study(dataset)
        dataset.Modality = self.modality
        dataset.SeriesInstanceUID = self.series_uid
        dataset.SeriesNumber = self.series_number
        dataset.SeriesDescription = self.series_description
        if self.body_part or self.modality == "CR":  # where it is mandatory, but may be empty
            dataset.BodyPartExamined = self.body_part
        dataset.Manufacturer = self.manufacturer
        if self.model_name:
            dataset.ManufacturerModelName = self.model_name
        if self.software:
            dataset.SoftwareVersions = self.software
        third = THIRD_IMAGE_TYPE.get(self.modality, ())
        dataset.ImageType = [*self.image_type, *(third if len(self.image_type) == 2 else ())]
        dataset.WindowCenter = f"{(self.window[0] + self.window[1]) / 2:.6g}"
        dataset.WindowWidth = f"{self.window[1] - self.window[0]:.6g}"
        if self.deidentification is not None:
            self.deidentification.apply(dataset)

    def _patient_and_study(self, dataset: Dataset) -> None:
        dataset.PatientName = self.patient_name
        dataset.PatientID = self.patient_id
        dataset.PatientBirthDate = ""
        dataset.PatientSex = self.sex
        if self.age_years is not None:
            dataset.PatientAge = f"{min(int(self.age_years), OLDEST_STATED_AGE):03d}Y"
        dataset.StudyInstanceUID = self.study_uid
        dataset.StudyDate = ""
        dataset.StudyTime = ""
        dataset.StudyID = ""
        dataset.AccessionNumber = ""
        dataset.ReferringPhysicianName = ""
        if self.study_description:
            dataset.StudyDescription = self.study_description


def _require_valid(name: str, representation: str, value: str | float) -> None:
    """Raise ConfigError for a value which DICOM does not allow; it is not repeated, as it may name a person."""
    try:
        validate_value(representation, value, config.RAISE)
    except ValueError:
        raise ConfigError(
            f"{name} holds a value which its value representation {representation} does not allow: "
            "shorten it, or leave out characters (DICOM PS3.5, 6.2)"
        ) from None

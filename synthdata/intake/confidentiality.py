"""The attributes of PS3.15 Table E.1-1, and which options of a de-identification allow them to stay."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

BASIC_PROFILE = "113100"
CLEAN_PIXELS = "113101"
CLEAN_FACES = "113102"
CLEAN_DESCRIPTORS = "113105"
FULL_DATES = "113106"
MODIFIED_DATES = "113107"
PATIENT_CHARACTERISTICS = "113108"
DEVICE_IDENTITY = "113109"
SAFE_PRIVATE = "113111"
INSTITUTION_IDENTITY = "113112"
DATES = frozenset({FULL_DATES, MODIFIED_DATES})

_CHARACTERISTICS = frozenset(
    """PatientSex PatientAge PatientSize PatientWeight EthnicGroup SmokingStatus PregnancyStatus PatientSexNeutered
    Allergies PatientState PreMedication SpecialNeeds""".split()
)
_DEVICES = frozenset(
    """CassetteID DetectorID DeviceAlternateIdentifier DeviceDescription DeviceLabel DeviceSerialNumber GantryID
    GeneratorID LensMake LensModel LensSerialNumber LensSpecification LongDeviceDescription ManufacturerDeviceIdentifier
    PerformedStationAETitle PerformedStationName PerformedStationNameCodeSequence PlateID ScheduledStationAETitle
    ScheduledStationName ScheduledStationNameCodeSequence SourceManufacturer SourceSerialNumber StationAETitle StationName
    TransducerIdentificationSequence TreatmentMachineName UDISequence UniqueDeviceIdentifier XRayDetectorID
    XRayDetectorLabel XRaySourceID CameraOwnerName""".split()
)
_INSTITUTIONS = frozenset(
    """InstitutionName InstitutionAddress InstitutionCodeSequence InstitutionalDepartmentName
    InstitutionalDepartmentTypeCodeSequence""".split()
)
_DESCRIPTOR_ENDINGS = ("Description", "Comments", "Label", "Narrative", "Notes")
_DESCRIPTORS = frozenset(
    """ProtocolName ContrastBolusAgent RequestedContrastAgent ReasonForStudy ReasonForVisit StructureSetName RTPlanName
    ROIName MedicalAlerts TreatmentSite TreatmentSites Occupation AdditionalPatientHistory""".split()
)


@dataclass(frozen=True, slots=True)
class Rule:
    """What the basic profile does with one attribute, and which option keeps it."""

    action: str  # X remove, Z empty or dummy, D dummy, U another UID; several: any of them
    options: frozenset[str]  # method codes which allow a value to stay
    descriptor: bool  # a text of descriptive kind


def _rule(keyword: str, action: str) -> Rule:
    descriptor = keyword in _DESCRIPTORS or keyword.endswith(_DESCRIPTOR_ENDINGS)
    options = {
        PATIENT_CHARACTERISTICS: keyword in _CHARACTERISTICS,
        DEVICE_IDENTITY: keyword in _DEVICES,
        INSTITUTION_IDENTITY: keyword in _INSTITUTIONS,
        CLEAN_DESCRIPTORS: descriptor,
    }
    return Rule(action, frozenset(code for code, applies in options.items() if applies), descriptor)


def load_rules() -> Mapping[str, Rule]:
    """Rules by DICOM keyword. Source: DICOM PS3.15 2024b, Annex E, Table E.1-1, column Basic Profile."""
    text = resources.files("synthdata.intake").joinpath("ps3_15_table_e1_1.json").read_text(encoding="utf-8")
    actions: dict[str, list[str]] = json.loads(text)["actions"]
    return {keyword: _rule(keyword, action) for action, keywords in actions.items() for keyword in keywords}

"""One phantom patient as DICOM files: a study with a series per channel and one segmentation."""

from collections.abc import Mapping

from pydicom.dataset import Dataset

from synthdata.dicom import (
    Deidentification,
    SegmentationHeader,
    SeriesHeader,
    encode,
    image_datasets,
    segmentation_dataset,
    uid_of,
)
from synthdata.dicom.header import BASIC_PROFILE, CLEAN_DESCRIPTORS, KEEP_CHARACTERISTICS, Modality
from synthdata.phantom.mr import SEQUENCES, SpoiledGradientEcho
from synthdata.phantom.patient import Patient
from synthdata.phantom.render import PROJECTION, Rendering

PHANTOM_VERSION = "1"  # raised when the same seed gives other images
MODALITIES: Mapping[str, Modality] = {"T1w": "MR", "T2w": "MR", "CT": "CT", PROJECTION: "DX"}
WINDOWS = {"T1w": (0.0, 1000.0), "T2w": (0.0, 3000.0), "CT": (0.0, 80.0), PROJECTION: (0.0, 4000.0)}
LABEL_CODES = {
    "ventricles": "35764002|Brain ventricle",
    "infarct": "55641003|Infarct",
    "haemorrhage": "50960005|Hemorrhage",
    "cranial_cavity": "1101003|Cranial Cavity",
    "skull": "89546000|Skull",
}
LESION_LABELS = ("infarct", "haemorrhage")
MANUFACTURER = "synthdata"
MODEL = "digital head phantom"

DEIDENTIFICATION = Deidentification(
    method="Digital anatomy, no person behind it",
    codes=(BASIC_PROFILE, CLEAN_DESCRIPTORS, KEEP_CHARACTERISTICS),
    recognizable=False,  # the head has neither face nor ears
)


def study_uid(patient: Patient, settings: str) -> str:
    """Study Instance UID; differs for another seed, grid or version, so that cohorts cannot be mixed up."""
    return uid_of("synthdata.phantom", PHANTOM_VERSION, settings, patient.patient_id)


def patient_datasets(patient: Patient, rendering: Rendering, settings: str) -> dict[str, list[bytes]]:
    """All DICOM files of a patient.

    Args:
        patient: Who.
        rendering: Images and mask.
        settings: What the identifiers depend on besides the patient, see `CohortSettings.name`.

    Returns:
        Name of the series (channel, or SEG) to its files in the order of z.
    """
    study = study_uid(patient, settings)
    files: dict[str, list[bytes]] = {}
    first: list[Dataset] = []
    for number, (channel, image) in enumerate(rendering.images.items(), start=1):
        datasets = image_datasets(image, rendering.grid, _header(patient, channel, study, number))
        files[channel] = [encode(dataset) for dataset in datasets]
        first = first or datasets
    mask = segmentation_dataset(
        rendering.mask,
        rendering.grid,
        first,
        labels=rendering.labels,
        codes=LABEL_CODES,
        header=SegmentationHeader(
            series_uid=uid_of(study, "SEG"),
            manufacturer=MANUFACTURER,
            model_name=MODEL,
            software=PHANTOM_VERSION,
            algorithm="ground truth of the phantom",
            algorithm_family="123111|Deformable Models",
            lesions=LESION_LABELS,
            deidentification=DEIDENTIFICATION,
        ),
    )
    if mask is not None:
        files["SEG"] = [encode(mask)]
    return files


def _header(patient: Patient, channel: str, study: str, number: int) -> SeriesHeader:
    modality = MODALITIES[channel]
    return SeriesHeader(
        modality=modality,
        patient_id=patient.patient_id,
        patient_name=patient.patient_id,
        sex=patient.sex,
        age_years=patient.age_years,
        study_uid=study,
        series_uid=uid_of(study, channel),
        frame_of_reference_uid=uid_of(study, "frame of reference"),
        study_description="Digital head phantom",
        series_description=channel,
        series_number=number,
        body_part="HEAD",
        unit="[hnsf'U]" if modality == "CT" else "1",
        window=WINDOWS[channel],
        manufacturer=MANUFACTURER,
        model_name=MODEL,
        software=PHANTOM_VERSION,
        deidentification=DEIDENTIFICATION,
        attributes=_acquisition(channel),
    )


def _acquisition(channel: str) -> dict[str, str | int | float | list[str]]:
    """Attributes of the acquisition by DICOM keyword."""
    if channel == "CT":
        return {"KVP": "120"}
    if channel == PROJECTION:
        return {"ViewPosition": "AP"}
    sequence = SEQUENCES[channel]
    attributes: dict[str, str | int | float | list[str]] = {
        "ScanningSequence": sequence.scanning_sequence,
        "RepetitionTime": str(sequence.repetition_ms),
        "EchoTime": str(sequence.echo_ms),
        "EchoTrainLength": "1",
        "MagneticFieldStrength": "1.5",
    }
    if isinstance(sequence, SpoiledGradientEcho):
        attributes |= {"SequenceVariant": "SP", "FlipAngle": str(sequence.flip_degrees)}
    return attributes

"""The marks of synthetic data in a DICOM header: a declaration, repeated in several attributes.

A public configuration of a de-identifier removes Synthetic Data (0008,001C), so no attribute stands alone.
All of them can be removed or forged by whoever edits a header: they tell the honest, and bind nobody.
"""

from dataclasses import dataclass
from typing import Literal

from pydicom.dataset import Dataset

import synthdata
from synthdata.dicom.texts import LONG_STRING, long_string
from synthdata.errors import MarkError

ID_PREFIX = "SYN-"
NAME = "SYNTHETIC"
COMMENT = "SYNTHETIC - NOT FOR DIAGNOSIS"
METHOD = "fully synthetic, no subject"
MANUFACTURER = "synthdata"
PURPOSE = ("109100", "DCM", "Synthesizing Equipment")  # DICOM PS3.16, CID 7005
CODE_STRING = 16  # characters of a value of VR CS
Kind = Literal["image", "enhanced", "segmentation", "report"]
HINTS = frozenset({"ImageType", "PatientName", "SeriesDescription"})
# scanners compute contrasts of real patients and call them synthetic: a hint counts beside a synthetic id
IDS = frozenset({"PatientID", "patient_id"})


@dataclass(frozen=True, kw_only=True, slots=True)
class HeaderMarks:
    """Which marks a header carries."""

    found: tuple[str, ...]  # DICOM keywords, or the name of the field in another format
    origin: str = ""  # `<dataset> <version>` as the header states it, where it does

    @property
    def synthetic(self) -> bool:
        """Whether the header declares synthetic content: a mark made for it, or a synthetic id and a hint."""
        if any(name not in HINTS | IDS for name in self.found):
            return True
        return any(name in IDS for name in self.found) and any(name in HINTS for name in self.found)


def mark(dataset: Dataset, *, dataset_name: str, version: str, kind: Kind = "image") -> None:
    """Declare in place that a DICOM object is synthetic.

    Args:
        dataset: An image, a SEG or any other object made for a release. Its Patient ID starts with `SYN-`.
        dataset_name: Name of the released dataset.
        version: Its semantic version.
        kind: What the object is. A SEG and an enhanced multi-frame image must be PRIMARY by their IOD; a report has no
            Image Type and no Image Comments.

    Raises:
        MarkError: The Patient ID is not synthetic; then nothing was changed.

    Source:
        DICOM PS3.3, C.12.1 (Synthetic Data, Contributing Equipment Sequence), C.7.6.1.1.2 (Image Type).
    """
    patient = str(dataset.get("PatientID", ""))
    if not patient.startswith(ID_PREFIX):
        raise MarkError(
            f"Patient ID does not start with {ID_PREFIX}, as that of a synthetic case does: "
            "only generated cases are marked and released"
        )
    dataset.SyntheticData = "YES"
    _equipment(dataset, dataset_name, version)
    _image_type(dataset, kind)
    dataset.Manufacturer = MANUFACTURER
    dataset.PatientName = f"{NAME}^{patient}"[:LONG_STRING]
    dataset.PatientIdentityRemoved = "YES"
    dataset.DeidentificationMethod = METHOD
    if "DeidentificationMethodCodeSequence" in dataset:
        del dataset.DeidentificationMethodCodeSequence  # no profile was applied, as there is no subject
    dataset.SeriesDescription = _prefixed(str(dataset.get("SeriesDescription", "")))
    if "StudyDescription" in dataset:
        dataset.StudyDescription = _prefixed(str(dataset.StudyDescription))
    if kind != "report":
        dataset.ImageComments = COMMENT
    if kind == "image":
        dataset.DerivationDescription = (
            f"Drawn by a generative model; {dataset_name} {version}; no acquisition"
        )


def read_marks(dataset: Dataset) -> HeaderMarks:
    """Which marks of synthetic data a DICOM header carries, ours or another tool's; without its pixels."""
    kind = dataset.get("ImageType", "")
    values = [kind] if isinstance(kind, str) else [str(value) for value in kind or ()]
    equipment = _synthesizer(dataset)
    tests = {
        "SyntheticData": str(dataset.get("SyntheticData", "")) == "YES",
        "ContributingEquipmentSequence": equipment is not None,
        "ImageType": NAME in values,
        "ImageComments": COMMENT in str(dataset.get("ImageComments", "")),
        "DeidentificationMethod": METHOD in str(dataset.get("DeidentificationMethod", "")),
        "PatientID": str(dataset.get("PatientID", "")).startswith(ID_PREFIX),
        "PatientName": str(dataset.get("PatientName", "")).startswith(NAME),
        "SeriesDescription": str(dataset.get("SeriesDescription", "")).startswith(NAME),
    }
    ours = equipment is not None and str(equipment.get("Manufacturer", "")) == MANUFACTURER
    origin = str(equipment.get("ContributionDescription", "")) if ours and equipment is not None else ""
    return HeaderMarks(found=tuple(name for name, found in tests.items() if found), origin=origin)


def _equipment(dataset: Dataset, dataset_name: str, version: str) -> None:
    """Add the item that says who synthesized it, once."""
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = PURPOSE
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = [code]
    item.Manufacturer = MANUFACTURER
    item.ManufacturerModelName = "synthdata"
    item.SoftwareVersions = synthdata.__version__
    item.ContributionDescription = f"{dataset_name} {version}"
    others = [
        other for other in dataset.get("ContributingEquipmentSequence", []) if not _is_synthesizer(other)
    ]
    dataset.ContributingEquipmentSequence = [*others, item]


def _synthesizer(dataset: Dataset) -> Dataset | None:
    items = dataset.get("ContributingEquipmentSequence", None) or []
    return next((item for item in items if _is_synthesizer(item)), None)


def _is_synthesizer(item: Dataset) -> bool:
    codes = item.get("PurposeOfReferenceCodeSequence", None) or []
    return any((code.get("CodeValue"), code.get("CodingSchemeDesignator")) == PURPOSE[:2] for code in codes)


def _image_type(dataset: Dataset, kind: Kind) -> None:
    """Out of the cohorts that select ORIGINAL or PRIMARY images; the third value is the modality's own."""
    if kind == "report":
        return
    if kind == "segmentation":
        dataset.ImageType = ["DERIVED", "PRIMARY"]
        return
    if kind == "enhanced":
        dataset.ImageType = ["DERIVED", "PRIMARY", "VOLUME", NAME]
        return
    old = dataset.get("ImageType", "")
    values = [old] if isinstance(old, str) else [str(value) for value in old or ()]
    default = (
        "AXIAL" if dataset.get("Modality") == "CT" else "OTHER" if dataset.get("Modality") == "MR" else ""
    )
    third = values[2] if len(values) > 2 else default
    dataset.ImageType = ["DERIVED", "SECONDARY", third[:CODE_STRING], NAME]


def _prefixed(text: str) -> str:
    return long_string(text if text.startswith(NAME) else f"{NAME} {text}")

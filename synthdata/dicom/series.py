"""One array to one DICOM series: a classic MR or CT file per slice, one CR or DX file per projection."""

from collections.abc import Callable, Iterator

import numpy as np
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from synthdata.dicom.codes import code_item
from synthdata.dicom.files import CHARACTER_SET, UTF_8, raw_element, raw_elements
from synthdata.dicom.header import SOP_CLASSES, SeriesHeader
from synthdata.dicom.uids import uid_of
from synthdata.errors import ShapeError
from synthdata.records.grid import Grid

PROJECTIONS = ("CR", "DX")
BODY_REGIONS = {"HEAD": "69536005|Head", "CHEST": "816094009|Chest", "BRAIN": "12738006|Brain"}
UNPAIRED = {"ABDOMEN", "BRAIN", "CHEST", "HEAD", "HEART", "NECK", "PELVIS", "SKULL"}
UNKNOWN_REGION = "52530000|Body Part"
SOP_INSTANCE_UID, INSTANCE_NUMBER, PIXEL_DATA = 0x00080018, 0x00200013, 0x7FE00010
IMAGE_POSITION, SLICE_LOCATION = 0x00200032, 0x00201041
Elements = dict[BaseTag, DataElement | RawDataElement]


def image_datasets(
    image: np.ndarray, grid: Grid, header: SeriesHeader, *, finish: Callable[[Dataset], None] | None = None
) -> list[Dataset]:
    """DICOM datasets of one channel of one case, in the order of z.

    Args:
        image: Voxels int16 (z, y, x), in the unit of the header; not negative for CR and DX.
        grid: Where the voxels lie; a projection has one slice.
        header: Patient, study, series and equipment. The instance UIDs follow from its series UID.
        finish: Last changes of what the slices share, made once.

    Returns:
        One dataset per slice. Each owns its elements: a change of one leaves the others as they are.

    Raises:
        ShapeError: The array is no int16 (z, y, x) on the grid, or a projection has several slices or
            negative values.
    """
    _check(image, grid, header)
    template = _template(grid, header)
    if finish is not None:
        finish(template)
    return list(_slices(image, grid, header, raw_elements(template)))


def _check(image: np.ndarray, grid: Grid, header: SeriesHeader) -> None:
    if image.dtype != np.int16 or image.shape != grid.shape_zyx:
        raise ShapeError(
            f"image is {image.dtype} of shape {image.shape}, expected int16 (z, y, x) of {grid.shape_zyx}: "
            "encode the channel first"
        )
    if header.modality in PROJECTIONS and (len(image) != 1 or image.min() < 0):
        raise ShapeError(
            f"a {header.modality} image has {len(image)} slices and a minimum of {image.min()}, "
            "expected one slice without negative values"
        )


def _slices(image: np.ndarray, grid: Grid, header: SeriesHeader, shared: Elements) -> Iterator[Dataset]:
    """Per-slice elements on top of the shared ones, which stay encoded until somebody touches them."""
    step = grid.axes[0] * grid.spacing_mm[0]
    for index, pixels in enumerate(image):
        own = [
            (SOP_INSTANCE_UID, "UI", uid_of(header.series_uid, index).encode()),
            (INSTANCE_NUMBER, "IS", str(index + 1).encode()),
            (PIXEL_DATA, "OW", pixels.astype("<i2", copy=False).tobytes()),
        ]
        if header.modality not in PROJECTIONS:
            position = np.asarray(grid.origin_mm) + index * step
            place = "\\".join(decimal(value) for value in position)
            own.append((IMAGE_POSITION, "DS", place.encode()))
            own.append((SLICE_LOCATION, "DS", decimal(index * grid.spacing_mm[0]).encode()))
        # raw elements are immutable, so slices can share them
        dataset = Dataset(shared | {BaseTag(element[0]): raw_element(*element) for element in own})
        dataset.set_original_encoding(is_implicit_vr=False, is_little_endian=True, character_encoding=UTF_8)
        yield dataset


def _template(grid: Grid, header: SeriesHeader) -> Dataset:
    """All elements which the slices share."""
    dataset = Dataset()
    dataset.SpecificCharacterSet = CHARACTER_SET
    dataset.SOPClassUID = SOP_CLASSES[header.modality]
    dataset.SOPInstanceUID = uid_of(header.series_uid, "template")
    header.apply(dataset)
    pixel_module(dataset, grid, signed=header.modality not in PROJECTIONS)
    if header.modality in PROJECTIONS:
        _projection_modules(dataset, grid)
    else:
        _plane_modules(dataset, grid, header)
    if header.modality in OWN_MODULES:
        OWN_MODULES[header.modality](dataset)
    if header.modality != "DX" and header.body_part not in UNPAIRED:  # DX has Image Laterality
        dataset.Laterality = ""  # mandatory unless the body part is known to be unpaired; empty says unknown
    for keyword, value in header.attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def pixel_module(dataset: Dataset, grid: Grid, *, signed: bool) -> None:
    """Image Pixel: 16 bits of grey, one sample per pixel."""
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = grid.shape_zyx[1:]
    dataset.BitsAllocated = 16
    dataset.BitsStored = 16 if signed else 15
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(signed)


def _plane_modules(dataset: Dataset, grid: Grid, header: SeriesHeader) -> None:
    dataset.FrameOfReferenceUID = header.frame_of_reference_uid
    dataset.PositionReferenceIndicator = ""
    dataset.PatientPosition = "HFS"
    rows, columns = grid.axes[1], grid.axes[2]  # first the direction along a row, which is that of x
    dataset.ImageOrientationPatient = [decimal(value) for value in (*columns, *rows)]
    dataset.PixelSpacing = [decimal(value) for value in grid.spacing_mm[1:]]
    dataset.SliceThickness = decimal(grid.spacing_mm[0])
    dataset.SpacingBetweenSlices = decimal(grid.spacing_mm[0])
    dataset.AcquisitionNumber = 1


def _projection_modules(dataset: Dataset, grid: Grid) -> None:
    dataset.PatientOrientation = ["L", "F"]
    dataset.PixelSpacing = [decimal(value) for value in grid.spacing_mm[1:]]
    dataset.ImagerPixelSpacing = dataset.PixelSpacing
    dataset.ViewPosition = "AP"
    dataset.AcquisitionNumber = 1


def _mr_module(dataset: Dataset) -> None:
    """MR Image: the type 2 attributes stay empty where the header does not name them."""
    dataset.ScanningSequence = "SE"
    dataset.SequenceVariant = "NONE"
    dataset.ScanOptions = ""
    dataset.MRAcquisitionType = "2D"
    dataset.EchoTime = None
    dataset.RepetitionTime = None
    dataset.EchoTrainLength = None


def _ct_module(dataset: Dataset) -> None:
    dataset.KVP = None
    dataset.RescaleIntercept = 0  # voxels are stored in HU
    dataset.RescaleSlope = 1
    dataset.RescaleType = "HU"


def _dx_modules(dataset: Dataset) -> None:
    dataset.PresentationIntentType = "FOR PRESENTATION"
    dataset.PixelIntensityRelationship = "LOG"  # line integrals of the attenuation
    dataset.PixelIntensityRelationshipSign = -1
    dataset.RescaleIntercept = 0
    dataset.RescaleSlope = 1
    dataset.RescaleType = "US"
    dataset.PresentationLUTShape = "IDENTITY"
    dataset.LossyImageCompression = "00"
    dataset.BurnedInAnnotation = dataset.get("BurnedInAnnotation", "NO")
    dataset.DetectorType = ""
    dataset.ImageLaterality = "U"
    dataset.AnatomicRegionSequence = [
        code_item(BODY_REGIONS.get(dataset.get("BodyPartExamined", ""), UNKNOWN_REGION))
    ]
    dataset.AcquisitionContextSequence = []
    dataset.ViewCodeSequence = [code_item("399348003|antero-posterior")]
    dataset.ViewCodeSequence[0].ViewModifierCodeSequence = []
    dataset.PositionerType = ""


OWN_MODULES = {"MR": _mr_module, "CT": _ct_module, "DX": _dx_modules}  # CR Image has no mandatory attribute


def decimal(value: float) -> str:
    """A decimal string of at most 16 characters which is nearest to the value."""
    value = float(value) + 0.0  # no negative zero
    for digits in range(16, 0, -1):
        text = f"{value:.{digits}g}"
        if len(text) <= 16:
            return text
    return f"{value:.0e}"

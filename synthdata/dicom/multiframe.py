"""One array to one enhanced multi-frame MR or CT object: a file per series, a frame per slice."""

from collections.abc import Callable, Mapping

import numpy as np
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import UID, EnhancedCTImageStorage, EnhancedMRImageStorage

from synthdata.dicom.codes import code_item
from synthdata.dicom.files import CHARACTER_SET
from synthdata.dicom.header import SeriesHeader
from synthdata.dicom.series import BODY_REGIONS, UNKNOWN_REGION, decimal, pixel_module
from synthdata.dicom.texts import DUMMY_DATE, DUMMY_TIME
from synthdata.dicom.uids import uid_of
from synthdata.errors import ConfigError, ShapeError
from synthdata.records.grid import Grid

ENHANCED_SOP_CLASSES: Mapping[str, UID] = {"MR": EnhancedMRImageStorage, "CT": EnhancedCTImageStorage}
FRAME_TYPE_SEQUENCES = {"MR": "MRImageFrameTypeSequence", "CT": "CTImageFrameTypeSequence"}
RESCALE_TYPES = {"MR": "US", "CT": "HU"}
STACK = "1"
MOVED = ("WindowCenter", "WindowWidth")  # of the frames here, not of the object


def multiframe_dataset(
    image: np.ndarray, grid: Grid, header: SeriesHeader, *, finish: Callable[[Dataset], None] | None = None
) -> Dataset:
    """The enhanced DICOM object of one channel of one case.

    Args:
        image: Voxels int16 (z, y, x), in the unit of the header.
        grid: Where the voxels lie.
        header: Patient, study, series and equipment of an MR or a CT. The instance UID follows from its series UID.
        finish: Last changes of the object, before its frames repeat its Image Type.

    Raises:
        ConfigError: Another modality than MR or CT.
        ShapeError: The array is no int16 (z, y, x) on the grid.

    Source:
        DICOM PS3.3, A.36 and A.38 (Enhanced MR and CT Image IOD), C.7.6.16 (functional groups), C.8.16 (common
        attributes of enhanced images). Nothing was acquired, so what only acquired images must state is left out.
    """
    if header.modality not in ENHANCED_SOP_CLASSES:
        raise ConfigError(
            f"modality is {header.modality!r}, expected MR or CT: a projection has no enhanced form"
        )
    if image.dtype != np.int16 or image.shape != grid.shape_zyx:
        raise ShapeError(
            f"image is {image.dtype} of shape {image.shape}, expected int16 (z, y, x) of {grid.shape_zyx}: "
            "encode the channel first"
        )
    dataset = _object(grid, header)
    if finish is not None:
        finish(dataset)
    _dimensions(dataset, header)
    dataset.SharedFunctionalGroupsSequence = [_shared(dataset, grid, header)]
    dataset.PerFrameFunctionalGroupsSequence = [_frame(grid, header, index) for index in range(len(image))]
    dataset.NumberOfFrames = len(image)
    dataset.PixelData = np.ascontiguousarray(image, "<i2").tobytes()
    dataset["PixelData"].VR = "OW"
    return dataset


def _object(grid: Grid, header: SeriesHeader) -> Dataset:
    """All that is said once."""
    dataset = Dataset()
    dataset.SpecificCharacterSet = CHARACTER_SET
    dataset.SOPClassUID = ENHANCED_SOP_CLASSES[header.modality]
    dataset.SOPInstanceUID = uid_of(header.series_uid, 0)
    header.apply(dataset)
    for keyword in MOVED:
        delattr(dataset, keyword)
    dataset.ImageType = [header.image_type[0], "PRIMARY", "VOLUME", "NONE"]
    dataset.Manufacturer = header.manufacturer or "UNKNOWN"  # these four are mandatory here
    dataset.ManufacturerModelName = header.model_name or "UNKNOWN"
    dataset.SoftwareVersions = header.software or "UNKNOWN"
    dataset.DeviceSerialNumber = "0"
    dataset.InstanceNumber = 1
    dataset.ContentDate, dataset.ContentTime = DUMMY_DATE, DUMMY_TIME
    dataset.AcquisitionContextSequence = []
    dataset.FrameOfReferenceUID = header.frame_of_reference_uid
    dataset.PositionReferenceIndicator = ""
    dataset.PatientPosition = "HFS"
    dataset.ContentQualification = "RESEARCH"
    dataset.LossyImageCompression = "00"
    dataset.PresentationLUTShape = "IDENTITY"
    dataset.BurnedInAnnotation = dataset.get("BurnedInAnnotation", "NO")
    if header.modality == "MR":
        dataset.ApplicableSafetyStandardAgency = (
            "NONE"  # dciodvfy asks also those for it which nobody scanned
        )
    pixel_module(dataset, grid, signed=True)
    _describe(dataset, header)
    return dataset


def _describe(target: Dataset, header: SeriesHeader) -> None:
    """What object and frames say alike. Source: DICOM PS3.3, C.8.16.2 and C.8.13.3.1."""
    target.PixelPresentation = "MONOCHROME"
    target.VolumetricProperties = "VOLUME"
    target.VolumeBasedCalculationTechnique = "NONE"
    if header.modality == "MR":
        target.ComplexImageComponent = "MAGNITUDE"
        target.AcquisitionContrast = "UNKNOWN"


def _dimensions(dataset: Dataset, header: SeriesHeader) -> None:
    """Frames are ordered by their place in the one stack."""
    organisation = Dataset()
    organisation.DimensionOrganizationUID = uid_of(header.series_uid, "dimensions")
    dataset.DimensionOrganizationSequence = [organisation]
    dataset.DimensionOrganizationType = "3D"
    items = []
    for keyword in ("StackID", "InStackPositionNumber"):
        item = Dataset()
        item.DimensionIndexPointer = Tag(keyword)
        item.FunctionalGroupPointer = Tag("FrameContentSequence")
        item.DimensionOrganizationUID = organisation.DimensionOrganizationUID
        item.DimensionDescriptionLabel = keyword
        items.append(item)
    dataset.DimensionIndexSequence = items


def _shared(dataset: Dataset, grid: Grid, header: SeriesHeader) -> Dataset:
    """Functional groups which all frames have in common."""
    groups = Dataset()
    measures, orientation, window, values = (Dataset() for _ in range(4))
    measures.PixelSpacing = [decimal(value) for value in grid.spacing_mm[1:]]
    measures.SliceThickness = decimal(grid.spacing_mm[0])
    measures.SpacingBetweenSlices = decimal(grid.spacing_mm[0])
    rows, columns = grid.axes[1], grid.axes[2]  # first the direction along a row, which is that of x
    orientation.ImageOrientationPatient = [decimal(value) for value in (*columns, *rows)]
    low, high = header.window
    window.WindowCenter, window.WindowWidth = f"{(low + high) / 2:.6g}", f"{high - low:.6g}"
    values.RescaleIntercept, values.RescaleSlope = 0, 1
    values.RescaleType = RESCALE_TYPES[header.modality]
    groups.PixelMeasuresSequence = [measures]
    groups.PlaneOrientationSequence = [orientation]
    groups.FrameVOILUTSequence = [window]
    groups.PixelValueTransformationSequence = [values]
    groups.FrameAnatomySequence = [_anatomy(header)]
    kind = Dataset()
    kind.FrameType = list(dataset.ImageType)
    _describe(kind, header)
    setattr(groups, FRAME_TYPE_SEQUENCES[header.modality], [kind])
    return groups


def _anatomy(header: SeriesHeader) -> Dataset:
    anatomy = Dataset()
    anatomy.FrameLaterality = "U"
    anatomy.AnatomicRegionSequence = [code_item(BODY_REGIONS.get(header.body_part, UNKNOWN_REGION))]
    return anatomy


def _frame(grid: Grid, header: SeriesHeader, index: int) -> Dataset:
    """Functional groups of one frame: its place."""
    content, position = Dataset(), Dataset()
    content.StackID = STACK
    content.InStackPositionNumber = index + 1
    content.DimensionIndexValues = [1, index + 1]
    place = np.asarray(grid.origin_mm) + index * grid.axes[0] * grid.spacing_mm[0]
    position.ImagePositionPatient = [decimal(value) for value in place]
    groups = Dataset()
    groups.FrameContentSequence = [content]
    groups.PlanePositionSequence = [position]
    if header.modality == "CT":  # mandatory; it names the series, as nothing was irradiated
        event = Dataset()
        event.IrradiationEventUID = uid_of(header.series_uid, "no irradiation")
        groups.IrradiationEventIdentificationSequence = [event]
    return groups

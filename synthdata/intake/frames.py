"""Slices of a DICOM file: where each lies, how its numbers become values, what tells it from others at its place."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from synthdata.intake.header import Header
from synthdata.intake.plain_file import numbers_in
from synthdata.intake.scales import Attributes, Scale, is_stated, scales_of

MARKS = (  # what tells two slices at one place apart, in the order in which a series is split
    "type",
    "echo",
    "b",
    "direction",
    "inversion",
    "flip",
    "trigger",
    "time",
    "acquisition",
    "kernel",
    "dimension",
)
LEGACY = "UnassignedPerFrameConvertedAttributesSequence"  # what a converted classic image said of a slice
DETECTOR = "ImagerPixelSpacing"
PLACES = frozenset({"ImagePositionPatient", "InStackPositionNumber", "StackID", "SliceLocation"})
Mark = tuple[str | float, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """One slice of a file."""

    number: int  # of the frame in the file, or of the tile in a mosaic; from 0
    order: tuple[
        int, int
    ]  # Instance Number and number of the frame: the order of acquisition, as far as told
    position_mm: tuple[float, ...]  # LPS of the first pixel, or empty
    orientation: tuple[float, ...]  # LPS cosines of a row, then of a column, or empty
    spacing_mm: tuple[float, float] | None  # along y, x
    thickness_mm: float  # of the slice; 0 where the file does not state it
    distance_mm: float  # of neighbouring slices as stated, for a single slice
    scales: tuple[Scale, ...]  # ways from stored numbers to values, each with its unit
    marks: tuple[Mark, ...]  # one per entry of `MARKS`, empty where the file does not tell
    stack: str = ""  # Stack ID, where a file with functional groups tells it
    at_detector: bool = False  # the spacing is that at the detector, where a body is magnified


@dataclass(frozen=True, kw_only=True, slots=True)
class SharedFrame:
    """What the slices of a series have in common; see `Frame`."""

    orientation: tuple[float, ...]
    spacing_mm: tuple[float, float] | None
    thickness_mm: float
    distance_mm: float
    scales: tuple[Scale, ...]
    marks: tuple[Mark, ...]
    at_detector: bool


def classic_frame(header: Header) -> Frame:
    """The one slice of a file without functional groups."""
    return placed_frame(shared_frame(header), header)


def shared_frame(header: Header) -> SharedFrame:
    """The one slice of a file without functional groups, but for its place."""
    return _shared_frame(header, header, _classic_marks(header))


def placed_frame(shared: SharedFrame, header: Header) -> Frame:
    """Such a slice at its place."""
    return _placed(0, shared, header, header.numbers("ImagePositionPatient"))


def enhanced_frames(header: Header) -> tuple[Frame, ...]:
    """Slices of an enhanced multi-frame file.

    Raises:
        ValueError: The functional groups do not fit Number Of Frames.

    Source:
        DICOM PS3.3, C.7.6.16 (multi-frame functional groups) and C.7.6.17 (dimensions).
    """
    shared = _first(header, "SharedFunctionalGroupsSequence")
    items = header.get("PerFrameFunctionalGroupsSequence") or []
    if len(items) != int(header.get("NumberOfFrames", 1) or 1):
        raise ValueError("per-frame functional groups do not fit the number of frames")
    dimensions = _dimensions(header)
    frames = []
    for number, item in enumerate(items):
        groups = Groups(item, shared)
        stack = str(groups.group("FrameContentSequence").get("StackID") or "")
        frame = _frame(number, header, groups, _enhanced_marks(header, groups, dimensions))
        frames.append(replace(frame, stack=stack))
    return tuple(frames)


class Groups:
    """Attributes of a frame, looked up in its own functional groups, then in the shared ones."""

    def __init__(self, item: Attributes, shared: Attributes) -> None:
        self._levels = (item, shared)
        self._found: dict[str, Attributes] = {}

    def group(self, sequence: str) -> Attributes:
        """Item of a functional group; an empty one where the frame lacks the group."""
        if sequence not in self._found:
            found = (_first(level, sequence) for level in self._levels)
            self._found[sequence] = next((item for item in found if item is not NOTHING), NOTHING)
        return self._found[sequence]

    def get(self, keyword: str, default: Any = None, /) -> Any:
        """Value of an attribute of the groups that say where a frame lies and what its numbers mean."""
        sequence = GROUP_OF.get(keyword)
        if sequence is None:
            return next((level.get(keyword) for level in self._levels if level.get(keyword)), default)
        return self.group(sequence).get(keyword, default)


class Nothing:
    """Lacks every attribute."""

    def get(self, _keyword: str, default: Any = None, /) -> Any:
        """The default."""
        return default


NOTHING = Nothing()
GROUP_OF = {
    "ImagePositionPatient": "PlanePositionSequence",
    "ImageOrientationPatient": "PlaneOrientationSequence",
    "PixelSpacing": "PixelMeasuresSequence",
    "SliceThickness": "PixelMeasuresSequence",
    "SpacingBetweenSlices": "PixelMeasuresSequence",
    "RescaleSlope": "PixelValueTransformationSequence",
    "RescaleIntercept": "PixelValueTransformationSequence",
    "RescaleType": "PixelValueTransformationSequence",
}


def _first(attributes: Attributes, sequence: str) -> Attributes:
    items = attributes.get(sequence)
    found: Attributes = items[0] if items else NOTHING
    return found


def _frame(number: int, header: Header, place: Attributes, marks: tuple[Mark, ...]) -> Frame:
    return _placed(
        number,
        _shared_frame(header, place, marks),
        header,
        numbers_in(place.get("ImagePositionPatient")),
    )


def _shared_frame(header: Header, place: Attributes, marks: tuple[Mark, ...]) -> SharedFrame:
    thickness = _number(place.get("SliceThickness"))
    return SharedFrame(
        orientation=numbers_in(place.get("ImageOrientationPatient")),
        spacing_mm=spacing_of(place),
        thickness_mm=thickness,
        distance_mm=abs(_number(place.get("SpacingBetweenSlices")) or thickness) or 1.0,
        scales=scales_of(place, str(header.get("Modality", ""))),
        marks=marks,
        at_detector=_is_at_detector(place),
    )


def _placed(number: int, shared: SharedFrame, header: Header, position_mm: tuple[float, ...]) -> Frame:
    return Frame(
        number=number,
        order=(int(header.get("InstanceNumber") or 0), number),
        position_mm=position_mm,
        orientation=shared.orientation,
        spacing_mm=shared.spacing_mm,
        thickness_mm=shared.thickness_mm,
        distance_mm=shared.distance_mm,
        scales=shared.scales,
        marks=shared.marks,
        at_detector=shared.at_detector,
    )


def spacing_of(place: Attributes) -> tuple[float, float] | None:
    """Distance of rows and of columns: calibrated for the patient where that is stated, else at the detector.

    Source:
        DICOM PS3.3, 10.7.1.3 (Pixel Spacing, Imager Pixel Spacing and what their difference means).
    """
    stated = (_pair(place, keyword) for keyword in ("PixelSpacing", DETECTOR, "NominalScannedPixelSpacing"))
    return next((pair for pair in stated if pair is not None), None)


def _is_at_detector(place: Attributes) -> bool:
    return _pair(place, DETECTOR) is not None and _pair(place, "PixelSpacing") is None


def _pair(place: Attributes, keyword: str) -> tuple[float, float] | None:
    values = numbers_in(place.get(keyword))
    return (values[0], values[1]) if len(values) == 2 and min(values) > 0 else None


def _number(value: Any) -> float:
    return float(value) if is_stated(value) else 0.0


def _mark(*values: Any) -> Mark:
    """A comparable mark of what a file states; empty where it states nothing."""
    return tuple(_plain(value) for value in values if is_stated(value))


def _plain(value: Any) -> str | float:
    return float(value) if isinstance(value, int | float) else str(value)


def _kind(image_type: Any, component: Any) -> Mark:
    """Values 3 and following of Image Type (magnitude, phase, water, fat ...), and the complex component."""
    values = [image_type] if isinstance(image_type, str) else list(image_type or ())
    return _mark(*(str(value) for value in values[2:]), component)


def _classic_marks(header: Header) -> tuple[Mark, ...]:
    trigger = header.get("NominalCardiacTriggerDelayTime") or header.get("TriggerTime")
    return (
        _kind(header.get("ImageType"), header.get("ComplexImageComponent")),
        _mark(header.get("EchoTime") or header.get("EchoNumbers")),
        _mark(header.get("DiffusionBValue")),
        numbers_in(header.get("DiffusionGradientOrientation")),
        _mark(header.get("InversionTime")),
        _mark(header.get("FlipAngle")),
        _mark(trigger),
        _mark(header.get("TemporalPositionIdentifier")),
        _mark(header.get("AcquisitionNumber")),
        _mark(_joined(header.get("ConvolutionKernel"))),
        (),
    )


def _joined(value: Any) -> str:
    return value if isinstance(value, str) else " ".join(str(item) for item in value or ())


def _enhanced_marks(header: Header, groups: Groups, dimensions: tuple[int, ...]) -> tuple[Mark, ...]:
    kind = groups.group("MRImageFrameTypeSequence")
    if kind is NOTHING:
        kind = groups.group("CTImageFrameTypeSequence")
    diffusion, content = groups.group("MRDiffusionSequence"), groups.group("FrameContentSequence")
    direction = _first(diffusion, "DiffusionGradientDirectionSequence")
    loose = groups.group(LEGACY)
    index = content.get("DimensionIndexValues")
    values = [index] if isinstance(index, int) else list(index or ())
    return (
        _kind(
            kind.get("FrameType"), kind.get("ComplexImageComponent") or header.get("ComplexImageComponent")
        ),
        _mark(groups.group("MREchoSequence").get("EffectiveEchoTime", loose.get("EchoTime"))),
        _mark(diffusion.get("DiffusionBValue", loose.get("DiffusionBValue"))),
        numbers_in(direction.get("DiffusionGradientOrientation")),
        _mark(*_listed(groups.group("MRModifierSequence").get("InversionTimes", loose.get("InversionTime")))),
        _mark(groups.group("MRTimingAndRelatedParametersSequence").get("FlipAngle", loose.get("FlipAngle"))),
        _mark(groups.group("CardiacSynchronizationSequence").get("NominalCardiacTriggerDelayTime")),
        _mark(content.get("TemporalPositionIndex", loose.get("TemporalPositionIdentifier"))),
        _mark(content.get("FrameAcquisitionNumber")),
        _mark(_joined(groups.group("CTReconstructionSequence").get("ConvolutionKernel"))),
        _mark(*(float(values[number]) for number in dimensions if number < len(values))),
    )


def _listed(value: Any) -> Iterator[Any]:
    yield from [value] if isinstance(value, int | float) else list(value or ())


def _dimensions(header: Header) -> tuple[int, ...]:
    """Positions in Dimension Index Values of all but the dimensions of place."""
    from pydicom.datadict import keyword_for_tag

    items = header.get("DimensionIndexSequence") or []
    return tuple(
        number
        for number, item in enumerate(items)
        if keyword_for_tag(item.get("DimensionIndexPointer", 0) or 0) not in PLACES
    )

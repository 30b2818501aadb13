"""Files of one series as volumes, sorted along the normal; what makes no volume is refused with the figure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from synthdata.intake.dicom_file import Instance
from synthdata.intake.stack import Misfit, Stack, is_orthonormal, normal_of, stack_of
from synthdata.intake.volumes import Slice, Volume, sorted_along, split_volumes
from synthdata.records.grid import AXIAL, Grid

PROJECTIONS = frozenset({"CR", "DX"})
LEAST_MM, MOST_MM, FURTHEST_MM = 1e-4, 1e3, 1e6  # of a voxel's side, and of its place: no scanner goes beyond


@dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """One volume of an image series, in the order of its slices; most series are one volume."""

    slices: tuple[Slice, ...]
    stack: Stack | None  # None where it was refused
    name: str  # Series Description, and what tells the volume from others of its series, such as ` echo 2`
    note: str = ""  # a figure of the geometry which explains a refusal or a resampling

    @property
    def instances(self) -> tuple[Instance, ...]:
        """Files of the volume, each once, in the order of their first slice."""
        return tuple({id(item.instance): item.instance for item in self.slices}.values())

    @property
    def first(self) -> Instance:
        """Any instance stands for what the series shares."""
        return self.slices[0].instance

    @property
    def grid(self) -> Grid | None:
        """Where the voxels lie; None where the series was refused."""
        return None if self.stack is None else self.stack.grid

    @property
    def accepted(self) -> bool:
        """True while no file of the series is held back."""
        return self.stack is not None and all(item.seen.outcome == "accepted" for item in self.instances)


def group_series(instances: Iterable[Instance]) -> list[Series]:
    """Volumes by Series Instance UID and pseudonym, each sorted and judged, in a stable order."""
    groups: dict[tuple[str, str], list[Instance]] = {}
    for instance in instances:
        if not instance.is_mask:
            groups.setdefault((instance.case, instance.series_uid), []).append(instance)
    return [volume for key in sorted(groups) for volume in _series(groups[key])]


def refuse_series(series: Series, code: str) -> None:
    """Book a reason with each file of a series."""
    for instance in series.instances:
        instance.seen.reasons.add(code)


def hold_companions(series: Series) -> None:
    """Hold back the rest of a series of which a file is held back."""
    outcomes = {item.seen.outcome for item in series.instances}
    if outcomes != {"accepted"}:
        for instance in series.instances:
            if instance.seen.outcome == "accepted":
                instance.seen.reasons.add("case.companion")


def _series(instances: list[Instance]) -> list[Series]:
    instances.sort(key=lambda item: (item.seen.sha256,))
    first = instances[0]
    problems = set().union(*(item.problems for item in instances))
    uids = Counter(item.sop_uid for item in instances)
    if max(uids.values()) > 1:
        problems.add("series.duplicate_uid")
    if not problems and not _shared(instances):
        problems.add("series.mixed")
    slices = [Slice(instance, frame) for instance in instances for frame in instance.frames]
    if problems:
        return [_refused(Volume(slices, ""), first.description, problems)]
    if first.modality in PROJECTIONS or (len(slices) == 1 and not slices[0].frame.orientation):
        return _projections(slices)
    return [_volume(volume, first.description) for volume in split_volumes(slices)]


def _refused(volume: Volume, description: str, problems: Iterable[str], note: str = "") -> Series:
    for item in volume.slices:
        item.instance.seen.reasons |= set(problems)
    return Series(slices=tuple(volume.slices), stack=None, name=description + volume.name, note=note)


def _shared(instances: Sequence[Instance]) -> bool:
    """True where modality and frame of reference are the same for all."""
    return len({(item.modality, item.frame_of_reference) for item in instances}) == 1


def _projections(slices: Sequence[Slice]) -> list[Series]:
    """Each projection is a grid of one slice; its distances are those that the file states for it."""
    ordered = sorted(slices, key=lambda item: item.frame.order)
    series = []
    for rank, item in enumerate(ordered, 1):
        stated = item.frame.spacing_mm
        if stated is not None and not LEAST_MM <= min(stated) <= max(stated) <= MOST_MM:
            series.append(_refused(Volume([item], ""), item.instance.description, {"series.no_geometry"}))
            continue
        y, x = stated or (1.0, 1.0)
        shape = item.instance.shape_yx
        grid = Grid(shape_zyx=(1, *shape), spacing_mm=(1.0, y, x), direction=AXIAL)
        series.append(
            Series(
                slices=(item,),
                stack=Stack(positions_mm=np.zeros((1, 3)), grid=grid, shape_yx=shape),
                name=item.instance.description + (f" image {rank}" if len(ordered) > 1 else ""),
                note=_projection_note(item),
            )
        )
    return series


def _projection_note(item: Slice) -> str:
    """What the spacing of a projection does not say of the patient, for the report."""
    if item.frame.spacing_mm is None:
        return "projections without a stated spacing count as 1 mm"
    if item.frame.at_detector:
        return "projections state their spacing at the detector alone: in the patient, sizes are smaller, as magnified"
    return ""


def _volume(volume: Volume, description: str) -> Series:
    orientation = np.asarray(volume.slices[0].frame.orientation)
    whole = all(len(item.frame.position_mm) == 3 for item in volume.slices)
    if not whole or not is_orthonormal(orientation):
        return _refused(volume, description, {"series.no_geometry"})
    slices = sorted_along(volume.slices, normal_of(orientation))
    first = slices[0].frame  # of which the others may differ by a little
    orientation = np.asarray(first.orientation)
    if first.spacing_mm is None or not _is_plausible(slices):
        return _refused(volume, description, {"series.no_geometry"})
    result = stack_of(
        np.array([item.frame.position_mm for item in slices]),
        orientation,
        first.spacing_mm,
        slices[0].instance.shape_yx,
        np.array([item.frame.thickness_mm for item in slices]),
        first.distance_mm,
    )
    if isinstance(result, Misfit):
        return _refused(volume, description, {result.code}, result.note)
    note = _resampling(result)
    return Series(slices=tuple(slices), stack=result, name=description + volume.name, note=note)


def _is_plausible(slices: Sequence[Slice]) -> bool:
    """True where sides and places of voxels are numbers that a scanner can write; slices are sorted."""
    places = np.array([item.frame.position_mm for item in slices])
    sides = [
        *(slices[0].frame.spacing_mm or ()),
        slices[0].frame.distance_mm if len(slices) == 1 else LEAST_MM,
    ]
    far = np.abs(places).max() <= FURTHEST_MM and np.abs(np.diff(places, axis=0)).max(initial=0) <= MOST_MM
    return bool(np.isfinite(places).all() and far and LEAST_MM <= min(sides) and max(sides) <= MOST_MM)


def _resampling(stack: Stack) -> str:
    """What a resampling undid, for the report."""
    undone = [
        text
        for text, is_so in (
            ("tilted", stack.shifts_yx is not None),
            ("unevenly spaced", stack.depths is not None),
        )
        if is_so
    ]
    return f"{' and '.join(undone)} series were resampled linearly to upright, even grids" if undone else ""

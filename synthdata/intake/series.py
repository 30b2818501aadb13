"""Files of one series, sorted along the normal; what is no even stack is refused with the figure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from synthdata.intake.dicom_file import Instance
from synthdata.intake.geometry import grid_of_slices
from synthdata.records.grid import AXIAL, Grid

GAP_TOLERANCE = 0.02  # of the median distance; headers round positions to 1e-3 mm or so
SAME_POSITION_MM = 1e-3
TILT_TOLERANCE_DEGREES = 0.2
PROJECTIONS = frozenset({"CR", "DX"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """One image series, in the order of its slices."""

    instances: tuple[Instance, ...]
    grid: Grid | None  # None where it was refused
    note: str = ""  # a figure of the geometry which explains a refusal

    @property
    def first(self) -> Instance:
        """Any instance stands for what the series shares."""
        return self.instances[0]

    @property
    def accepted(self) -> bool:
        """True while no file of the series is held back."""
        return self.grid is not None and all(item.seen.outcome == "accepted" for item in self.instances)


def group_series(instances: Iterable[Instance]) -> list[Series]:
    """Image series by Series Instance UID and pseudonym, each sorted and judged, in a stable order."""
    groups: dict[tuple[str, str], list[Instance]] = {}
    for instance in instances:
        if not instance.is_mask:
            groups.setdefault((instance.case, instance.series_uid), []).append(instance)
    return [_series(groups[key]) for key in sorted(groups)]


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


def _series(instances: list[Instance]) -> Series:
    instances.sort(key=lambda item: (item.seen.sha256,))
    problems = set().union(*(item.problems for item in instances))
    uids = Counter(item.sop_uid for item in instances)
    if max(uids.values()) > 1:
        problems.add("series.duplicate_uid")
    if not problems and not _shared(instances):
        problems.add("series.mixed")
    if problems:
        return _refused(instances, problems)
    if instances[0].modality in PROJECTIONS or (len(instances) == 1 and not instances[0].orientation):
        return _projection(instances)
    return _stack(instances)


def _refused(instances: Sequence[Instance], problems: Iterable[str], note: str = "") -> Series:
    for instance in instances:
        instance.seen.reasons |= set(problems)
    return Series(instances=tuple(instances), grid=None, note=note)


def _shared(instances: Sequence[Instance]) -> bool:
    """True where size, spacing, orientation, modality and frame of reference are the same for all."""
    first = instances[0]
    alike = all(
        item.shape_yx == first.shape_yx
        and item.modality == first.modality
        and item.frame_of_reference == first.frame_of_reference
        and len(item.orientation) == len(first.orientation)
        for item in instances
    )
    return (
        alike
        and np.allclose([item.orientation for item in instances], first.orientation, atol=1e-4)
        and np.allclose([item.spacing_mm or (0, 0) for item in instances], first.spacing_mm or 0, rtol=1e-4)
    )


def _projection(instances: Sequence[Instance]) -> Series:
    """A projection image is a grid of one slice; its distances are those of the detector."""
    if len(instances) > 1:
        return _refused(instances, {"series.repeated_position"})
    first = instances[0]
    y, x = first.spacing_mm or (1.0, 1.0)
    return Series(
        instances=(first,), grid=Grid(shape_zyx=(1, *first.shape_yx), spacing_mm=(1.0, y, x), direction=AXIAL)
    )


def _stack(instances: list[Instance]) -> Series:
    first = instances[0]
    orientation = np.asarray(first.orientation)
    whole = all(len(item.position_mm) == 3 for item in instances)
    if not whole or orientation.shape != (6,) or first.spacing_mm is None or min(first.spacing_mm) <= 0:
        return _refused(instances, {"series.no_geometry"})
    row, column = orientation[:3], orientation[3:]
    lengths = (np.linalg.norm(row), np.linalg.norm(column))
    if not np.allclose(lengths, 1, atol=1e-2) or abs(row @ column) > 1e-2:
        return _refused(instances, {"series.no_geometry"})
    normal = np.cross(row, column)
    normal /= np.linalg.norm(normal)
    instances.sort(key=lambda item: float(np.asarray(item.position_mm) @ normal))
    positions = np.array([item.position_mm for item in instances])
    code, note = _stack_problem(positions, normal)
    if code:
        return _refused(instances, {code}, note)
    along = positions @ normal
    step = float((along[-1] - along[0]) / (len(along) - 1)) if len(along) > 1 else first.thickness_mm
    shape = (len(instances), *first.shape_yx)
    grid = grid_of_slices(positions[0], orientation, first.spacing_mm, step if step > 0 else 1.0, shape)
    return Series(instances=tuple(instances), grid=grid)


def _stack_problem(positions: np.ndarray, normal: np.ndarray) -> tuple[str, str]:
    """Reason code and figure of a stack which is not even; two empty texts where it is."""
    if len(positions) < 2:
        return "", ""
    steps = np.diff(positions, axis=0)
    gaps = steps @ normal
    if gaps.min() < SAME_POSITION_MM:
        return "series.repeated_position", ""
    median = float(np.median(gaps))
    tilt = np.degrees(np.arctan2(np.linalg.norm(steps - gaps[:, None] * normal, axis=1), gaps))
    if tilt.max() > TILT_TOLERANCE_DEGREES:
        return "series.gantry_tilt", f"a series is tilted by {tilt.max():.1f} degrees, expected 0"
    if np.abs(gaps - median).max() <= GAP_TOLERANCE * median:
        return "", ""
    note = f"a series has slice distances from {gaps.min():.2f} to {gaps.max():.2f} mm, expected one distance"
    multiples = gaps / gaps.min()
    if np.abs(multiples - np.rint(multiples)).max() <= GAP_TOLERANCE * multiples.max():
        return "series.missing_slice", note
    return "series.uneven_gaps", note

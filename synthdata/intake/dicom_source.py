"""Cases from DICOM files: images by series, masks from SEG objects, one case per patient and study."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from synthdata.intake.clinical import ClinicalTable
from synthdata.intake.dicom_file import Instance
from synthdata.intake.geometry import overlaps, resample
from synthdata.intake.inventory import Inventory
from synthdata.intake.masks import study_mask
from synthdata.intake.pixels import narrow, rounding_note
from synthdata.intake.reading import read_volume
from synthdata.intake.series import Series, group_series, hold_companions, refuse_series
from synthdata.intake.units import Unit, keyed_files, unit_key
from synthdata.records.case import Case, Value
from synthdata.records.grid import Grid
from synthdata.spec import Channel, DatasetSpec


@dataclass(frozen=True, kw_only=True, slots=True)
class Study:
    """All that came of one patient and study."""

    case: str
    patient: str
    series: tuple[Series, ...]
    masks: tuple[Instance, ...]

    def hold(self, code: str) -> None:
        """Book a reason with each file of the study that no other reason holds back."""
        for instance in self.instances():
            if instance.seen.outcome == "accepted":
                instance.seen.reasons.add(code)

    def instances(self) -> list[Instance]:
        """Images and masks."""
        return [item for series in self.series for item in series.instances] + list(self.masks)


def studies_of(instances: Iterable[Instance], inventory: Inventory, nobody: str) -> list[Study]:
    """Group instances to studies, judge series and patients; sorted by pseudonym.

    Args:
        instances: Of the source.
        inventory: Takes notes.
        nobody: Pseudonym of an empty Patient ID.
    """
    instances = list(instances)
    unnamed = len({instance.case for instance in instances if instance.patient == nobody})
    if unnamed > 1:
        inventory.notes.add(
            f"{unnamed} studies have an empty Patient ID and count as one patient: give each person a pseudonym"
        )
    _hold_conflicting_patients(instances)
    for instance in instances:
        if not inventory.broken.isdisjoint({instance.series_uid, instance.patient}):
            instance.seen.reasons.add("case.companion")
    if "" in inventory.broken:
        inventory.notes.add(
            "damaged files do not tell their series: compare the counts of slices with the archive's"
        )
    series = group_series(instances)
    by_case: dict[str, list[Series]] = {}
    for one in series:
        if one.note:
            inventory.notes.add(one.note)
        by_case.setdefault(one.first.case, []).append(one)
    masks: dict[str, list[Instance]] = {}
    for instance in instances:
        if instance.is_mask:
            masks.setdefault(instance.case, []).append(instance)
    patients = {instance.case: instance.patient for instance in instances}
    return [
        Study(
            case=case,
            patient=patients[case],
            series=tuple(by_case.get(case, ())),
            masks=tuple(sorted(masks.get(case, ()), key=lambda item: item.seen.sha256)),
        )
        for case in sorted(patients)
    ]


def _hold_conflicting_patients(instances: Sequence[Instance]) -> None:
    stated: dict[str, tuple[set[str], set[str]]] = {}
    for instance in instances:
        sexes, births = stated.setdefault(instance.patient, (set(), set()))
        sexes.update(filter(None, [instance.person[0]]))
        births.update(filter(None, [instance.person[1]]))
    conflicting = {patient for patient, facts in stated.items() if max(map(len, facts)) > 1}
    for instance in instances:
        if instance.patient in conflicting:
            instance.seen.reasons.add("patient.conflict")


class DicomSource:
    """Streams the cases of a spec; memory holds one case."""

    def __init__(self, spec: DatasetSpec, studies: Sequence[Study], table: ClinicalTable) -> None:
        self._spec, self._studies, self._table = spec, studies, table

    def units(self) -> Iterator[Unit]:
        """Studies in the order of their pseudonyms."""
        for count, study in enumerate(self._studies, 1):
            record, reason = self._table.look_up(study.patient)
            files = [instance.seen for instance in study.instances()]
            yield Unit(
                case_id=study.case,
                key=unit_key(study.case, (record, reason), keyed_files(files)),
                files=files,
                build=StudyCase(spec=self._spec, study=study, record=record, reason=reason),
                place=(count, len(self._studies)),
                portable=True,
                voxel_bytes=sum(map(_voxel_bytes, study.instances())),
            )


def _voxel_bytes(instance: Instance) -> int:
    rows, columns = instance.shape_yx
    return len(instance.frames) * rows * columns * np.dtype(instance.pixels.dtype).itemsize


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyCase:
    """Builds the case of a study."""

    spec: DatasetSpec
    study: Study
    record: dict[str, Value]
    reason: str  # why there is no record; empty where there is one

    def __call__(self, inventory: Inventory, /) -> Case | None:
        """The case, or None with the reasons booked."""
        study = self.study
        if not study.series:
            study.hold("mask.no_image")
            return None
        channels = self._channels(study)
        if channels is None:
            return None
        self._refuse_unused(study, channels)
        if self.reason:
            study.hold(self.reason)
            return None
        if len({series.first.frame_of_reference for series in channels}) > 1:
            study.hold("case.other_frame_of_reference")
            return None
        built = self._image(channels, inventory)
        mask = self._mask(study, built[1], channels[0], inventory) if built is not None else None
        if built is None or mask is None:
            study.hold("case.companion")
            return None
        image, grid, resampled = built
        facts: dict[str, Value] = {"slices": grid.shape_zyx[0], "resampled_channels": resampled}
        return Case(
            case_id=study.case,
            patient_id=study.patient,
            image=image,
            mask=mask,
            grid=grid,
            record=self.record,
            provenance=facts,
        )

    def _channels(self, study: Study) -> list[Series] | None:
        """One accepted series per channel of the spec; reasons are booked where that fails."""
        chosen: list[Series] = []
        for channel in self.spec.channels:
            found = matching(channel, study.series)
            for series in found:
                hold_companions(series)
            usable = [series for series in found if series.accepted]
            if len(usable) != 1:
                study.hold("case.ambiguous_channel" if usable else "case.missing_channel")
                return None
            if len(usable[0].slices) == 1 and self.spec.grid.shape_zyx[0] > 1:
                refuse_series(usable[0], "series.one_slice")
                study.hold("case.companion")
                return None
            chosen.append(usable[0])
        return chosen

    def _refuse_unused(self, study: Study, channels: Sequence[Series]) -> None:
        used = {id(item) for series in channels for item in series.instances}
        for series in study.series:
            if series.accepted and used.isdisjoint(map(id, series.instances)):
                refuse_series(series, "series.no_channel")

    def _image(self, channels: Sequence[Series], inventory: Inventory) -> tuple[np.ndarray, Grid, int] | None:
        """Image (c, z, y, x) on the first channel's grid, that grid, and the number of resampled channels."""
        volumes, grid, resampled = [], channels[0].grid, 0
        if grid is None:
            return None
        for channel, series in zip(self.spec.channels, channels, strict=True):
            volume = read_volume(series, inventory, unit=channel.unit)
            if volume is None or series.grid is None:
                return None
            inventory.notes |= {rounding_note(volume)} - {""}
            if not series.grid.matches(grid):
                if not overlaps(series.grid, grid):
                    refuse_series(series, "case.no_overlap")
                    return None
                volume = resample(volume, series.grid, grid, order=1, fill=float(volume.min()))
                resampled += 1
                inventory.notes.add("channels on another grid were resampled linearly to the first one's")
            volumes.append(volume)
        image = narrow(volumes[0][None] if len(volumes) == 1 else np.stack(volumes))
        if image is None:
            for series in channels:
                refuse_series(series, "pixels.not_finite")
            return None
        return image, grid, resampled

    def _mask(self, study: Study, grid: Grid, image: Series, inventory: Inventory) -> np.ndarray | None:
        """Mask on the grid of the image, all zero where the spec has no labels; None with reasons booked."""
        if not self.spec.labels:
            return _no_labels(grid.shape_zyx)
        if not study.masks:
            study.hold("mask.missing")
            return None
        if any(item.seen.outcome != "accepted" for item in study.masks):
            return None
        return study_mask(study.masks, image, self.spec.labels, inventory, self.spec.label_codes)


@lru_cache(1)
def _no_labels(shape_zyx: tuple[int, int, int]) -> np.ndarray:
    """A mask that cases of one shape share, since nobody writes to it."""
    mask = np.zeros(shape_zyx, np.uint8)
    mask.flags.writeable = False
    return mask


def matching(channel: Channel, series: Sequence[Series]) -> list[Series]:
    """Volumes of a channel: by their whole name, or else all those of the series whose description fits."""
    of_kind = [one for one in series if one.first.modality == channel.modality]
    for names in ([one.name for one in of_kind], [one.first.description for one in of_kind]):
        found = [
            one
            for one, name in zip(of_kind, names, strict=True)
            if re.search(channel.series, name, re.IGNORECASE)
        ]
        if found:
            return found
    return []

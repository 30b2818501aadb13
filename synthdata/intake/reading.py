"""Voxels of a volume from its files: each file is read once, and only the frames that are asked for are decoded."""

from collections.abc import Iterator

import numpy as np

from synthdata.intake.dicom_file import DAMAGE, Instance
from synthdata.intake.inventory import Inventory
from synthdata.intake.lookup import lookup_table
from synthdata.intake.pixels import stored_slices, values_of
from synthdata.intake.reading_ahead import read_ahead
from synthdata.intake.scales import NO_TABLE, scale_for
from synthdata.intake.series import Series
from synthdata.intake.volumes import Slice

AIR_HU = -1024.0  # stands for CT pixels outside the field of view


def read_volume(series: Series, inventory: Inventory, *, unit: str) -> np.ndarray | None:
    """Values of a volume on its grid; reasons are booked with the files where that fails.

    Args:
        series: An accepted volume.
        inventory: Reads its files again, and sees where they changed.
        unit: UCUM unit of the channel; `1` for the modality's own numbers.

    Returns:
        Array (z, y, x), whole numbers or float64; None where a file cannot be decoded or does not have that unit.
    """
    if series.stack is None:
        return None
    parts = _Slices(len(series.slices))
    for instance, members in read_ahead(list(_by_file(series)), lambda item: item[0].seen.path):
        data = inventory.reread(instance.seen)
        if data is None:
            return None
        reason = _read_file(instance, data, members, unit, parts)
        if reason:
            instance.seen.reasons.add(reason)
            return None
    volume, padding = parts.values, parts.padding
    if padding:
        lowest = AIR_HU if series.first.modality == "CT" else _lowest(volume, padding)
        for index, padded in padding.items():
            volume[index][padded] = lowest
    if not series.stack.is_resampled:
        return volume
    fill = AIR_HU if series.first.modality == "CT" else float(volume.min())
    return series.stack.assemble(volume, order=1, fill=fill)


def _by_file(series: Series) -> Iterator[tuple[Instance, list[tuple[int, Slice]]]]:
    """Files of a volume, each with its slices and their places in the volume."""
    members: dict[int, list[tuple[int, Slice]]] = {}
    for index, item in enumerate(series.slices):
        members.setdefault(id(item.instance), []).append((index, item))
    for group in members.values():
        yield group[0][1].instance, group


def _read_file(
    instance: Instance,
    data: bytes,
    members: list[tuple[int, Slice]],
    unit: str,
    parts: "_Slices",
) -> str:
    """Add values and padding of a file's slices by their place in the volume; returns a reason where that fails."""
    stored = stored_slices(instance, data, [item.frame for _, item in members])
    if stored is None:
        return "pixels.undecodable"
    for (index, item), numbers in zip(members, stored, strict=True):
        scale = scale_for(item.frame.scales, unit)
        if scale is None:
            return "pixels.unit"
        try:
            frame = 0 if instance.pixels.tiles else item.frame.number
            table = None if scale.table == NO_TABLE else lookup_table(data, frame, scale)
        except DAMAGE:
            return "pixels.lookup_table"
        found = values_of(numbers, instance.pixels, scale, table, unit=unit)
        if found is None:
            return "pixels.unit"
        parts.put(index, *found)
    return ""


class _Slices:
    """Slices of a volume, put where they belong as they come: the bytes of their files are let go."""

    def __init__(self, count: int) -> None:
        self.values = np.empty((count, 0, 0), np.int16)  # (z, y, x)
        self.padding: dict[int, np.ndarray] = {}  # (y, x) by place
        self._count = count

    def put(self, index: int, values: np.ndarray, padded: np.ndarray | None) -> None:
        """Take values (y, x) of the type that holds all of them, and where they stand for no measurement."""
        if not self.values.size:
            self.values = np.empty((self._count, *values.shape), values.dtype)
        elif values.dtype != self.values.dtype:
            kind = np.result_type(values.dtype, self.values.dtype)
            self.values = self.values.astype(kind, copy=False)
        self.values[index] = values
        if padded is not None:
            self.padding[index] = padded


def _lowest(volume: np.ndarray, padding: dict[int, np.ndarray]) -> float:
    """Lowest value that was measured; 0 where all is padding."""
    measured = np.ones(volume.shape, dtype=bool)
    for index, padded in padding.items():
        measured[index] = ~padded
    return float(volume[measured].min()) if measured.any() else 0.0

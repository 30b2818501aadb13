"""Slices of one series told apart: stacks, echoes, b-values, time points, each a volume of its own."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from synthdata.intake.dicom_file import Instance
from synthdata.intake.frames import MARKS, Frame

PLACE_DECIMALS = 2  # mm: slices nearer to each other than that lie at one place
ANGLE_DECIMALS = 3
MAGNITUDES = frozenset({"b"})  # marks whose value names the volume; the others go by rank


class Slice(NamedTuple):
    """One slice and the file that holds it."""

    instance: Instance
    frame: Frame


class Volume(NamedTuple):
    """Slices of one kind, and what tells them from the others of their series; empty where there are no others."""

    slices: list[Slice]
    name: str


def split_volumes(slices: Sequence[Slice]) -> list[Volume]:
    """Volumes of a series, in a stable order.

    Slices of one orientation, size and spacing are a stack, the largest one first. A stack with several slices at one
    place is split by the first mark which tells them apart, again and again; at last by the order of acquisition,
    where that is one volume after another or one place after another. What still shares a place is left together.

    Args:
        slices: Of one series.
    """
    stacks: dict[tuple[object, ...], list[Slice]] = {}
    for item in slices:
        stacks.setdefault(_stack_key(item), []).append(item)
    ordered = sorted(stacks.items(), key=lambda entry: (-len(entry[1]), str(entry[0])))
    volumes = []
    for rank, (_, members) in enumerate(ordered, 1):
        prefix = f" stack {rank}" if len(ordered) > 1 else ""
        volumes += [Volume(part, prefix + name) for part, name in _apart(members, 0)]
    return volumes


def _stack_key(item: Slice) -> tuple[object, ...]:
    spacing = item.frame.spacing_mm or ()
    return (
        tuple(round(value, ANGLE_DECIMALS) + 0.0 for value in item.frame.orientation),
        item.instance.shape_yx,
        tuple(float(f"{value:.3g}") for value in spacing),
    )


def _place(item: Slice) -> tuple[float, ...]:
    return tuple(round(value, PLACE_DECIMALS) + 0.0 for value in item.frame.position_mm)


def _apart(members: list[Slice], start: int) -> list[Volume]:
    """Parts in which no two slices share a place, by the marks from `start` on."""
    crowd = Counter(map(_place, members))
    most = max(crowd.values())
    if most == 1:
        return [Volume(members, "")]
    for index in range(start, len(MARKS)):
        parts = _parts(members, lambda item, index=index: item.frame.marks[index])  # type: ignore[misc] # bound now
        if 1 < len(parts) <= most and _tells_apart(members, index):
            return [
                Volume(part, f" {_name(index, rank, part)}{name}")
                for rank, group in enumerate(parts, 1)
                for part, name in _apart(group, index + 1)
            ]
    return _by_order(members, most)


def _parts(members: Sequence[Slice], key: Callable[[Slice], tuple[object, ...]]) -> list[list[Slice]]:
    parts: dict[tuple[object, ...], list[Slice]] = {}
    for item in members:
        parts.setdefault(key(item), []).append(item)
    return [parts[mark] for mark in sorted(parts, key=lambda mark: tuple((str(type(x)), x) for x in mark))]


def _tells_apart(members: Sequence[Slice], index: int) -> bool:
    """True where two slices at one place differ in a mark."""
    seen: dict[tuple[float, ...], object] = {}
    return any(
        seen.setdefault(_place(item), item.frame.marks[index]) != item.frame.marks[index] for item in members
    )


def _name(index: int, rank: int, part: Sequence[Slice]) -> str:
    mark = part[0].frame.marks[index]
    if MARKS[index] == "type":
        return " ".join(["type", *map(str, mark)])
    if MARKS[index] in MAGNITUDES:
        return f"{MARKS[index]} {mark[0]:g}" if mark else f"{MARKS[index]} none"
    return f"{MARKS[index]} {rank}"


def _by_order(members: list[Slice], most: int) -> list[Volume]:
    """Time points by the order of acquisition alone; the members together where that is no clear order."""
    ordered = sorted(members, key=lambda item: item.frame.order)
    orders, places = [item.frame.order for item in ordered], [_place(item) for item in ordered]
    count, rest = divmod(len(members), most)
    if rest or len(set(orders)) != len(orders) or set(Counter(places).values()) != {most}:
        return [Volume(members, "")]
    blocks = [places[at : at + count] for at in range(0, len(places), count)]
    runs = [places[at : at + most] for at in range(0, len(places), most)]
    if all(len(set(block)) == count for block in blocks):
        parts = [ordered[at : at + count] for at in range(0, len(ordered), count)]
    elif all(len(set(run)) == 1 for run in runs):
        parts = [ordered[rank::most] for rank in range(most)]
    else:
        return [Volume(members, "")]
    return [Volume(part, f" time {rank}") for rank, part in enumerate(parts, 1)]


def sorted_along(slices: Sequence[Slice], normal: np.ndarray) -> list[Slice]:
    """Slices in the direction of their normal, shape (3,)."""
    return sorted(slices, key=lambda item: float(np.asarray(item.frame.position_mm) @ normal))

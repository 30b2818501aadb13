"""Slices of one series told apart: stacks, echoes, b-values, time points, each a volume of its own."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from synthdata.intake.dicom_file import Instance
from synthdata.intake.frames import MARKS, Frame
from synthdata.intake.stack import normal_of

PLACE_MM = 5e-3  # slices nearer to each other than that lie at one place
ANGLE = 1e-3  # largest difference of cosines within a stack
SPACING = 2e-4  # largest relative difference of pixel spacings within a stack
EVEN = 0.25  # of the median distance: stacks side by side are one, where their slices are as even as that
MAGNITUDES = frozenset({"b"})  # marks whose value names the volume; the others go by rank

Places = dict[tuple[float, ...], int]  # number of a place by position


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
    stacks = [part for stack in _alike(slices) for part in _stacks_of_ids(stack)]
    stacks.sort(key=lambda stack: (-len(stack), stack[0].frame.orientation, stack[0].frame.position_mm))
    volumes = []
    for rank, members in enumerate(stacks, 1):
        prefix = f" stack {rank}" if len(stacks) > 1 else ""
        volumes += [Volume(part, prefix + name) for part, name in _apart(members, 0, _places(members))]
    return volumes


def _alike(slices: Sequence[Slice]) -> list[list[Slice]]:
    """Slices of nearly one orientation and spacing, and one size, by their order in space."""
    known: dict[tuple[object, ...], list[Slice]] = {}
    stacks: list[list[Slice]] = []
    for item in sorted(slices, key=lambda item: (item.frame.position_mm, item.frame.order)):
        key = (item.frame.orientation, item.frame.spacing_mm, item.instance.shape_yx)
        if key not in known:
            near = next((stack for stack in stacks if _are_alike(stack[0], item)), None)
            if near is None:
                stacks.append(near := [])
            known[key] = near
        known[key].append(item)
    return stacks


def _are_alike(one: Slice, other: Slice) -> bool:
    here, there = one.frame, other.frame
    if one.instance.shape_yx != other.instance.shape_yx or len(here.orientation) != len(there.orientation):
        return False
    if (here.spacing_mm is None) != (there.spacing_mm is None):
        return False
    spacings = zip(here.spacing_mm or (), there.spacing_mm or (), strict=True)
    cosines = zip(here.orientation, there.orientation, strict=True)
    return all(abs(a - b) <= SPACING * max(a, b) for a, b in spacings) and all(
        abs(a - b) <= ANGLE for a, b in cosines
    )


def _stacks_of_ids(members: list[Slice]) -> list[list[Slice]]:
    """Parallel stacks that Stack ID tells apart, where together they do not make an even one."""
    parts = _parts(members, lambda item: (item.frame.stack,))
    apart = len(parts) > 1 and min(map(len, parts)) > 1
    return parts if apart and not _is_even(members) else [members]


def _is_even(members: Sequence[Slice]) -> bool:
    """True where the places of some slices have about one distance to the next."""
    places = _places(members)
    firsts = {number: position for position, number in reversed(places.items())}
    if len(firsts) < 3 or any(len(position) != 3 for position in firsts.values()):
        return True
    points = np.array(list(firsts.values()))
    gaps = np.diff(np.sort((points - points[0]) @ normal_of(np.asarray(members[0].frame.orientation))))
    return bool(np.abs(gaps - np.median(gaps)).max() <= EVEN * np.median(gaps))


def _places(members: Sequence[Slice]) -> Places:
    """Number of the place of each position: those within `PLACE_MM` of the first one of a place share it."""
    positions = {item.frame.position_mm for item in members}
    if any(len(position) != 3 for position in positions):
        return {position: number for number, position in enumerate(sorted(positions))}
    extent = np.ptp(np.array(list(positions)), axis=0)
    axis = int(extent.argmax())  # along which neighbours in the order are neighbours in space
    places: Places = {}
    firsts: list[tuple[float, ...]] = []
    for position in sorted(positions, key=lambda position: (position[axis], position)):
        number = len(firsts)
        for before in range(len(firsts) - 1, -1, -1):
            if position[axis] - firsts[before][axis] > PLACE_MM:
                break
            if math.dist(position, firsts[before]) <= PLACE_MM:
                number = before
        if number == len(firsts):
            firsts.append(position)
        places[position] = number
    return places


def _apart(members: list[Slice], start: int, places: Places) -> list[Volume]:
    """Parts in which no two slices share a place, by the marks from `start` on."""
    most = max(Counter(places[item.frame.position_mm] for item in members).values())
    if most == 1:
        return [Volume(members, "")]
    for index in range(start, len(MARKS)):
        parts = _parts(members, lambda item, index=index: item.frame.marks[index])  # type: ignore[misc] # bound now
        if 1 < len(parts) <= most and _tells_apart(members, index, places):
            return [
                Volume(part, f" {_name(index, rank, part)}{name}")
                for rank, group in enumerate(parts, 1)
                for part, name in _apart(group, index + 1, places)
            ]
    return _by_order(members, most, places)


def _parts(members: Sequence[Slice], key: Callable[[Slice], tuple[object, ...]]) -> list[list[Slice]]:
    parts: dict[tuple[object, ...], list[Slice]] = {}
    for item in members:
        parts.setdefault(key(item), []).append(item)
    return [parts[mark] for mark in sorted(parts, key=lambda mark: tuple((str(type(x)), x) for x in mark))]


def _tells_apart(members: Sequence[Slice], index: int, places: Places) -> bool:
    """True where two slices at one place differ in a mark."""
    seen: dict[int, object] = {}
    return any(
        seen.setdefault(places[item.frame.position_mm], item.frame.marks[index]) != item.frame.marks[index]
        for item in members
    )


def _name(index: int, rank: int, part: Sequence[Slice]) -> str:
    mark = part[0].frame.marks[index]
    if MARKS[index] == "type":
        return " ".join(["type", *map(str, mark)])
    if MARKS[index] in MAGNITUDES:
        return f"{MARKS[index]} {mark[0]:g}" if mark else f"{MARKS[index]} none"
    return f"{MARKS[index]} {rank}"


def _by_order(members: list[Slice], most: int, places: Places) -> list[Volume]:
    """Time points by the order of acquisition alone; the members together where that is no clear order."""
    ordered = sorted(members, key=lambda item: item.frame.order)
    orders = [item.frame.order for item in ordered]
    at = [places[item.frame.position_mm] for item in ordered]
    count, rest = divmod(len(members), most)
    if rest or len(set(orders)) != len(orders) or set(Counter(at).values()) != {most}:
        return [Volume(members, "")]
    blocks = [at[start : start + count] for start in range(0, len(at), count)]
    runs = [at[start : start + most] for start in range(0, len(at), most)]
    if all(len(set(block)) == count for block in blocks):
        parts = [ordered[start : start + count] for start in range(0, len(ordered), count)]
    elif all(len(set(run)) == 1 for run in runs):
        parts = [ordered[rank::most] for rank in range(most)]
    else:
        return [Volume(members, "")]
    return [Volume(part, f" time {rank}") for rank, part in enumerate(parts, 1)]


def sorted_along(slices: Sequence[Slice], normal: np.ndarray) -> list[Slice]:
    """Slices in the direction of their normal, shape (3,)."""
    return sorted(slices, key=lambda item: float(np.asarray(item.frame.position_mm) @ normal))

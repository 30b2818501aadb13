"""Cases from a table with a row per case: it names a file for each channel, the mask, the patient and the record."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np

from synthdata.errors import SourceError
from synthdata.intake.clinical import table_bytes, typed
from synthdata.intake.clinical_rows import ID_COLUMNS, UNIT_SUFFIX
from synthdata.intake.csv_rows import read_rows
from synthdata.intake.cursor import Cursor, Finding, now_ns, take_finding
from synthdata.intake.geometry import overlaps, resample
from synthdata.intake.inventory import Inventory, SeenFile
from synthdata.intake.label_maps import mask_of
from synthdata.intake.listing import Entry
from synthdata.intake.nifti_file import NiftiImage
from synthdata.intake.picture_file import picture_kind, read_picture
from synthdata.intake.pixels import narrow, rounding_note
from synthdata.intake.pseudonyms import Pseudonyms
from synthdata.intake.rare import generalised, rare_patients
from synthdata.intake.units import Unit, here, keyed_files, unit_key
from synthdata.progress import Progress
from synthdata.records.case import Case, Value
from synthdata.records.grid import Grid
from synthdata.spec import DatasetSpec

PATIENT, MASK, FILE = "patient", "mask", "file"  # roles in `source.columns`, beside the channels


@dataclass(frozen=True, kw_only=True, slots=True)
class SetRow:
    """One case of the table; names of files are relative to the source."""

    patient: str
    channels: tuple[str, ...]
    mask: str
    cells: Mapping[str, str]


def rows_of_table(spec: DatasetSpec, root: Path) -> list[SetRow]:
    """Rows of `source.clinical`; `source.columns` names its columns, and `source.images` the folder of the files.

    Raises:
        SourceError: There is no table, or it lacks a column.
    """
    source, columns = spec.source, dict(spec.source.columns)
    if not source.clinical:
        raise SourceError(
            "the spec names no table of the image set, expected source.clinical: a CSV, a row per case"
        )
    only = [FILE] if len(spec.channels) == 1 else []
    named = [columns.get(channel.name, (only or [channel.name])[0]) for channel in spec.channels]
    masks = [columns.get(MASK, MASK)] if spec.labels else []
    needed = [*named, *masks, *(column.name for column in spec.clinical)]
    rows = read_rows(table_bytes(root / source.clinical, "source.clinical"), "table of the image set", needed)
    patients = [columns[PATIENT]] if PATIENT in columns else list(ID_COLUMNS)
    patient = next((name for name in patients if rows and name in rows[0]), None)
    if patient is None:
        raise SourceError(
            f"the table of the image set lacks rows or a column {' or '.join(patients)}, expected one: name it as "
            "patient in source.columns"
        )
    return [
        SetRow(
            patient=row[patient].strip(),
            channels=tuple(_inside(source.images, row[name]) for name in named),
            mask=_inside(source.masks, row[masks[0]]) if masks else "",
            cells=row,
        )
        for row in rows
    ]


def _inside(folder: str, name: str) -> str:
    """Name of a file relative to the source; empty for an empty cell or one that leads outside."""
    path = PurePosixPath(folder) / name.strip()
    return path.as_posix() if name.strip() and ".." not in path.parts and not path.is_absolute() else ""


def survey_set(
    entries: Sequence[Entry],
    inventory: Inventory,
    *,
    kinds: Callable[[bytes, str], str],
    cursor: Cursor,
    progress: Progress,
) -> dict[str, SeenFile]:
    """Book all files; gives those which are images by their name.

    Args:
        entries: Files of the source.
        inventory: Takes them.
        kinds: Kind of a file by its bytes and its name; empty where it is of none.
        cursor: Knows those of earlier runs.
        progress: Told how many are done.
    """
    found: dict[str, SeenFile] = {}
    for count, entry in enumerate(entries, 1):
        finding = cursor.recall_file(entry) or _look(entry, kinds, cursor)
        take_finding(inventory, finding)
        if finding.kind in {"png", "nifti", "npz"}:
            found[entry.name] = finding.seen
        progress(count, len(entries), "reading files")
    cursor.flush()
    if not found:
        raise SourceError(
            f"the source holds no image{inventory.unreadable()}, expected PNG, NIfTI or NPZ: check the uri"
        )
    return found


def picture_or_nothing(data: bytes, _name: str) -> str:
    """Kind of a file of a set with a table."""
    return picture_kind(data)


def _look(entry: Entry, kinds: Callable[[bytes, str], str], cursor: Cursor) -> Finding:
    started_ns = now_ns()
    seen, data = Inventory().add(entry.path)
    kind = kinds(data, entry.name) if data else ""
    if data and not kind:
        seen.reasons.add("file.not_an_image")
    elif ":" in kind:  # a file beside the images, and why it is held back
        kind, _, code = kind.partition(":")
        seen.reasons |= {code} - {""}
    finding = Finding(seen, kind=kind)
    cursor.keep_file(entry, finding, read_ns=started_ns)
    return finding


class ImageSet:
    """Streams the cases of a set; memory holds one case."""

    def __init__(
        self,
        spec: DatasetSpec,
        rows: Sequence[SetRow],
        files: Mapping[str, SeenFile],
        names: Pseudonyms,
        inventory: Inventory,
    ) -> None:
        self._spec, self._names, self._files, self._inventory = spec, names, files, inventory
        self._rows = sorted(rows, key=self._case_id)
        used = {name for row in rows for name in (*row.channels, row.mask)}
        for name, seen in files.items():
            if name not in used:
                seen.reasons.add("file.outside")
        lacking = sum(any(name not in files for name in row.channels) for row in rows)
        inventory.row_counts["clinical.row_without_images"] += lacking
        records = {
            _key(row, record): record for row in rows for record, reason in [self._cells(row)] if not reason
        }
        self._changes = generalised(spec.clinical, records, spec.rare)
        if rare := rare_patients(spec.clinical, records, spec.rare):
            inventory.notes.add(
                f"{rare} records have combinations that fewer than {spec.rare.k} share; the table is too small for the "
                "rule that generalises them"
            )

    def units(self) -> Iterator[Unit]:
        """Rows in the order of their pseudonyms."""
        for count, row in enumerate(self._rows, 1):
            images = [self._files.get(name) for name in row.channels]
            mask = self._files.get(row.mask)
            seen = [item for item in (*images, mask) if item is not None]
            if all(images):
                record = self._record(row)
                key = unit_key(self._case_id(row), row.patient, record, keyed_files(seen))
                yield Unit(
                    case_id=self._case_id(row),
                    key=key,
                    files=seen,
                    build=here(partial(self._whole_case, row, *record)),
                    place=(count, len(self._rows)),
                )
            else:
                _hold(seen, "case.missing_channel")

    def _case_id(self, row: SetRow) -> str:
        return self._names.case(row.patient, "\n".join(row.channels))

    def _record(self, row: SetRow) -> tuple[dict[str, Value], str]:
        """Typed record of a row, a rare one generalised, and an empty text or the reason why there is none."""
        record, reason = self._cells(row)
        if reason or not row.patient:
            return {}, reason or "patient.unknown"
        change = self._changes.get(_key(row, record), {})
        return ({**record, **change}, "") if change is not None else ({}, "clinical.rare_combination")

    def _cells(self, row: SetRow) -> tuple[dict[str, Value], str]:
        record: dict[str, Value] = {}
        for column in self._spec.clinical:
            unit = row.cells.get(column.name + UNIT_SUFFIX, "").strip()
            value, reason = typed(column, row.cells.get(column.name, ""), unit)
            if reason:
                return {}, reason
            record[column.name] = value
        return record, ""

    def _whole_case(self, row: SetRow, record: dict[str, Value], reason: str) -> Case | None:
        """The case of a row; where there is none, all of its files are held back."""
        seen = [self._files[name] for name in (*row.channels, row.mask) if name in self._files]
        if reason:
            _hold(seen, reason)
        case = self._case(row, record)
        if case is None or any(item.outcome != "accepted" for item in seen):
            _hold(seen, "case.companion")
            return None
        return case

    def _case(self, row: SetRow, record: dict[str, Value]) -> Case | None:
        images = [self._read(self._files[name]) for name in row.channels]
        whole = [image for image in images if image is not None]
        if len(whole) < len(images):
            return None
        if any(len(image.voxels) > 1 for image in whole):
            _hold([self._files[name] for name in row.channels], "case.other_channels")
            return None
        grid = whole[0].grid
        volumes = [self._moved(image, grid) for image in whole]
        if any(volume is None for volume in volumes):
            _hold([self._files[name] for name in row.channels], "case.no_overlap")
            return None
        self._inventory.notes |= {rounding_note(image.voxels) for image in whole} - {""}
        voxels = narrow(np.stack([volume for volume in volumes if volume is not None]))
        mask = self._mask(row, grid)
        if voxels is None:
            self._files[row.channels[0]].reasons.add("pixels.not_finite")
        if voxels is None or mask is None:
            return None
        return Case(
            case_id=self._case_id(row),
            patient_id=self._names.patient(row.patient),
            image=voxels,
            mask=mask,
            grid=grid,
            record=record,
            provenance={"slices": grid.shape_zyx[0]},
        )

    def _read(self, seen: SeenFile) -> NiftiImage | None:
        data = self._inventory.reread(seen)
        image = read_picture(seen, data, self._spec.grid.spacing_mm) if data is not None else None
        if data is not None and picture_kind(data) != "nifti":
            self._inventory.notes.add(
                "PNG and NPZ files state no geometry: the spacing of the spec's grid was taken"
            )
        if image is None or seen.outcome != "accepted":
            return None
        self._inventory.notes |= {image.note} - {""}
        return image

    def _moved(self, image: NiftiImage, grid: Grid) -> np.ndarray | None:
        volume: np.ndarray = image.voxels[0]
        if image.grid.matches(grid):
            return volume
        if not overlaps(image.grid, grid):
            return None
        self._inventory.notes.add("channels on another grid were resampled linearly to the first one's")
        return resample(volume, image.grid, grid, order=1, fill=float(volume.min()))

    def _mask(self, row: SetRow, grid: Grid) -> np.ndarray | None:
        """Mask on the grid of the image, all zero without labels; None with the reason booked."""
        if not self._spec.labels:
            return np.zeros(grid.shape_zyx, np.uint8)
        seen = self._files.get(row.mask)
        if seen is None:
            _hold([self._files[name] for name in row.channels], "mask.missing")
            return None
        labels = self._read(seen)
        values = self._spec.labels.values()
        return (
            mask_of(labels, seen, grid=grid, values=values, inventory=self._inventory)
            if labels is not None
            else None
        )


def _key(row: SetRow, record: Mapping[str, Value]) -> str:
    """A patient with one record counts once, however many images show it."""
    return f"{row.patient} {json.dumps(dict(record), sort_keys=True)}"


def _hold(files: Sequence[SeenFile], code: str) -> None:
    for seen in files:
        if seen.outcome == "accepted":
            seen.reasons.add(code)

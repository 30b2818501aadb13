"""Cases from a folder of NIfTI files: `images/`, `labels/` of the same names, and a table of patients."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np

from synthdata.errors import SourceError
from synthdata.intake.clinical import ClinicalTable, table_bytes
from synthdata.intake.csv_rows import read_rows
from synthdata.intake.cursor import Cursor, Finding, now_ns, take_finding
from synthdata.intake.inventory import Inventory, SeenFile
from synthdata.intake.label_maps import mask_of
from synthdata.intake.listing import Entry
from synthdata.intake.nifti_file import NiftiImage, is_nifti, is_pair, read_nifti
from synthdata.intake.pixels import narrow, rounding_note
from synthdata.intake.pseudonyms import Pseudonyms
from synthdata.intake.units import Unit, here, keyed_files, unit_key
from synthdata.progress import Progress
from synthdata.records.case import Case, Value
from synthdata.spec import DatasetSpec

SUFFIXES = (".nii.gz", ".nii")


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """Image and mask of one case, with its pseudonyms."""

    case: str
    patient: str
    image: SeenFile
    mask: SeenFile | None

    def hold(self, code: str) -> None:
        """Book a reason with those files that no other reason holds back."""
        for seen in (self.image, self.mask):
            if seen is not None and seen.outcome == "accepted":
                seen.reasons.add(code)


def survey_pairs(
    entries: Sequence[Entry],
    root: Path,
    spec: DatasetSpec,
    inventory: Inventory,
    names: Pseudonyms,
    *,
    cursor: Cursor,
    progress: Progress,
) -> list[Pair]:
    """Book all files, pair images with masks by name, and name their patients."""
    folders: dict[str, dict[str, SeenFile]] = {spec.source.images: {}, spec.source.masks: {}}
    for count, entry in enumerate(entries, 1):
        finding = cursor.recall_file(entry) or _look(entry, cursor)
        take_finding(inventory, finding)
        if finding.kind:
            folder, _, name = f"./{entry.name}".rpartition("/")
            where = PurePosixPath(folder).as_posix()
            if where not in folders:
                finding.seen.reasons.add("file.outside")
            else:
                first = folders[where].setdefault(_stem(name), finding.seen)
                if first is not finding.seen:
                    first.reasons.add("file.same_name")
                    finding.seen.reasons.add("file.same_name")
        progress(count, len(entries), "reading files")
    cursor.flush()
    images, masks = folders[spec.source.images], folders[spec.source.masks]
    if not images:
        pairs = sum("file.pair" in seen.reasons for seen in inventory.files)
        hint = (
            f"convert {pairs} pairs of header and voxels to one .nii each"
            if pairs
            else "check uri and images"
        )
        raise SourceError(f"the source folder holds no NIfTI image where source.images says: {hint}")
    for stem, seen in masks.items():
        if stem not in images:
            seen.reasons.add("mask.no_image")
    return _pairs(images, masks, _patients(root, spec, inventory), names)


def _look(entry: Entry, cursor: Cursor) -> Finding:
    """Read a file for the first time."""
    started_ns = now_ns()
    seen, data = Inventory().add(entry.path)
    kind = "nifti" if is_nifti(data) else ""
    if data and not kind:
        named = entry.name.endswith(SUFFIXES)
        other = "file.pair" if is_pair(data) else "file.not_an_image"
        seen.reasons.add("file.malformed" if named else other)
    finding = Finding(seen, kind=kind)
    cursor.keep_file(entry, finding, read_ns=started_ns)
    return finding


def _stem(name: str) -> str:
    return next((name.removesuffix(suffix) for suffix in SUFFIXES if name.endswith(suffix)), name)


def _patients(root: Path, spec: DatasetSpec, inventory: Inventory) -> dict[str, str] | None:
    """Subject by file stem, or None where each file is a patient of its own."""
    if not spec.source.patients:
        inventory.notes.add("the spec names no table of patients: each file counts as a patient of its own")
        return None
    data = table_bytes(root / spec.source.patients, "source.patients")
    rows = read_rows(data, "table of patients", ("file", "subject"))
    subjects: dict[str, str] = {}
    for row in rows:
        if subjects.setdefault(_stem(row["file"]), row["subject"]) != row["subject"]:
            raise SourceError("the table of patients gives one file to two subjects: mend it")
    return subjects


def _pairs(
    images: dict[str, SeenFile],
    masks: dict[str, SeenFile],
    subjects: dict[str, str] | None,
    names: Pseudonyms,
) -> list[Pair]:
    pairs = []
    for stem, seen in images.items():
        subject = stem if subjects is None else subjects.get(stem, "")
        pair = Pair(
            case=names.case(subject, stem), patient=names.patient(subject), image=seen, mask=masks.get(stem)
        )
        if not subject:
            pair.hold("patient.unknown")
        pairs.append(pair)
    return sorted(pairs, key=lambda pair: pair.case)


class NiftiSource:
    """Streams the cases of a spec; memory holds one case."""

    def __init__(
        self,
        spec: DatasetSpec,
        pairs: Sequence[Pair],
        table: ClinicalTable,
        inventory: Inventory,
    ) -> None:
        self._spec, self._pairs, self._table, self._inventory = spec, pairs, table, inventory

    def units(self) -> Iterator[Unit]:
        """Pairs in the order of their pseudonyms."""
        for count, pair in enumerate(self._pairs, 1):
            record = self._table.look_up(pair.patient)
            files = [seen for seen in (pair.image, pair.mask) if seen is not None]
            key = unit_key(pair.case, pair.patient, record, keyed_files(files))
            yield Unit(
                case_id=pair.case,
                key=key,
                files=files,
                build=here(partial(self._whole_case, pair, *record)),
                place=(count, len(self._pairs)),
            )

    def _whole_case(self, pair: Pair, record: dict[str, Value], reason: str) -> Case | None:
        """The case of a pair; where there is none, both of its files are held back."""
        case = self._case(pair, record, reason)
        if case is None:
            pair.hold("case.companion")
        return case

    def _case(self, pair: Pair, record: dict[str, Value], reason: str) -> Case | None:
        if reason:
            pair.hold(reason)
        if self._spec.labels and pair.mask is None:
            pair.hold("mask.missing")
        image = self._read(pair.image)
        if image is None:
            return None
        if len(image.voxels) != len(self._spec.channels):
            pair.hold("case.other_channels")
            return None
        mask = self._mask(pair, image)
        voxels = narrow(image.voxels)
        self._inventory.notes |= {rounding_note(image.voxels)} - {""}
        if voxels is None:
            pair.image.reasons.add("pixels.not_finite")
        if mask is None or voxels is None or pair.image.outcome != "accepted":
            return None
        return Case(
            case_id=pair.case,
            patient_id=pair.patient,
            image=voxels,
            mask=mask,
            grid=image.grid,
            record=record,
            provenance={"slices": image.grid.shape_zyx[0]},
        )

    def _read(self, seen: SeenFile) -> NiftiImage | None:
        data = self._inventory.reread(seen)
        image = read_nifti(seen, data) if data is not None else None
        if image is None or seen.outcome != "accepted":
            return None
        self._inventory.notes |= {image.note} - {""}
        return image

    def _mask(self, pair: Pair, image: NiftiImage) -> np.ndarray | None:
        """Mask on the grid of the image, all zero without labels; None with the reason booked."""
        if not self._spec.labels or pair.mask is None:
            return np.zeros(image.grid.shape_zyx, np.uint8) if not self._spec.labels else None
        labels = self._read(pair.mask)
        values = self._spec.labels.values()
        return (
            mask_of(labels, pair.mask, grid=image.grid, values=values, inventory=self._inventory)
            if labels is not None
            else None
        )

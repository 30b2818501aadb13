"""Cases from one NPZ file of stacked images: each image is a patient, a column of codes is a class."""

import io
import math
import tokenize
import zipfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.lib import format as npy

from synthdata.errors import SourceError
from synthdata.intake.clinical import typed
from synthdata.intake.dicom_file import DAMAGE
from synthdata.intake.file_names import identifies
from synthdata.intake.inventory import Inventory, SeenFile
from synthdata.intake.pixels import narrow
from synthdata.intake.pseudonyms import Pseudonyms
from synthdata.intake.readings import spelled
from synthdata.intake.text_patterns import bytes_look_identifying
from synthdata.intake.units import Unit, here
from synthdata.records.case import Case, Value
from synthdata.records.case_set import ColumnSpec
from synthdata.records.grid import Grid
from synthdata.spec import DatasetSpec

NPZ_DAMAGE = (
    *DAMAGE,
    zipfile.BadZipFile,
    tokenize.TokenError,
    SyntaxError,
)  # the last two of NumPy, by a header
SMALL_BYTES = 1 << 12  # of an array that may spell a text
JOINT = "+"  # `images: train_images+val_images`


def is_npz(data: bytes) -> bool:
    """True for a ZIP archive."""
    return data[:4] == b"PK\x03\x04"


def arrays_are_whole(data: bytes) -> bool:
    """True where each array of the file can be read, and none holds Python objects."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            return bool(archive.files) and all(archive[name].dtype.kind in "biuf" for name in archive.files)
    except NPZ_DAMAGE:
        return False


def hidden_in_npz(data: bytes, known: Collection[str] = ()) -> set[str]:
    """Reasons to hold an NPZ file back; no array is unpacked for it, but for small ones.

    They are unknown arrays of texts, names of arrays, bytes behind an array, other files, and comments and texts in
    extra fields of the ZIP archive.
    """
    reasons = set()
    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        members = packed.infolist()
        if packed.comment or any(item.comment or bytes_look_identifying(item.extra) for item in members):
            reasons.add("deid.trailing_bytes")
        for item in members:
            name = item.filename.removesuffix(".npy")
            if name == item.filename:
                reasons.add("deid.embedded_document")
                continue
            dtype, size_bytes = _stated(packed, item)
            if name not in known:
                if dtype.kind not in "biuf":
                    reasons.add("deid.embedded_document")
                if identifies(name):
                    reasons.add("deid.file_name")
                if dtype.kind in "biu" and size_bytes <= SMALL_BYTES and _spells(packed, item):
                    reasons.add("deid.embedded_document")
            if not dtype.hasobject and item.file_size > size_bytes:
                reasons.add("deid.trailing_bytes")
    return reasons


def _spells(packed: zipfile.ZipFile, item: zipfile.ZipInfo) -> bool:
    """True where the numbers of a small array are the letters of a text that identifies."""
    with packed.open(item) as member:
        data = member.read(SMALL_BYTES)
    numbers = np.load(io.BytesIO(data), allow_pickle=False).ravel()
    return bytes_look_identifying(spelled(numbers.tolist()).encode())


def _stated(packed: zipfile.ZipFile, item: zipfile.ZipInfo) -> tuple[np.dtype, int]:
    """The type of an array, and the size in bytes of its member, as its header states them."""
    with packed.open(item) as member:
        version = npy.read_magic(member)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = read(member)
        return dtype, member.tell() + math.prod(shape) * dtype.itemsize


def read_arrays(seen: SeenFile, data: bytes, arrays: Mapping[str, str]) -> dict[str, np.ndarray] | None:
    """Arrays by their role (`images`, `masks` or a column), parts joined along the first axis.

    Args:
        seen: The file's entry in the inventory; takes the reason where the file is damaged.
        data: Its bytes.
        arrays: Role to array names, joined by `+`.

    Raises:
        SourceError: The file is whole, and lacks an array that the spec names, or arrays differ in length.
    """
    try:
        wanted = {role: names.split(JOINT) for role, names in arrays.items()}
        seen.reasons |= hidden_in_npz(data, {name.strip() for names in wanted.values() for name in names})
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            present = set(archive.files)
            loaded = {
                role: np.concatenate([archive[name.strip()] for name in names])
                for role, names in wanted.items()
                if all(name.strip() in present for name in names)
            }
    except NPZ_DAMAGE:
        seen.reasons.add("file.malformed")
        return None
    missing = sorted(set(arrays) - set(loaded))
    if missing or "images" not in loaded:
        raise SourceError(
            f"the NPZ file lacks arrays for {', '.join(missing) or 'images'}: mend source.arrays of the spec"
        )
    lengths = {len(array) for array in loaded.values()}
    if len(lengths) != 1:
        raise SourceError(
            f"the arrays of the NPZ file have {sorted(lengths)} rows, expected one number: mend the file"
        )
    return loaded


@dataclass(frozen=True, kw_only=True, slots=True)
class Stack:
    """The arrays of one file."""

    seen: SeenFile
    arrays: Mapping[str, np.ndarray]


class NpzSource:
    """Streams the images of a file as cases; memory holds the file's arrays."""

    def __init__(self, spec: DatasetSpec, stack: Stack, names: Pseudonyms, inventory: Inventory) -> None:
        self._spec, self._stack, self._names, self._inventory = spec, stack, names, inventory

    def units(self) -> Iterator[Unit]:
        """Rows in the order of their pseudonyms. Raises SourceError for a shape unlike the spec's."""
        images = self._volumes(self._stack.arrays["images"])
        count = len(images)
        named = sorted(
            (self._names.case(f"{self._stack.seen.sha256}", str(row)), row) for row in range(count)
        )
        self._inventory.notes.add("NPZ files have no header: nothing in them could tell or hide a name")
        self._inventory.notes.add("NPZ files state no geometry: the spacing of the spec's grid was taken")
        for done, (case_id, row) in enumerate(named, 1):
            build = here(partial(self._case, case_id, row, images[row]))
            yield Unit(case_id=case_id, key="", files=[self._stack.seen], build=build, place=(done, count))
            if self._stack.seen.outcome != "accepted":
                return

    def _volumes(self, images: np.ndarray) -> np.ndarray:
        """Stack (n, y, x), (n, z, y, x) or (n, c, z, y, x) to (n, c, z, y, x)."""
        if images.ndim == 3:
            images = images[:, None]
        if images.ndim == 4:
            images = images[:, None]
        if images.ndim != 5 or images.shape[1] != len(self._spec.channels) or images.dtype.kind not in "iuf":
            raise SourceError(
                f"images of the NPZ file have shape {images.shape}, expected (n, c, z, y, x) with "
                f"{len(self._spec.channels)} channels: mend the file or the spec"
            )
        return images

    def _case(self, case_id: str, row: int, volume: np.ndarray) -> Case | None:
        image = narrow(volume)
        record, reason = self._record(row)
        masks = self._stack.arrays.get("masks")
        mask = (
            np.zeros(volume.shape[1:], np.uint8)
            if masks is None
            else np.reshape(masks[row], volume.shape[1:])
        )
        if not set(np.unique(mask).tolist()) <= {0, *self._spec.labels.values()}:
            reason = "mask.unknown_value"
        if image is None or reason:
            self._stack.seen.reasons.add(reason or "pixels.not_finite")
            return None
        grid = Grid(shape_zyx=volume.shape[1:], spacing_mm=self._spec.grid.spacing_mm)
        return Case(
            case_id=case_id,
            patient_id=self._names.patient(f"{self._stack.seen.sha256}/{row}"),
            image=image,
            mask=mask.astype(np.uint8),
            grid=grid,
            record=record,
            provenance={"slices": grid.shape_zyx[0]},
        )

    def _record(self, row: int) -> tuple[dict[str, Value], str]:
        record: dict[str, Value] = {}
        for column in self._spec.clinical:
            values = self._stack.arrays.get(column.name)
            if values is None:
                raise SourceError(f"source.arrays names no array for the column {column.name}: add it")
            value, reason = _cell(column, np.ravel(values[row])[0].item())
            if reason:
                return {}, reason
            record[column.name] = value
        return record, ""


def _cell(column: ColumnSpec, code: float | str) -> tuple[Value, str]:
    """A whole number is the position of a category's value; anything else is read as text."""
    if column.kind == "category" and isinstance(code, int):
        known = 0 <= code < len(column.values)
        return (column.values[code], "") if known else (None, "clinical.bad_value")
    return typed(column, str(code))

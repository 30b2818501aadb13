"""The last look before a case is kept: text in its pixels, the face of a head, the watermark of synthetic images."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from synthdata.intake.burned_in_text import LEAST_SIDE, holds_text
from synthdata.intake.faces import defaced, shows_face
from synthdata.intake.inventory import Inventory, SeenFile
from synthdata.intake.policy import Policy
from synthdata.intake.text_engine import text_engine
from synthdata.intake.units import Build, Unit
from synthdata.provenance.keys import checked_key, key_id
from synthdata.provenance.watermark import detect
from synthdata.records.case import Case
from synthdata.records.grid import Grid
from synthdata.storage import keys
from synthdata.storage.protocol import ObjectStore

VOLUMES = frozenset({"MR", "CT"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Voucher:
    """Judges pixels; reasons are codes of `synthdata.intake.reasons`."""

    policy: Policy
    watermark_key: bytes | None = None

    def digest(self) -> str:
        """Of what decides beside the spec: the deny list, the engine that reads, the key of the watermark."""
        key = key_id(self.watermark_key) if self.watermark_key is not None else "no key"
        return f" {self.policy.deny.digest()} {text_engine() is not None} {key}"

    def codes_of(self, image: np.ndarray, grid: Grid, *, modality: str) -> set[str]:
        """What speaks against one channel.

        Args:
            image: Values (z, y, x); CT in HU.
            grid: Where its voxels lie.
            modality: DICOM modality.
        """
        reasons = self._text(image, modality)
        if self.policy.faces == "hold" and shows_face(image, grid, modality=modality):
            reasons.add("deid.face_surface")
        if self._is_marked(image):
            reasons.add("source.watermarked")
        return reasons

    def _is_marked(self, image: np.ndarray) -> bool:
        """True for a synthetic image of this store, also where its axes run in other directions."""
        key = self.watermark_key
        return key is not None and detect(image, key=key, search=False, turned=True).marked

    def notes_of(self, shape_yx: tuple[int, int]) -> set[str]:
        """What could not be judged, as sentences."""
        if self.policy.burned_in_text == "off":
            return {"text in pixels was not looked for, as vouching.burned_in_text of the spec says"}
        if min(shape_yx) < LEAST_SIDE:
            return {
                f"images with a side of less than {LEAST_SIDE} pixels hold no legible line: none was looked for"
            }
        if text_engine() is None:
            return {"the engine that reads text in pixels (rapidocr-onnxruntime) is not installed"}
        return set()

    def without_face(self, image: np.ndarray, grid: Grid, *, modality: str) -> np.ndarray | None:
        """The image, its face cut off where the policy says so; None where that does not work."""
        return defaced(image, grid, modality=modality) if self.policy.faces == "deface" else image

    def _text(self, image: np.ndarray, modality: str) -> set[str]:
        if self.policy.burned_in_text == "off" or min(image.shape[1:]) < LEAST_SIDE:
            return set()
        engine = text_engine()
        if engine is None:  # of volumes, whose text is rare, the header is believed
            return set() if modality in VOLUMES else {"deid.text_not_read"}
        return {"deid.text_in_pixels"} if holds_text(image, engine, modality=modality) else set()


def voucher_for(policy: Policy, private: ObjectStore) -> Voucher:
    """A voucher with the watermark key of a private store where it has one."""
    there = private.size(keys.WATERMARK_KEY) is not None
    return Voucher(
        policy=policy, watermark_key=checked_key(private.read(keys.WATERMARK_KEY)) if there else None
    )


def vouched(units: Iterable[Unit], voucher: Voucher, modalities: Sequence[str]) -> Iterator[Unit]:
    """Units whose cases are looked at once they are built; what speaks against a case is booked with its files."""
    for unit in units:
        build = VouchedCase(build=unit.build, files=unit.files, voucher=voucher, modalities=tuple(modalities))
        yield replace(unit, build=build)


@dataclass(frozen=True, kw_only=True, slots=True)
class VouchedCase:
    """Builds a case and looks at its pixels."""

    build: Build
    files: Sequence[SeenFile]
    voucher: Voucher
    modalities: tuple[str, ...]

    def __call__(self, inventory: Inventory, /) -> Case | None:
        """The case, or None with the reasons booked."""
        case = self.build(inventory)
        return None if case is None else _looked_at(case, self, inventory)


def _looked_at(case: Case, order: VouchedCase, inventory: Inventory) -> Case | None:
    """A case whose pixels nothing speaks against, its faces cut off where the policy says so."""
    voucher, files = order.voucher, order.files
    images, reasons, was_cut = list[np.ndarray](), set[str](), False
    for image, modality in zip(case.image, order.modalities, strict=True):
        reasons |= voucher.codes_of(image, case.grid, modality=modality)
        inventory.notes.update(voucher.notes_of(image.shape[1:]))
        cut = voucher.without_face(image, case.grid, modality=modality)
        if cut is None:
            reasons.add("deid.face_surface")
        elif cut is not image:
            was_cut = True
            inventory.notes.add("faces were cut off, as vouching.faces of the spec says")
        images.append(image if cut is None else cut)
    for seen in files if reasons else ():
        if seen.outcome == "accepted":
            seen.reasons.update(reasons)
    held = any(seen.outcome != "accepted" for seen in files if reasons)
    if held:
        return None
    return replace(case, image=np.stack(images)) if was_cut else case

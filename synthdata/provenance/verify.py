"""Is this file synthetic? Evidence of three layers, each with its false-positive rate."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from synthdata.provenance.canonical import is_telling, ranks
from synthdata.provenance.dicom_marks import HeaderMarks
from synthdata.provenance.keys import key_id
from synthdata.provenance.reading import Content, open_file
from synthdata.provenance.registry import Registry, RegistryEntry
from synthdata.provenance.watermark import FALSE_POSITIVE_RATE, Detection, detect

Layer = Literal["marks", "watermark", "registry"]
Finding = Literal["found", "not found", "not checked"]
COLLISION_RATE = 1e-60  # more than any number of hashes that fits on Earth, times 2^-256
NO_DETAIL = "the pixels are a mask, empty or nearly so, and like those of any image"
VIEWS = 3  # axes along which a volume of unknown axes can have been sliced


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """What one layer says."""

    layer: Layer
    finding: Finding
    detail: str  # a sentence without any value from the header but our own dataset, version and case id
    false_positive_rate: (
        float | None
    )  # upper bound per file; None: no statistics apply or nothing was checked


@dataclass(frozen=True, kw_only=True, slots=True)
class VerifyResult:
    """The answer for one file. There is no verdict `real`: marks can be removed, other tools leave none."""

    file: str  # name without folders
    kind: str  # DICOM, NIfTI, PNG, JPEG, NPY or Parquet
    verdict: Literal["synthetic", "unknown"]
    evidence: tuple[Evidence, ...]

    @property
    def explanation(self) -> str:
        """One sentence on what the verdict means."""
        if self.verdict == "synthetic":
            layers = " and ".join(item.layer for item in self.evidence if item.finding == "found")
            return f"Synthetic, by {layers}."
        return "Unknown: no layer that was checked found a mark. This does not mean that the image is real."


def verify_file(path: Path, *, registry: Registry | None, watermark_key: bytes | None) -> VerifyResult:
    """Look for the marks of synthetic data in a file.

    Args:
        path: A DICOM object, NIfTI-1 volume, PNG or JPEG picture, a Parquet shard of cases, or an NPY array
            (y, x), (z, y, x) or (c, z, y, x).
        registry: Hashes of the releases to compare with; None leaves that layer out.
        watermark_key: Secret of the holder of the watermark; None leaves that layer out.

    Raises:
        UnreadableFileError: The file is no image of these formats, or it is damaged.
    """
    content = open_file(path)
    marks = _marks_evidence(content.marks)
    watermark, lookup = _pixel_evidence(content, registry, watermark_key)
    evidence = (marks, watermark, lookup)
    found = any(item.finding == "found" for item in evidence)
    return VerifyResult(
        file=path.name, kind=content.kind, verdict="synthetic" if found else "unknown", evidence=evidence
    )


def _marks_evidence(marks: HeaderMarks) -> Evidence:
    if not marks.synthetic:
        hint = f"; {marks.found[0]} alone is too little" if marks.found else ""
        return Evidence(
            layer="marks",
            finding="not found",
            detail=f"the header declares nothing{hint}",
            false_positive_rate=None,
        )
    origin = f" as {marks.origin}" if marks.origin else ""
    detail = f"declared{origin} in {', '.join(marks.found)}; anybody can write or remove a declaration"
    return Evidence(layer="marks", finding="found", detail=detail, false_positive_rate=None)


def _pixel_evidence(
    content: Content, registry: Registry | None, key: bytes | None
) -> tuple[Evidence, Evidence]:
    """Both layers that look at the pixels, in one pass over them."""
    skipped = content.without_pixels
    if skipped or (registry is None and key is None):
        return (
            _not_checked("watermark", skipped or "no key: only its holder can find the watermark"),
            _not_checked("registry", skipped or "no registry: give the folder of a pulled release"),
        )
    detections, entries = list[Detection](), list[RegistryEntry | None]()
    for pixels in content.images:
        if not is_telling(ranks(pixels)):
            continue
        if key is not None:
            detections.append(_detected(pixels, key))
        if registry is not None:
            entries.append(_registered(pixels, registry))
    if not detections and not entries:
        return _not_checked("watermark", NO_DETAIL), _not_checked("registry", NO_DETAIL)
    return _watermark_evidence(detections, key), _registry_evidence(entries, registry)


def _detected(pixels: np.ndarray, key: bytes) -> Detection:
    """The strongest detection over the axes along which a volume can have been sliced."""
    first = detect(pixels, key=key)
    if first.marked or pixels.ndim != VIEWS:
        return first
    others = [detect(np.moveaxis(pixels, axis, 0), key=key) for axis in (1, 2)]
    best = min((first, *others), key=lambda detection: detection.p_value)
    return best.corrected(VIEWS)


def _registered(pixels: np.ndarray, registry: Registry) -> RegistryEntry | None:
    volumes = pixels.reshape(-1, *pixels.shape[-3:]) if pixels.ndim > 2 else [pixels]
    for volume in volumes:
        entry = registry.find_volume(volume) if volume.ndim > 2 else registry.find_slice(volume)
        if entry is None and volume.ndim > 2:
            entry = _registered_slice(volume, registry)
        if entry is not None:
            return entry
    return None


def _registered_slice(volume: np.ndarray, registry: Registry) -> RegistryEntry | None:
    """Any slice of a volume, along any axis, the middle ones first: they tell the most."""
    for axis in range(VIEWS):
        slices = np.moveaxis(volume, axis, 0)
        middle = len(slices) // 2
        for index in sorted(range(len(slices)), key=lambda number: abs(number - middle)):
            if (entry := registry.find_slice(slices[index])) is not None:
                return entry
    return None


def _watermark_evidence(detections: Sequence[Detection], key: bytes | None) -> Evidence:
    if key is None:
        return _not_checked("watermark", "no key: only its holder can find the watermark")
    usable = [detection for detection in detections if detection.slices]
    if not usable:
        return _not_checked("watermark", "the pixels hold no detail that could carry a mark")
    best = min(usable, key=lambda detection: detection.p_value)
    marked = sum(detection.marked for detection in usable)
    rate = min(1.0, FALSE_POSITIVE_RATE * len(usable))
    score = f"z = {best.z_score:.1f}, p <= {best.p_value:.1g}, key {key_id(key)}"
    if marked:
        share = f" in {marked} of {len(usable)} cases" if len(usable) > 1 else ""
        place = " after a shift or a turn" if best.searched else ""
        return Evidence(
            layer="watermark", finding="found", detail=f"{score}{place}{share}", false_positive_rate=rate
        )
    detail = f"{score}; a small, compressed or resampled image may have lost it"
    return Evidence(layer="watermark", finding="not found", detail=detail, false_positive_rate=rate)


def _registry_evidence(entries: Sequence[RegistryEntry | None], registry: Registry | None) -> Evidence:
    if registry is None:
        return _not_checked("registry", "no registry: give the folder of a pulled release")
    found = [entry for entry in entries if entry is not None]
    if not found:
        searched = f"not among {len(registry)} hashes of {', '.join(registry.releases)}"
        detail = f"{searched}; any change of a pixel hides an image"
        return Evidence(
            layer="registry", finding="not found", detail=detail, false_positive_rate=COLLISION_RATE
        )
    first = found[0]
    place = "whole volume" if first.slice < 0 else f"slice {first.slice}"
    share = f"; {len(found)} of {len(entries)} cases" if len(entries) > 1 else ""
    detail = f"{first.dataset} {first.version}, {first.case_id}, {first.channel}, {place}{share}"
    return Evidence(layer="registry", finding="found", detail=detail, false_positive_rate=COLLISION_RATE)


def _not_checked(layer: Layer, reason: str) -> Evidence:
    return Evidence(
        layer=layer, finding="not checked", detail=f"not checked: {reason}", false_positive_rate=None
    )

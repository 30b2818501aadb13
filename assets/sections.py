"""Which part of a spec and which code a stage depends on; a stage runs again when one of them changes."""

import dataclasses
import hashlib
import json

from synthdata.code_version import code_digest
from synthdata.spec import DatasetSpec

STAGES = ("sources", "intake", "preparation", "model", "generation", "validation", "release")
FIRST_READ_BY = {  # a section that is not listed counts for every stage: too much work is better than a stale result
    "vouching": "intake",
    "grid": "preparation",
    "split": "preparation",
    "translation": "preparation",
    "generator": "model",
    "sampling": "generation",
    "gates": "validation",
    "encoder": "validation",
    "release": "release",
    "title": "release",
    "description": "release",
}
READ_BY_NONE = frozenset({"owner"})
CODE = {  # packages of synthdata whose change makes the results of a stage stale
    "sources": ("phantom", "dicom"),
    "intake": ("intake", "dicom", "provenance"),
    "preparation": ("preparation",),
    "model": ("models", "training"),
    "generation": ("generation", "models", "provenance", "privacy"),
    "validation": ("validation", "privacy", "models"),
    "release": ("release", "provenance", "dicom", "validation"),
}


def sections_digest(spec: DatasetSpec, stage: str) -> str:
    """SHA-256 of those sections of a spec that a stage, or a stage before it, reads."""
    document = dataclasses.asdict(spec)
    read = {
        name: value
        for name, value in document.items()
        if name not in READ_BY_NONE
        and STAGES.index(FIRST_READ_BY.get(name, STAGES[0])) <= STAGES.index(stage)
    }
    text = json.dumps(read, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def code_version(stage: str) -> str:
    """Twelve hex digits of the sources that a stage runs, so that a change of code is seen by itself."""
    return code_digest(*CODE[stage])

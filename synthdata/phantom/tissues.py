"""Tissues of the digital head: what magnetic resonance at 1.5 T and X-rays see of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType

import numpy as np


class Tissue(IntEnum):
    """Value of a tissue in a label volume."""

    AIR = 0
    SKIN = 1
    FAT = 2
    MUSCLE = 3
    BONE = 4  # cortical
    DIPLOE = 5  # marrow between the two tables of the skull
    CSF = 6  # in cisterns and sulci
    GREY = 7
    WHITE = 8
    VENTRICLE = 9  # filled with CSF
    INFARCT = 10
    HAEMORRHAGE = 11


@dataclass(frozen=True, kw_only=True, slots=True)
class Properties:
    """Physical properties of one tissue."""

    t1_ms: float
    t2_ms: float
    t2_star_ms: float
    proton_density: float  # of pure water
    density_hu: float  # at 120 kV


NO_SIGNAL = {"t1_ms": 1000.0, "t2_ms": 0.4, "t2_star_ms": 0.4}

PROPERTIES: Mapping[Tissue, Properties] = MappingProxyType(
    {
        Tissue.AIR: Properties(**NO_SIGNAL, proton_density=0.0, density_hu=-1000),
        Tissue.SKIN: Properties(t1_ms=900, t2_ms=47, t2_star_ms=30, proton_density=1.0, density_hu=60),
        Tissue.FAT: Properties(t1_ms=350, t2_ms=70, t2_star_ms=58, proton_density=1.0, density_hu=-90),
        Tissue.MUSCLE: Properties(t1_ms=900, t2_ms=47, t2_star_ms=30, proton_density=1.0, density_hu=55),
        Tissue.BONE: Properties(**NO_SIGNAL, proton_density=0.2, density_hu=1200),
        Tissue.DIPLOE: Properties(t1_ms=350, t2_ms=70, t2_star_ms=30, proton_density=0.5, density_hu=450),
        Tissue.CSF: Properties(t1_ms=2569, t2_ms=329, t2_star_ms=58, proton_density=1.0, density_hu=8),
        Tissue.GREY: Properties(t1_ms=833, t2_ms=83, t2_star_ms=69, proton_density=0.86, density_hu=38),
        Tissue.WHITE: Properties(t1_ms=500, t2_ms=70, t2_star_ms=61, proton_density=0.77, density_hu=29),
        Tissue.VENTRICLE: Properties(t1_ms=2569, t2_ms=329, t2_star_ms=58, proton_density=1.0, density_hu=8),
        Tissue.INFARCT: Properties(t1_ms=1300, t2_ms=160, t2_star_ms=80, proton_density=0.92, density_hu=16),
        Tissue.HAEMORRHAGE: Properties(
            t1_ms=380, t2_ms=45, t2_star_ms=35, proton_density=0.85, density_hu=68
        ),
    }
)
"""Source: T1, T2, T2* and proton density of skin, fat, muscle, CSF, grey and white matter at 1.5 T are those
of BrainWeb: Kwan, Evans and Pike, IEEE Trans. Med. Imaging 18(11), 1999, 1085-1097, doi:10.1109/42.816072.
Bone is given a T2 below a millisecond, so that it is dark. Infarct (oedema: long T1 and T2, low density) and
haemorrhage (early subacute: short T1 and T2, high density) are set within the ranges of radiology textbooks,
as are the Hounsfield units.
"""

HOST = (Tissue.GREY, Tissue.WHITE)  # what a lesion replaces, half and half
LESIONS = (Tissue.INFARCT, Tissue.HAEMORRHAGE)


def table(attribute: str) -> np.ndarray:
    """One property of all tissues by label value, float64 (tissues,)."""
    return np.array([getattr(PROPERTIES[tissue], attribute) for tissue in Tissue], dtype=np.float64)


def with_contrast(values: np.ndarray, contrast: float) -> np.ndarray:
    """Values per tissue where lesions stand out from brain by a factor.

    Args:
        values: Of each tissue (tissues,): HU, attenuation or signal.
        contrast: 1 leaves the values as they are, 0 would make lesions look like brain.

    Returns:
        `host + contrast * (lesion - host)` for lesions, unchanged for others, (tissues,).
    """
    changed = np.array(values, dtype=np.float64)
    host = np.mean([values[tissue] for tissue in HOST])
    for lesion in LESIONS:
        changed[lesion] = host + contrast * (values[lesion] - host)
    return changed

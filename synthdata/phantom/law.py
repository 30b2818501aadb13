"""Ground truth of the phantom as code: what a faithful generator must keep.

Tests and reports ask here for the expected density of a tissue, the growth of the ventricles and the coupling
of the laboratory value to the lesion; the phantom itself draws from the same functions.
"""

import math
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from synthdata.phantom.mr import SEQUENCES
from synthdata.phantom.tissues import PROPERTIES, Tissue, table

DIAGNOSES = ("healthy", "infarct", "haemorrhage")
PREVALENCE: Mapping[str, float] = MappingProxyType({"healthy": 0.4, "infarct": 0.3, "haemorrhage": 0.3})
AGE_YEARS = (20, 89)  # uniform, both included
LESION_ML: Mapping[str, tuple[float, float]] = MappingProxyType(
    {"infarct": (10.0, 70.0), "haemorrhage": (8.0, 45.0)}
)
CONTRAST = (0.8, 1.2)  # of a lesion to brain, uniform around 1

VENTRICLE_ML_AT_50 = 24.0
VENTRICLE_GROWTH_PER_YEAR = 0.018  # of the logarithm
VENTRICLE_MALE_FACTOR = 1.12
VENTRICLE_LOG_SD = 0.18  # between people of one age and sex

S100B_BASE_UG_L = 0.06  # without a lesion
S100B_PER_ML = 0.02  # ug/L per mL of lesion
S100B_LOG_SD = 0.20

HEAD_FEMALE_SCALE = 0.96  # linear
CSF_GAP_MM = (2.0, 0.045)  # between brain and skull at 20 years, and growth per year


def expected_ventricle_ml(age_years: float, sex: str) -> float:
    """Median volume of the ventricles.

    Args:
        age_years: 20 to 89.
        sex: M or F.

    Returns:
        mL. Single people lie around it with a standard deviation of the logarithm of VENTRICLE_LOG_SD.

    Source:
        Faster growth at higher age: Scahill et al., Arch. Neurol. 60, 2003, 989-994; the numbers are ours.
    """
    factor = VENTRICLE_MALE_FACTOR if sex == "M" else 1.0
    return VENTRICLE_ML_AT_50 * factor * math.exp(VENTRICLE_GROWTH_PER_YEAR * (age_years - 50))


def expected_s100b_ug_l(lesion_ml: float) -> float:
    """Median serum S100B of a person with a lesion of this volume (0 for none), in ug/L.

    Single values lie around it with a standard deviation of the logarithm of S100B_LOG_SD.

    Source:
        Peak S100B rises with infarct volume: Foerch et al., Stroke 36, 2005, 1160-1164; the numbers are ours.
    """
    return S100B_BASE_UG_L + S100B_PER_ML * lesion_ml


def csf_gap_mm(age_years: float) -> float:
    """Width of the space between brain and skull; the brain shrinks with age."""
    start, growth = CSF_GAP_MM
    return start + growth * (age_years - AGE_YEARS[0])


def expected_hu(tissue: Tissue) -> float:
    """Mean CT number of a voxel which is all of one tissue, in HU; of a lesion at contrast 1."""
    return PROPERTIES[tissue].density_hu


def expected_signal(sequence: str, tissue: Tissue) -> float:
    """Signal of a tissue relative to white matter, before bias field and noise; no unit."""
    signal = SEQUENCES[sequence].signal(
        table("t1_ms"), table("t2_ms"), table("t2_star_ms"), table("proton_density")
    )
    return float(signal[tissue] / signal[Tissue.WHITE])


def draw_log_normal(rng: np.random.Generator, median: float, log_sd: float) -> float:
    """One value around a median; within three standard deviations, so that no patient is absurd."""
    return median * math.exp(log_sd * float(np.clip(rng.standard_normal(), -3, 3)))

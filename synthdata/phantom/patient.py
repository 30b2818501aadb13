"""One phantom patient: clinical state, shape of the head and lesion, all from a seed and a number."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from synthdata.phantom import law

# One stream of random numbers per purpose: a new channel or a new parameter leaves the others as they are.
STREAM_CLINICAL, STREAM_SHAPE, STREAM_LESION, STREAM_LABORATORY = range(4)
STREAM_CHANNELS = {"T1w": 10, "T2w": 11, "CT": 12, "XR": 13}

WARP_WAVES = 6
WARP_MM = 3.0  # root mean square of the smooth deformation, about
FOLD_MIX = 0.3  # share of the folds of the cortex which is a person's own


@dataclass(frozen=True, kw_only=True, slots=True)
class Lesion:
    """An ellipsoid in the frame of the standard head."""

    centre_mm: tuple[float, float, float]  # z, y, x
    radii_mm: tuple[float, float, float]  # z, y, x
    contrast: float


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Patient:
    """What a patient is, before any image."""

    seed: int
    number: int
    age_years: int
    sex: Literal["M", "F"]
    diagnosis: str
    scale: tuple[float, float, float]  # size of the head along z, y, x; 1 is the standard head
    skull_mm: float
    ventricle_ml: float  # aim; what is in the image is counted there
    warp: np.ndarray  # amplitudes, phases and frequencies of the deformation
    fold_phases: np.ndarray
    lesion: Lesion | None

    @property
    def patient_id(self) -> str:
        """Identifier in DICOM and in the clinical table."""
        return f"PH-{self.number:06d}"

    def stream(self, purpose: int) -> np.random.Generator:
        """Random numbers for one purpose, the same in each run."""
        return np.random.default_rng([self.seed, self.number, purpose])


def draw_patient(seed: int, number: int) -> Patient:
    """Patient `number` of the cohort `seed`; independent of how many others there are."""

    def stream(purpose: int) -> np.random.Generator:
        return np.random.default_rng([seed, number, purpose])

    clinical = stream(STREAM_CLINICAL)
    age = int(clinical.integers(law.AGE_YEARS[0], law.AGE_YEARS[1], endpoint=True))
    sex: Literal["M", "F"] = "M" if clinical.random() < 0.5 else "F"
    diagnosis = str(clinical.choice(law.DIAGNOSES, p=[law.PREVALENCE[name] for name in law.DIAGNOSES]))
    shape = stream(STREAM_SHAPE)
    size = (law.HEAD_FEMALE_SCALE if sex == "F" else 1.0) * (1 + 0.02 * _bounded(shape))
    return Patient(
        seed=seed,
        number=number,
        age_years=age,
        sex=sex,
        diagnosis=diagnosis,
        scale=tuple(size * (1 + 0.02 * _bounded(shape)) for _ in range(3)),  # type: ignore[arg-type]
        skull_mm=7.0 + 0.8 * _bounded(shape),
        ventricle_ml=law.draw_log_normal(shape, law.expected_ventricle_ml(age, sex), law.VENTRICLE_LOG_SD),
        warp=shape.standard_normal((3, WARP_WAVES, 7)),
        fold_phases=shape.uniform(0, 2 * np.pi, (64, 3)),
        lesion=_draw_lesion(diagnosis, stream(STREAM_LESION)),
    )


def _draw_lesion(diagnosis: str, rng: np.random.Generator) -> Lesion | None:
    """Infarcts lie in the territory of the middle cerebral artery, haemorrhages at the basal ganglia."""
    if diagnosis == "healthy":
        return None
    low, high = law.LESION_ML[diagnosis]
    volume_mm3 = 1000 * float(np.exp(rng.uniform(np.log(low), np.log(high))))
    side = 1.0 if rng.random() < 0.5 else -1.0
    if diagnosis == "infarct":
        centre = (16 + 9 * _bounded(rng), 4 + 12 * _bounded(rng), side * (44 + 3 * _bounded(rng)))
        aspect = np.array([1.0, 1.15, 0.95]) * np.exp(0.08 * rng.standard_normal(3))
    else:
        centre = (8 + 5 * _bounded(rng), 0 + 7 * _bounded(rng), side * (28 + 3 * _bounded(rng)))
        aspect = np.array([0.95, 1.2, 0.9]) * np.exp(0.08 * rng.standard_normal(3))
    radius = (volume_mm3 / (4 / 3 * np.pi * aspect.prod())) ** (1 / 3)
    z, y, x = (float(value) for value in radius * aspect)
    return Lesion(centre_mm=centre, radii_mm=(z, y, x), contrast=float(rng.uniform(*law.CONTRAST)))


def _bounded(rng: np.random.Generator) -> float:
    """A standard normal number, clipped to two standard deviations."""
    return float(np.clip(rng.standard_normal(), -2, 2))

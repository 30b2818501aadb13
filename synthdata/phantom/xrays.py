"""X-rays: computed tomography in HU and projections by the law of Beer and Lambert."""

import numpy as np

from synthdata.phantom.mr import varied
from synthdata.phantom.tissues import table, with_contrast

CT_NOISE_HU = 4.0  # median, of a slice of 5 to 6 mm
CT_NOISE_LOG_SD = 0.25  # dose, size of the head and kernel differ
CT_RANGE_HU = (-1024, 3071)
WATER_PER_MM = 0.0206  # linear attenuation of water at 60 keV: NIST XCOM, Hubbell and Seltzer, NISTIR 5632
PHOTONS = 2.0e5  # per pixel without an object
PROJECTION_SCALE = 600.0  # stored value per unit of the line integral


def render_ct(
    fractions: np.ndarray, *, contrast: float, rng: np.random.Generator, ideal: bool = False
) -> np.ndarray:
    """One CT volume.

    Args:
        fractions: Share of each tissue in each voxel, float32 (tissues, z, y, x).
        contrast: Of lesions, see `with_contrast`.
        rng: Draws the noise.
        ideal: Leave out the noise.

    Returns:
        HU, int16 (z, y, x).
    """
    density = with_contrast(table("density_hu"), contrast).astype(np.float32)
    volume = np.tensordot(density, fractions, axes=1)
    if not ideal:
        sigma = np.float32(CT_NOISE_HU * varied(CT_NOISE_LOG_SD, rng))
        volume = volume + sigma * rng.standard_normal(volume.shape, dtype=np.float32)
    return np.clip(np.rint(volume), *CT_RANGE_HU).astype(np.int16)


def attenuation_per_mm(density_hu: np.ndarray) -> np.ndarray:
    """Linear attenuation of matter of a given CT number. Source: the definition of the Hounsfield unit."""
    return WATER_PER_MM * (1 + density_hu / 1000)


def render_projection(
    lengths_mm: np.ndarray, *, contrast: float, rng: np.random.Generator, ideal: bool = False
) -> np.ndarray:
    """One X-ray projection of parallel rays.

    Args:
        lengths_mm: Way of each ray in each tissue, float32 (tissues, z, x).
        contrast: Of lesions, see `with_contrast`.
        rng: Draws the photons.
        ideal: Leave out the quantum noise.

    Returns:
        Line integral of the attenuation times PROJECTION_SCALE, int16 (1, z, x): bone is bright.

    Source:
        Beer-Lambert, I = I0 exp(-integral mu ds), with Poisson statistics of the photons.
    """
    attenuation = attenuation_per_mm(with_contrast(table("density_hu"), contrast))
    integral = np.tensordot(attenuation, lengths_mm.astype(np.float64), axes=1)
    if not ideal:
        photons = rng.poisson(PHOTONS * np.exp(-integral))
        integral = -np.log(np.maximum(photons, 1) / PHOTONS)
    return np.rint(np.maximum(integral, 0) * PROJECTION_SCALE).astype(np.int16)[None]

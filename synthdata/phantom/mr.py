"""Magnetic resonance: signal equations, bias field and Rician noise."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from synthdata.phantom.tissues import Tissue, table, with_contrast

GAIN = 600.0  # stored value of white matter before bias, noise and the gain of the patient
GAIN_LOG_SD = 0.08  # receivers are set anew for each patient
BIAS_AMPLITUDE = 0.12  # about half of the range of the logarithm
NOISE = 0.03  # median standard deviation of one channel, relative to white matter
NOISE_LOG_SD = 0.25  # scanners, coils and protocols differ


@dataclass(frozen=True, kw_only=True, slots=True)
class SpinEcho:
    """A spin echo sequence."""

    repetition_ms: float
    echo_ms: float
    scanning_sequence: str = "SE"

    def signal(self, t1: np.ndarray, t2: np.ndarray, t2_star: np.ndarray, density: np.ndarray) -> np.ndarray:  # noqa: ARG002 - one signature for all sequences
        """Signal of tissues, all arguments (tissues,), times in ms.

        Source:
            Haacke et al., Magnetic Resonance Imaging, Wiley 1999, 8.2: PD (1 - exp(-TR/T1)) exp(-TE/T2).
        """
        signal: np.ndarray = density * (1 - np.exp(-self.repetition_ms / t1)) * np.exp(-self.echo_ms / t2)
        return signal


@dataclass(frozen=True, kw_only=True, slots=True)
class SpoiledGradientEcho:
    """A spoiled gradient echo sequence (FLASH)."""

    repetition_ms: float
    echo_ms: float
    flip_degrees: float
    scanning_sequence: str = "GR"

    def signal(self, t1: np.ndarray, t2: np.ndarray, t2_star: np.ndarray, density: np.ndarray) -> np.ndarray:  # noqa: ARG002 - one signature for all sequences
        """Signal of tissues, all arguments (tissues,), times in ms.

        Source:
            Haase et al., J. Magn. Reson. 67, 1986, 258-266:
            PD sin(a) (1 - E1) / (1 - cos(a) E1) exp(-TE/T2*), with E1 = exp(-TR/T1).
        """
        angle = np.deg2rad(self.flip_degrees)
        e1 = np.exp(-self.repetition_ms / t1)
        steady = np.sin(angle) * (1 - e1) / (1 - np.cos(angle) * e1)
        signal: np.ndarray = density * steady * np.exp(-self.echo_ms / t2_star)
        return signal


SEQUENCES: Mapping[str, SpinEcho | SpoiledGradientEcho] = MappingProxyType(
    {
        "T1w": SpoiledGradientEcho(repetition_ms=18, echo_ms=10, flip_degrees=30),
        "T2w": SpinEcho(repetition_ms=3300, echo_ms=120),
    }
)


def tissue_signal(sequence: str, contrast: float) -> np.ndarray:
    """Noiseless stored value of each tissue, (tissues,); white matter is GAIN."""
    raw = SEQUENCES[sequence].signal(
        table("t1_ms"), table("t2_ms"), table("t2_star_ms"), table("proton_density")
    )
    return with_contrast(GAIN * raw / raw[Tissue.WHITE], contrast)


def render_mr(
    fractions: np.ndarray, sequence: str, *, contrast: float, rng: np.random.Generator, ideal: bool = False
) -> np.ndarray:
    """One MR volume.

    Args:
        fractions: Share of each tissue in each voxel, float32 (tissues, z, y, x).
        sequence: T1w or T2w.
        contrast: Of lesions, see `with_contrast`.
        rng: Draws gain, bias field and noise.
        ideal: Leave out gain, bias field and noise.

    Returns:
        Arbitrary units, int16 (z, y, x), not negative.
    """
    signal = np.tensordot(tissue_signal(sequence, contrast).astype(np.float32), fractions, axes=1)
    if not ideal:
        gain = varied(GAIN_LOG_SD, rng)
        sigma = NOISE * GAIN * varied(NOISE_LOG_SD, rng)
        signal = rician(signal * np.float32(gain) * bias_field(signal.shape, rng), sigma, rng)
    return np.rint(signal).astype(np.int16)


def varied(log_sd: float, rng: np.random.Generator) -> float:
    """A factor around 1 that differs between patients: log-normal, cut at three standard deviations."""
    return float(np.exp(log_sd * np.clip(rng.standard_normal(), -3, 3)))


def bias_field(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Smooth gain of the receive coil around 1, float32 (z, y, x): the exponential of a quadratic."""
    axes = [np.linspace(-1, 1, n, dtype=np.float32) for n in shape]
    z, y, x = np.meshgrid(*axes, indexing="ij", sparse=True)
    weights = rng.uniform(-BIAS_AMPLITUDE, BIAS_AMPLITUDE, 6).astype(np.float32)
    terms = (z, y, x, z * z - 1 / 3, y * y - 1 / 3, x * x - 1 / 3)
    field: np.ndarray = np.exp(sum(weight * term for weight, term in zip(weights, terms, strict=True)))
    return field


def rician(signal: np.ndarray, sigma: float, rng: np.random.Generator) -> np.ndarray:
    """Magnitude of a signal with Gaussian noise of standard deviation sigma in both channels.

    Source:
        Gudbjartsson and Patz, Magn. Reson. Med. 34, 1995, 910-914.
    """
    real = rng.standard_normal(signal.shape, dtype=np.float32)
    imaginary = rng.standard_normal(signal.shape, dtype=np.float32)
    magnitude: np.ndarray = np.hypot(signal + np.float32(sigma) * real, np.float32(sigma) * imaginary)
    return magnitude

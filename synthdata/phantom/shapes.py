"""Smooth functions of space from few numbers, evaluated on a grid of points as matrix products."""

from collections.abc import Sequence

import numpy as np

from synthdata.phantom.patient import FOLD_MIX, WARP_MM, Patient

WARP_WAVELENGTH_MM = (110.0, 240.0)
FOLD_WAVELENGTH_MM = 30.0
FOLD_SEED = 1909  # the folds which all people share

Points = tuple[np.ndarray, np.ndarray, np.ndarray]  # z (nz, 1, 1), y (1, ny, 1), x (1, 1, nx), in mm


def ellipsoid(
    points: Sequence[np.ndarray], centre_mm: Sequence[float], radii_mm: Sequence[float]
) -> np.ndarray:
    """Squared distance from the centre in units of the radii: below 1 inside; shape of the points."""
    squares = (
        (p - np.float32(c)) / np.float32(r) for p, c, r in zip(points, centre_mm, radii_mm, strict=True)
    )
    total: np.ndarray = sum(square * square for square in squares)  # type: ignore[assignment]
    return total


def waves(
    axes: Sequence[np.ndarray], frequency: np.ndarray, phase: np.ndarray, amplitude: np.ndarray
) -> np.ndarray:
    """Sum of products of cosines.

    Args:
        axes: Positions along z, y and x in mm, each (n,).
        frequency: Radian per mm, (waves, 3).
        phase: Radian, (waves, 3).
        amplitude: In the unit of the result, (waves,).

    Returns:
        `sum_k a_k cos(fz z + pz) cos(fy y + py) cos(fx x + px)`, float32 (z, y, x).
    """
    z, y, x = (
        np.cos(np.outer(frequency[:, axis], position) + phase[:, axis, None]).astype(np.float32)
        for axis, position in enumerate(axes)
    )
    plane = (y[:, :, None] * x[:, None, :]).reshape(len(y), -1)
    total: np.ndarray = (z * amplitude[:, None].astype(np.float32)).T @ plane
    return total.reshape(z.shape[1], y.shape[1], x.shape[1])


def deformed(axes: Sequence[np.ndarray], patient: Patient) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions in the frame of the standard head of a patient's points, float32 (z, y, x) each, in mm."""
    low, high = WARP_WAVELENGTH_MM
    moved = []
    for axis, numbers in enumerate(patient.warp):
        share = 0.5 * (1 + np.tanh(numbers[:, 0:3]))  # in (0, 1)
        frequency = 2 * np.pi / (low + (high - low) * share) / np.sqrt(3)
        phase = np.pi * numbers[:, 3:6]
        amplitude = WARP_MM * np.clip(numbers[:, 6], -2, 2) * np.sqrt(8 / len(numbers)) / 2
        shape = [1, 1, 1]
        shape[axis] = -1
        straight = axes[axis].reshape(shape).astype(np.float32)
        moved.append((straight + waves(axes, frequency, phase, amplitude)) / np.float32(patient.scale[axis]))
    return moved[0], moved[1], moved[2]


def folds(axes: Sequence[np.ndarray], patient: Patient) -> np.ndarray:
    """Random field whose zero level set is the sulci, float32 (z, y, x), variance about 1.

    Most of it is common to all people, as the main sulci are.
    """
    common = np.random.default_rng(FOLD_SEED)
    count = len(patient.fold_phases)
    direction = common.standard_normal((count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    frequency = 2 * np.pi / FOLD_WAVELENGTH_MM * direction * common.uniform(0.8, 1.2, (count, 1))
    shared = common.uniform(0, 2 * np.pi, (count, 3))
    own = np.arange(count) < FOLD_MIX * count
    phase = np.where(own[:, None], patient.fold_phases, shared)
    return waves(axes, frequency, phase, np.full(count, np.sqrt(8 / count)))

"""Errors of a translated image within the body, and what a method must beat."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from scipy.ndimage import map_coordinates

from synthdata.models.translation_loss import ssim_map
from synthdata.records.estimate import Estimate

METRICS: Mapping[str, bool] = {"mae": True, "psnr": False, "ssim": False}  # name to whether lower is better
RESAMPLES = 2000
LEVEL = 0.95


def translation_errors(
    truth: np.ndarray, found: np.ndarray, body: np.ndarray, width: float
) -> dict[str, float]:
    """Errors of one channel of one case.

    Args:
        truth: (z, y, x) in network scale [-1, 1].
        found: Likewise.
        body: bool (z, y, x), not empty.
        width: Of the channel's range in its unit.

    Returns:
        `mae` in the channel's unit, lower is better; `psnr` in dB for a peak of that range, and `ssim` in [-1, 1],
        higher is better; all over the voxels of the body.

    Source:
        Wang et al., IEEE TIP 13(4), 2004, equation (13), uniform windows of 7 voxels.
    """
    wrong = (found - truth)[body].astype(np.float64) / 2  # the range is 1 now
    similar = ssim_map(_tensor(found), _tensor(truth))[0, 0].numpy()
    return {
        "mae": float(np.abs(wrong).mean() * width),
        "psnr": float(-10 * np.log10(max((wrong**2).mean(), 1e-12))),
        "ssim": float(similar[body].mean()),
    }


def patient_estimate(values: Sequence[float], patients: Sequence[str], *, seed: int = 0) -> Estimate:
    """Mean over patients with the percentile interval of a bootstrap of patients.

    Args:
        values: One per case.
        patients: Whose case it is.
        seed: Of the resamples.
    """
    names = sorted(set(patients))
    means = np.array(
        [np.mean([v for v, p in zip(values, patients, strict=True) if p == name]) for name in names]
    )
    draws = np.random.default_rng(seed).integers(0, len(means), size=(RESAMPLES, len(means)))
    low, high = np.percentile(means[draws].mean(1), (50 * (1 - LEVEL), 100 - 50 * (1 - LEVEL)))
    value = float(means.mean())
    return Estimate(
        value=value, low=min(float(low), value), high=max(float(high), value), level=LEVEL, n=len(names)
    )


def spline(volume: np.ndarray, step: tuple[int, int, int], *, means: bool) -> np.ndarray:
    """Cubic interpolation of a volume of which blocks of voxels were measured as one.

    Args:
        volume: The whole one (z, y, x).
        step: Voxels of a block per axis.
        means: Blocks are averaged; else their first voxel is kept.
    """
    shape = volume.shape
    padded = np.pad(volume, [(0, -side % n) for side, n in zip(shape, step, strict=True)], mode="edge")
    blocks = padded.reshape(
        [part for side, n in zip(padded.shape, step, strict=True) for part in (side // n, n)]
    )
    coarse = blocks.mean(axis=(1, 3, 5)) if means else blocks[:, 0, :, 0, :, 0]
    places = [
        (np.arange(side) + 0.5) / n - 0.5 if means else np.arange(side) / n
        for side, n in zip(shape, step, strict=True)
    ]
    fine: np.ndarray = map_coordinates(coarse, np.meshgrid(*places, indexing="ij"), order=3, mode="nearest")
    return fine


def _tensor(volume: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(volume, dtype=np.float32))[None, None]

"""What a poorer scan of the same modality looks like, and what of it a restored one must not change."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional

from synthdata.errors import ConfigError

Kind = Literal["none", "through_plane", "in_plane", "noise", "undersampled", "missing_slices"]
KINDS: tuple[str, ...] = get_args(Kind)
CENTRE = 0.08  # share of the lines around the middle of k-space that are always measured
LEAST_FACTOR = 2.0  # of all kinds but noise


@dataclass(frozen=True, kw_only=True, slots=True)
class Degraded:
    """A poorer image on the same grid, and the way back to what was measured."""

    image: Tensor  # (b, c, z, y, x)
    restore: Callable[[Tensor], Tensor]  # makes an estimate (b, c, z, y, x) agree with the measurement


def check_degradation(kind: str, factor: float, shape_zyx: tuple[int, int, int]) -> None:
    """Refuse what cannot be done on a grid. Raises ConfigError."""
    if kind not in KINDS:
        raise ConfigError(f"translation.degradation is {kind!r}, expected one of {', '.join(KINDS)}")
    if kind == "none":
        return
    if kind == "noise":
        if not 0 < factor < 1:
            raise ConfigError(
                f"translation.factor is {factor}, expected 0 to 1 for noise: "
                "its standard deviation over the range of the channel"
            )
        return
    if factor < LEAST_FACTOR or (kind != "undersampled" and factor != int(factor)):
        raise ConfigError(f"translation.factor is {factor}, expected a whole number from 2 on for {kind}")
    if kind in {"through_plane", "missing_slices"} and shape_zyx[0] < 2 * factor:
        raise ConfigError(
            f"translation.degradation is {kind} by {factor:g} on {shape_zyx[0]} slices, "
            f"expected {2 * factor:g} slices or more: choose in_plane, noise or undersampled"
        )


def degrade(volume: Tensor, kind: str, factor: float, rng: torch.Generator) -> Degraded:
    """Degrade volumes.

    Args:
        volume: (b, c, z, y, x) in network scale, -1 is the lowest intensity.
        kind: `through_plane` and `in_plane` average `factor` voxels; `noise` adds Gaussian noise to real and
            imaginary part and takes the magnitude, its standard deviation is `factor` of the range; `undersampled`
            keeps one of `factor` lines of k-space along y and the middle ones; `missing_slices` keeps one of
            `factor` slices.
        factor: See kind.
        rng: Decides the noise, and the lines of k-space.

    Source:
        Rician noise: Gudbjartsson and Patz, Magnetic Resonance in Medicine 34, 1995. Random lines with a full centre:
        Lustig et al., Magnetic Resonance in Medicine 58, 2007.
    """
    step = int(factor)
    if kind == "through_plane":
        return _averaged(volume, (step, 1, 1))
    if kind == "in_plane":
        return _averaged(volume, (1, step, step))
    if kind == "missing_slices":
        return _without_slices(volume, step)
    if kind == "undersampled":
        return _undersampled(volume, factor, rng)
    if kind == "noise":
        return Degraded(image=_noisy(volume, factor, rng), restore=_as_it_is)
    return Degraded(image=volume, restore=_as_it_is)


def _as_it_is(estimate: Tensor) -> Tensor:
    return estimate


def _averaged(volume: Tensor, step: tuple[int, int, int]) -> Degraded:
    """Means over blocks of voxels, interpolated back; the last block repeats the edge."""
    shape = volume.shape[2:]
    rest = [-side % n for side, n in zip(shape, step, strict=True)]

    def means(whole: Tensor) -> Tensor:
        padded = functional.pad(whole, (0, rest[2], 0, rest[1], 0, rest[0]), mode="replicate")
        return functional.avg_pool3d(padded, step)

    def grown(coarse: Tensor, mode: str) -> Tensor:
        size = [side + more for side, more in zip(shape, rest, strict=True)]
        fine = functional.interpolate(coarse, size=size, mode=mode)
        return fine[:, :, : shape[0], : shape[1], : shape[2]]

    measured = means(volume)

    def restore(estimate: Tensor) -> Tensor:
        """Shift each block so that its mean is the measured one."""
        return estimate + grown(measured - means(estimate), "nearest")

    return Degraded(image=grown(measured, "trilinear"), restore=restore)


def _without_slices(volume: Tensor, step: int) -> Degraded:
    """Every `step`-th slice is kept, those between are interpolated along z."""
    count = volume.shape[2]
    kept = torch.arange(0, count, step, device=volume.device)
    at = torch.arange(count, device=volume.device).clamp(max=int(kept[-1])) / step
    low = at.floor().long()
    high = (low + 1).clamp(max=len(kept) - 1)
    part = (at - low).view(1, 1, -1, 1, 1)
    slices = volume[:, :, kept]

    def restore(estimate: Tensor) -> Tensor:
        whole = estimate.clone()
        whole[:, :, kept] = slices
        return whole

    return Degraded(image=slices[:, :, low].lerp(slices[:, :, high], part), restore=restore)


def _noisy(volume: Tensor, sigma: float, rng: torch.Generator) -> Tensor:
    unit = (volume + 1) / 2
    real = unit + sigma * torch.randn(volume.shape, generator=rng).to(volume)
    imaginary = sigma * torch.randn(volume.shape, generator=rng).to(volume)
    return 2 * (real.square() + imaginary.square()).sqrt() - 1


def _undersampled(volume: Tensor, factor: float, rng: torch.Generator) -> Degraded:
    """Lines of k-space along y that were not measured are zero; a line and its mirror go together."""
    lines = volume.shape[3]
    distance = torch.fft.fftfreq(lines).abs()
    chance = torch.rand(lines // 2 + 1, generator=rng)[(distance * lines).round().long()]
    kept = (chance < 1 / factor) | (distance <= CENTRE / 2)
    measured = torch.fft.fft((volume + 1) / 2, dim=3)
    mask = kept.to(volume.device).view(1, 1, 1, -1, 1)

    def back(spectrum: Tensor) -> Tensor:
        image: Tensor = 2 * torch.fft.ifft(spectrum, dim=3).real - 1
        return image

    def restore(estimate: Tensor) -> Tensor:
        return back(torch.where(mask, measured, torch.fft.fft((estimate + 1) / 2, dim=3)))

    return Degraded(image=back(measured * mask), restore=restore)

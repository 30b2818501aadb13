"""What a translated image is judged by while it is learnt, and random changes of its source."""

import torch
from torch import Tensor
from torch.nn import functional

OUTSIDE = 0.1  # weight of a voxel outside of the body
EDGES, STRUCTURE, ANATOMY = 0.5, 0.3, 0.3  # weights beside the absolute error
WINDOW = 7  # voxels of the windows of SSIM
C1, C2 = 0.01**2 * 4, 0.03**2 * 4  # of SSIM, for a range of 2
GAMMA, GAIN, NOISE = 0.2, 0.15, 0.02  # log of an exponent, log of a smooth factor, share of the range


def image_loss(guess: Tensor, target: Tensor, fields: Tensor, body: Tensor) -> Tensor:
    """Absolute error, edges, structure and anatomy; one number, lower is better.

    Args:
        guess: (b, t, z, y, x) in network scale.
        target: Likewise.
        fields: Signed distances of labels (b, l, z, y, x): each label's mean error counts the same, so that a small
            structure has as much say as an organ.
        body: 1 within the body, (b, 1, z, y, x).

    Source:
        Mathieu et al., ICLR 2016, arXiv:1511.05440, equation (6) (edges); Wang et al., IEEE TIP 13(4), 2004 (SSIM).
    """
    weight = OUTSIDE + (1 - OUTSIDE) * body
    weight = weight / weight.mean(dim=(1, 2, 3, 4), keepdim=True)
    wrong = (guess - target).abs()
    loss = (wrong * weight).mean() + EDGES * _edges(guess, target, weight)
    similar = ssim_map(guess, target)
    inside = weight.expand_as(similar)
    loss = loss + STRUCTURE * (1 - (similar * inside).sum() / inside.sum())
    if fields.shape[1]:
        within = (fields > 0).float()
        size = within.sum(dim=(0, 2, 3, 4))
        error = torch.einsum("btzyx,blzyx->l", wrong, within) / (size.clamp_min(1) * guess.shape[1])
        loss = loss + ANATOMY * error.sum() / (size > 0).sum().clamp_min(1)
    return loss


def ssim_map(first: Tensor, second: Tensor) -> Tensor:
    """Structural similarity of each voxel's surroundings, (b, c, z, y, x), for a range of 2."""
    a, b = _window_mean(first), _window_mean(second)
    var_a, var_b = _window_mean(first.square()) - a.square(), _window_mean(second.square()) - b.square()
    both = _window_mean(first * second) - a * b
    return ((2 * a * b + C1) * (2 * both + C2)) / ((a.square() + b.square() + C1) * (var_a + var_b + C2))


def intensity_jitter(source: Tensor, rng: torch.Generator, strength: float) -> Tensor:
    """Sources as another scanner might show them: another contrast curve, a smooth gain, noise.

    Args:
        source: (b, s, z, y, x) in network scale.
        rng: Decides everything.
        strength: 1 for the constants above.
    """
    b, s = source.shape[:2]
    unit = ((source + 1) / 2).clamp(0, 1)
    gamma = (torch.randn((b, s, 1, 1, 1), generator=rng) * GAMMA * strength).exp()
    knots = [2 if side > 1 else 1 for side in source.shape[2:]]
    coarse = torch.randn((b, s, *knots), generator=rng) * GAIN * strength
    gain = functional.interpolate(coarse, size=source.shape[2:], mode="trilinear", align_corners=True).exp()
    noise = (
        torch.randn(source.shape, generator=rng)
        * NOISE
        * strength
        * torch.rand((b, 1, 1, 1, 1), generator=rng)
    )
    changed = unit.pow(gamma.to(unit)) * gain.to(unit) + noise.to(unit)
    return 2 * changed - 1


def _window_mean(values: Tensor) -> Tensor:
    """Mean over the window around each voxel, as far as it lies in the image; axis by axis, which takes a quarter."""
    for axis, side in enumerate(values.shape[2:]):
        size, padding = [1, 1, 1], [0, 0, 0]
        size[axis] = min(WINDOW, side - (side + 1) % 2)
        padding[axis] = size[axis] // 2
        if size[axis] > 1:
            values = functional.avg_pool3d(values, size, stride=1, padding=padding, count_include_pad=False)
    return values


def _edges(guess: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Mean absolute difference of neighbouring differences, over the axes that have neighbours."""
    total = guess.new_zeros(())
    for axis in (2, 3, 4):
        if guess.shape[axis] > 1:
            wrong = (torch.diff(guess, dim=axis) - torch.diff(target, dim=axis)).abs()
            total = total + (wrong * weight.narrow(axis, 1, weight.shape[axis] - 1)).mean()
    return total

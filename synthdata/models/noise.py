"""What a scanner adds to anatomy: noise, told apart from it before the learning and drawn anew after it.

A network that learns noisy images spends its few steps on what cannot be foretold, and a Gaussian texture that stands
for anatomy and noise at once breaks edges into specks. So the anatomy is learnt from smoothed images, and noise is a
law of its own: how loud it is in a patient, how loud at each intensity (magnitude images and windows change it), and
its spectrum.

Source:
    Smoothing: Tomasi and Manduchi, ICCV 1998 (bilateral), with the distance of intensities taken over all channels and,
    in the second round, of the smoothed image. Standard deviation of the noise: Donoho, IEEE Trans. Inf. Theory 41(3),
    1995 (median of the finest differences).
"""

import itertools
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from synthdata.models.spectrum import coloured, spectrum_of

REACH = 3.5  # standard deviations of the noise within which intensities count as alike
ROUNDS = (1.0, 0.7)  # of the smoothing, with the share of the reach
NEAR = 0.8  # weight of a neighbour per voxel of distance
BINS = 16  # of intensities, apart from the two ends
FEWEST = 300  # voxels of a bin
MEDIAN = 0.6745  # of the absolute value of a standard normal variable
QUIET = 2e-3  # least standard deviation in network scale; below, a bin is a painted background
CHUNK = 16  # images smoothed at once
END = 1e-4  # as near to an end of the scale as counts as lying there


class Noise(nn.Module):
    """Tell noise from anatomy, and add noise to anatomy."""

    ends: Tensor
    gain: Tensor
    level: Tensor
    amplitude: Tensor

    def __init__(self, *, channels: int, shape_zyx: tuple[int, int, int]) -> None:
        """Build unfitted: it adds nothing."""
        super().__init__()
        self.register_buffer("ends", torch.tensor([-1.0, 1.0]).repeat(channels, 1))
        self.register_buffer("gain", torch.zeros(channels, BINS + 2))  # over a patient's level
        self.register_buffer(
            "level", torch.zeros(channels, 2)
        )  # mean and standard deviation of its logarithm
        self.register_buffer("amplitude", torch.ones(1, channels, *shape_zyx[:2], shape_zyx[2] // 2 + 1))

    def fit(self, images: Tensor) -> Tensor:
        """Fit on images (n, c, z, y, x); what is left of them without noise, likewise."""
        values = images.transpose(0, 1).flatten(1)
        self.ends.copy_(torch.stack([values.amin(1), values.amax(1)], dim=1))
        levels = self.levels(images)
        smooth = self.smooth(images)
        logs = levels.log()
        self.level.copy_(torch.stack([logs.mean(0), logs.std(0)], dim=1))
        white = (images - smooth) / levels[:, :, None, None, None]
        bins = self._bins(smooth)
        for channel, gain in enumerate(self.gain):
            found = [white[:, channel][bins[:, channel] == index] for index in range(BINS + 2)]
            known = [
                (index, part.square().mean().sqrt())
                for index, part in enumerate(found)
                if len(part) >= FEWEST
            ]
            for index in range(BINS + 2):
                gain[index] = min(known, key=lambda pair: abs(pair[0] - index))[1] if known else 0.0
        self.amplitude.copy_(spectrum_of(white / self._gains(bins).clamp_min(1e-3)))
        return smooth

    def levels(self, images: Tensor) -> Tensor:
        """Standard deviation of the noise (b, c) of images (b, c, z, y, x): of the quietest range of intensities.

        Anatomy adds to the finest differences, and it does so least where intensities are quietest.
        """
        return torch.stack(
            [torch.stack([self._level(c, volume) for c, volume in enumerate(image)]) for image in images]
        )

    def _level(self, channel: int, volume: Tensor) -> Tensor:
        low, high = self.ends[channel].tolist()
        fine, coarse = volume, volume
        inside = (volume > low + END) & (volume < high - END)
        for axis in range(3):
            if volume.shape[axis] > 1:
                first, second = (
                    range_.narrow(axis, start, range_.shape[axis] - 1)
                    for range_, start in ((fine, 0), (fine, 1))
                )
                fine = (second - first) / 2**0.5
                pairs = (coarse.narrow(axis, start, coarse.shape[axis] - 1) for start in (0, 1))
                coarse = sum(pairs, start=torch.zeros(())) / 2
                inside = inside.narrow(axis, 0, inside.shape[axis] - 1) & inside.narrow(
                    axis, 1, inside.shape[axis] - 1
                )
        index = ((coarse - low) / max(high - low, END) * BINS / 2).long().clamp(0, BINS // 2 - 1)
        spreads = [
            fine[inside & (index == place)].abs().median() / MEDIAN
            for place in range(BINS // 2)
            if int((inside & (index == place)).sum()) >= FEWEST
        ]
        loud = [spread for spread in spreads if spread > QUIET]
        return torch.stack(loud).amin() if loud else volume.new_tensor(QUIET)

    def smooth(self, images: Tensor) -> Tensor:
        """Images (b, c, z, y, x) without their noise; edges stay."""
        return torch.cat([self._smooth(part) for part in torch.split(images, CHUNK)])

    def _smooth(self, images: Tensor) -> Tensor:
        reach = REACH * self.levels(images)[:, :, None, None, None]
        guide = images
        for share in ROUNDS:
            total, weights = images.clone(), torch.ones_like(images[:, :1])
            for near, moved, moved_guide in _neighbours(images, guide):
                apart = ((moved_guide - guide) / (share * reach)).square().sum(1, keepdim=True)
                weight = near * torch.exp(-0.5 * apart)
                total, weights = total + weight * moved, weights + weight
            guide = total / weights
        return guide

    def forward(self, smooth: Tensor, white: Tensor, patient: Tensor) -> Tensor:
        """Add noise to images without any.

        Args:
            smooth: (b, c, z, y, x).
            white: Standard normal, likewise.
            patient: Standard normal, (b, c): how loud the noise is.
        """
        mean, deviation = self.level.T
        loud = (mean + deviation * patient).exp()[:, :, None, None, None]
        noisy: Tensor = smooth + loud * self._gains(self._bins(smooth)) * coloured(white, self.amplitude)
        return noisy

    def closed(self, images: Tensor) -> Tensor:
        """Images (b, c, z, y, x) cut at the ends of the training images."""
        low, high = (end.view(1, -1, 1, 1, 1) for end in self.ends.T)
        return images.clamp(low, high)

    def _bins(self, smooth: Tensor) -> Tensor:
        """Range of intensities of each voxel, 0 and the last one for the ends of the scale."""
        low, high = (end.view(1, -1, 1, 1, 1) for end in self.ends.T)
        inner = ((smooth - low) / (high - low).clamp_min(END) * BINS).long().clamp(0, BINS - 1) + 1
        inner = torch.where(smooth <= low + END, 0, inner)
        return torch.where(smooth >= high - END, BINS + 1, inner)

    def _gains(self, bins: Tensor) -> Tensor:
        return torch.stack([gain[bins[:, channel]] for channel, gain in enumerate(self.gain)], dim=1)


def _neighbours(images: Tensor, guide: Tensor) -> Iterator[tuple[float, Tensor, Tensor]]:
    """Weight by distance, images and guide, moved by each of the 26 neighbours that the grid has."""
    steps = [(0,) if side == 1 else (-1, 0, 1) for side in images.shape[2:]]
    sides = [(1, 1) if side > 1 else (0, 0) for side in images.shape[2:]]
    padding = [pad for pair in reversed(sides) for pad in pair]
    both = functional.pad(torch.cat([images, guide], dim=1), padding, mode="replicate")
    for move in itertools.product(*steps):
        if any(move):
            places = [
                slice(pad + step, pad + step + side)
                for (pad, _), step, side in zip(sides, move, images.shape[2:], strict=True)
            ]
            moved = both[:, :, places[0], places[1], places[2]]
            yield NEAR ** sum(map(abs, move)), moved[:, : images.shape[1]], moved[:, images.shape[1] :]

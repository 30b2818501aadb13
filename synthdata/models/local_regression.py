"""Expected targets from what lies around each place in the sources, by one regression in closed form."""

from itertools import combinations_with_replacement

import torch
from torch import Tensor, nn
from torch.nn import functional

from synthdata.models.patches import join, split

ROWS = 100_000  # patches that a regression is fitted on
RIDGE = 1e-4  # of the mean square of a feature
FEWEST_FOR_MEAN = 40  # cases; in the mean of fewer each finds too much of its own target
BRIGHTEST = 1.1  # of the range; powers of more are not to be trusted


class LocalRegression(nn.Module):
    """Targets as a linear map of powers of the sources and of the mean target in a patch and its neighbours.

    Interpolation, sharpening and a curve between contrasts are special cases, so a network starts from the best of
    them. It needs no steps, and few patients suffice.

    Source:
        Hoerl and Kennard, Technometrics 12(1), 1970 (ridge regression).
    """

    atlas: Tensor
    weight: Tensor
    offset: Tensor
    residual_std: Tensor

    def __init__(
        self,
        *,
        shape_zyx: tuple[int, int, int],
        step: tuple[int, int, int],
        channels: tuple[int, int],
        degree: int,
    ) -> None:
        """Build an unfitted regression.

        Args:
            shape_zyx: Voxels of an image.
            step: Voxels of a patch.
            channels: Of the source s and of the target t.
            degree: Highest power of the sources, products of several included.
        """
        super().__init__()
        (sources, targets), voxels = channels, step[0] * step[1] * step[2]
        self.step = step
        self.powers = [
            chosen
            for power in range(1, degree + 1)
            for chosen in combinations_with_replacement(range(sources), power)
        ]
        self.kernel = tuple(3 if side > n else 1 for side, n in zip(shape_zyx, step, strict=True))
        width = (len(self.powers) + targets) * voxels
        self.register_buffer("atlas", torch.zeros(1, targets, *shape_zyx))  # mean target, of enough cases
        self.register_buffer("weight", torch.zeros(targets * voxels, width, *self.kernel))
        self.register_buffer("offset", torch.zeros(targets * voxels))
        self.register_buffer("residual_std", torch.ones(1, targets, 1, 1, 1))

    def fit(self, source: Tensor, target: Tensor, body: Tensor) -> None:
        """Fit on sources (n, s, z, y, x) and targets (n, t, z, y, x) within bodies (n, 1, z, y, x)."""
        if len(target) >= FEWEST_FOR_MEAN:
            self.atlas.copy_(target.mean(0, keepdim=True))
        gram, product = torch.zeros(()), torch.zeros(())
        for case in range(len(source)):
            one = slice(case, case + 1)
            rows = self._rows(self._known(source[one]))
            wanted = split(target[one], self.step).flatten(2)[0].T
            inside = split(body[one], self.step).amax(1).flatten() > 0
            chosen = _some(inside, max(1, ROWS // len(source)), seed=case)
            rows, wanted = rows[chosen].double(), wanted[chosen].double()
            gram, product = gram + rows.T @ rows, product + rows.T @ wanted
        penalty = RIDGE * gram.diagonal()[:-1].mean() * torch.eye(len(gram), dtype=torch.float64)
        penalty[-1, -1] = 0
        found = torch.linalg.solve(gram + penalty, product)
        self.weight.copy_(found[:-1].T.reshape(self.weight.shape))
        self.offset.copy_(found[-1])
        self.residual_std.copy_(self._error(source, target, body))

    def forward(self, source: Tensor) -> Tensor:
        """Expected targets (b, t, z, y, x) of sources (b, s, z, y, x)."""
        padded = self._padded(self._known(source))
        return join(functional.conv3d(padded, self.weight, self.offset), self.step)

    def _known(self, source: Tensor) -> Tensor:
        """Patches of the powers and of the mean target, (b, f, z, y, x)."""
        unit = ((source + 1) / 2).clamp(max=BRIGHTEST)
        powers = [unit[:, list(chosen)].prod(dim=1, keepdim=True) for chosen in self.powers]
        atlas = self.atlas.expand(len(source), -1, -1, -1, -1)
        return split(torch.cat([*powers, atlas], dim=1), self.step)

    def _padded(self, known: Tensor) -> Tensor:
        z, y, x = (side // 2 for side in self.kernel)
        return functional.pad(known, (x, x, y, y, z, z), mode="replicate")

    def _rows(self, known: Tensor) -> Tensor:
        """The features of each patch of one case and a one, (patches, f * kernel + 1)."""
        around = self._padded(known)[0]
        for axis, size in enumerate(self.kernel, start=1):
            around = around.unfold(axis, size, 1)
        rows = around.permute(1, 2, 3, 0, 4, 5, 6).reshape(known[0, 0].numel(), -1)
        return torch.cat([rows, rows.new_ones(len(rows), 1)], dim=1)

    def _error(self, source: Tensor, target: Tensor, body: Tensor) -> Tensor:
        """Root mean square error within the body, (1, t, 1, 1, 1)."""
        total, count = target.new_zeros(target.shape[1]), body.new_zeros(())
        for case in range(len(source)):
            one = slice(case, case + 1)
            inside = body[one] > 0
            wrong = (self(source[one]) - target[one]).square() * inside
            total, count = total + wrong.sum(dim=(0, 2, 3, 4)), count + inside.sum()
        return (total / count.clamp_min(1)).sqrt().clamp_min(1e-3).view(self.residual_std.shape)


def _some(inside: Tensor, count: int, *, seed: int) -> Tensor:
    """At most `count` places that are inside."""
    places = inside.nonzero()[:, 0]
    order = torch.randperm(len(places), generator=torch.Generator().manual_seed(seed))
    return places[order[:count]]

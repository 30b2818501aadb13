"""A template that is warped onto each patient, so that size, place and outline are a code of their own.

A linear code of unaligned patients shows a large and a small head at once where it should show one of middle size.
So each image is told as a smooth displacement of a template's voxels and as an image on the template: an appearance
and a shape, as in active appearance models. The generator learns both together.

Source:
    Cootes, Edwards and Taylor, IEEE TPAMI 23(6), 2001 (appearance and shape); Learned-Miller, IEEE TPAMI 28(2), 2006
    (alignment of all images to their own mean).
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

SPACING_VOXELS = 5  # between the points whose displacements are fitted
STRAIN_WEIGHT = 0.3  # of the mean squared strain against the mean absolute difference in network scale
LEVELS = ((4, 40), (2, 40), (1, 10))  # voxels per side that are averaged, coarse first, and iterations
MOST_VOXELS = 40_000  # of an image at a level: finer ones cost more than they give
RATE_VOXELS = 0.15
TEMPLATE_EVERY = 10  # iterations between two means
INVERSE_ITERATIONS = 10
SHARPENING = 4  # corrections of an image on the template, so that warping it back gives the image
CHUNK = 32  # volumes warped at once


class Alignment(nn.Module):
    """Fit a template to images, and tell each as displacement and image on the template.

    Displacements are in voxels along z, y and x, (b, 3, *grid): the template's value at y + u(y) is the image's at y.
    """

    template: Tensor

    def __init__(self, *, channels: int, shape_zyx: tuple[int, int, int], grid: tuple[int, int, int]) -> None:
        """Build an unfitted alignment.

        Args:
            channels: Channels of the guides, c.
            shape_zyx: Voxels of an image.
            grid: Points of a displacement per axis.
        """
        super().__init__()
        self.shape, self.grid = shape_zyx, grid
        self.points = tuple(1 if side == 1 else max(2, round(side / SPACING_VOXELS)) for side in shape_zyx)
        self.levels = [
            level for level in LEVELS if level is LEVELS[0] or math.prod(self._size(level[0])) <= MOST_VOXELS
        ]
        self.register_buffer("template", torch.zeros(1, channels, *self._size(self.levels[-1][0])))

    def fit(self, guides: Tensor) -> Tensor:
        """Fit the template on guides (n, c, z, y, x); the displacements (n, 3, *grid)."""
        displacement = torch.zeros(len(guides), 3, *self.points)
        used = _used(guides)
        for level, iterations in self.levels:
            small = functional.interpolate(guides[:, used], size=self._size(level), mode="area")
            for _ in range(iterations // TEMPLATE_EVERY):
                dense = self._dense(displacement, small.shape[2:])
                template = _pull(small, dense).mean(0, keepdim=True)
                displacement = self._descend(displacement, small, template, TEMPLATE_EVERY)
                displacement -= displacement.mean(0, keepdim=True)
        self.template.zero_()
        self.template[:, used] = _pull(small, self._dense(displacement, small.shape[2:])).mean(
            0, keepdim=True
        )
        return self._on_grid(displacement)

    def register(self, guides: Tensor) -> Tensor:
        """Displacements (b, 3, *grid) of guides (b, c, z, y, x)."""
        displacement = torch.zeros(len(guides), 3, *self.points)
        used = _used(self.template)
        for level, iterations in self.levels:
            size = self._size(level)
            small = functional.interpolate(guides[:, used], size=size, mode="area")
            template = functional.interpolate(self.template[:, used], size=size, mode="area")
            displacement = self._descend(displacement, small, template, iterations)
        return self._on_grid(displacement)

    def push(self, volumes: Tensor, displacement: Tensor) -> Tensor:
        """Volumes (b, c, z, y, x) on the template, or one for all, as they lie in the patients."""
        dense = self._dense(displacement, self.shape)
        return _sample(volumes.expand(len(dense), *volumes.shape[1:]), dense)

    def pull(self, volumes: Tensor, displacement: Tensor) -> Tensor:
        """Volumes (b, c, z, y, x) of patients on the template, such that pushing gives them back."""
        dense = self._dense(displacement, self.shape)
        inverse = _inverse(dense)
        pulled = _sample(volumes, inverse)
        for _ in range(SHARPENING):
            pulled = pulled + _sample(volumes - _sample(pulled, dense), inverse)
        return pulled

    def _descend(self, displacement: Tensor, guides: Tensor, template: Tensor, iterations: int) -> Tensor:
        """Improve displacements at the points by Adam."""
        with torch.enable_grad():
            moved = displacement.detach().clone().requires_grad_()
            optimizer = torch.optim.Adam([moved], lr=RATE_VOXELS, betas=(0.9, 0.95))
            for _ in range(iterations):
                warped = _sample(
                    template.expand(len(guides), *template.shape[1:]), self._dense(moved, guides.shape[2:])
                )
                # Summed over patients, so that one patient's displacement does not depend on the others.
                cost = (warped - guides).abs().mean(dim=(1, 2, 3, 4)).sum() + STRAIN_WEIGHT * self._strain(
                    moved
                )
                optimizer.zero_grad(set_to_none=True)
                cost.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
        return moved.detach()

    def _strain(self, displacement: Tensor) -> Tensor:
        """Squared differences of displacements over distances, mean over points, sum over axes and patients."""
        total = displacement.new_zeros(())
        for axis, (side, points) in enumerate(zip(self.shape, self.points, strict=True)):
            if points > 1:
                strain = torch.diff(displacement, dim=axis + 2) / (side / points)
                total = total + strain.square().mean(dim=(1, 2, 3, 4)).sum()
        return total

    def _on_grid(self, displacement: Tensor) -> Tensor:
        return functional.interpolate(displacement, size=self.grid, mode="trilinear")

    def _dense(self, displacement: Tensor, size: tuple[int, ...]) -> Tensor:
        """At all voxels of a grid of that size, in units of `grid_sample`: (b, z, y, x, 3), x first."""
        if displacement.shape[2:] == self.points:
            displacement = self._on_grid(displacement)
        dense = functional.interpolate(displacement, size=size, mode="trilinear")
        halves = torch.tensor([side / 2 for side in self.shape], device=dense.device)
        return (dense.permute(0, 2, 3, 4, 1) / halves).flip(-1)

    def _size(self, level: int) -> tuple[int, int, int]:
        z, y, x = (-(-side // level) for side in self.shape)
        return z, y, x


def _used(guides: Tensor) -> Tensor:
    """Indices of channels that are not 0 everywhere: the others guide nothing, and cost nothing."""
    found = guides.abs().amax(dim=(0, 2, 3, 4)).nonzero().flatten()
    return found if len(found) else torch.arange(1)


def _sample(volumes: Tensor, dense: Tensor) -> Tensor:
    """Volumes (b, c, z, y, x) at displaced voxels (b, z, y, x, 3)."""
    axes = [(2 * torch.arange(side, device=dense.device) + 1) / side - 1 for side in dense.shape[1:4]]
    voxels = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).flip(-1)
    return functional.grid_sample(volumes, voxels + dense, padding_mode="border", align_corners=False)


def _inverse(dense: Tensor) -> Tensor:
    """Inverse of a displacement (b, z, y, x, 3) by fixed-point iteration: v(x) = -u(x + v(x))."""
    field = dense.permute(0, 4, 1, 2, 3)
    inverse = torch.zeros_like(dense)
    for _ in range(INVERSE_ITERATIONS):
        inverse = -_sample(field, inverse).permute(0, 2, 3, 4, 1)
    return inverse


def _pull(volumes: Tensor, dense: Tensor) -> Tensor:
    return _sample(volumes, _inverse(dense))

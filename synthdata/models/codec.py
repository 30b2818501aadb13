"""A linear code for image and mask: principal components of patches.

On a CPU budget the compression decides (docs/figures.md): a patch of p^3 voxels of all channels becomes a few
coefficients by an orthonormal basis fitted in seconds, image and mask fields apart, so that masks survive. Images are
standardised voxel by voxel before: where patients are aligned, the borders of skull and air would else take all of the
code, and the faint contrast within the brain none of it.
"""

from collections.abc import Sequence

import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

from synthdata.models.patches import join, split

OVERSHOOT = 0.5  # beyond the end of the scale, for voxels that lie at the end
MASS = 0.01  # share of voxels at an end of the scale from which on that end counts as saturated
SMOOTH_VOXELS = 1.0  # of the map of variances between patients
LEAST_SPREAD = 0.25  # of the root mean square of that map: empty air is not worth a code


class PatchCodec(nn.Module):
    """Encode (image, fields) to items (b, width + rest, z/p, y/p, x/p) and back; all state in buffers.

    The first `width` channels of an item are the code: leading coefficients of image and fields. The others are the
    coefficients of the image that the code leaves out, so that training sees the whole image.
    """

    ends: Tensor
    beyond: Tensor
    centre: Tensor
    spread: Tensor
    image_basis: Tensor
    image_mean: Tensor
    field_basis: Tensor
    field_mean: Tensor
    scale: Tensor
    std: Tensor

    def __init__(
        self,
        *,
        channels: int,
        labels: int,
        shape_zyx: tuple[int, int, int],
        patch_zyx: tuple[int, int, int],
        components: tuple[int, int],
    ) -> None:
        """Build an unfitted code.

        Args:
            channels: Image channels c.
            labels: Mask fields l, may be 0.
            shape_zyx: Voxels of an image.
            patch_zyx: Voxels of a patch per axis.
            components: Coefficients kept of the image and of the fields, each at most its patch size.
        """
        super().__init__()
        self.patch = patch_zyx
        voxels = patch_zyx[0] * patch_zyx[1] * patch_zyx[2]
        self.channels, self.labels = channels, labels
        image, field = channels * voxels, labels * voxels
        self.kept, fields_kept = min(components[0], image), min(components[1], field)
        self.width = self.kept + fields_kept
        self.register_buffer("ends", torch.tensor([-torch.inf, torch.inf]).repeat(channels, 1))
        self.register_buffer("beyond", torch.zeros(channels, 2))
        self.register_buffer("centre", torch.zeros(1, channels, *shape_zyx))
        self.register_buffer("spread", torch.ones(1, channels, *shape_zyx))
        self.register_buffer("image_basis", torch.zeros(image, image))
        self.register_buffer("image_mean", torch.zeros(image))
        self.register_buffer("field_basis", torch.zeros(fields_kept, field))
        self.register_buffer("field_mean", torch.zeros(field))
        self.register_buffer("scale", torch.ones(self.width))
        self.register_buffer("std", torch.ones(self.width))  # of each code channel, after scaling

    def fit(self, items: Sequence[tuple[Tensor, Tensor]]) -> None:
        """Fit on training images (c, z, y, x) and fields (l, z, y, x)."""
        images = torch.stack([image for image, _ in items])
        self._fit_ends(images)
        self._fit_spread(self._unsaturated(images))
        variance = self._fit_basis("image", [self.standardise(image[None]) for image in images])[: self.kept]
        if self.labels:
            field_variance = self._fit_basis("field", [fields[None] for _, fields in items])
            variance = torch.cat([variance, field_variance])
        # Half-way between the natural and the whitened scale: coarse coefficients stay louder than fine ones.
        scale = variance.clamp_min(1e-8).pow(0.25)
        self.scale.copy_(scale * (variance / scale.square()).mean().sqrt())
        self.std.copy_((variance.sqrt() / self.scale).clamp_min(1e-3))

    def encode(self, image: Tensor, fields: Tensor) -> Tensor:
        """Items of images (b, c, z, y, x) and fields (b, l, z, y, x); the code has mean variance 1."""
        whole = self._project(self.standardise(image), self.image_mean, self.image_basis)
        codes = [whole[:, : self.kept]]
        if self.labels:
            codes.append(self._project(fields, self.field_mean, self.field_basis))
        scaled = torch.cat(codes, dim=1) / self.scale.view(1, -1, 1, 1, 1)
        return torch.cat([scaled, whole[:, self.kept :]], dim=1)

    def decode(self, codes: Tensor, rest: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Standardised image (b, c, z, y, x) and fields (b, l, z, y, x).

        Args:
            codes: First `width` channels of items.
            rest: The other channels, for the whole image; None leaves them out.
        """
        codes = codes * self.scale.view(1, -1, 1, 1, 1)
        image, basis = codes[:, : self.kept], self.image_basis
        if rest is None:
            basis = basis[: self.kept]
        else:
            image = torch.cat([image, rest], dim=1)
        standard = self._expand(image, self.image_mean, basis)
        if not self.labels:
            return standard, standard.new_zeros((len(standard), 0, *standard.shape[2:]))
        return standard, self._expand(codes[:, self.kept :], self.field_mean, self.field_basis)

    def standardise(self, images: Tensor) -> Tensor:
        """Images (b, c, z, y, x) with mean 0 and standard deviation at most 1 at each voxel."""
        return (self._unsaturated(images) - self.centre) / self.spread

    def restore(self, standard: Tensor) -> Tensor:
        """Images of standardised ones, cut at the ends of the scale."""
        low, high = self.ends.T.reshape(2, 1, -1, 1, 1, 1)
        image: Tensor = (self.centre + self.spread * standard).clamp(low, high)
        return image

    def _fit_ends(self, images: Tensor) -> None:
        """Lowest and highest value, and whether a part of the voxels lies there: air, or bone out of the window."""
        values = images.transpose(0, 1).flatten(1)
        low, high = values.min(dim=1, keepdim=True).values, values.max(dim=1, keepdim=True).values
        self.ends.copy_(torch.cat([low, high], dim=1))
        mass = torch.stack([(values <= low).float().mean(1), (values >= high).float().mean(1)], dim=1)
        self.beyond.copy_((mass > MASS) * OVERSHOOT * torch.tensor([-1.0, 1.0]))

    def _unsaturated(self, images: Tensor) -> Tensor:
        """Move voxels at a saturated end beyond it, so that noise on a drawn one is cut off again."""
        low, high = self.ends.T.reshape(2, 1, -1, 1, 1, 1)
        below, above = self.beyond.T.reshape(2, 1, -1, 1, 1, 1)
        moved: Tensor = images + below * (images <= low) + above * (images >= high)
        return moved

    def _fit_spread(self, images: Tensor) -> None:
        """Mean and standard deviation between patients at each voxel of images (n, c, z, y, x)."""
        mean = images.mean(0, keepdim=True)
        variance = torch.stack([(image - mean[0]).square() for image in images]).mean(0, keepdim=True)
        smooth = torch.from_numpy(
            gaussian_filter(variance.numpy(), (0, 0, *(3 * [SMOOTH_VOXELS])), mode="nearest")
        )
        floor = LEAST_SPREAD**2 * smooth.mean(dim=(2, 3, 4), keepdim=True)
        self.centre.copy_(mean)
        self.spread.copy_((smooth + floor).sqrt().clamp_min(1e-3))

    def _fit_basis(self, name: str, volumes: Sequence[Tensor]) -> Tensor:
        """Principal components of patches, the largest first; their variances."""
        mean, covariance = _moments([split(volume, self.patch) for volume in volumes])
        values, vectors = torch.linalg.eigh(covariance)
        basis = self.get_buffer(f"{name}_basis")
        kept = basis.shape[0]
        basis.copy_(vectors.flip(1)[:, :kept].T)
        self.get_buffer(f"{name}_mean").copy_(mean)
        largest: Tensor = values.flip(0)[:kept].float()
        return largest

    def _project(self, volume: Tensor, mean: Tensor, basis: Tensor) -> Tensor:
        patches = split(volume, self.patch) - mean.view(1, -1, 1, 1, 1)
        return torch.einsum("bpzyx,kp->bkzyx", patches, basis)

    def _expand(self, codes: Tensor, mean: Tensor, basis: Tensor) -> Tensor:
        patches = torch.einsum("bkzyx,kp->bpzyx", codes, basis) + mean.view(1, -1, 1, 1, 1)
        return join(patches, self.patch)


def _moments(batches: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean (p,) and covariance (p, p) of patches over batches (b, p, z, y, x), in float64."""
    total = sum(batch[:, 0].numel() for batch in batches)
    rows = [batch.double().permute(1, 0, 2, 3, 4).flatten(1) for batch in batches]
    mean = torch.stack([row.sum(1) for row in rows]).sum(0) / total
    covariance = torch.stack([(row - mean[:, None]) @ (row - mean[:, None]).T for row in rows]).sum(0) / total
    return mean, covariance

"""A linear code for image and mask: principal components of patches.

On a CPU budget the compression decides (docs/figures.md): a patch of p^3 voxels of all channels becomes a few
coefficients by an orthonormal basis fitted in seconds, image and mask fields apart, so that masks survive. Images are
standardised voxel by voxel before: where patients are aligned, the borders of skull and air would else take all of the
code, and the faint contrast within the brain none of it. What the mask says about the image is taken out by regression
and put back on decoding, so that a drawn image agrees with the mask drawn beside it.
"""

from collections.abc import Sequence

import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

from synthdata.models.fields import CLIP_VOXELS
from synthdata.models.patches import join, split

SMOOTH_VOXELS = 1.0  # of the map of variances between patients
FIELD_STD = 3.0  # of the codes of fields: louder than images, so that the mask is decided before the image
RIDGE = 1e-4
LEAST_SPREAD = 0.25  # of the root mean square of that map: empty air is not worth a code


class PatchCodec(nn.Module):
    """Encode (image, fields) to codes (b, width, z/p, y/p, x/p) and back; all state in buffers."""

    centre: Tensor
    spread: Tensor
    image_basis: Tensor
    image_mean: Tensor
    contrast: Tensor
    share: Tensor
    common: Tensor
    field_weight: Tensor
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
        self.labels = labels
        image, field = channels * voxels, labels * voxels
        self.kept, fields_kept = min(components[0], image), min(components[1], field)
        self.width = self.kept + fields_kept
        self.register_buffer("centre", torch.zeros(1, channels, *shape_zyx))
        self.register_buffer("spread", torch.ones(1, channels, *shape_zyx))
        self.register_buffer("image_basis", torch.zeros(self.kept, image))
        self.register_buffer("image_mean", torch.zeros(image))
        self.register_buffer("contrast", torch.zeros(channels, 2 * labels))
        self.register_buffer("common", torch.ones(1, labels, 1, 1, 1))
        self.register_buffer(
            "share", torch.zeros(1, labels, *shape_zyx)
        )  # of the patients, per voxel and label
        self.register_buffer("field_weight", torch.ones(1, labels, 1, 1, 1))
        self.register_buffer("field_basis", torch.zeros(fields_kept, field))
        self.register_buffer("field_mean", torch.zeros(field))
        self.register_buffer("scale", torch.ones(self.width))
        self.register_buffer("std", torch.ones(self.width))  # of each code channel, after scaling

    def fit(self, images: Tensor, fields: Tensor, common: Tensor) -> None:
        """Fit on training images (n, c, z, y, x), fields (n, l, z, y, x), and the labels (l,) that codes shall hold."""
        self.common.copy_(common.view(self.common.shape))
        self._fit_spread(images)
        if self.labels:
            self._fit_contrast(images, fields)
            pairs = zip(images, fields, strict=True)
            images = torch.cat([self._without(image[None], field[None]) for image, field in pairs])
            self._fit_spread(images)
        variance = self._fit_basis("image", [(image[None] - self.centre) / self.spread for image in images])
        self._fit_scale(variance, slice(0, self.kept), 1.0)
        if self.labels:
            # A rare lesion has as much say as an organ, and keeps its outline.
            fields = fields * self.common
            spread = (fields - fields.mean(0)).square().mean(dim=(0, 2, 3, 4)).sqrt().clamp_min(1e-3)
            self.field_weight.copy_((1 / spread).view(self.field_weight.shape))
            variance = self._fit_basis("field", [field[None] * self.field_weight for field in fields])
            self._fit_scale(variance, slice(self.kept, self.width), FIELD_STD)

    def _fit_scale(self, variance: Tensor, part: slice, std: float) -> None:
        """Scale codes to a mean variance, half-way between natural and whitened: coarse ones stay louder than fine."""
        scale = variance.clamp_min(1e-8).pow(0.25)
        scale = scale * (variance / scale.square()).mean().clamp_min(1e-8).sqrt() / std
        self.scale[part] = scale
        self.std[part] = (variance.sqrt() / scale).clamp_min(1e-3)

    def encode(self, image: Tensor, fields: Tensor) -> Tensor:
        """Codes of images (b, c, z, y, x) and fields (b, l, z, y, x)."""
        standard = (image - self.expected(fields, self.centre, self.share)) / self.spread
        codes = [self._project(standard, self.image_mean, self.image_basis)]
        if self.labels:
            codes.append(
                self._project(fields * self.common * self.field_weight, self.field_mean, self.field_basis)
            )
        return torch.cat(codes, dim=1) / self.scale.view(1, -1, 1, 1, 1)

    def decode(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Standardised image (b, c, z, y, x) and fields (b, l, z, y, x) of codes."""
        codes = codes * self.scale.view(1, -1, 1, 1, 1)
        standard = self._expand(codes[:, : self.kept], self.image_mean, self.image_basis)
        if not self.labels:
            return standard, standard.new_zeros((len(standard), 0, *standard.shape[2:]))
        fields = self._expand(codes[:, self.kept :], self.field_mean, self.field_basis)
        return standard, fields / self.field_weight

    def expected(self, fields: Tensor, centre: Tensor, share: Tensor) -> Tensor:
        """Mean image given the mask, (b, c, z, y, x).

        Args:
            fields: (b, l, z, y, x).
            centre: `centre` on the template, or as it lies in the patients, (b, c, z, y, x).
            share: `share`, likewise (b, l, z, y, x).
        """
        if not self.labels:
            return centre
        known = occupancy(fields) - share
        plain, scaled = self.contrast.chunk(2, dim=1)  # (c, l)
        shift = torch.einsum("cl,blzyx->bczyx", plain, known)
        shift = shift + centre * torch.einsum("cl,blzyx->bczyx", scaled, known)
        return centre + shift

    def _without(self, image: Tensor, fields: Tensor) -> Tensor:
        return image - self.expected(fields, self.centre, self.share) + self.centre

    def _fit_contrast(self, images: Tensor, fields: Tensor) -> None:
        """Regress images on the mask: a contrast per label and channel, and how it changes with the mean image."""
        self.share.copy_(torch.stack([occupancy(field) for field in fields]).mean(0, keepdim=True))
        for channel, (centre, spread) in enumerate(zip(self.centre[0], self.spread[0], strict=True)):
            gram = torch.zeros(2 * self.labels, 2 * self.labels, dtype=torch.float64)
            moment = torch.zeros(2 * self.labels, dtype=torch.float64)
            for image, field in zip(images[:, channel], fields, strict=True):
                rows = (
                    (_regressors(occupancy(field)[None] - self.share, centre)[0] / spread).flatten(1).double()
                )
                gram += rows @ rows.T
                moment += rows @ ((image - centre) / spread).flatten().double()
            ridge = RIDGE * gram.diagonal().mean().clamp_min(1e-6) * torch.eye(2 * self.labels)
            self.contrast[channel] = torch.linalg.solve(gram + ridge, moment).float()

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
        largest: Tensor = values.flip(0)[:kept].clamp_min(0).float()
        return largest

    def _project(self, volume: Tensor, mean: Tensor, basis: Tensor) -> Tensor:
        patches = split(volume, self.patch) - mean.view(1, -1, 1, 1, 1)
        return torch.einsum("bpzyx,kp->bkzyx", patches, basis)

    def _expand(self, codes: Tensor, mean: Tensor, basis: Tensor) -> Tensor:
        patches = torch.einsum("bkzyx,kp->bpzyx", codes, basis) + mean.view(1, -1, 1, 1, 1)
        return join(patches, self.patch)


def occupancy(fields: Tensor) -> Tensor:
    """Share of a voxel that lies within a label, of fields of distances."""
    return (fields * CLIP_VOXELS + 0.5).clamp(0, 1)


def _regressors(known: Tensor, centre: Tensor) -> Tensor:
    """Occupancy (b, l, z, y, x) beyond its mean, and the same times the mean image (z, y, x): (b, 2 l, z, y, x)."""
    return torch.cat([known, known * centre], dim=1)


def _moments(batches: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean (p,) and covariance (p, p) of patches over batches (b, p, z, y, x), in float64."""
    total = sum(batch[:, 0].numel() for batch in batches)
    rows = [batch.double().permute(1, 0, 2, 3, 4).flatten(1) for batch in batches]
    mean = torch.stack([row.sum(1) for row in rows]).sum(0) / total
    covariance = torch.stack([(row - mean[:, None]) @ (row - mean[:, None]).T for row in rows]).sum(0) / total
    return mean, covariance

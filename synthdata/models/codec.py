"""A linear code for image and mask: principal components of patches, and the texture that they leave out.

On a CPU budget the compression decides (docs/figures.md): a patch of p^3 voxels of all channels becomes a few
coefficients by an orthonormal basis fitted in seconds, image and mask fields apart, so that masks survive. What
the basis leaves out of the image is modelled as noise with the covariance of the residual within a patch and a
standard deviation that depends on the local intensity, as in probabilistic PCA (Tipping and Bishop, J. R. Stat.
Soc. B 61, 1999, doi:10.1111/1467-9868.00196), and is drawn anew for every sample.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

TEXTURE_BINS = 12  # intensities in [-1, 1] at which the residual's standard deviation is kept


class PatchCodec(nn.Module):
    """Encode (image, fields) to (b, k, z/p, y/p, x/p) and back; all state in buffers."""

    image_basis: Tensor
    image_mean: Tensor
    field_basis: Tensor
    field_mean: Tensor
    scale: Tensor
    std: Tensor
    texture: Tensor
    texture_std: Tensor

    def __init__(
        self, *, channels: int, labels: int, patch_zyx: tuple[int, int, int], components: tuple[int, int]
    ) -> None:
        """Build an unfitted code.

        Args:
            channels: Image channels c.
            labels: Mask fields l, may be 0.
            patch_zyx: Voxels of a patch per axis.
            components: Coefficients kept of the image and of the fields, each at most its patch size.
        """
        super().__init__()
        self.patch = patch_zyx
        voxels = patch_zyx[0] * patch_zyx[1] * patch_zyx[2]
        self.channels, self.labels = channels, labels
        image, field = channels * voxels, labels * voxels
        kept = min(components[0], image), min(components[1], field)
        self.width = sum(kept)
        self.register_buffer("image_basis", torch.zeros(kept[0], image))
        self.register_buffer("image_mean", torch.zeros(image))
        self.register_buffer("field_basis", torch.zeros(kept[1], field))
        self.register_buffer("field_mean", torch.zeros(field))
        self.register_buffer("scale", torch.ones(self.width))
        self.register_buffer("std", torch.ones(self.width))  # of each code channel, after scaling
        self.register_buffer("texture", torch.zeros(image, image))
        self.register_buffer("texture_std", torch.zeros(channels, TEXTURE_BINS))

    def fit(self, items: Sequence[tuple[Tensor, Tensor]]) -> None:
        """Fit on training images (c, z, y, x) and fields (l, z, y, x), one at a time."""
        if self.labels:
            variance = self._fit_basis("field", [fields for _, fields in items])
        image_variance = self._fit_basis("image", [image for image, _ in items])
        variance = torch.cat([image_variance, variance]) if self.labels else image_variance
        self._fit_texture([image for image, _ in items])
        # Half-way between the natural and the whitened scale: coarse coefficients stay louder than fine ones.
        scale = variance.clamp_min(1e-8).pow(0.25)
        self.scale.copy_(scale * (variance / scale.square()).mean().sqrt())
        self.std.copy_((variance.sqrt() / self.scale).clamp_min(1e-3))

    def encode(self, image: Tensor, fields: Tensor) -> Tensor:
        """Coefficients (b, k, z/p, y/p, x/p) with mean variance 1."""
        codes = [self._project(image, self.image_mean, self.image_basis)]
        if self.labels:
            codes.append(self._project(fields, self.field_mean, self.field_basis))
        return torch.cat(codes, dim=1) / self.scale.view(1, -1, 1, 1, 1)

    def decode(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Image (b, c, z, y, x) without texture, and fields (b, l, z, y, x)."""
        codes = codes * self.scale.view(1, -1, 1, 1, 1)
        kept = self.image_basis.shape[0]
        image = self._expand(codes[:, :kept], self.image_mean, self.image_basis, self.channels)
        if not self.labels:
            return image, image.new_zeros((image.shape[0], 0, *image.shape[2:]))
        return image, self._expand(codes[:, kept:], self.field_mean, self.field_basis, self.labels)

    def add_texture(self, image: Tensor, noise: Tensor) -> Tensor:
        """Add drawn residuals to decoded images.

        Args:
            image: (b, c, z, y, x).
            noise: Standard normal, same shape.
        """
        patches = self._split(noise)
        coloured = torch.einsum("bqzyx,pq->bpzyx", patches, self.texture)
        textured: Tensor = image + self._join(coloured, self.channels) * self._local_std(image)
        return textured

    def _fit_basis(self, name: str, volumes: Sequence[Tensor]) -> Tensor:
        mean, covariance = _moments([self._split(volume[None]) for volume in volumes])
        values, vectors = torch.linalg.eigh(covariance)
        basis = self.get_buffer(f"{name}_basis")
        kept = basis.shape[0]
        basis.copy_(vectors.flip(1)[:, :kept].T)
        self.get_buffer(f"{name}_mean").copy_(mean)
        largest: Tensor = values.flip(0)[:kept].float()
        return largest

    def _fit_texture(self, images: Sequence[Tensor]) -> None:
        kept = self.image_basis.shape[0]
        squares = torch.zeros(self.channels, TEXTURE_BINS, dtype=torch.float64)
        counts = torch.zeros_like(squares)
        residuals = []
        for image in images:
            codes = self._project(image[None], self.image_mean, self.image_basis)
            smooth = self._expand(codes, self.image_mean, self.image_basis, self.channels)
            residual = image[None] - smooth
            bins = _bin_of(smooth[0]).round().long().flatten(1)
            squares.scatter_add_(1, bins, residual[0].flatten(1).double().square())
            counts.scatter_add_(1, bins, torch.ones_like(bins, dtype=torch.float64))
            residuals.append(residual)
        pooled = squares.sum(1, keepdim=True) / counts.sum(1, keepdim=True).clamp_min(1)
        self.texture_std.copy_(((squares + 50 * pooled) / (counts + 50)).sqrt().float())
        if kept == self.image_mean.numel():
            self.texture_std.zero_()  # the basis is complete: nothing is left out
            return
        unit = [
            self._split(r / self._local_std(image[None] - r))
            for r, image in zip(residuals, images, strict=True)
        ]
        _, covariance = _moments(unit)
        values, vectors = torch.linalg.eigh(covariance)
        root = vectors * values.clamp_min(0).sqrt()
        self.texture.copy_(root.float() / covariance.diagonal().mean().sqrt().clamp_min(1e-8).float())

    def _local_std(self, image: Tensor) -> Tensor:
        position = _bin_of(image)
        low = position.floor().long().clamp(0, TEXTURE_BINS - 2)
        part = position - low
        table = self.texture_std
        channel = torch.arange(self.channels).view(1, -1, 1, 1, 1)
        std: Tensor = table[channel, low] * (1 - part) + table[channel, low + 1] * part
        return std.clamp_min(1e-8)

    def _project(self, volume: Tensor, mean: Tensor, basis: Tensor) -> Tensor:
        patches = self._split(volume) - mean.view(1, -1, 1, 1, 1)
        return torch.einsum("bpzyx,kp->bkzyx", patches, basis)

    def _expand(self, codes: Tensor, mean: Tensor, basis: Tensor, channels: int) -> Tensor:
        patches = torch.einsum("bkzyx,kp->bpzyx", codes, basis) + mean.view(1, -1, 1, 1, 1)
        return self._join(patches, channels)

    def _split(self, volume: Tensor) -> Tensor:
        """(b, c, z, y, x) to (b, c*p^3, z/p, y/p, x/p)."""
        (b, c, z, y, x), (p, q, r) = volume.shape, self.patch
        blocks = volume.reshape(b, c, z // p, p, y // q, q, x // r, r)
        return blocks.permute(0, 1, 3, 5, 7, 2, 4, 6).reshape(b, c * p * q * r, z // p, y // q, x // r)

    def _join(self, patches: Tensor, channels: int) -> Tensor:
        (b, _, z, y, x), (p, q, r) = patches.shape, self.patch
        blocks = patches.reshape(b, channels, p, q, r, z, y, x).permute(0, 1, 5, 2, 6, 3, 7, 4)
        return blocks.reshape(b, channels, z * p, y * q, x * r)


def _bin_of(image: Tensor) -> Tensor:
    """Position of an intensity among the bins, 0 to TEXTURE_BINS - 1."""
    return ((image.clamp(-1, 1) + 1) / 2 * (TEXTURE_BINS - 1)).clamp(0, TEXTURE_BINS - 1)


def _moments(batches: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean (p,) and covariance (p, p) of patches over batches (b, p, z, y, x), in float64."""
    total = sum(batch[:, 0].numel() for batch in batches)
    rows = [batch.double().permute(1, 0, 2, 3, 4).flatten(1) for batch in batches]
    mean = torch.stack([row.sum(1) for row in rows]).sum(0) / total
    covariance = torch.stack([(row - mean[:, None]) @ (row - mean[:, None]).T for row in rows]).sum(0) / total
    return mean, covariance

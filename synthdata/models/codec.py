"""A linear code for image and mask: principal components of patches, and the texture that they leave out.

On a CPU budget the compression decides (docs/figures.md): a patch of p^3 voxels of all channels becomes a few
coefficients by an orthonormal basis fitted in seconds, image and mask fields apart, so that masks survive. Images are
standardised voxel by voxel before: where patients are aligned, the borders of skull and air would else take all of the
code, and the faint contrast within the brain none of it. What
the basis leaves out of the image is modelled as noise with the covariance of the residual within a patch and a
standard deviation that depends on the local intensity, as in probabilistic PCA (Tipping and Bishop, J. R. Stat.
Soc. B 61, 1999, doi:10.1111/1467-9868.00196), and is drawn anew for every sample.
"""

import math
from collections.abc import Sequence

import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

TEXTURE_BINS = 12  # intensities in [-1, 1] at which the residual's standard deviation is kept
SMOOTH_VOXELS = 1.0  # of the map of variances between patients
OVERSHOOT = 0.5  # beyond the end of the scale, for voxels that lie at the end
MASS = 0.01  # share of voxels at an end of the scale from which on that end counts as saturated
MOST_RESIDUALS = 1 << 20  # per channel, to find their spread
LEAST_SPREAD = 0.25  # of the root mean square of that map: empty air is not worth a code


class PatchCodec(nn.Module):
    """Encode (image, fields) to (b, k, z/p, y/p, x/p) and back; all state in buffers."""

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
    texture: Tensor
    texture_std: Tensor

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
        kept = min(components[0], image), min(components[1], field)
        self.width = sum(kept)
        self.register_buffer("ends", torch.tensor([-torch.inf, torch.inf]).repeat(channels, 1))
        self.register_buffer("beyond", torch.zeros(channels, 2))
        self.register_buffer("centre", torch.zeros(1, channels, *shape_zyx))
        self.register_buffer("spread", torch.ones(1, channels, *shape_zyx))
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
        images = torch.stack([image for image, _ in items])
        self._fit_ends(images)
        self._fit_spread(self._unsaturated(images))
        standard = [self._standard(image[None])[0] for image in images]
        image_variance = self._fit_basis("image", standard)
        variance = torch.cat([image_variance, variance]) if self.labels else image_variance
        self._fit_texture(standard)
        # Half-way between the natural and the whitened scale: coarse coefficients stay louder than fine ones.
        scale = variance.clamp_min(1e-8).pow(0.25)
        self.scale.copy_(scale * (variance / scale.square()).mean().sqrt())
        self.std.copy_((variance.sqrt() / self.scale).clamp_min(1e-3))

    def encode(self, image: Tensor, fields: Tensor) -> Tensor:
        """Coefficients (b, k, z/p, y/p, x/p) with mean variance 1."""
        codes = [self._project(self._standard(image), self.image_mean, self.image_basis)]
        if self.labels:
            codes.append(self._project(fields, self.field_mean, self.field_basis))
        return torch.cat(codes, dim=1) / self.scale.view(1, -1, 1, 1, 1)

    def decode(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Image (b, c, z, y, x) without texture, and fields (b, l, z, y, x)."""
        codes = codes * self.scale.view(1, -1, 1, 1, 1)
        kept = self.image_basis.shape[0]
        standard = self._expand(codes[:, :kept], self.image_mean, self.image_basis, self.channels)
        image = self.centre + self.spread * standard
        if not self.labels:
            return image, image.new_zeros((image.shape[0], 0, *image.shape[2:]))
        return image, self._expand(codes[:, kept:], self.field_mean, self.field_basis, self.labels)

    def add_texture(self, image: Tensor, noise: Tensor) -> Tensor:
        """Add drawn residuals to decoded images and cut them at the ends of the scale.

        Args:
            image: (b, c, z, y, x).
            noise: Standard normal, same shape.
        """
        patches = self._split(noise)
        coloured = torch.einsum("bqzyx,pq->bpzyx", patches, self.texture)
        textured = image + self.spread * self._join(coloured, self.channels) * self._local_std(image)
        low, high = self.ends.T.view(2, 1, -1, 1, 1, 1)
        return textured.clamp(low, high)

    def _fit_ends(self, images: Tensor) -> None:
        """Lowest and highest value, and whether a part of the voxels lies there: air, or bone out of the window."""
        values = images.transpose(0, 1).flatten(1)
        low, high = values.min(dim=1, keepdim=True).values, values.max(dim=1, keepdim=True).values
        self.ends.copy_(torch.cat([low, high], dim=1))
        mass = torch.stack([(values <= low).float().mean(1), (values >= high).float().mean(1)], dim=1)
        self.beyond.copy_((mass > MASS) * OVERSHOOT * torch.tensor([-1.0, 1.0]))

    def _unsaturated(self, images: Tensor) -> Tensor:
        """Move voxels at a saturated end beyond it, so that noise on a drawn one is cut off again."""
        low, high = self.ends.T.view(2, 1, -1, 1, 1, 1)
        below, above = self.beyond.T.view(2, 1, -1, 1, 1, 1)
        return images + below * (images <= low) + above * (images >= high)

    def _standard(self, images: Tensor) -> Tensor:
        return (self._unsaturated(images) - self.centre) / self.spread

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
        mean, covariance = _moments([self._split(volume[None]) for volume in volumes])
        values, vectors = torch.linalg.eigh(covariance)
        basis = self.get_buffer(f"{name}_basis")
        kept = basis.shape[0]
        basis.copy_(vectors.flip(1)[:, :kept].T)
        self.get_buffer(f"{name}_mean").copy_(mean)
        largest: Tensor = values.flip(0)[:kept].float()
        return largest

    def _fit_texture(self, images: Sequence[Tensor]) -> None:
        """Residuals of standardised images (c, z, y, x), by the intensity of what the code keeps of them."""
        if self.image_basis.shape[0] == self.image_mean.numel():
            self.texture_std.zero_()  # the basis is complete: nothing is left out
            return
        pairs = [self._residual(image[None]) for image in images]
        every = max(1, len(images) * images[0][0].numel() // MOST_RESIDUALS)
        for channel in range(self.channels):
            place = torch.cat([smooth[0, channel].flatten() for _, smooth in pairs])[::every]
            size = torch.cat([residual[0, channel].flatten() for residual, _ in pairs])[::every].abs()
            self.texture_std[channel] = _spread_by_bin(size, _bin_of(place).round().long())
        unit = [self._split(residual / self._local_std(smooth)) for residual, smooth in pairs]
        _, covariance = _moments(unit)
        values, vectors = torch.linalg.eigh(covariance)
        root = vectors * values.clamp_min(0).sqrt()
        self.texture.copy_(root.float() / covariance.diagonal().mean().sqrt().clamp_min(1e-8).float())

    def _residual(self, standard: Tensor) -> tuple[Tensor, Tensor]:
        """What the code leaves out of a standardised image (1, c, z, y, x), and the image that it keeps."""
        codes = self._project(standard, self.image_mean, self.image_basis)
        kept = self._expand(codes, self.image_mean, self.image_basis, self.channels)
        return standard - kept, self.centre + self.spread * kept

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


def _spread_by_bin(sizes: Tensor, bins: Tensor) -> Tensor:
    """Standard deviation per bin from the 68 % point of absolute residuals: edges are outliers, not texture."""
    level = math.erf(math.sqrt(0.5))
    pooled = torch.quantile(sizes, level)
    found = torch.empty(TEXTURE_BINS)
    for index in range(TEXTURE_BINS):
        inside = sizes[bins == index]
        share = len(inside) / (len(inside) + 50)
        found[index] = pooled if len(inside) == 0 else torch.quantile(inside, level).lerp(pooled, 1 - share)
    return found


def _moments(batches: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean (p,) and covariance (p, p) of patches over batches (b, p, z, y, x), in float64."""
    total = sum(batch[:, 0].numel() for batch in batches)
    rows = [batch.double().permute(1, 0, 2, 3, 4).flatten(1) for batch in batches]
    mean = torch.stack([row.sum(1) for row in rows]).sum(0) / total
    covariance = torch.stack([(row - mean[:, None]) @ (row - mean[:, None]).T for row in rows]).sum(0) / total
    return mean, covariance

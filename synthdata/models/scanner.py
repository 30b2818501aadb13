"""What a scanner makes of anatomy: intensities of each tissue, and noise. It is undone before the learning."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from synthdata.models.noise import Noise
from synthdata.models.tissue import Tissues
from synthdata.models.tone import Tone


class Scanner(nn.Module):
    """Tell images as smooth ones with tissues, c + k channels in all, and make images of such channels again."""

    def __init__(self, *, channels: int, tissues: int, labels: int, shape_zyx: tuple[int, int, int]) -> None:
        """Build unfitted, for c image channels, k classes of tissue and l labels."""
        super().__init__()
        self.channels = channels
        self.noise = Noise(channels=channels, shape_zyx=shape_zyx)
        self.tissues = Tissues(channels=channels, classes=tissues)
        self.tone = Tone(channels=channels, tissues=tissues, labels=labels)  # before noise is added
        self.last_tone = Tone(channels=channels, tissues=tissues, labels=labels)  # and after it

    def fit(self, images: Tensor, fields: Tensor) -> Tensor:
        """Fit on images (n, c, z, y, x) and fields (n, l, z, y, x); `undone` images."""
        smooth = self.noise.fit(images)
        self.tissues.fit(smooth)
        tissues = self.tissues.fields(smooth)
        classes = self.tissues.classes(tissues, fields)
        self.tone.fit_true(smooth, classes)
        self.last_tone.fit_true(images, classes)
        return torch.cat([smooth, tissues], dim=1)

    def undone(self, images: Tensor) -> Tensor:
        """Images (b, c, z, y, x) without noise, and fields of their tissues: (b, c + k, z, y, x)."""
        smooth = self.noise.smooth(images)
        return torch.cat([smooth, self.tissues.fields(smooth)], dim=1)

    def fit_drawn(self, whole: Tensor, fields: Tensor, rng: torch.Generator) -> None:
        """Fit the corrections on drawn channels (n, c + k, z, y, x) and fields (n, l, z, y, x)."""
        smooth, tissues, classes = self._apart(whole, fields)
        self.tone.fit_drawn(smooth, classes, tissues)
        self.last_tone.fit_drawn(self._noisy(smooth, classes, tissues, [rng] * len(smooth)), classes, tissues)
        self.last_tone.width.copy_(self.tone.width)  # noise hides what borders are like

    def forward(self, whole: Tensor, fields: Tensor, rngs: Sequence[torch.Generator]) -> Tensor:
        """Images (b, c, z, y, x) of drawn channels (b, c + k, z, y, x) and fields (b, l, z, y, x)."""
        smooth, tissues, classes = self._apart(whole, fields)
        noisy = self._noisy(smooth, classes, tissues, rngs)
        return self.noise.closed(self.last_tone(noisy, classes, tissues))

    def _apart(self, whole: Tensor, fields: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Images without noise, tissues, and class of each voxel."""
        smooth, tissues = whole[:, : self.channels], whole[:, self.channels :]
        return smooth, tissues, self.tissues.classes(tissues, fields)

    def _noisy(
        self, smooth: Tensor, classes: Tensor, tissues: Tensor, rngs: Sequence[torch.Generator]
    ) -> Tensor:
        """Images with corrected intensities, and with noise."""
        whites = [torch.randn(smooth.shape[1:], generator=rng) for rng in rngs]
        patients = [torch.randn(smooth.shape[1], generator=rng) for rng in rngs]
        toned = self.noise.closed(self.tone(smooth, classes, tissues))
        noisy: Tensor = self.noise(toned, torch.stack(whites).to(smooth), torch.stack(patients).to(smooth))
        return noisy

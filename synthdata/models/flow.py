"""Diffusion as flow matching on a linear code of image and mask, predicting the clean code."""

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from synthdata.models.alignment import CHUNK, Alignment
from synthdata.models.codec import FIELD_STD, PatchCodec
from synthdata.models.fields import offsets
from synthdata.models.flow_config import FlowConfig
from synthdata.models.focal import FocalLaw
from synthdata.models.gaussian import GaussianLaw
from synthdata.models.nets import UNet, UNetConfig
from synthdata.models.patches import join, patch_of, split
from synthdata.models.protocol import Family, Geometry
from synthdata.models.refiner import Drawn, Refiner
from synthdata.models.sampler import along, errors_on_path, guided, integrate
from synthdata.models.saturation import Saturation
from synthdata.models.scanner import Scanner
from synthdata.models.spectrum import WaveNoise

MARGIN = 0.05  # training covers this much more than the path of sampling at both ends
MAX_WEIGHT = 10.0  # of the loss near the clean end
REFINE_TIME = 0.3  # the flow ends here: anatomy is decided, detail is left to the refiner
REFINED_SHARE = 4  # one in so many items of a batch trains the refiner too
TEXTURED_CASES = 64  # from which the texture is measured
SHAPE_STD = 6.0  # of displacements as codes: louder than the appearance, so that they are decided before it
OUTLINE_GRAIN = 0.05  # of the variance of outlines that patients do not share; the rest is drawn as waves
TONED_BATCH, TONED_STEPS = 16, 8
PROBES = 3  # times from `start_time` to `REFINE_TIME` at which a case's own error is told
AT_ONCE = 2  # cases of a batch that are taken to full resolution together on a CPU: larger blocks go back to the system
COMMON = 0.95  # share of patients that have a label from which on its outline guides the alignment


class FlowGenerator(nn.Module):
    """Learn the expected clean code given a noisy one and the conditions; draw by integrating the flow.

    Images are learnt without noise, with fields of the tissues in them as further channels, c + k in all (`Scanner`).
    Findings that only some patients have are drawn first (`FocalLaw`), and told to the network.
    A code tells a patient's displacements of the template, and image and fields on the template. The flow ends at
    `REFINE_TIME`, where anatomy is decided and detail is not; a small network in the patient's own space takes its
    estimate from there, and what that leaves out is drawn as texture.

    Source:
        Flow matching: Lipman et al., ICLR 2023, arXiv:2210.02747. Weight of the loss: Karras et al., NeurIPS 2022,
        arXiv:2206.00364, table 1, with sigma = (1 - t) / t, cut off at `MAX_WEIGHT`. Prediction of the clean data:
        Li and He, arXiv:2511.13720. Logit-normal times: Esser et al., ICML 2024, arXiv:2403.03206. Guidance: Ho and
        Salimans, arXiv:2207.12598, equation (6).
    """

    guides: Tensor
    offset: Tensor
    moved: Tensor
    std: Tensor
    loudness: Tensor

    def __init__(self, config: FlowConfig, geometry: Geometry) -> None:
        super().__init__()
        self.config, self.geometry = config, geometry
        z, y, x = geometry.grid.shape_zyx
        patch = patch_of((z, y, x), config.patch)
        flat = z == 1
        self.voxels, self.axes = patch, 2 if flat else 3
        points = (z // patch[0], y // patch[1], x // patch[2])
        sizes = {"channels": geometry.channels, "tissues": config.tissues, "labels": geometry.labels}
        self.scanner = Scanner(**sizes, shape_zyx=(z, y, x))
        self.whole = geometry.channels + config.tissues  # channels that are learnt
        self.saturation = Saturation(self.whole)
        self.alignment = Alignment(channels=self.whole + geometry.labels, shape_zyx=(z, y, x), grid=points)
        self.codec = PatchCodec(
            channels=self.whole,
            labels=geometry.labels,
            shape_zyx=(z, y, x),
            patch_zyx=patch,
            components=(
                config.image_components * geometry.channels + config.tissue_components * config.tissues,
                config.field_components * geometry.labels,
            ),
        )
        self.width = self.codec.width + self.axes
        self.latent = (self.width, *points)
        self.register_buffer("guides", torch.ones(1, self.whole + geometry.labels, 1, 1, 1))
        self.register_buffer("moved", torch.ones(1, self.axes, 1, 1, 1))  # standard deviation in voxels
        self.register_buffer("std", torch.ones(1, self.width, 1, 1, 1))  # of each channel of a code
        loudness = torch.ones(1, self.width, 1, 1, 1)
        loudness[:, self.codec.kept : self.codec.width] = FIELD_STD
        loudness[:, self.codec.width :] = SHAPE_STD
        self.register_buffer("loudness", loudness)
        self.register_buffer("offset", torch.zeros(1, geometry.labels, 1, 1, 1))  # put right in drawn fields
        self.law = GaussianLaw(self.latent, geometry.conditions)
        self.outline_noise = WaveNoise((self.width - self.codec.kept, *points))
        self.focal = FocalLaw(labels=geometry.labels, shape_zyx=(z, y, x), conditions=geometry.conditions)
        # Averaged to tell the network of findings.
        self.told_voxels = tuple(max(1, side // 2) for side in patch)
        self.told_patch = tuple(side // step for side, step in zip(patch, self.told_voxels, strict=True))
        self.given = geometry.labels * math.prod(self.told_patch)
        self.network = UNet(
            config.network,
            channels=2 * self.width + self.given,
            out=self.width,
            conditions=geometry.conditions,
            flat=flat,
        )
        shape = geometry.grid.shape_zyx
        self.refiner = Refiner(
            channels=self.whole, labels=geometry.labels, shape_zyx=shape, widths=config.refiner
        )

    def fit_codec(self, images: Tensor, fields: Tensor) -> None:
        """Fit noise, tissues, alignment and linear code on images (n, c, z, y, x) and fields (n, l, z, y, x)."""
        images = self.scanner.fit(images, fields)
        self.saturation.fit(images)
        common = (fields.amax(dim=(2, 3, 4)) > 0).float().mean(0) >= COMMON
        if self.config.tissues:
            self.guides[0, : self.geometry.channels] = 0  # their tissues guide in their stead
        self.guides[0, images.shape[1] :, 0, 0, 0] = common.float()
        guides, still = self._guides(images, fields), images.new_zeros(len(images), 3, *self.latent[1:])
        displacement = self.alignment.fit(guides) if self.config.aligned else still
        self.moved.copy_(displacement[:, -self.axes :].square().mean(dim=(0, 2, 3, 4), keepdim=True).sqrt())
        self.moved.clamp_(min=1e-3)
        parts = zip(*(torch.split(part, CHUNK) for part in (images, fields, displacement)), strict=True)
        pulled = [self._pull(*part) for part in parts]
        self.codec.fit(
            torch.cat([image for image, _ in pulled]),
            torch.cat([field for _, field in pulled]),
            common.float(),
        )
        self.std.copy_(torch.cat([self.codec.std, torch.full((self.axes,), SHAPE_STD)]).view(self.std.shape))

    def fit_law(self, items: Tensor, conditions: Tensor, case: Tensor) -> None:
        """Fit the laws of codes and findings on items (m, k + rest, z, y, x) and conditions (m, c) of cases (m,)."""
        grain = torch.ones(self.width)
        grain[self.codec.kept :] = OUTLINE_GRAIN
        left, whose = self.law.fit(items[:, : self.width], conditions, case, grain=grain)
        self.outline_noise.fit(left[:, self.codec.kept :] / self._outlines_left().clamp_min(1e-3), whose)
        focal = 1 - self._common.flatten()
        if focal.any():
            parts = [
                self.alignment.pull(self._truth(part)[1], self._shape(part))
                for part in torch.split(items, CHUNK)
            ]
            self.focal.fit(torch.cat(parts), conditions, focal, case)

    def never_drawn(self) -> list[int]:
        """Labels, from 0, that not all patients have and too few for a law of findings."""
        missing = (self._common.flatten() == 0).cpu() & (self.focal.presence.cpu() == 0)
        found: list[int] = missing.nonzero()[:, 0].tolist()
        return found

    @torch.inference_mode()
    def settle(self, items: Tensor, conditions: Tensor, rng: torch.Generator) -> None:
        """Once the learning is over, put the sizes of labels right, and measure texture and drawn intensities."""
        device = self.std.device
        every = -(-len(items) // TEXTURED_CASES)
        if self._common.any():
            truth = torch.cat([self._truth(item)[1] for item in items[::every, None]])
            fields = torch.cat([part for _, part in self._drawn(conditions[:: 2 * every], rng)])
            self.offset.copy_(offsets(fields.cpu(), truth.cpu()).to(device) * self._common)
        white = []
        for item, row in zip(items[::every, None], conditions[::every, None], strict=True):
            told = torch.cat([row, torch.ones(1, 1)], dim=1).to(device)
            drawn = self._estimate(item.to(device), told, rng)
            refined = self.refiner(drawn)
            image, _ = self._truth(item.to(device))
            white.append(((image - drawn.centre) / drawn.spread - refined.standard) / refined.log_std.exp())
        self.refiner.fit_texture(torch.cat(white))
        parts = list(self._drawn(conditions[::every], rng))
        whole, fields = (torch.cat(part) for part in zip(*parts, strict=True))
        self.scanner.fit_drawn(whole, fields, rng)

    def _drawn(self, conditions: Tensor, rng: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """Images before the scanner and fields, for measuring what the generator draws; a few cases each time."""
        for rows in torch.split(conditions, TONED_BATCH):
            seeds = [int(torch.randint(1 << 62, (), generator=rng)) for _ in rows]
            rngs = [torch.Generator().manual_seed(seed) for seed in seeds]
            for whole, fields, _ in self._draw(rows, rngs, steps=TONED_STEPS, guidance=1.0):
                yield whole, fields

    def encode(self, image: Tensor, fields: Tensor) -> Tensor:
        """Items of images and fields: code, what is told of findings, then image and fields as they are."""
        image = self.scanner.undone(image)
        displacement = image.new_zeros(len(image), 3, *self.latent[1:])
        if self.config.aligned:
            displacement = self.alignment.register(self._guides(image, fields))
        aligned, aligned_fields = self._pull(image, fields, displacement)
        code = self.codec.encode(aligned, aligned_fields)
        shape = displacement[:, -self.axes :] * (SHAPE_STD / self.moved)
        given = self._told(aligned_fields * (1 - self._common))
        whole = torch.cat([self.saturation.opened(image), fields], dim=1)
        return torch.cat([code, shape, given, split(whole, self.voxels)], dim=1)

    @property
    def _common(self) -> Tensor:
        """1 for labels that all patients have, 0 for focal ones, (1, l, 1, 1, 1)."""
        return self.guides[:, self.whole :]

    def _told(self, focal: Tensor) -> Tensor:
        """Focal fields (b, l, z, y, x) on the template, as the network is told them."""
        if not self.geometry.labels:
            return focal.new_zeros((len(focal), 0, *self.latent[1:]))
        coarse = nn.functional.avg_pool3d(focal, self.told_voxels)
        z, y, x = self.told_patch
        return split(coarse, (z, y, x))

    def _guides(self, images: Tensor, fields: Tensor) -> Tensor:
        return torch.cat([images, fields], dim=1) * self.guides

    def _pull(self, image: Tensor, fields: Tensor, displacement: Tensor) -> tuple[Tensor, Tensor]:
        """Image, its saturated ends opened, and fields on the template."""
        both = torch.cat([self.saturation.opened(image), fields], dim=1)
        pulled = self.alignment.pull(both, displacement)
        return pulled[:, : image.shape[1]], pulled[:, image.shape[1] :]

    def loss(self, items: Tensor, conditions: Tensor, rng: torch.Generator) -> Tensor:
        """Flow-matching loss, and squared error of the refiner, of items with conditions (b, c); one number."""
        batch, codes = items.shape[0], items[:, : self.width]
        logits = torch.randn(batch, generator=rng) * self.config.time_std + self.config.time_mean
        first, last = max(0.0, self.config.start_time - MARGIN), REFINE_TIME + MARGIN
        time = (first + (last - first) * torch.sigmoid(logits)).to(items.device)
        noise = torch.randn(codes.shape, generator=rng).to(items.device)
        keep = (torch.rand(batch, 1, generator=rng) >= self.config.drop_conditions).to(items)
        noisy = along(1 - time, codes) * noise + along(time, codes) * codes
        told = torch.cat([conditions * keep, keep], dim=1)
        error = self._errors(codes, noisy, time, told, self._given(items))
        weight = (1 + (time / (1 - time)).square()).clamp_max(MAX_WEIGHT)
        loss: Tensor = (weight * error).mean() + self._refiner_loss(items, told, rng)
        return loss

    @torch.inference_mode()
    def case_losses(self, items: Tensor, conditions: Tensor, seeds: Sequence[int]) -> Tensor:
        """Matching error of items (b, ...) with conditions (b, c) at `PROBES` times of the path, (b, PROBES).

        Mean over seeds, each of which gives the same noise to every item, so that items differ in themselves alone.
        """
        codes, given = items[:, : self.width], self._given(items)
        told = torch.cat([conditions, conditions.new_ones(len(conditions), 1)], dim=1)
        times = torch.linspace(self.config.start_time, REFINE_TIME, PROBES).tolist()
        return errors_on_path(
            lambda noisy, time: self._errors(codes, noisy, time, told, given), codes, times, seeds
        )

    def _errors(self, codes: Tensor, noisy: Tensor, time: Tensor, told: Tensor, given: Tensor) -> Tensor:
        """Mean squared error of the expected clean codes, per item (b,)."""
        wrong = (self.denoise(noisy, time, told, given) - codes) / self.loudness
        return wrong.square().mean(dim=(1, 2, 3, 4))

    def _refiner_loss(self, items: Tensor, told: Tensor, rng: torch.Generator) -> Tensor:
        few = max(1, len(items) // REFINED_SHARE)
        drawn = self._estimate(items[:few], told[:few], rng)
        image, fields = self._truth(items[:few])
        return self.refiner.loss(self.refiner(drawn), (image - drawn.centre) / drawn.spread, fields)

    @torch.no_grad()
    def _estimate(self, items: Tensor, told: Tensor, rng: torch.Generator) -> Drawn:
        """What the flow hands over of items."""
        codes = items[:, : self.width]
        time = torch.full((len(codes),), REFINE_TIME, device=codes.device)
        noise = torch.randn(codes.shape, generator=rng).to(codes.device)
        noisy = (1 - REFINE_TIME) * noise + REFINE_TIME * codes
        clean = self.denoise(noisy, time, told, self._given(items))
        return self._decoded(clean, self._truth(items)[1] * (1 - self._common))

    def _decoded(self, codes: Tensor, focal: Tensor) -> Drawn:
        """Codes, and focal fields as they lie in the patients, as volumes."""
        standard, fields = self.codec.decode(codes[:, : self.codec.width])
        maps = torch.cat([self.codec.centre, self.codec.spread, self.codec.share], dim=1)
        parts = torch.cat([standard, maps.expand(len(codes), *maps.shape[1:]), fields], dim=1)
        pushed = self.alignment.push(parts, self._shape(codes))
        channels, labels = self.whole, self.geometry.labels
        standard, centre, spread, share, fields = torch.split(
            pushed, [channels, channels, channels, labels, labels], dim=1
        )
        fields = fields * self._common + focal
        expected = self.codec.expected(fields, centre, share)
        return Drawn(
            standard=standard,
            image=self.saturation.closed(expected + spread * standard),
            fields=fields,
            centre=expected,
            spread=spread,
        )

    def _shape(self, codes: Tensor) -> Tensor:
        """Displacements (b, 3, z, y, x) in voxels."""
        shape = codes[:, self.codec.width : self.width] * (self.moved / SHAPE_STD)
        return nn.functional.pad(shape, (0, 0, 0, 0, 0, 0, 3 - self.axes, 0))

    def _given(self, items: Tensor) -> Tensor:
        return items[:, self.width : self.width + self.given]

    def _truth(self, items: Tensor) -> tuple[Tensor, Tensor]:
        """Image and tissues, their saturated ends opened, and fields of items."""
        both = join(items[:, self.width + self.given :], self.voxels)
        return both[:, : self.whole], both[:, self.whole :]

    def denoise(self, noisy: Tensor, time: Tensor, told: Tensor, given: Tensor) -> Tensor:
        """Expected clean codes of noisy ones (b, k, z, y, x) at times (b,); told (b, c + 1) ends in a flag.

        The Gaussian law gives a first guess and its error; the network, which sees both the noisy code and the guess
        with variance 1, tells how many of those errors the truth lies away from it.
        """
        guess, error = self.law.denoise(noisy, time, told)
        t = along(time, noisy)
        scaled = noisy * ((t * self.std).square() + (1 - t).square()).rsqrt()
        clean: Tensor = guess + error * self.network(
            torch.cat([scaled, guess / self.std, given], dim=1), time, told
        )
        return clean

    @torch.inference_mode()
    def sample(
        self, conditions: Tensor, seeds: Sequence[int], *, steps: int, guidance: float
    ) -> tuple[Tensor, Tensor]:
        """Draw images (b, c, z, y, x) and fields (b, l, z, y, x); row i depends on seeds[i] alone."""
        rngs = [torch.Generator().manual_seed(seed) for seed in seeds]
        made = []
        for whole, fields, own in self._draw(conditions, rngs, steps=steps, guidance=guidance):
            made.append((self.scanner(whole, fields, own), fields))
        return torch.cat([image for image, _ in made]), torch.cat([field for _, field in made])

    def _draw(
        self, conditions: Tensor, rngs: Sequence[torch.Generator], *, steps: int, guidance: float
    ) -> Iterator[tuple[Tensor, Tensor, Sequence[torch.Generator]]]:
        """Images without noise and tissues, before the scanner and with their saturated ends open; fields; generators.

        A few cases at a time: volumes that fit into the caches of a processor take half of the time.
        """
        device = self.std.device
        findings = [self.focal.draw(row, rng) for row, rng in zip(conditions, rngs, strict=True)]
        focal = torch.stack(findings).to(device) * (1 - self._common)
        given = self._told(focal)
        codes = self._codes(conditions.to(device), given, rngs, steps=steps, guidance=guidance)
        size = len(codes) if device.type == "cuda" else AT_ONCE
        for first in range(0, len(codes), size):
            rows = slice(first, first + size)
            yield *self._at_full(codes[rows], focal[rows], rngs[rows]), rngs[rows]

    def _at_full(
        self, codes: Tensor, focal: Tensor, rngs: Sequence[torch.Generator]
    ) -> tuple[Tensor, Tensor]:
        """Codes, and fields of findings on the template, at full resolution and with texture."""
        device = codes.device
        placed = self.alignment.push(focal, self._shape(codes)) if self.given else focal
        drawn = self._decoded(codes, placed + self.offset)
        refined = self.refiner(drawn)
        grain = torch.stack([torch.randn(drawn.standard.shape[1:], generator=rng) for rng in rngs]).to(device)
        loud = torch.stack([torch.randn(grain.shape[1], generator=rng) for rng in rngs]).to(device)
        standard = refined.standard + self.refiner.texture(refined, grain, loud)
        return drawn.centre + drawn.spread * standard, refined.fields

    def _codes(
        self,
        conditions: Tensor,
        given: Tensor,
        rngs: Sequence[torch.Generator],
        *,
        steps: int,
        guidance: float,
    ) -> Tensor:
        """Codes (b, k, z, y, x) for conditions (b, c) and what is told of findings, row i by rngs[i] alone."""
        noise = torch.stack([torch.randn(self.latent, generator=rng) for rng in rngs]).to(given.device)
        told = torch.cat([conditions, conditions.new_ones(len(rngs), 1)], dim=1)

        def denoise(state: Tensor, time: float) -> Tensor:
            moment = torch.full((len(rngs),), time, device=state.device)
            return guided(lambda known: self.denoise(state, moment, known, given), told, guidance)

        first = self.config.start_time
        if first > 0:
            starts = [self.law.draw(row, rng) for row, rng in zip(conditions, rngs, strict=True)]
            noise = first * torch.stack(starts) + (1 - first) * noise
        codes = integrate(denoise, noise, steps, start=first, stop=REFINE_TIME)
        kept = self.codec.kept
        own = torch.stack([torch.randn(self.width - kept, *self.latent[1:], generator=rng) for rng in rngs])
        codes[:, kept:] += self.outline_noise(own.to(codes)) * self._outlines_left()
        return codes

    def _outlines_left(self) -> Tensor:
        """Standard deviation of what the law leaves of fields and displacements; other families keep all in theirs."""
        return self.law.dropped[self.codec.kept :].sqrt()


FAMILY = Family(
    config=FlowConfig,
    presets={
        "small": FlowConfig(),
        "large": FlowConfig(network=UNetConfig(widths=(64, 192), blocks=(1, 4)), refiner=(48, 64)),
        "tiny": FlowConfig(network=UNetConfig(widths=(32, 64), blocks=(1, 1), heads=4, ends=1)),
        "compact": FlowConfig(  # coarse voxels: a patch holds more anatomy, so more of the mask is kept
            field_components=12
        ),
        "small-2d": FlowConfig(  # projections: each ray crosses many tissues, and a warp of the plane is no anatomy
            patch=2, tissues=0, aligned=False, network=UNetConfig(widths=(64, 128), blocks=(1, 3), heads=4)
        ),
    },
    build=FlowGenerator,
    tells_losses=True,
)

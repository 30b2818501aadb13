"""Translation within and between modalities, and whole new cases whose targets are translated."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor, nn

from synthdata.errors import ConfigError
from synthdata.models.degradation import Degraded, check_degradation, degrade
from synthdata.models.flow import FAMILY as FLOW
from synthdata.models.flow_config import FlowConfig
from synthdata.models.nets import UNetConfig
from synthdata.models.protocol import Choosy, Family, Generator, Geometry
from synthdata.models.translator import Translated, Translator, TranslatorConfig
from synthdata.preparation.registration import body_mask

SLABS = ("through_plane", "missing_slices")  # degradations that leave one slice of `factor`


@dataclass(frozen=True, kw_only=True, slots=True)
class TranslationConfig:
    """All that is needed to build a `TranslationGenerator`."""

    translator: TranslatorConfig = field(default_factory=TranslatorConfig)
    drawer: FlowConfig = field(default_factory=lambda: FLOW.presets["tiny"])  # draws sources for new cases


class TranslationGenerator(nn.Module):
    """Translate the source channels of real cases; draw new cases by drawing sources and translating them.

    A drawn case has no real patient's source image in it: sources, mask and conditions come from a flow which is
    trained beside the translator, and the targets are translated from them. Where sources are a poorer form of the
    targets, the flow draws whole ones, which are degraded and restored.
    """

    def __init__(self, config: TranslationConfig, geometry: Geometry) -> None:
        super().__init__()
        if geometry.translation is None:
            raise ConfigError("the family translation needs the section translation: name source and target")
        self.config, self.geometry, self.map = config, geometry, geometry.translation
        self.restores = self.map.degradation != "none"
        check_degradation(self.map.degradation, self.map.factor, geometry.grid.shape_zyx)
        # What is restored keeps its intensities, so only sources of another modality may change theirs.
        translator = replace(config.translator, jitter=0.0, degree=1) if self.restores else config.translator
        self.translator = Translator(
            translator,
            shape_zyx=geometry.grid.shape_zyx,
            spacing_mm=geometry.grid.spacing_mm,
            channels=(len(self.map.sources), len(self.map.targets)),
            conditions=geometry.conditions,
            slab=int(self.map.factor) if self.map.degradation in SLABS else 1,
        )
        self.drawer: Generator | None = None
        if self.map.draw:
            drawn = Geometry(
                grid=geometry.grid,
                channels=len(self.map.sources),
                labels=geometry.labels,
                conditions=geometry.conditions,
            )
            self.drawer = FLOW.build(config.drawer, drawn)
        self.drawn_shape: tuple[int, ...] = ()  # of the items of the drawer

    def fit_codec(self, images: Tensor, fields: Tensor) -> None:
        """Fit the regression, and the codes of the drawer, on images (n, c, z, y, x) and fields (n, l, z, y, x)."""
        source = self._degraded(images[:, self.map.sources], torch.Generator().manual_seed(0)).image
        self.translator.fit(source, images[:, self.map.targets], self._bodies(images))
        if self.drawer is not None:
            self.drawer.fit_codec(images[:, self.map.sources], fields)

    def fit_law(self, items: Tensor, conditions: Tensor, case: Tensor) -> None:
        """Fit the laws of the drawer on all items."""
        if self.drawer is not None:
            self.drawer.fit_law(self._drawer_items(items), conditions, case)

    def never_drawn(self) -> list[int]:
        """Labels, from 0, that the drawer leaves out."""
        return self.drawer.never_drawn() if isinstance(self.drawer, Choosy) else []

    def settle(self, items: Tensor, conditions: Tensor, rng: torch.Generator) -> None:
        """Measure the texture of the drawer."""
        if self.drawer is not None:
            self.drawer.settle(self._drawer_items(items), conditions, rng)

    @torch.inference_mode()
    def calibrate(self, items: Tensor, conditions: Tensor) -> None:
        """Make the spread of translations what errors are on items (n, ...) of patients who were not learnt from."""
        found, targets, bodies = [], [], []
        for row in range(len(items)):
            one = slice(row, row + 1)
            image, _, body = self._parts(items[one])
            found.append(self.translate(image, conditions[one], [row])[1])
            targets.append(image[:, self.map.targets])
            bodies.append(body)
        self.translator.calibrate(
            Translated(
                image=torch.cat([one.image for one in found]), spread=torch.cat([one.spread for one in found])
            ),
            torch.cat(targets),
            torch.cat(bodies),
        )

    def encode(self, image: Tensor, fields: Tensor) -> Tensor:
        """Items (b, 1, 1, 1, n): image, fields and body, then the item of the drawer."""
        parts = [image, fields, self._bodies(image)]
        if self.drawer is not None:
            drawn = self.drawer.encode(image[:, self.map.sources], fields)
            self.drawn_shape = tuple(drawn.shape[1:])
            parts.append(drawn)
        return torch.cat([part.flatten(1) for part in parts], dim=1)[:, None, None, None]

    def loss(self, items: Tensor, conditions: Tensor, rng: torch.Generator) -> Tensor:
        """Loss of the translator and, where there is one, of the drawer; one number."""
        image, fields, body = self._parts(items)
        told = torch.cat([conditions, conditions.new_ones(len(conditions), 1)], dim=1)
        clean = image[:, self.map.sources]
        degraded = self._degraded(clean, rng)
        loss = self.translator.loss(degraded.image, image[:, self.map.targets], told, (fields, body), rng)
        if self.drawer is not None:
            loss = loss + self.drawer.loss(self._drawer_items(items), conditions, rng)
        return loss

    @torch.inference_mode()
    def translate(
        self, image: Tensor, conditions: Tensor, seeds: Sequence[int], *, members: int = 8
    ) -> tuple[Tensor, Translated]:
        """Translate whole cases whose targets are not looked at, or are what is degraded.

        Args:
            image: All channels (b, c, z, y, x); of them the sources are read.
            conditions: (b, k).
            seeds: Of each case, for the degradation and the ensemble.
            members: Draws that the flow averages.

        Returns:
            The sources as the translator saw them (b, s, z, y, x), and the targets with their spread.
        """
        device = self.translator.residual_std.device
        told = torch.cat([conditions, torch.ones(len(seeds), 1)], dim=1).to(device)
        degraded = self._each(image[:, self.map.sources].to(device), seeds)
        found = self.translator.translate(degraded.image, told, seeds, members=members)
        restored = Translated(image=degraded.restore(found.image), spread=found.spread)
        return degraded.image, restored if self.restores else found

    @torch.inference_mode()
    def sample(
        self, conditions: Tensor, seeds: Sequence[int], *, steps: int, guidance: float
    ) -> tuple[Tensor, Tensor]:
        """Draw images (b, c, z, y, x) and fields (b, l, z, y, x); row i depends on seeds[i] alone."""
        if self.drawer is None:
            raise ConfigError(
                "translation.draw is false, so this generator translates and draws no cases: set it to true"
            )
        sources, fields = self.drawer.sample(conditions, seeds, steps=steps, guidance=guidance)
        told = torch.cat([conditions, torch.ones(len(seeds), 1)], dim=1).to(sources.device)
        degraded = self._each(sources, seeds)
        targets = self.translator.draw(degraded.image, told, seeds)
        if self.restores:
            targets = degraded.restore(targets)
        images = sources.new_zeros((len(seeds), self.geometry.channels, *sources.shape[2:]))
        images[:, self.map.sources] = sources
        images[:, self.map.targets] = targets.to(images)
        return images, fields

    def _each(self, sources: Tensor, seeds: Sequence[int]) -> Degraded:
        """Degrade each case by its own seed."""
        if self.map.degradation not in {"noise", "undersampled"}:
            return self._degraded(sources, torch.Generator())
        single = [
            self._degraded(source[None], torch.Generator().manual_seed(seed % (1 << 63)))
            for source, seed in zip(sources, seeds, strict=True)
        ]

        def restore(estimate: Tensor) -> Tensor:
            pairs = zip(single, estimate, strict=True)
            return torch.cat([one.restore(part[None]) for one, part in pairs])

        return Degraded(image=torch.cat([one.image for one in single]), restore=restore)

    def _degraded(self, sources: Tensor, rng: torch.Generator) -> Degraded:
        return degrade(sources, self.map.degradation, self.map.factor, rng)

    def _bodies(self, images: Tensor) -> Tensor:
        """Bodies (b, 1, z, y, x) of the first source, or the target, whichever is larger."""
        shown = (self.map.sources[0], self.map.targets[0])
        masks = [
            body_mask(image[shown[0]]) | body_mask(image[shown[1]]) for image in images.detach().cpu().numpy()
        ]
        return torch.from_numpy(np.stack(masks)[:, None]).to(images)

    def _parts(self, items: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Image, fields and body of items."""
        channels, labels = self.geometry.channels, self.geometry.labels
        shape = self.geometry.grid.shape_zyx
        count = (channels + labels + 1) * int(np.prod(shape))
        whole = items.flatten(1)[:, :count].reshape(len(items), channels + labels + 1, *shape)
        return whole[:, :channels], whole[:, channels:-1], whole[:, -1:]

    def _drawer_items(self, items: Tensor) -> Tensor:
        count = int(np.prod(self.drawn_shape))
        return items.flatten(1)[:, -count:].reshape(len(items), *self.drawn_shape)


_FLAT = UNetConfig(widths=(32, 64, 128), blocks=(1, 1, 2), heads=4)
_SOLID = UNetConfig(widths=(32, 64), blocks=(1, 2), heads=4)
FAMILY = Family(
    config=TranslationConfig,
    presets={
        "small": TranslationConfig(translator=TranslatorConfig(network=_SOLID), drawer=FLOW.presets["small"]),
        "small-2d": TranslationConfig(
            translator=TranslatorConfig(network=_FLAT), drawer=FLOW.presets["small-2d"]
        ),
        "head-2d": TranslationConfig(  # the two sides of a head are alike
            translator=TranslatorConfig(network=_FLAT, mirror=True), drawer=FLOW.presets["small-2d"]
        ),
        "flow": TranslationConfig(
            translator=TranslatorConfig(law="flow", network=_SOLID), drawer=FLOW.presets["small"]
        ),
        "flow-2d": TranslationConfig(
            translator=TranslatorConfig(law="flow", network=_FLAT), drawer=FLOW.presets["small-2d"]
        ),
        "tiny": TranslationConfig(
            translator=TranslatorConfig(network=UNetConfig(widths=(16, 32), blocks=(1, 1), heads=4)),
        ),
        "tiny-flow": TranslationConfig(
            translator=TranslatorConfig(
                law="flow", network=UNetConfig(widths=(16, 32), blocks=(1, 1), heads=4)
            ),
        ),
    },
    build=TranslationGenerator,
    calibrates=True,
)

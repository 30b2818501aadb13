"""A generator of new people that hands out training cases now and then: what the copy filter is there for."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from torch import Tensor

from synthdata.generation import generate, plan_samples
from synthdata.generation.engines import LocalEngine
from synthdata.models.build import ReadyGenerator
from synthdata.models.clinical import fit_law
from synthdata.models.fields import mask_fields
from synthdata.records import Case, CaseSet, Checkpoint, ColumnSpec, SamplePlan, digest_of
from synthdata.spec import Sampling
from tests.blobs import Cohort, anatomy, draw_case, make_cohort

COLUMNS = (ColumnSpec(name="sex", kind="category", values=("F", "M")),)


class Replayer:
    """Draws from the law of the patients; a share of the draws are training cases with a little noise."""

    def __init__(self, cohort: Cohort, share: float, before: Callable[[], None] = lambda: None) -> None:
        self.cohort, self.share, self.before = cohort, share, before

    def sample(
        self, conditions: Tensor, seeds: Sequence[int], *, steps: int, guidance: float
    ) -> tuple[Tensor, Tensor]:
        """Images and fields; row i depends on seeds[i] alone."""
        self.before()
        cases = [self._one(np.random.default_rng(seed)) for seed in seeds]
        scale = self.cohort.training_set.scales[0]
        images = np.stack([scale.to_network(case.image) for case in cases])
        fields = np.stack([mask_fields(case.mask, (1, 2)) for case in cases])
        return torch.from_numpy(images), torch.from_numpy(fields)

    def _one(self, rng: np.random.Generator) -> Case:
        if rng.random() < self.share:
            case = self.cohort.train[int(rng.integers(len(self.cohort.train)))]
            return replace(case, image=(case.image + rng.normal(0, 5, case.image.shape)).astype(np.int16))
        return draw_case("S", "S", anatomy(rng), rng)


def replaying_cohort(folder: Path) -> Cohort:
    """64 training and 64 control patients with a sex."""
    return make_cohort(folder, 64, columns=COLUMNS)


def planned(cohort: Cohort, *, share: float = 0.0, cases: int = 200) -> tuple[SamplePlan, Checkpoint]:
    """A plan of the spec, and a checkpoint that stands for the replayer."""
    checkpoint = Checkpoint(
        dataset="blobs",
        family="replayer",
        config="{}",
        key="none",
        sha256="0" * 64,
        size_bytes=1,
        train_key=f"replays {share}",
        code_version="1",
        seen=1,
        parents=(digest_of(cohort.training_set),),
    )
    spec = replace(cohort.spec, sampling=Sampling(cases=cases, shard_size=32))
    return plan_samples(spec, checkpoint, cohort.training_set, watermark_key=None), checkpoint


def replay(cohort: Cohort, model: Replayer, *, cases: int = 200) -> CaseSet:
    """Carry out a plan with the replayer in place of a network."""
    plan, checkpoint = planned(cohort, share=model.share, cases=cases)
    with _weights(cohort, model):
        return generate(
            plan, checkpoint, cohort.training_set, cohort.store, engine=LocalEngine(), watermark_key=None
        )


@contextmanager
def _weights(cohort: Cohort, model: Replayer) -> Iterator[None]:
    volumes = np.array([[(case.mask == value).sum() * 8.0 for value in (1, 2)] for case in cohort.train])
    ready = ReadyGenerator(
        model=model,  # type: ignore[arg-type]
        geometry=None,  # type: ignore[arg-type]
        law=fit_law(COLUMNS, [case.record for case in cohort.train], volumes),
        volume_range=np.stack([volumes.min(0), volumes.max(0)], axis=1),
    )
    with mock.patch("synthdata.generation.generate.load_generator", return_value=ready):
        yield

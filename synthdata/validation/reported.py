"""Metrics which are reported and do not gate: what they add to the scores that do.

A metric that joins the median of its family changes a threshold; docs/adr/0013-named-faults.md says why none here does.
"""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from synthdata.records.case_set import CaseSet
from synthdata.records.parquet import read_cases
from synthdata.records.training import ChannelScale
from synthdata.storage.protocol import ObjectStore
from synthdata.validation.discrepancy import gaussian_discrepancy_of, gaussian_kernel, median_bandwidth
from synthdata.validation.diversity import (
    density_of,
    recall_of,
    scales_of,
    similarity_of_pairs,
    vendi_score,
)
from synthdata.validation.gating_metrics import NEIGHBOURS, Space
from synthdata.validation.metrics import distances, frechet_distance
from synthdata.validation.resampling import (
    UNBOUNDED,
    Draw,
    Plan,
    Scored,
    measure_triple,
)

PAIRS, STACKS = 60, 40  # of MS-SSIM: pairs, and cases that they are drawn from


def reported_triples(space: Space, plan: Plan) -> Iterator[Scored | str]:
    """Frechet distance at infinite n, CMMD, density, recall and Vendi score of one feature family.

    Args:
        space: Its points.
        plan: The draws.

    Yields:
        Triples which do not gate, or sentences on why one is left out.
    """
    family, flat, few, apart = space.family, space.flat, space.few, space.apart
    within = {role: distances(x, x) for role, x in flat.items()}
    width = median_bandwidth(flat["train"])
    yield f"{family}/cmmd uses a Gaussian kernel of width {width:.4g}, the median distance of training cases"

    def unbiased(role: str, draw: Draw) -> float:
        a, b = few[role][draw[role]], few["test"][draw["test"]]
        half = len(a) // 2
        if half <= a.shape[1]:
            return math.nan
        return 2 * frechet_distance(a, b) - frechet_distance(a[:half], b[:half])

    def discrepancy(role: str, draw: Draw) -> float:
        a, b = draw[role], draw["test"]
        parts = (
            within[role][np.ix_(a, a)],
            within["test"][np.ix_(b, b)],
            apart[role][np.ix_(b, a)],
        )
        return gaussian_discrepancy_of(*(gaussian_kernel(part, width) for part in parts))

    def dense(role: str, draw: Draw) -> float:
        a, b = draw[role], draw["test"]
        return density_of(within["test"][np.ix_(b, b)], apart[role][np.ix_(b, a)], k=NEIGHBOURS)

    def recalled(role: str, draw: Draw) -> float:
        a, b = draw[role], draw["test"]
        return recall_of(within[role][np.ix_(a, a)], apart[role][np.ix_(b, a)], k=NEIGHBOURS)

    def varied(role: str, draw: Draw) -> float:
        return vendi_score(flat[role][draw[role]])

    for name, metric, lower, bounds in (
        ("frechet_at_infinity", unbiased, True, UNBOUNDED),
        ("cmmd", discrepancy, True, (0.0, math.inf)),
        ("density", dense, False, (0.0, math.inf)),
        ("recall", recalled, False, (0.0, 1.0)),
        ("vendi", varied, False, (1.0, math.inf)),
    ):
        yield measure_triple(name, family, metric, plan, lower_is_better=lower, bounds=bounds, gating=False)


def pair_similarity(
    sets: Mapping[str, CaseSet], private: ObjectStore, scales: Sequence[ChannelScale], *, seed: int
) -> str:
    """MS-SSIM between pairs of generated cases beside that between pairs of real ones, as a sentence."""
    rng = np.random.default_rng(seed)
    told = []
    for role, case_set in sets.items():
        every = max(1, case_set.cases // STACKS)
        chosen = (case for i, case in enumerate(read_cases(private, case_set)) if i % every == 0)
        images = [scales[0].to_network(case.image[0]) for case, _ in zip(chosen, range(STACKS), strict=False)]
        if len(images) < 2 or not scales_of(*images[0].shape[1:]):
            return "MS-SSIM is left out: fewer than two cases, or slices of 10 pixels or less"
        values = similarity_of_pairs(np.stack(images), span=2.0, pairs=PAIRS, rng=rng)
        half = 1.96 * values.std() / math.sqrt(min(PAIRS, len(images)))
        told.append(f"{role} {values.mean():.3f} [{values.mean() - half:.3f}, {values.mean() + half:.3f}]")
    return f"MS-SSIM between pairs of cases, channel {scales[0].channel} (higher is less diverse): {', '.join(told)}"

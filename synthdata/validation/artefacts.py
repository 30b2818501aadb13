"""Artefacts of generators: noise, patterns that repeat, and wave lengths that are gone.

Each is an amplitude in the unit of the channel beside the tolerance of intensities (5 HU, 5 % of a range), or for wave
lengths that are gone a share of the way to blurred cases. What a typical generated case has counts from where 19 of 20
training cases end, so that scanners may differ as they do.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from synthdata.records.reports import FaultTest
from synthdata.records.training import ChannelScale
from synthdata.validation.fault_evidence import ARTEFACTS, HALF_WAY, Evidence, judged, undecided
from synthdata.validation.image_faults import tolerance
from synthdata.validation.resampling import Plan, estimate

POWER, PATTERN = "power", "pattern"
CONTROLLED = ("generated", "test")
USUAL = 0.95  # share of training cases, beyond which a typical generated case must lie
LEAST_SPAN = np.log(2.0)  # by which blurring must lower the power of a cell: below it, nothing could be gone


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Sort:
    """Scores of one sort of artefact in one channel."""

    told: str
    places: tuple[str, ...]
    scores: Mapping[str, np.ndarray]  # role to (draws, places): generated, and test as real control

    @property
    def worst(self) -> tuple[float, int]:
        """Score and index of the worst place."""
        medians = np.median(self.scores["generated"], axis=0)
        return float(medians.max()), int(medians.argmax())


def artefacts(evidence: Evidence, plan: Plan) -> FaultTest:
    """What generated images have, or lack, beside real ones: in the worst channel, sort and place."""
    sorts = [sort for scale in evidence.training_set.scales for sort in _sorts(evidence, scale, plan)]
    if not sorts:
        return undecided(ARTEFACTS, "images of one voxel have no wave lengths", outcome="PASS")
    worst = max(sorts, key=lambda sort: sort.worst[0])
    place = worst.worst[1]
    made, real = (estimate(worst.scores[role][:, place], plan) for role in ("generated", "test"))
    told = (
        f"{worst.told} {worst.places[place]}: {made}, real test cases {real}, at most {HALF_WAY} is allowed"
    )
    return judged(ARTEFACTS, made, HALF_WAY, told, harmless=max(0.0, real.high))


def _sorts(evidence: Evidence, scale: ChannelScale, plan: Plan) -> list[_Sort]:
    """All sorts of artefacts of a channel; those that its grid has no room for are left out."""
    over = f"over the tolerance of intensities, channel {scale.channel}"
    lost = (
        f"detail lost in channel {scale.channel}, from real (0) to blurred (1), at wave lengths of band z y x"
    )
    repeats = _extra(
        evidence, plan, scale, PATTERN, f"a pattern, lowest to highest {over}, repeated along z y x after"
    )
    # A pattern of +-a has the variance a^2, and 2 a from lowest to highest.
    doubled = {role: 2 * found for role, found in repeats.scores.items()}
    sorts = [
        _summed(_extra(evidence, plan, scale, POWER, f"noise {over}")),
        replace(repeats, scores=doubled),
        _gone(evidence, plan, scale, lost),
    ]
    return [sort for sort in sorts if sort.places]


def _extra(evidence: Evidence, plan: Plan, scale: ChannelScale, what: str, told: str) -> _Sort:
    """Amplitude of what a typical case has more than most training cases, over what is allowed."""
    allowed = tolerance(scale) / (scale.high - scale.low)
    places, levels = _levels(evidence, f"{scale.channel}/{what}/")
    scores = {role: np.zeros((len(plan.draws), len(places))) for role in CONTROLLED}
    for row, draw in enumerate(plan.draws):
        usual = np.exp(np.quantile(levels["train"][draw["train"]], USUAL, axis=0))
        for role, found in scores.items():
            typical = np.exp(np.median(levels[role][draw[role]], axis=0))
            found[row] = np.sqrt(np.maximum(typical - usual, 0)) / allowed
    return _Sort(told=told, places=places, scores=scores)


def _summed(sort: _Sort) -> _Sort:
    """Noise of all wave lengths together: each cell has about an equal share of the coefficients."""
    if not sort.places:
        return sort
    cells = len(sort.places) + 1  # the longest waves have no place; axes of a few voxels lack some bands
    scores = {
        role: np.sqrt((found**2).sum(axis=1, keepdims=True) / cells) for role, found in sort.scores.items()
    }
    return _Sort(told=sort.told, places=("all wave lengths",), scores=scores)


def _gone(evidence: Evidence, plan: Plan, scale: ChannelScale, told: str) -> _Sort:
    """How far the power of a typical case lies below that of most training cases, on the way to blurred ones."""
    places, levels = _levels(evidence, f"{scale.channel}/{POWER}/")
    scores = {role: np.zeros((len(plan.draws), len(places))) for role in CONTROLLED}
    for row, draw in enumerate(plan.draws):
        usual = np.quantile(levels["train"][draw["train"]], 1 - USUAL, axis=0)
        span = usual - np.median(levels["degraded"][draw["degraded"]], axis=0)
        for role, found in scores.items():
            lost = usual - np.median(levels[role][draw[role]], axis=0)
            found[row] = np.where(span > LEAST_SPAN, lost / np.maximum(span, LEAST_SPAN), 0.0)
    return _Sort(told=told, places=places, scores=scores)


def _levels(evidence: Evidence, prefix: str) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
    """Places of one sort, and the columns of all roles, (n, places)."""
    names = evidence.structure["train"].names
    columns = [index for index, name in enumerate(names) if name.startswith(prefix)]
    places = tuple(names[index].removeprefix(prefix) for index in columns)
    return places, {role: table.values[:, columns] for role, table in evidence.structure.items()}

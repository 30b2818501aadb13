"""Faults of the images alone: blur, an offset of all intensities, and cases which are all alike."""

from collections.abc import Mapping

import numpy as np

from synthdata.records.estimate import Estimate
from synthdata.records.reports import FaultTest
from synthdata.records.training import ChannelScale
from synthdata.validation.fault_evidence import (
    DIVERSITY,
    HALF_WAY,
    OFFSET,
    SHARPNESS,
    Evidence,
    judged,
    without_sign,
)
from synthdata.validation.features.structure import QUANTILES
from synthdata.validation.metrics import distances
from synthdata.validation.resampling import Draw, Plan, estimate

OFFSET_HU = 5.0  # tolerance of CT numbers
OFFSET_SHARE = 0.05  # of the range of a channel without a physical unit
HOUNSFIELD = "[hnsf'U]"
EDGE = 0.02  # of a window: a quantile there was clipped, and says nothing of an offset
FEWEST_QUANTILES = 4
DIRECTIONS = 16  # of the layout
CROWDED = (10, 50)  # percentiles of the distance to the nearest other case


def sharpness(evidence: Evidence, plan: Plan) -> FaultTest:
    """How far fine detail has gone, from training cases (0) to blurred ones (1), in the worst channel."""
    scores = {scale.channel: _lost_detail(evidence, scale, plan) for scale in evidence.training_set.scales}
    channel = max(scores, key=lambda name: scores[name].value)
    told = (
        f"fine detail of channel {channel} lies {scores[channel]} of the way from training cases to blurred ones, "
        f"at most {HALF_WAY} is allowed"
    )
    return judged(SHARPNESS, scores[channel], HALF_WAY, told)


def _lost_detail(evidence: Evidence, scale: ChannelScale, plan: Plan) -> Estimate:
    """Score of one channel; 1 where blurring training cases changes nothing, because they have no detail."""
    name = f"{scale.channel}/sharpness"
    means = {
        role: np.array([evidence.column(role, name)[draw[role]].mean() for draw in plan.draws])
        for role in ("generated", "train", "degraded")
    }
    span = float(np.median(means["degraded"] - means["train"]))
    lost = (means["generated"] - means["train"]) / span if span < -1e-6 else np.ones(len(plan.draws))
    return estimate(lost, plan)


def offset(evidence: Evidence, plan: Plan) -> FaultTest:
    """The shift of intensities which three quarters of the quantiles share, in the worst channel."""
    shifts = {scale: _shift(evidence, scale, plan) for scale in evidence.training_set.scales}
    scale = max(shifts, key=lambda one: abs(shifts[one].value) / tolerance(one))
    found, limit = shifts[scale], tolerance(scale)
    unit = "HU" if scale.unit == HOUNSFIELD else "encoded units"
    told = (
        f"intensities of channel {scale.channel} are shifted by {found} {unit} as a whole, at most {limit:g} is "
        "allowed"
    )
    return judged(OFFSET, without_sign(found), limit, told)


def tolerance(scale: ChannelScale) -> float:
    """Offset of a channel which is let through, in its encoded unit."""
    return OFFSET_HU if scale.unit == HOUNSFIELD else OFFSET_SHARE * (scale.high - scale.low)


def _shift(evidence: Evidence, scale: ChannelScale, plan: Plan) -> Estimate:
    names = [f"{scale.channel}/quantile/{percent:02d}" for percent in QUANTILES]
    levels = {
        role: np.stack([evidence.column(role, name) for name in names], axis=1)
        for role in ("generated", "test")
    }
    known = _free(scale, levels["test"].mean(axis=0))
    means = [
        {role: found[draw[role]].mean(axis=0)[known] for role, found in levels.items()} for draw in plan.draws
    ]
    return estimate(np.array([_shared(mean["generated"] - mean["test"]) for mean in means]), plan)


def _free(scale: ChannelScale, levels: np.ndarray) -> np.ndarray:
    """Which quantiles can move: those which do not lie at an end of the window; all where hardly any is free."""
    margin = EDGE * (scale.high - scale.low)
    free: np.ndarray = (levels > scale.low + margin) & (levels < scale.high - margin)
    return free if scale.method == "window" and free.sum() >= FEWEST_QUANTILES else np.ones(len(levels), bool)


def _shared(differences: np.ndarray) -> float:
    """What three quarters of the differences reach, on the same side; 0 where they disagree."""
    low, high = np.percentile(differences, (25, 75))
    return float(low) if low > 0 else float(high) if high < 0 else 0.0


def layout_of(evidence: Evidence) -> dict[str, np.ndarray]:
    """Main directions of the low-pass layout of images, fitted to training cases, by role."""
    table = evidence.structure["train"]
    columns = [index for index, name in enumerate(table.names) if "/layout/" in name]
    train = table.values[:, columns]
    mean = train.mean(axis=0)
    count = max(1, min(DIRECTIONS, len(train) // 5, len(columns)))
    directions = np.linalg.svd(train - mean, full_matrices=False)[2][:count].T
    return {
        role: (evidence.structure[role].values[:, columns] - mean) @ directions
        for role in ("generated", "train", "test")
    }


def diversity(layout: Mapping[str, np.ndarray], plan: Plan) -> FaultTest:
    """How much nearer generated cases lie to each other than real ones: 0 as far apart, 1 all alike."""
    apart = {role: distances(layout[role], layout[role]) for role in ("generated", "train")}

    def crowding(draw: Draw) -> float:
        nearest = {}
        for role, matrix in apart.items():
            part = matrix[np.ix_(draw[role], draw[role])]
            np.fill_diagonal(part, np.inf)
            nearest[role] = np.percentile(part.min(axis=1), CROWDED)
        return float(1 - (nearest["generated"] / np.maximum(nearest["train"], 1e-9)).min())

    score = estimate(np.array([crowding(draw) for draw in plan.draws]), plan)
    told = (
        f"generated cases lie nearer to each other than real ones by a share of {score} of the distance, at most "
        f"{HALF_WAY} is allowed"
    )
    return judged(DIVERSITY, score, HALF_WAY, told)

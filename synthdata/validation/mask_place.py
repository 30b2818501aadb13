"""Were masks moved off their images? By how many voxels the runs of intensities across outlines differ from real ones.

A mask that lies a voxel too far up sees, at its upper face, what a real one sees a voxel further out, and at its lower
face what a real one sees a voxel further in. So the move is the one that brings the mean runs of generated cases onto
those of training cases best, both faces of all labels in all channels together, axis by axis. Masks that are wider or
narrower than real ones, which moves both faces outwards or inwards, are told apart from it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from synthdata.records.estimate import Estimate
from synthdata.validation.fault_evidence import without_sign
from synthdata.validation.features.agreement import OUTLINE
from synthdata.validation.features.outline import AXES, REACH, SIDES
from synthdata.validation.features.table import Features
from synthdata.validation.mask_fit import FEWEST_CASES
from synthdata.validation.resampling import LEVEL, RESAMPLES

ALLOWED_VOXELS = 0.5  # half way from a mask on its image to one that lies a voxel beside it
FARTHEST = 4  # voxels that are looked for
TRIED = np.linspace(
    -FARTHEST, FARTHEST, 81
)  # voxels that a face lies further out than real ones, at either end
MOVED = (TRIED[:, None] - TRIED) / 2  # (upper, lower)
WIDER = (TRIED[:, None] + TRIED) / 2
WIDEST = 1.5  # voxels at each end: a label is as large as a real one, or nearly
STEPS = np.arange(-REACH, REACH + 1)
KNOWN = np.abs(STEPS) <= REACH - FARTHEST  # to a mask that was moved, too
RIDGE = 0.1  # of the mean variance: steps are many and cases may be few


@dataclass(frozen=True, kw_only=True, slots=True)
class Move:
    """How far masks lie off along one axis; positive is up the index."""

    axis: str  # z, y or x
    generated: Estimate  # voxels
    real: Estimate  # of test cases beside training cases

    @property
    def visible(self) -> bool:
        """Whether real cases show the place of their masks to half a voxel."""
        return max(-self.real.low, self.real.high) < ALLOWED_VOXELS


def length(moves: Sequence[Move]) -> Estimate:
    """How far masks lie off over all axes together, in voxels; its low end is what they were moved at least."""
    sizes = [without_sign(move.generated) for move in moves]
    value, low, high = (
        float(np.linalg.norm(ends))
        for ends in zip(*((one.value, one.low, one.high) for one in sizes), strict=True)
    )
    return Estimate(value=value, low=low, high=high, level=LEVEL, n=sizes[0].n)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Crossed:
    """Runs of one label and axis, by role."""

    runs: Mapping[str, np.ndarray]  # (n, channels, sides, steps)
    weights: Mapping[str, np.ndarray]  # (1 + RESAMPLES, n)
    whiten: np.ndarray  # (k, k), of the mean run of training cases

    def mean(self, role: str, resample: int) -> np.ndarray:
        """Mean run of one resample (channels, sides, steps); 0 is all cases."""
        found: np.ndarray = np.tensordot(self.weights[role][resample], self.runs[role], 1)
        return found


def moves_of(tables: Mapping[str, Features], labels: Sequence[str], *, seed: int = 0) -> list[Move]:
    """How far masks lie off along each axis on which real cases show it.

    Args:
        tables: Agreement features by role: generated, train and test.
        labels: Names; those which too few cases of a role have are left out.
        seed: Of the bootstrap.

    Returns:
        One entry per axis along which test cases lie where training cases do, to half a voxel. Intervals come from a
        bootstrap over patients of both sides: what is compared are means, which repeated cases do not bias.
    """
    rng = np.random.default_rng(seed)
    drawn = {role: _drawn(table.patient_ids, rng) for role, table in tables.items()}
    present = {
        label: {
            role: table.values[:, table.names.index(f"{label}/volume_mm3")] > 0
            for role, table in tables.items()
        }
        for label in labels
    }
    known = [label for label in labels if min(map(np.sum, present[label].values())) >= FEWEST_CASES]
    found = []
    for axis in AXES:
        crossed = [_crossed(tables, label, axis, present[label], drawn) for label in known]
        seen = [one for one in crossed if one.runs["train"].size]
        if seen:
            found.append(
                Move(axis=axis, generated=_estimated(seen, "generated"), real=_estimated(seen, "test"))
            )
    return [move for move in found if move.visible]


def _drawn(patients: Sequence[str], rng: np.random.Generator) -> np.ndarray:
    """How often each case counts in all of them, then in each resample of patients, (1 + RESAMPLES, n)."""
    owners = np.unique(patients, return_inverse=True)[1]
    count = int(owners.max()) + 1
    times = rng.multinomial(count, np.full(count, 1 / count), size=RESAMPLES)
    found: np.ndarray = np.concatenate([np.ones((1, count)), times])[:, owners]
    return found


def _crossed(
    tables: Mapping[str, Features],
    label: str,
    axis: str,
    present: Mapping[str, np.ndarray],
    drawn: Mapping[str, np.ndarray],
) -> _Crossed:
    prefix = f"{label}/{OUTLINE}/"
    names = tables["train"].names
    columns = [i for i, name in enumerate(names) if name.startswith(prefix) and name.split("/")[-3] == axis]
    runs, weights = {}, {}
    for role, table in tables.items():
        rows = present[role]
        runs[role] = table.values[rows][:, columns].reshape(rows.sum(), -1, len(SIDES), len(STEPS))
        counts = drawn[role][:, rows]
        counts = np.where(counts.sum(axis=1, keepdims=True) > 0, counts, 1.0)  # a resample without the label
        weights[role] = counts / counts.sum(axis=1, keepdims=True)
    return _Crossed(runs=runs, weights=weights, whiten=_whitening(runs["train"]))


def _whitening(runs: np.ndarray) -> np.ndarray:
    """Matrix (k, k) that makes the mean run, within the known steps, as uncertain in every direction."""
    rows = runs[..., KNOWN].reshape(len(runs), -1)
    if not rows.size:
        return np.zeros((0, 0))
    spread = np.cov(rows.T)
    spread += (RIDGE * np.trace(spread) / len(spread) + 1e-9) * np.eye(len(spread))
    whiten: np.ndarray = np.linalg.inv(np.linalg.cholesky(spread / len(rows)))
    return whiten


def _estimated(crossed: Sequence[_Crossed], role: str) -> Estimate:
    """Displacement of all cases, with the percentiles of the resamples."""
    found = [_displacement(crossed, role, resample) for resample in range(1 + RESAMPLES)]
    tail = 100 * (1 - LEVEL) / 2
    low, high = np.percentile(found[1:], (tail, 100 - tail))
    cases = max(len(one.runs[role]) for one in crossed)
    return Estimate(
        value=found[0], low=min(found[0], float(low)), high=max(found[0], float(high)), level=LEVEL, n=cases
    )


def _displacement(crossed: Sequence[_Crossed], role: str, resample: int) -> float:
    """Voxels up the index by which masks of a role were moved, in one resample of it and of training cases."""
    costs = np.sum(
        [misfits(one.mean(role, resample), one.mean("train", resample), one.whiten) for one in crossed],
        axis=0,
    )
    return float(MOVED.ravel()[np.where(np.abs(WIDER) > WIDEST, np.inf, costs).argmin()])


def misfits(seen: np.ndarray, real: np.ndarray, whiten: np.ndarray) -> np.ndarray:
    """How badly each place of the two faces explains what masks see; both are (channels, sides, steps).

    The upper face lies u voxels further out than a real one, the lower face l: seen(s) = real(s + u) and real(s + l),
    by generalised least squares over the steps that both know, so that what differs from patient to patient counts
    little. Real runs are linear between steps.

    Returns:
        Squared misfit for each pair that is tried, (u, l).
    """
    at = STEPS[KNOWN] + TRIED[:, None]
    lower, upper = (
        np.stack(
            [
                np.interp(at, STEPS, run[side]) - run_seen[side, KNOWN]
                for run, run_seen in zip(real, seen, strict=True)
            ],
            axis=1,
        )
        for side in range(len(SIDES))
    )
    parts = np.split(whiten.reshape(-1, len(real), len(SIDES), int(KNOWN.sum())), len(SIDES), axis=2)
    low, high = (
        some.reshape(len(TRIED), -1) @ part.reshape(len(whiten), -1).T
        for some, part in zip((lower, upper), parts, strict=True)
    )
    found: np.ndarray = (high**2).sum(axis=1)[:, None] + (low**2).sum(axis=1) + 2 * high @ low.T
    return found

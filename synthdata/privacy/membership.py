"""Membership inference without the model: are training patients nearer to the generated cases than control patients?

It can fail a release. It can never pass one: a distance attack that finds nothing proves nothing.
"""

from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from synthdata.privacy.cohort import Pool
from synthdata.privacy.neighbours import nearest_patients
from synthdata.records import Estimate

EDGE = 1e-9


@dataclass(frozen=True, kw_only=True, slots=True)
class Attack:
    """Outcome of the attack with the patient as unit."""

    auc: Estimate  # 0.5: the attacker guesses; 1: every training patient is recognised
    p_value: float  # exact or asymptotic, one-sided, Mann-Whitney


def distance_attack(pool: Pool, synthetic: dict[str, np.ndarray], *, view: str = "image") -> Attack:
    """Guess membership from the distance to the nearest generated case.

    The score of a patient is -log of the least d(case, nearest generated) / d(case, nearest other patient), so that an
    unusual anatomy, far from everybody, is not taken for a non-member.

    Args:
        pool: Real patients.
        synthetic: View to vectors of the generated cases, (poses, m, k); the pose at rest is used.
        view: View to attack in.

    Returns:
        AUC with a DeLong interval over patients.

    Source:
        Chen et al., "GAN-Leaks", CCS 2020, arXiv:1909.03935, eq. 5 (calibrated distance);
        DeLong et al., Biometrics 1988.
    """
    generated = synthetic[view][0]
    to_synthetic = nearest_patients(pool.vectors[view], generated, np.arange(len(generated)), k=1).distance[
        :, 0
    ]
    to_real = nearest_patients(
        pool.vectors[view],
        pool.vectors[view],
        pool.patient,
        k=1,
        own=pool.patient,
        clusters=pool.clusters[view],
    ).distance[:, 0]
    logs = np.log(np.maximum(to_synthetic, 1e-12)) - np.log(np.maximum(to_real, 1e-12))
    least = np.full(pool.patients, np.inf)
    np.minimum.at(least, pool.patient, logs)
    members, others = -least[pool.in_train], -least[~pool.in_train]
    test = stats.mannwhitneyu(members, others, alternative="greater")
    return Attack(auc=auc_with_interval(members, others), p_value=float(test.pvalue))


def auc_with_interval(members: np.ndarray, others: np.ndarray, *, level: float = 0.95) -> Estimate:
    """Area under the ROC curve with DeLong's interval, clipped to 0..1; n is the number of members."""
    won, lost = _doubled_wins(members, others), 2 * len(members) - _doubled_wins(others, members)
    auc = float(won.sum() / (2 * len(members) * len(others)))
    by_member, by_other = won / (2 * len(others)), lost / (2 * len(members))
    variance = by_member.var(ddof=1) / len(members) + by_other.var(ddof=1) / len(others)
    half = float(stats.norm.ppf((1 + level) / 2) * np.sqrt(variance))
    return Estimate(
        value=auc, low=max(0.0, auc - half), high=min(1.0, auc + half), level=level, n=len(members)
    )


def auc_by_score_test(members: np.ndarray, others: np.ndarray, *, level: float = 0.98) -> Estimate:
    """Area under the ROC curve with an interval that holds for few patients, and for scores that do not overlap.

    Args:
        members: Scores of members, (n,); higher means more likely a member.
        others: Scores of non-members, (m,).
        level: Two-sided; each limit by itself holds with (1 + level) / 2.

    Returns:
        All areas that a score test does not reject; n is the number of members.

    Source:
        Newcombe, "Confidence intervals for an effect size measure based on the Mann-Whitney statistic. Part 2",
        Statistics in Medicine 25:559 (2006), method 5; variance after Hanley and McNeil, Radiology 143:29 (1982).
    """
    n, m = len(members), len(others)
    auc = float(_doubled_wins(members, others).sum() / (2 * n * m))
    z = float(stats.norm.ppf((1 + level) / 2))

    def excess(area: float) -> float:
        """How far the measured area lies from this one, beyond what the level allows."""
        within = (n + m) / 2 - 1
        ties = 1 + within * ((1 - area) / (2 - area) + area / (1 + area))
        return abs(auc - area) - z * float(np.sqrt(area * (1 - area) * ties / (n * m)))

    inside = min(
        max(auc, EDGE), 1 - EDGE
    )  # at 0 and 1 the variance is 0, and they would be limits of themselves
    low = float(optimize.brentq(excess, 0.0, inside)) if auc > EDGE else 0.0
    high = float(optimize.brentq(excess, inside, 1.0)) if auc < 1 - EDGE else 1.0
    return Estimate(value=auc, low=low, high=high, level=level, n=n)


def _doubled_wins(scores: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Twice the number of the others that each score is above, ties counted by half, int64 (n,)."""
    known = np.sort(others)
    below, not_above = (np.searchsorted(known, scores, side=side) for side in ("left", "right"))
    return np.asarray(below + not_above)

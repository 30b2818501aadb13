"""Parts of training patients in generated cases: what the patch search says of a release. Reported, not gating.

Reasons: docs/adr/0019-copies-of-a-part.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from synthdata.privacy.boxes import PATCH
from synthdata.privacy.canaries import patch_recalls, plant_patches
from synthdata.privacy.cohort import Pool
from synthdata.privacy.copy_search import CopyThreshold, harmless_ratios, suspected, thresholds_of
from synthdata.privacy.ratio_tail import Matches
from synthdata.privacy.thumbnails import ThumbnailSource
from synthdata.records import CanaryRecall, CaseSet, PrivacyTest, TrainingSet
from synthdata.storage import ObjectStore

PATCH_SEARCH = "patch_search"
SEED = 20261126  # of the pasted parts: the same inputs give the same report
NAMED = 5  # suspects, in the sentence


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Parts:
    """Which generated cases hold a part of a training patient, as far as it shows."""

    flags: np.ndarray  # bool (m,)
    least: float  # chance of the most striking case
    threshold: CopyThreshold
    recalls: tuple[CanaryRecall, ...]  # of parts that were pasted into generated cases
    real: Matches  # of real cases, each without its own patient
    matches: Matches  # of generated cases


def search_parts(
    training_set: TrainingSet,
    synthetic: CaseSet,
    private: ObjectStore,
    pool: Pool,
    generated: ThumbnailSource,
    *,
    rate: float,
) -> Parts | None:
    """Search generated cases for parts, and for those that are planted.

    Args:
        training_set: Whose train cases are planted.
        synthetic: The generated cases, which are the hosts.
        private: Store of both.
        pool: Real patients.
        generated: Thumbnails of the generated cases.
        rate: Share of clean releases that may hold one or more suspects, 0..1.

    Returns:
        What was found; None where patches cannot be searched for.
    """
    if pool.patches is None:
        return None
    real, found = {PATCH: pool.patches.real}, {PATCH: pool.patches.matches(generated)}
    harmless = harmless_ratios(real, found, pool.in_train)
    thresholds = thresholds_of(harmless, units=pool.patches.units, cases=len(generated), rate=rate)
    planted = plant_patches(training_set, synthetic, private, pool, rng=np.random.default_rng(SEED))
    return Parts(
        flags=suspected(found, thresholds, pool.in_train),
        least=float(found[PATCH].ratio.min()),
        threshold=thresholds[PATCH],
        recalls=() if planted is None else patch_recalls(planted, thresholds, pool.in_train),
        real=real[PATCH],
        matches=found[PATCH],
    )


def parts_tests(
    parts: Parts | None, case_ids: Sequence[str]
) -> tuple[tuple[PrivacyTest, ...], tuple[str, ...]]:
    """The test for the report, or a sentence where there is none."""
    if parts is None:
        return (), (
            "Parts of patients were not searched for: all boxes are flat, or the same in all patients.",
        )
    names = sorted(np.array(case_ids)[parts.flags].tolist())
    named = f" ({', '.join(names[:NAMED])}{' and more' if len(names) > NAMED else ''})" if names else ""
    recall = ", ".join(f"{canary.kind} {canary.found}/{canary.planted}" for canary in parts.recalls)
    advice = "look at them beside the training cases" if names else "nothing to look at"
    test = PrivacyTest(
        name=PATCH_SEARCH,
        outcome="INCONCLUSIVE" if names else "PASS",
        statistic=parts.least,
        p_value=None,
        threshold=parts.threshold.ratio,
        power=None,
        explanation=(
            f"{len(names)} of {len(parts.flags)} cases{named} hold boxes apart that match one training patient more "
            f"closely than chance allows; of parts that were pasted in, found: {recall}; {advice}; reported, never a "
            "reason to pass"
        ),
    )
    return (test,), ()

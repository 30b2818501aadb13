"""From numbers to the tests of the report: an outcome each, and a sentence that a privacy officer can read."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from synthdata.privacy.alterations import GATING, REDRAWN
from synthdata.privacy.canaries import NEGATIVE
from synthdata.privacy.cohort import Pool
from synthdata.privacy.copy_search import CopyThreshold
from synthdata.privacy.limits import DISK_MB, MOST_FITTED
from synthdata.privacy.membership import Attack
from synthdata.privacy.power import PowerCurve
from synthdata.privacy.ratio_tail import Matches, TailResult
from synthdata.records import CanaryRecall, CopyFilterCounts, PrivacyTest
from synthdata.records.reports import Outcome
from synthdata.spec import Gates

if TYPE_CHECKING:
    from synthdata.privacy.loss_attack import LossAttack  # needs torch

RATIO_TAIL, COPY_SEARCH, CANARIES = "ratio_tail", "copy_search", "canary_self_test"
BEFORE_FILTER = "before_filter"
LOSS_ATTACK, FURTHER = "loss_attack", "further_views"
POSITIVE, NEGATIVE_CONTROL, MEMBERSHIP = "positive_control", "negative_control", "membership_inference"
GATING_TESTS = frozenset({RATIO_TAIL, COPY_SEARCH, BEFORE_FILTER, CANARIES, POSITIVE, NEGATIVE_CONTROL})
FURTHER_RATE = 0.25  # of the gate's level, spent on further views; docs/adr/0020
NAMED = 5  # suspects, in a sentence
MEMBERSHIP_AUC = 0.60  # policy: the attack fails a release when the interval lies above; docs/adr/0005
NEGATIVES_REJECTED = 0.10  # of random splits of real strangers: more, and the test itself is broken
NEGATIVES_SUSPECTED = 0.05
FEATURES_NOTE = (
    "Views are fitted on train and control alike; the encoder trained on train alone is not used, because it would "
    "make the two groups differ without any copy."
)


def combined_outcome(tests: Sequence[PrivacyTest]) -> Outcome:
    """FAIL of any test fails; else INCONCLUSIVE of a gating test; PASS needs every gating test."""
    if any(test.outcome == "FAIL" for test in tests):
        return "FAIL"
    gating = {test.name: test.outcome for test in tests if test.name in GATING_TESTS}
    whole = gating.keys() == GATING_TESTS and all(outcome == "PASS" for outcome in gating.values())
    return "PASS" if whole else "INCONCLUSIVE"


def tail_test(result: TailResult, curves: Mapping[str, PowerCurve], gates: Gates) -> PrivacyTest:
    """The primary test; its power is that of the `counted` curve, redrawn copies among them."""
    best, power = result.best, curves["counted"].at(gates.copies)
    seen = (
        f"of {best.distinct} distinct real patients matched in the {best.name} tail of view {best.view}, "
        f"{best.in_train} are training patients (adjusted p {result.p_value:.3g}, Holm {result.p_holm:.3g})"
    )
    aim = (
        f"copies of {gates.copies:.1%} of the cases would be caught with power {power:.2f}, asked {gates.power:.2f} "
        f"(all of them redrawn: {curves[REDRAWN].at(gates.copies):.2f})"
    )
    outcome: Outcome
    if result.p_value < gates.privacy_alpha:
        outcome, advice = (
            "FAIL",
            "training patients are favoured: train shorter or on more patients, then generate again",
        )
    elif result.attainable >= gates.privacy_alpha:
        outcome, advice = (
            "INCONCLUSIVE",
            "too few patients or cases for any result to reach the level: add both",
        )
    elif power < gates.power:
        outcome, advice = (
            "INCONCLUSIVE",
            "the test would miss too many copies: add control patients or generated cases",
        )
    else:
        outcome, advice = "PASS", "no sign that training patients are favoured"
    return PrivacyTest(
        name=RATIO_TAIL,
        outcome=outcome,
        statistic=best.in_train / best.distinct,
        p_value=result.p_value,
        threshold=gates.privacy_alpha,
        power=power,
        explanation=f"{seen}; {aim}; {advice}",
    )


def further_test(result: TailResult, suspects: Sequence[str], gates: Gates) -> PrivacyTest:
    """The same test in further views, at a level of its own; it fails a release or asks for a look at single cases."""
    level, best = FURTHER_RATE * gates.privacy_alpha, result.best
    views = ", ".join(dict.fromkeys(tail.view for tail in result.tails))
    named = (
        f"{len(suspects)} cases ({', '.join(suspects[:NAMED])}{' and more' if len(suspects) > NAMED else ''})"
    )
    outcome: Outcome = "FAIL" if result.p_value < level else "INCONCLUSIVE" if suspects else "PASS"
    advice = {
        "FAIL": "training patients are favoured: train shorter or on more patients, then generate again",
        "INCONCLUSIVE": f"{named} lie nearer to a training patient than chance allows: look at them",
        "PASS": "no sign that training patients are favoured, and never a reason to pass",
    }[outcome]
    return PrivacyTest(
        name=FURTHER,
        outcome=outcome,
        statistic=best.in_train / best.distinct,
        p_value=result.p_value,
        threshold=level,
        power=None,
        explanation=(
            f"in further views ({views}) {best.in_train} of {best.distinct} distinct patients matched in the "
            f"{best.name} tail of {best.view} are training patients (adjusted p {result.p_value:.3g}, level "
            f"{level:.3g}); {advice}"
        ),
    )


def copy_test(
    matches: Mapping[str, Matches], thresholds: Mapping[str, CopyThreshold], flags: np.ndarray
) -> PrivacyTest:
    """The search for single copies."""
    nearness = {view: float(found.ratio.min()) / thresholds[view].ratio for view, found in matches.items()}
    view = min(nearness, key=lambda name: nearness[name])
    least, limit = float(matches[view].ratio.min()), thresholds[view].ratio
    count = int(flags.sum())
    advice = (
        "look at the nearest pairs, remove the suspects and train less"
        if count
        else "none is closer than chance allows"
    )
    return PrivacyTest(
        name=COPY_SEARCH,
        outcome="FAIL" if count else "PASS",
        statistic=least,
        p_value=None,
        threshold=limit,
        power=None,
        explanation=(
            f"{count} of {len(flags)} cases are suspected copies of a training patient; the closest has "
            f"d1/d2 = {least:.2f} in view {view}, suspected below {limit:.2f}; {advice}"
        ),
    )


def before_filter_test(
    counts: CopyFilterCounts | None, gates: Gates, *, tail: TailResult, attack: Attack
) -> PrivacyTest:
    """The cases as they were drawn, before the copy filter removed any: what it removes cannot make a release pass.

    Args:
        counts: What was removed; None where no filter was used, so that the other tests have seen the cases as drawn.
        gates: Level and power.
        tail: The primary test on the cases as drawn.
        attack: Membership inference on them.
    """
    if counts is None:
        return PrivacyTest(
            name=BEFORE_FILTER,
            outcome="PASS",
            statistic=0.0,
            p_value=None,
            threshold=gates.privacy_alpha,
            power=None,
            explanation="no copy filter was used: the other tests have judged the cases as they were drawn",
        )
    alpha, cases, suspects = gates.privacy_alpha, counts.judged, round(counts.before.value * counts.judged)
    p_value = float(stats.binom.sf(suspects - 1, cases, counts.share))
    enough = int(stats.binom.isf(alpha, cases, counts.share)) + 1  # as many suspects reject
    seen = float(stats.beta.ppf(gates.power, enough, cases - enough + 1)) if enough <= cases else 1.0
    faults = {
        f"more than the {counts.share:.2%} that chance allows": p_value < alpha,
        f"the primary test rejects them (adjusted p {tail.p_value:.3g})": tail.p_value < alpha,
        f"members are recognised (AUC {attack.auc})": members_recognised(attack, gates),
        f"{counts.kept} cases could not be replaced": counts.kept > 0,
    }
    found = [reason for reason, there in faults.items() if there]
    told = "; ".join(found) or "no more than chance allows, and the primary test does not reject them either"
    advice = (
        "; a filter cannot mend a generator that copies: train shorter or on more patients" if found else ""
    )
    return PrivacyTest(
        name=BEFORE_FILTER,
        outcome="FAIL" if found else "PASS",
        statistic=counts.before.value,
        p_value=p_value,
        threshold=alpha,
        power=None,
        explanation=(
            f"{counts}; {told}{advice}; {seen:.1%} of copies that the search can see are "
            f"more than chance allows with a probability of {gates.power:.0%}"
        ),
    )


def canary_test(canaries: Sequence[CanaryRecall], gates: Gates) -> PrivacyTest:
    """Whether the search finds copies that were planted, and leaves strangers alone."""
    asked = {canary.kind: canary for canary in canaries if canary.kind in GATING}
    recalls = {kind: canary.found / canary.planted for kind, canary in asked.items() if canary.planted}
    weakest = min(recalls, key=lambda kind: recalls[kind], default="")
    least = recalls.get(weakest, 0.0)
    strangers = next((canary for canary in canaries if canary.kind == NEGATIVE), None)
    false_share = strangers.found / strangers.planted if strangers is not None and strangers.planted else 1.0
    fine = (
        recalls.keys() == GATING.keys()
        and least >= gates.canary_recall
        and false_share <= NEGATIVES_SUSPECTED
    )
    others = [canary for canary in canaries if canary.kind not in GATING and canary.kind != NEGATIVE]
    told = ", ".join(f"{canary.kind} {canary.found}/{canary.planted}" for canary in others)
    return PrivacyTest(
        name=CANARIES,
        outcome="PASS" if fine else "INCONCLUSIVE",
        statistic=least,
        p_value=None,
        threshold=gates.canary_recall,
        power=None,
        explanation=(
            f"least recall {least:.2f} of planted copies ({weakest or 'none planted'}), asked "
            f"{gates.canary_recall:.2f}; {false_share:.1%} of control cases wrongly suspected, allowed "
            f"{NEGATIVES_SUSPECTED:.0%}; reported only: {told or 'none'}; "
            + ("the search works here" if fine else "the search is blind here: add patients or labels")
        ),
    )


def control_tests(replay: float, rejections: float, gates: Gates) -> tuple[PrivacyTest, PrivacyTest]:
    """The two sets whose answer is known."""
    alpha = gates.privacy_alpha
    positive = PrivacyTest(
        name=POSITIVE,
        outcome="PASS" if replay < alpha else "INCONCLUSIVE",
        statistic=replay,
        p_value=replay,
        threshold=alpha,
        power=None,
        explanation=f"a set that replays altered training cases gets p = {replay:.3g}, which must be below {alpha}",
    )
    negative = PrivacyTest(
        name=NEGATIVE_CONTROL,
        outcome="PASS" if rejections <= NEGATIVES_REJECTED else "INCONCLUSIVE",
        statistic=rejections,
        p_value=None,
        threshold=NEGATIVES_REJECTED,
        power=None,
        explanation=(
            f"control patients taken for generated cases are rejected in {rejections:.1%} of random splits, "
            f"allowed {NEGATIVES_REJECTED:.0%} of so few splits at a nominal {alpha:.1%}"
        ),
    )
    return positive, negative


def members_recognised(attack: Attack, gates: Gates) -> bool:
    """Whether an attack on the cases gains more than the policy allows, and that by more than chance."""
    return attack.auc.low > MEMBERSHIP_AUC and attack.p_value < gates.privacy_alpha


def attack_test(attack: Attack, gates: Gates) -> PrivacyTest:
    """Membership inference from the cases; it fails a release or says nothing."""
    auc = attack.auc
    caught = members_recognised(attack, gates)
    outcome: Outcome = "FAIL" if caught else "PASS" if auc.high <= MEMBERSHIP_AUC else "INCONCLUSIVE"
    advice = (
        "members are recognised: train shorter or on more patients"
        if caught
        else "reported, never a reason to pass"
    )
    return PrivacyTest(
        name=MEMBERSHIP,
        outcome=outcome,
        statistic=auc.value,
        p_value=attack.p_value,
        threshold=MEMBERSHIP_AUC,
        power=None,
        explanation=f"distance attack has AUC {auc} over {auc.n} training patients, 0.5 is guessing; {advice}",
    )


def loss_test(attack: "LossAttack", gates: Gates) -> PrivacyTest:
    """Membership inference from the weights; it fails a release or says nothing (docs/adr/0020)."""
    auc, bound = attack.auc, gates.checkpoint_auc
    outcome: Outcome = "FAIL" if auc.low > bound else "PASS" if auc.high <= bound else "INCONCLUSIVE"
    advice = {
        "FAIL": "the generator knows its patients by heart: train shorter, with more deformations or on more patients",
        "INCONCLUSIVE": "that may be more than the bound or less: keep the checkpoint as private as the patients",
        "PASS": "within the bound, which is never a reason to pass",
    }[outcome]
    return PrivacyTest(
        name=LOSS_ATTACK,
        outcome=outcome,
        statistic=auc.value,
        p_value=attack.p_value,
        threshold=bound,
        power=None,
        explanation=(
            f"with the checkpoint, its loss tells {auc.n} training patients from {attack.others} control patients with "
            f"AUC {auc}, 0.5 is guessing, at most {bound} may be shown; {attack.recognised} of them are recognised at "
            f"1 % of false alarms; {advice}"
        ),
    )


def method_notes(
    result: TailResult,
    curves: Mapping[str, PowerCurve],
    thresholds: Mapping[str, CopyThreshold],
    pool: Pool,
) -> tuple[str, ...]:
    """What a statistician wants to see beside the verdict; curves: counted, gating, redrawn."""
    tails = "; ".join(
        f"{tail.view} {tail.name}: {tail.in_train} of {tail.distinct} (p {tail.p_value:.3g})"
        for tail in result.tails
    )
    limits = "; ".join(
        f"{limit.view}: r < {limit.ratio:.2f} (dimension {limit.dimension:.1f}, "
        f"least harmless {limit.least:.2f})"
        for limit in thresholds.values()
    )
    train, control = int(pool.in_train.sum()), int((~pool.in_train).sum())
    repeats, powers = curves["counted"].repeats, {name: _powers(curve) for name, curve in curves.items()}
    how = f"{repeats} repetitions, patients labelled anew in each"
    counted = f"gating kinds and redrawn in equal parts ({how}): {powers['counted']}"
    return (
        f"Pool of {train} training and {control} control patients, {len(pool.patient)} cases.",
        f"Power that gates, by share of copies, {counted}.",
        f"Power by share of copies of the gating kinds alone: {powers['gating']}.",
        f"Power by share of copies that are all redrawn as from memory: {powers[REDRAWN]}.",
        f"Tails (training patients of distinct patients matched): {tails}.",
        f"Thresholds of the copy search: {limits}.",
        *size_notes(pool),
        FEATURES_NOTE,
    )


def size_notes(pool: Pool) -> tuple[str, ...]:
    """What was done with fewer cases or moves, because there are many."""
    told, cases, parts = list[str](), len(pool.patient), pool.patches
    if cases > MOST_FITTED:
        told.append(
            f"Views, boxes and the laws of boxes were fitted on {MOST_FITTED} of the {cases} real cases; all are "
            "searched."
        )
    if parts is not None and parts.moves < parts.moves_wanted:
        told.append(
            f"Real patients were moved {parts.moves} instead of {parts.moves_wanted} ways in the search for parts "
            f"(room for {DISK_MB} MB of boxes): parts that were moved are found less often."
        )
    return tuple(told)


def _powers(curve: PowerCurve) -> str:
    return ", ".join(
        f"{share:.1%}: {power:.2f}" for share, power in zip(curve.shares, curve.power, strict=True)
    )

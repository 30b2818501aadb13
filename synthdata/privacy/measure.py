"""The privacy report of one synthetic CaseSet: every test, what it would have caught, and which cases are suspect."""

import numpy as np

from synthdata.errors import ConfigError
from synthdata.privacy.alterations import COUNTED, GATING, REDRAWN
from synthdata.privacy.boxes import PATCH
from synthdata.privacy.canaries import recalls, strangers
from synthdata.privacy.controls import replay_p_value, stranger_rejections
from synthdata.privacy.copy_filter import Drawn
from synthdata.privacy.copy_search import copy_share, suspected
from synthdata.privacy.evidence import STEPS, Evidence, gather
from synthdata.privacy.findings import (
    attack_test,
    before_filter_test,
    canary_test,
    combined_outcome,
    control_tests,
    copy_test,
    further_test,
    method_notes,
    tail_test,
)
from synthdata.privacy.further import search_further
from synthdata.privacy.membership import Attack, distance_attack
from synthdata.privacy.pair_sheet import draw_pairs, images_of
from synthdata.privacy.parts import parts_tests
from synthdata.privacy.power import SHARES, PowerCurve, PowerTrial
from synthdata.privacy.ratio_tail import LabelShuffles, TailResult
from synthdata.privacy.reported import VIEW, checkpoint_tests, reported_tests, table_tests
from synthdata.progress import Progress, silent
from synthdata.records import (
    CanaryRecall,
    CaseSet,
    Checkpoint,
    CopyFilterCounts,
    PrivacyReport,
    PrivacyTest,
    TrainingSet,
    digest_of,
)
from synthdata.spec import DatasetSpec, Gates
from synthdata.storage import ObjectStore, keys

SEED = 20261122  # of shuffles, planted copies and splits: the same inputs give the same report
PAIRS = 6


def measure_privacy(
    spec: DatasetSpec,
    training_set: TrainingSet,
    synthetic: CaseSet,
    private: ObjectStore,
    *,
    checkpoint: Checkpoint | None = None,
    progress: Progress = silent,
) -> PrivacyReport:
    """Test whether generated cases are nearer to training patients than chance allows.

    Args:
        spec: Names the level, the share of copies to see, the power and the canary recall that are asked for.
        training_set: Its train and control cases are compared; control patients were never trained on.
        synthetic: The generated cases, after the watermark.
        private: Store of all shards; the sheet of nearest pairs is written to it.
        checkpoint: The generator, for the attack of somebody who has it; without it that is left out, and told.
        progress: Told after each step.

    Returns:
        The report; INCONCLUSIVE wherever a test could not have failed.

    Raises:
        ConfigError: Nothing to compare: too few patients, a patient in both groups, or no generated case.
        ShapeError: Cases on another grid.
        GateError: The cases went through a copy filter whose report is not about them.
    """
    if not synthetic.cases:
        raise ConfigError("the synthetic CaseSet has no cases, expected one or more: generate first")
    rng, gates = np.random.default_rng(SEED), spec.gates
    evidence = gather(spec, training_set, synthetic, private, rng=rng, progress=progress)
    shuffles = LabelShuffles(evidence.pool.in_train, rng=rng)
    result = shuffles.test(evidence.matches, evidence.floors)
    progress(4, STEPS, "planting copies to learn the power of the test")
    curves = _power_curves(evidence, shuffles, gates, rng=rng)
    progress(5, STEPS, "canaries")
    canaries = _canaries(evidence)
    progress(6, STEPS, "controls and membership inference")
    flags = suspected(evidence.matches, evidence.thresholds, evidence.pool.in_train)
    counts = _filter_counts(evidence.drawn)
    attack = distance_attack(evidence.pool, evidence.synthetic.vectors)
    as_first_drawn = _as_first_drawn(evidence, shuffles, (result, attack))
    tests: tuple[PrivacyTest, ...] = (
        tail_test(result, curves, gates),
        copy_test(evidence.matches, evidence.thresholds, flags),
        before_filter_test(counts, gates, tail=as_first_drawn[0], attack=as_first_drawn[1]),
        canary_test(canaries, gates),
        *_controls(evidence, shuffles, gates, rng=rng),
        attack_test(attack, gates),
    )
    (apart,) = rng.spawn(1)  # so that what does not have to pass changes nothing that does
    data = (training_set, synthetic, private)
    more = _beside(evidence, shuffles, data, gates, checkpoint=checkpoint, rng=apart)
    tests += tuple(test for found, _ in more for test in found)
    figures = _pair_sheet(training_set, synthetic, private, evidence)
    progress(STEPS, STEPS, "privacy measured")
    return PrivacyReport(
        dataset=training_set.dataset,
        synthetic=digest_of(synthetic),
        training_set=digest_of(training_set),
        outcome=combined_outcome(tests),
        tests=tests,
        canaries=(*canaries, *(evidence.parts.recalls if evidence.parts is not None else ())),
        copies=copy_share(int(flags.sum()), len(flags)),
        suspects=evidence.named(flags),
        detectable_share=curves["counted"].detectable(gates.power),
        figures=figures,
        notes=(
            *method_notes(result, curves, evidence.thresholds, evidence.pool),
            *(note for _, notes in more for note in notes),
        ),
        copy_filter=counts,
    )


def _canaries(evidence: Evidence) -> tuple[CanaryRecall, ...]:
    """What the search finds of planted copies, and whom it wrongs among strangers."""
    pool = evidence.pool
    found = recalls(evidence.planted, evidence.thresholds, pool.in_train)
    return (*found, strangers(pool, evidence.real_matches, evidence.matches, rate=evidence.rate))


def _controls(
    evidence: Evidence, shuffles: LabelShuffles, gates: Gates, *, rng: np.random.Generator
) -> tuple[PrivacyTest, PrivacyTest]:
    """The positive and the negative control."""
    copies = evidence.planted.of_patients(evidence.pool.in_train).of_kinds(COUNTED).matches
    cases = len(evidence.case_ids)
    replay = replay_p_value(shuffles, copies=copies, cases=cases, floors=evidence.floors, rng=rng)
    rejections = stranger_rejections(
        evidence.pool, evidence.real, floors=evidence.floors, alpha=gates.privacy_alpha, rng=rng
    )
    return control_tests(replay, rejections, gates)


def _as_first_drawn(
    evidence: Evidence, shuffles: LabelShuffles, released: tuple[TailResult, Attack]
) -> tuple[TailResult, Attack]:
    """The primary test and the distance attack on the cases before the copy filter, which may be the released ones."""
    drawn = evidence.drawn
    if drawn is None or not drawn.report.removed.cases:
        return released
    return (
        shuffles.test(drawn.matches, evidence.floors),
        distance_attack(evidence.pool, drawn.embedded.vectors),
    )


def _beside(
    evidence: Evidence,
    shuffles: LabelShuffles,
    data: tuple[TrainingSet, CaseSet, ObjectStore],
    gates: Gates,
    *,
    checkpoint: Checkpoint | None,
    rng: np.random.Generator,
) -> tuple[tuple[tuple[PrivacyTest, ...], tuple[str, ...]], ...]:
    """Tests that do not have to pass, each with the sentences for the notes."""
    training_set, synthetic, private = data
    return (
        _further(evidence, shuffles, data, gates),
        parts_tests(evidence.parts, evidence.case_ids),
        reported_tests(evidence.pool, evidence.synthetic.vectors[VIEW][0], rng=rng),
        checkpoint_tests(checkpoint, training_set, private, gates),
        table_tests(training_set, synthetic, private, seed=SEED),
    )


def _further(
    evidence: Evidence,
    shuffles: LabelShuffles,
    data: tuple[TrainingSet, CaseSet, ObjectStore],
    gates: Gates,
) -> tuple[tuple[PrivacyTest, ...], tuple[str, ...]]:
    """The ratio-tail test in further views: with records, within conditions, of parts."""
    found = search_further(evidence.pool, (evidence.real, evidence.synthetic), *data)
    suspects = found.suspects(evidence.pool, cases=len(evidence.case_ids), rate=evidence.rate)
    if evidence.parts is not None:
        found = found.with_view(PATCH, evidence.parts.real, evidence.parts.matches)
    result = found.tested(shuffles)
    if result is None:
        return (), ("No further views: there are no records, and parts cannot be searched for.",)
    return (further_test(result, evidence.named(suspects), gates),), ()


def _filter_counts(drawn: Drawn | None) -> CopyFilterCounts | None:
    """Of the copy filter, for everybody to read."""
    if drawn is None:
        return None
    report = drawn.report
    return CopyFilterCounts(
        share=report.share,
        judged=report.judged,
        removed=report.removed.cases,
        draws=report.draws,
        kept=drawn.kept,
        before=copy_share(drawn.suspects, report.judged),
    )


def _power_curves(
    evidence: Evidence, shuffles: LabelShuffles, gates: Gates, *, rng: np.random.Generator
) -> dict[str, PowerCurve]:
    """Power of the primary test against the counted copies, and against the two parts of them."""
    trial = PowerTrial(
        test=shuffles,
        clean=evidence.matches,
        floors=evidence.floors,
        alpha=gates.privacy_alpha,
        shares=tuple(sorted({*SHARES, gates.copies})),
    )
    return {
        name: trial.run(evidence.planted.of_kinds(kinds), rng=rng)
        for name, kinds in (("counted", COUNTED), ("gating", tuple(GATING)), (REDRAWN, (REDRAWN,)))
    }


def _pair_sheet(
    training_set: TrainingSet, synthetic: CaseSet, private: ObjectStore, evidence: Evidence
) -> dict[str, str]:
    """Draw the nearest pairs over all views and keep them in the private store; name to key."""
    in_train = evidence.pool.in_train
    views = list(evidence.matches)
    scaled = np.stack(
        [
            np.where(in_train[found.patient], found.ratio / evidence.thresholds[view].ratio, np.inf)
            for view, found in evidence.matches.items()
        ]
    )
    rows = np.argsort(scaled.min(axis=0), kind="stable")[:PAIRS].tolist()
    rows = [row for row in rows if np.isfinite(scaled[:, row]).any()]
    if not rows:
        return {}
    chosen = [views[int(scaled[:, row].argmin())] for row in rows]
    # train cases come first in the pool, so that a row of the pool is a row of train
    matched = [int(evidence.matches[view].case[row]) for row, view in zip(rows, chosen, strict=True)]
    left = images_of(private, synthetic, rows)
    right = images_of(private, training_set.train, matched)
    pairs = [
        (
            left[row],
            right[match],
            f"{evidence.case_ids[row]}: r = {evidence.matches[view].ratio[row]:.2f} ({view})",
        )
        for row, match, view in zip(rows, matched, chosen, strict=True)
    ]
    png = draw_pairs(pairs, training_set.scales[0])
    key = keys.report(training_set.dataset, digest_of(synthetic), "nearest_pairs.png")
    private.write(key, png)
    return {"nearest_pairs": key}

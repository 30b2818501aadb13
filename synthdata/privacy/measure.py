"""The privacy report of one synthetic CaseSet: every test, what it would have caught, and which cases are suspect."""

from dataclasses import dataclass

import numpy as np

from synthdata.errors import ConfigError
from synthdata.privacy.alterations import COUNTED, GATING, REDRAWN
from synthdata.privacy.canaries import Planted, plant, recalls, strangers
from synthdata.privacy.cohort import Embedded, Pool, pool_of, thumbnailer_of
from synthdata.privacy.controls import replay_p_value, stranger_rejections
from synthdata.privacy.copy_filter import Drawn, Released, as_drawn, filter_report_of
from synthdata.privacy.copy_search import (
    COPY_RATE,
    CopyThreshold,
    copy_share,
    harmless_ratios,
    suspected,
    thresholds_of,
)
from synthdata.privacy.findings import (
    attack_test,
    before_filter_test,
    canary_test,
    combined_outcome,
    control_tests,
    copy_test,
    method_notes,
    tail_test,
)
from synthdata.privacy.membership import distance_attack
from synthdata.privacy.pair_sheet import draw_pairs, images_of
from synthdata.privacy.parts import Parts, parts_tests, search_parts
from synthdata.privacy.power import SHARES, PowerCurve, PowerTrial
from synthdata.privacy.ratio_tail import LabelShuffles, Matches
from synthdata.privacy.reported import VIEW, checkpoint_tests, reported_tests, table_tests
from synthdata.progress import Progress, silent
from synthdata.records import CaseSet, Checkpoint, CopyFilterCounts, PrivacyReport, TrainingSet, digest_of
from synthdata.records.parquet import read_cases
from synthdata.spec import DatasetSpec, Gates
from synthdata.storage import ObjectStore, keys

SEED = 20261122  # of shuffles, planted copies and splits: the same inputs give the same report
PAIRS = 6
STEPS = 8


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Evidence:
    """All that the tests look at."""

    pool: Pool
    real: Embedded
    synthetic: Embedded
    case_ids: tuple[str, ...]
    planted: Planted
    real_matches: dict[str, Matches]  # of real cases, each without its own patient
    matches: dict[str, Matches]  # of generated cases in train and control
    thresholds: dict[str, CopyThreshold]
    parts: Parts | None  # of training patients, in generated cases
    drawn: Drawn | None  # the same before the copy filter; None where none was used

    @property
    def floors(self) -> dict[str, float]:
        """Least ratio of a real case per view."""
        return {name: float(found.ratio.min()) for name, found in self.real_matches.items()}


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
    rng = np.random.default_rng(SEED)
    evidence = _gather(spec, training_set, synthetic, private, rng=rng, progress=progress)
    pool, gates = evidence.pool, spec.gates
    shuffles = LabelShuffles(pool.in_train, rng=rng)
    result = shuffles.test(evidence.matches, evidence.floors)
    progress(4, STEPS, "planting copies to learn the power of the test")
    curves = _power_curves(evidence, shuffles, gates, rng=rng)
    progress(5, STEPS, "canaries")
    found = recalls(evidence.planted, evidence.thresholds, pool.in_train)
    rate = COPY_RATE * gates.privacy_alpha
    negatives = strangers(pool, evidence.real_matches, evidence.matches, rate=rate)
    progress(6, STEPS, "controls and membership inference")
    copies = evidence.planted.of_patients(pool.in_train).of_kinds(COUNTED).matches
    replay = replay_p_value(shuffles, copies=copies, cases=synthetic.cases, floors=evidence.floors, rng=rng)
    rejections = stranger_rejections(
        pool, evidence.real, floors=evidence.floors, alpha=gates.privacy_alpha, rng=rng
    )
    flags = suspected(evidence.matches, evidence.thresholds, pool.in_train)
    (apart,) = rng.spawn(1)  # so that what is only reported changes nothing that gates
    images, image_notes = reported_tests(pool, evidence.synthetic.vectors[VIEW][0], rng=apart)
    losses, loss_notes = checkpoint_tests(checkpoint, training_set, private, gates)
    risks, table_notes = table_tests(training_set, synthetic, private, seed=SEED)
    parts, part_notes = parts_tests(evidence.parts, evidence.case_ids)
    attack = distance_attack(pool, evidence.synthetic.vectors)
    drawn, counts, before = evidence.drawn, _filter_counts(evidence.drawn), (result, attack)
    if drawn is not None and drawn.report.removed.cases:
        before = (
            shuffles.test(drawn.matches, evidence.floors),
            distance_attack(pool, drawn.embedded.vectors),
        )
    tests = (
        tail_test(result, curves, gates),
        copy_test(evidence.matches, evidence.thresholds, flags),
        before_filter_test(counts, gates, tail=before[0], attack=before[1]),
        canary_test((*found, negatives), gates),
        *control_tests(replay, rejections, gates),
        attack_test(attack, gates),
        *parts,
        *images,
        *losses,
        *risks,
    )
    figures = _pair_sheet(training_set, synthetic, private, evidence)
    progress(STEPS, STEPS, "privacy measured")
    return PrivacyReport(
        dataset=training_set.dataset,
        synthetic=digest_of(synthetic),
        training_set=digest_of(training_set),
        outcome=combined_outcome(tests),
        tests=tests,
        canaries=(*found, *(evidence.parts.recalls if evidence.parts is not None else ()), negatives),
        copies=copy_share(int(flags.sum()), len(flags)),
        suspects=tuple(sorted(np.array(evidence.case_ids)[flags].tolist())),
        detectable_share=curves["counted"].detectable(gates.power),
        figures=figures,
        notes=(
            *method_notes(result, curves, evidence.thresholds, pool),
            *part_notes,
            *image_notes,
            *loss_notes,
            *table_notes,
        ),
        copy_filter=counts,
    )


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
    evidence: _Evidence, shuffles: LabelShuffles, gates: Gates, *, rng: np.random.Generator
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


def _gather(
    spec: DatasetSpec,
    training_set: TrainingSet,
    synthetic: CaseSet,
    private: ObjectStore,
    *,
    rng: np.random.Generator,
    progress: Progress,
) -> _Evidence:
    progress(0, STEPS, "reading train and control")
    pool, real = pool_of(training_set, private)
    progress(1, STEPS, "reading generated cases")
    thumbnails = thumbnailer_of(training_set).of_cases(read_cases(private, synthetic))
    generated = Embedded.of(pool, thumbnails)
    progress(2, STEPS, "making altered copies")
    planted = plant(training_set, private, pool, rng=rng)
    progress(3, STEPS, "searching nearest patients")
    real_matches, matches = real.matches(pool, own=pool.patient), generated.matches(pool)
    thresholds = thresholds_of(
        harmless_ratios(real_matches, matches, pool.in_train),
        units=pool.patients,
        cases=synthetic.cases,
        rate=COPY_RATE * spec.gates.privacy_alpha,
    )
    rate = COPY_RATE * spec.gates.privacy_alpha
    parts = search_parts(training_set, synthetic, private, pool, thumbnails, rate=rate)
    report = filter_report_of(synthetic, private)
    drawn = None
    if report is not None:
        released = Released(
            pool=pool, real=real_matches, embedded=generated, matches=matches, case_ids=thumbnails.case_id
        )
        drawn = as_drawn(report, training_set, private, released)
    return _Evidence(
        pool=pool,
        real=real,
        synthetic=generated,
        case_ids=thumbnails.case_id,
        planted=planted,
        real_matches=real_matches,
        matches=matches,
        thresholds=thresholds,
        parts=parts,
        drawn=drawn,
    )


def _pair_sheet(
    training_set: TrainingSet, synthetic: CaseSet, private: ObjectStore, evidence: _Evidence
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

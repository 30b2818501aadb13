"""What the privacy report shows beside the tests that gate: reviews, further attacks, risks of the table.

None of these passes a release, and of them only the attack with the checkpoint may fail one (docs/adr/0020). One that
asks for a look is INCONCLUSIVE, which blocks nothing: the tests that have to pass are in `findings.GATING_TESTS`.
"""

from collections.abc import Callable, Iterator

import numpy as np

from synthdata.errors import ConfigError
from synthdata.privacy.clinical import Risk, table_findings, table_risks
from synthdata.privacy.cohort import Pool
from synthdata.privacy.findings import MEMBERSHIP_AUC, loss_test
from synthdata.privacy.membership import auc_with_interval
from synthdata.privacy.neighbours import nearest_patients
from synthdata.privacy.reviews import (
    LEVEL,
    Review,
    authentic_share,
    cliques,
    density_ratio,
    near_count,
    three_sample_statistic,
    true_positives_at,
)
from synthdata.records import CaseSet, Checkpoint, PrivacyTest, TrainingSet
from synthdata.records.parquet import read_records
from synthdata.spec import Gates
from synthdata.storage import ObjectStore

VIEW = "image"
RISK = 0.10  # policy of others, from usual practice: an upper bound above it asks for a look
MEMBERS_SEEN = 0.05  # lower bound of the true positives at 1 % of false ones that asks for a look


def reported_tests(
    pool: Pool, generated: np.ndarray, *, rng: np.random.Generator
) -> tuple[tuple[PrivacyTest, ...], tuple[str, ...]]:
    """Reviews of the images and a density-ratio attack.

    Args:
        pool: Real patients.
        generated: Vectors of the generated cases in view `image` at rest, (m, k).
        rng: Of cells and of the reference part.

    Returns:
        Tests, and sentences on those which need more patients.
    """
    vectors = pool.vectors[VIEW]
    member = pool.in_train[pool.patient]
    train, control = vectors[member], vectors[~member]
    runs: tuple[Callable[[], PrivacyTest], ...] = (
        lambda: _as_test(
            near_count(_to(generated, train), _to(control, train), to_control=_to(generated, control))
        ),
        lambda: _as_test(three_sample_statistic(train, generated, control, rng=rng)),
        lambda: _as_test(authentic_share(train, generated, control)),
        lambda: _as_test(cliques(generated, vectors)),
        lambda: _density_attack(pool, generated, rng),
    )
    tests, notes = [], []
    for run in runs:
        try:
            tests.append(run())
        except ConfigError as error:
            notes.append(str(error))
    return tuple(tests), tuple(notes)


def checkpoint_tests(
    checkpoint: Checkpoint | None, training_set: TrainingSet, private: ObjectStore, gates: Gates
) -> tuple[tuple[PrivacyTest, ...], tuple[str, ...]]:
    """Membership inference by whoever has the checkpoint, as a test; a sentence where it cannot be asked."""
    if checkpoint is None:
        return (), ("No checkpoint was given: the attack from its losses was not measured.",)
    from synthdata.privacy.loss_attack import loss_attack  # needs torch

    attack = loss_attack(checkpoint, training_set, private, alpha=gates.privacy_alpha)
    if attack is None:
        told = f"Family {checkpoint.family} tells no losses of single cases: the attack from them was not measured."
        return (), (told,)
    return (loss_test(attack, gates),), ()


def table_tests(
    training_set: TrainingSet, synthetic: CaseSet, private: ObjectStore, *, seed: int
) -> tuple[tuple[PrivacyTest, ...], tuple[str, ...]]:
    """Risks of the clinical table as tests, and its counts as sentences; nothing without two columns."""
    if len(training_set.columns) < 2:
        return (), ("The clinical table has fewer than two columns: its risks were not measured.",)
    rows = [
        read_records(private, case_set).to_pylist()
        for case_set in (training_set.train, training_set.control, synthetic)
    ]
    columns = training_set.columns
    found = table_findings(rows[0], rows[1], rows[2], columns)
    told = (
        f"Clinical table: {found.exact_train} of {len(rows[2])} records equal one of a training patient, "
        f"{found.exact_control} one of a control patient; the smallest group of equal conditions has "
        f"{found.smallest_class} records; {len(found.rare)} generated categories are rare among training patients."
    )
    try:
        risks = table_risks(rows[0], rows[1], rows[2], columns, seed=seed)
    except ConfigError as error:
        return (), (told, str(error))
    return tuple(_risk_tests(risks)), (told,)


def _risk_tests(risks: tuple[Risk, ...]) -> Iterator[PrivacyTest]:
    for found in risks:
        yield PrivacyTest(
            name=found.name.replace(" ", "_"),
            outcome="INCONCLUSIVE" if found.risk.low > RISK else "PASS",
            statistic=found.risk.value,
            p_value=None,
            threshold=RISK,
            power=None,
            explanation=(
                f"succeeds on {found.attack} of training patients and on {found.control} of control patients; what is "
                f"gained on top is {found.risk}; reported, never a reason to pass"
            ),
        )


def _as_test(review: Review) -> PrivacyTest:
    advice = "look at the nearest pairs" if review.look else "nothing to look at"
    return PrivacyTest(
        name=review.name,
        outcome="INCONCLUSIVE" if review.look else "PASS",
        statistic=review.value,
        p_value=review.p_value,
        threshold=LEVEL,
        power=None,
        explanation=f"{review.explanation}; {advice}; reported, never a reason to pass",
    )


def _density_attack(pool: Pool, generated: np.ndarray, rng: np.random.Generator) -> PrivacyTest:
    """Half of the control patients are the reference, the other half the non-members."""
    control = rng.permutation(np.flatnonzero(~pool.in_train))
    half = len(control) // 2
    parts = [np.flatnonzero(np.isin(pool.patient, people)) for people in (control[:half], control[half:])]
    if min(len(part) for part in parts) < 2:
        raise ConfigError("the density-ratio attack needs 4 control patients or more: add patients")
    vectors = pool.vectors[VIEW]
    reference, others = vectors[parts[0]], vectors[parts[1]]
    members = vectors[pool.in_train[pool.patient]]
    scores = [density_ratio(points, generated, reference) for points in (members, others)]
    auc, seen = auc_with_interval(*scores), true_positives_at(*scores)
    return PrivacyTest(
        name="density_ratio_attack",
        outcome="INCONCLUSIVE" if seen.low > MEMBERS_SEEN or auc.low > MEMBERSHIP_AUC else "PASS",
        statistic=auc.value,
        p_value=None,
        threshold=MEMBERSHIP_AUC,
        power=None,
        explanation=(
            f"AUC {auc}, {seen} of the members are recognised at 1 % of {len(others)} false alarms; reported, never a "
            "reason to pass"
        ),
    )


def _to(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Distance of each point to the nearest of the others."""
    found: np.ndarray = nearest_patients(points, others, np.arange(len(others)), k=1).distance[:, 0]
    return found

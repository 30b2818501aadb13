"""Copies with their records, and among patients of the same condition."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from synthdata.privacy import measure_privacy
from synthdata.privacy.cohort import Pool
from synthdata.privacy.further import Described, FurtherMatches, FurtherSearch, RecordCode
from synthdata.privacy.ratio_tail import LabelShuffles
from synthdata.records import ColumnSpec, PrivacyReport, PrivacyTest
from tests.blobs import anatomy, draw_case, make_cohort

WIDTH = 6
COLUMNS = (
    ColumnSpec(name="age", kind="integer", minimum=0, maximum=90, role="condition"),
    ColumnSpec(name="class", kind="category", values=("often", "rare"), role="condition"),
)


def people(count: int, rng: np.random.Generator) -> tuple[np.ndarray, list[dict[str, object]]]:
    """Vectors and records; one in five is of the rare class, and age shows in the vector."""
    rare, age = rng.random(count) < 0.2, rng.integers(20, 90, count)
    vectors = rng.normal(size=(count, WIDTH)) + 0.5 * rare[:, None]
    vectors[:, 0] += age / 30
    return vectors, [
        {"age": int(a), "class": "rare" if r else "often"} for a, r in zip(age, rare, strict=True)
    ]


def searched(group: int, rng: np.random.Generator) -> tuple[FurtherSearch, RecordCode, Pool]:
    vectors, rows = people(2 * group, rng)
    patient = np.arange(2 * group)
    pool = Pool(
        names=tuple(str(index) for index in patient),
        patient=patient,
        in_train=patient < group,
        views={},
        vectors={"image": vectors},
        clusters={"image": patient},
    )
    code = RecordCode(COLUMNS, rows)
    real = Described(vectors=pool.vectors, records=code.vectors(rows), condition=code.condition(rows))
    return FurtherSearch(pool, real), code, pool


def described(code: RecordCode, vectors: np.ndarray, rows: list[dict[str, object]]) -> Described:
    return Described(vectors={"image": vectors}, records=code.vectors(rows), condition=code.condition(rows))


def test_within_a_condition_only_patients_of_it_are_matched_and_exactly(rng: np.random.Generator) -> None:
    search, code, pool = searched(60, rng)
    cases = described(code, *people(80, rng))
    found = search.matches(cases)["condition"]
    assert (search.real.condition[found.case] == cases.condition).all()
    far = np.where(
        search.real.condition == cases.condition[:, None],
        cdist(cases.vectors["image"], pool.vectors["image"]),
        np.inf,
    )
    first, second = np.sort(far, axis=1)[:, :2].T
    assert found.ratio == pytest.approx(first / second)
    assert (found.patient == far.argmin(axis=1)).all()


def test_a_condition_of_a_handful_of_patients_is_searched_among_all(rng: np.random.Generator) -> None:
    search, code, _ = searched(60, rng)
    vectors, rows = people(4, rng)
    unknown = [row | {"class": None} for row in rows]
    found = search.matches(described(code, vectors, unknown))["condition"]
    far = np.sort(cdist(vectors, search.pool.vectors["image"]), axis=1)
    assert found.ratio == pytest.approx(far[:, 0] / far[:, 1])


def test_a_copy_whose_record_came_along_lies_nearer_with_it(rng: np.random.Generator) -> None:
    search, code, pool = searched(80, rng)
    vectors, rows = people(160, np.random.default_rng(1))
    del vectors
    search_rows = search.real.records[:40]
    copies = pool.vectors["image"][:40] + 0.5 * rng.normal(size=(40, WIDTH))
    with_record = Described(
        vectors={"image": copies}, records=search_rows, condition=search.real.condition[:40]
    )
    others = described(code, copies, rows[:40])
    right = [
        (search.matches(cases)["joint"].patient == np.arange(40)).mean() for cases in (with_record, others)
    ]
    assert right[0] > right[1]
    assert right[0] > 0.8


def test_the_level_is_exact_whoever_is_labelled_train(rng: np.random.Generator) -> None:
    search, code, pool = searched(40, rng)
    cases = described(code, *people(100, rng))
    found = FurtherMatches(
        real=search.matches(search.real, own=pool.patient), generated=search.matches(cases)
    )
    test = LabelShuffles(pool.in_train, count=499, rng=rng)
    floors = {name: float(matches.ratio.min()) for name, matches in found.real.items()}
    p_values = np.array([test.relabelled(rng).test(found.generated, floors).p_value for _ in range(400)])
    for level in (0.05, 0.2):
        assert (p_values <= level).mean() <= level + 3 * np.sqrt(level / 400)


def further(report: PrivacyReport) -> PrivacyTest:
    return next(test for test in report.tests if test.name == "further_views")


def test_a_generator_that_hands_out_patients_with_their_records_fails_in_further_views(
    tmp_path: Path,
) -> None:
    columns = (ColumnSpec(name="sex", kind="category", values=("F", "M"), role="condition"),)
    cohort = make_cohort(tmp_path, 40, columns=columns)
    rng = np.random.default_rng(5)
    new = [replace(draw_case("N", "N", anatomy(rng), rng), record={"sex": "FM"[i % 2]}) for i in range(100)]
    copies = [
        replace(case, image=(case.image + rng.normal(0, 10, case.image.shape)).astype(np.int16))
        for index, case in enumerate(cohort.train)
    ]
    copies = [replace(case, record={"sex": "FM"[index % 2]}) for index, case in enumerate(copies)]
    clean = measure_privacy(cohort.spec, cohort.training_set, cohort.synthetic(new, columns), cohort.store)
    replay = measure_privacy(
        cohort.spec, cohort.training_set, cohort.synthetic([*new[:60], *copies], columns), cohort.store
    )
    assert further(clean).outcome != "FAIL"
    assert further(replay).outcome == "FAIL"
    assert "joint, condition, patch" in further(replay).explanation
    assert replay.outcome == "FAIL"


def test_rows_of_training_patients_are_seen_beside_images_of_nobody(rng: np.random.Generator) -> None:
    search, code, pool = searched(80, rng)
    vectors, rows = people(400, rng)
    owned = replace(search.real, records=numbered(160, np.random.default_rng(5)))
    search = FurtherSearch(pool, owned)
    assert "record" in search.views
    cases = replace(described(code, vectors, rows), records=numbered(400, np.random.default_rng(6)))
    real = search.matches(owned, own=pool.patient)
    shuffles = LabelShuffles(pool.in_train, rng=rng)
    assert FurtherMatches(real=real, generated=search.matches(cases)).tested(shuffles).p_value > 0.0025
    cases.records[:20] = owned.records[:20]
    found = FurtherMatches(real=real, generated=search.matches(cases))
    assert found.generated["record"].ratio[:20] == pytest.approx(0)
    result = found.tested(shuffles)
    assert result is not None
    assert result.p_value < 0.0025
    assert result.best.view == "record"
    assert found.suspects(pool, cases=400, rate=0.005)[:20].all()


def test_records_that_many_patients_share_are_no_view(rng: np.random.Generator) -> None:
    search, _, pool = searched(80, rng)
    shared = replace(search.real, records=np.round(numbered(160, rng) / 3))
    assert "record" not in FurtherSearch(pool, shared).views


def numbered(count: int, rng: np.random.Generator) -> np.ndarray:
    """Records of four numbers that single everybody out."""
    return rng.normal(size=(count, 4))

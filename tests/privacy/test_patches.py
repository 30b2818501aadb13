"""Copies of a part of a patient."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from synthdata.privacy import measure_privacy
from synthdata.privacy.blocks import block_mean, moved_block_means, moves_of
from synthdata.privacy.boxes import are_apart, boxes_of
from synthdata.privacy.cohort import pool_of, thumbnailer_of
from synthdata.privacy.findings import size_notes
from synthdata.privacy.patches import MovedCases, PatchSearch
from synthdata.records import Case, PrivacyReport, PrivacyTest
from tests.blobs import SCALE, SHAPE, Cohort

HALF = (slice(2, 7), slice(4, 12), slice(4, 12))  # half of each side, in the organ


def with_part(host: Case, source: Case, box: tuple[slice, slice, slice] = HALF) -> Case:
    """A case with a part of another one in it."""
    image, mask = host.image.copy(), host.mask.copy()
    image[(slice(None), *box)], mask[box] = source.image[(slice(None), *box)], source.mask[box]
    return replace(host, image=image, mask=mask)


def judged(cohort: Cohort, cases: list[Case]) -> PrivacyReport:
    return measure_privacy(cohort.spec, cohort.training_set, cohort.synthetic(cases), cohort.store)


@pytest.fixture(scope="module")
def search(cohort: Cohort) -> PatchSearch:
    pool, _ = pool_of(cohort.training_set, cohort.store)
    assert pool.patches is not None
    return pool.patches


@pytest.fixture(scope="module")
def reports(cohort: Cohort, new_people) -> tuple[PrivacyReport, PrivacyReport, PrivacyReport]:
    """Of a clean set, of one with a part of a training patient, of one with a part of a case that nobody trained on."""
    clean, strangers = new_people(100, 4), new_people(101, 8)
    part = [*clean[:-1], with_part(clean[-1], cohort.train[7])]
    harmless = [*clean[:-1], with_part(clean[-1], strangers[-1])]
    return judged(cohort, clean), judged(cohort, part), judged(cohort, harmless)


def patch_search(report: PrivacyReport) -> PrivacyTest:
    return next(test for test in report.tests if test.name == "patch_search")


def test_one_part_of_a_patient_among_many_cases_is_named_and_decides_nothing(reports) -> None:
    clean, part, harmless = reports
    assert patch_search(part).outcome == "INCONCLUSIVE"
    assert "1 of 100 cases (SYN-0099) hold boxes" in patch_search(part).explanation
    assert patch_search(clean).outcome == patch_search(harmless).outcome == "PASS"
    assert part.outcome == clean.outcome


def test_the_recall_of_pasted_parts_is_in_the_report_and_promised_by_nobody(reports) -> None:
    canaries = {canary.kind: canary for canary in reports[0].canaries}
    for kind in ("patch", "patch_mirrored", "patch_moved"):
        assert canaries[kind].planted == 40
        assert f"{kind} {canaries[kind].found}/40" in patch_search(reports[0]).explanation


def test_the_patient_whose_part_it_is_is_found(cohort: Cohort, search: PatchSearch, new_people) -> None:
    cases = [with_part(host, source) for host, source in zip(new_people(20, 6), cohort.train, strict=False)]
    found = search.matches(thumbnailer_of(cohort.training_set).of_cases(cases))
    names = [
        sorted({c.patient_id for c in cohort.train} | {f"H-{i}" for i in range(64)})[p] for p in found.patient
    ]
    assert names == [case.patient_id for case in cohort.train[:20]]
    assert found.ratio.max() < search.real.ratio.min()


@pytest.mark.parametrize("move", [(1, 0, 0), (0, -1, 0), (1, -1, 1)])
def test_a_part_that_was_moved_by_a_voxel_is_found_too(
    cohort: Cohort, search: PatchSearch, new_people, move: tuple[int, int, int]
) -> None:
    def moved(case: Case) -> Case:
        return replace(
            case,
            image=np.roll(case.image, move, (1, 2, 3)),
            mask=np.roll(case.mask, move, (0, 1, 2)),
        )

    cases = [
        with_part(host, moved(source)) for host, source in zip(new_people(20, 6), cohort.train, strict=False)
    ]
    found = search.matches(thumbnailer_of(cohort.training_set).of_cases(cases))
    names = sorted({c.patient_id for c in cohort.train} | {f"H-{i}" for i in range(64)})
    assert [names[p] for p in found.patient] == [case.patient_id for case in cohort.train[:20]]
    assert found.ratio.max() < search.real.ratio.min()


def test_where_room_is_short_real_patients_are_moved_less() -> None:
    lengths = (0, *[1] * 6, *[2] * 12, *[3] * 8)
    cases = MovedCases(lengths=lengths, read=lambda _: ())
    assert cases.affordable(100, 7000) == 27
    assert cases.affordable(1000, 7000) == 7 + 12
    assert cases.affordable(2500, 7000) == 7
    assert cases.affordable(100_000, 7000) == 1


def test_the_report_tells_where_many_cases_make_the_search_smaller(
    cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert size_notes(pool_of(cohort.training_set, cohort.store)[0]) == ()
    monkeypatch.setattr("synthdata.privacy.patches.DISK_MB", 0)
    monkeypatch.setattr("synthdata.privacy.findings.MOST_FITTED", 100)
    fitted, moved = size_notes(pool_of(cohort.training_set, cohort.store)[0])
    assert "fitted on 100 of the 128 real cases" in fitted
    assert "moved 1 instead of 27 ways" in moved


@pytest.mark.parametrize(("shape", "factor"), [((8, 12, 10), (2, 2, 2)), ((1, 9, 9), (1, 3, 3))])
def test_a_moved_thumbnail_is_the_thumbnail_of_the_moved_case(
    shape: tuple[int, int, int], factor: tuple[int, int, int], rng: np.random.Generator
) -> None:
    volume, moves = rng.normal(size=(2, *shape)).astype(np.float32), moves_of(shape, 1)
    found = moved_block_means(volume, factor, moves)
    assert np.allclose(found[0], block_mean(volume, factor), atol=1e-6)
    inner = (slice(None), *[slice(1, -1) if size > 1 else slice(None) for size in found.shape[2:]])
    for means, move in zip(found, moves, strict=True):
        whole = block_mean(np.roll(volume, move, (1, 2, 3)), factor)
        assert np.allclose(means[inner], whole[inner], atol=1e-6)


def test_the_measure_is_a_chance_for_people_who_are_in_no_group(
    cohort: Cohort, search: PatchSearch, new_people
) -> None:
    """Of real cases the median is 1/2 by definition; new people of the same law are not far from uniform."""
    assert np.median(search.real.ratio) == pytest.approx(0.5, abs=0.02)
    found = search.matches(thumbnailer_of(cohort.training_set).of_cases(new_people(200, 9)))
    for chance in (0.1, 0.3, 0.5):
        assert (found.ratio < chance).mean() == pytest.approx(chance, abs=0.15)


def test_brightness_and_contrast_of_the_part_do_not_matter(
    cohort: Cohort, search: PatchSearch, new_people
) -> None:
    source = replace(cohort.train[3], image=(cohort.train[3].image * 0.8 + 100).astype(np.int16))
    cases = [with_part(host, source) for host in new_people(5, 10)]
    found = search.matches(thumbnailer_of(cohort.training_set).of_cases(cases))
    assert found.ratio.max() < search.real.ratio.min()


@pytest.mark.parametrize("shape", [(10, 16, 16), (14, 20, 14), (1, 28, 28), (1, 32, 20)])
def test_half_of_each_side_anywhere_holds_a_box_and_nearly_always_two_apart(
    shape: tuple[int, int, int],
) -> None:
    starts = [range(size - size // 2 + 1) if size > 8 else [0] for size in shape]
    two = []
    for corner in product(*starts):
        ends = [start + (size // 2 if size > 8 else size) for start, size in zip(corner, shape, strict=True)]
        inside = [
            box
            for box in boxes_of(shape)
            if all(
                p.start >= start and p.stop <= end for p, start, end in zip(box, corner, ends, strict=True)
            )
        ]
        assert inside
        two.append(any(are_apart(one, other) for one, other in product(inside, inside)))
    assert np.mean(two) > 0.8


def test_patches_are_left_out_where_all_boxes_are_flat(rng) -> None:
    flat = np.full((1, *SHAPE), 500, np.int16)
    mask = np.zeros(SHAPE, np.uint8)
    from synthdata.privacy.thumbnails import Thumbnailer

    rows = [(f"c{i}", f"p{i}", flat + i, mask) for i in range(12)]
    thumbnails = Thumbnailer(SHAPE, (SCALE,), ()).collect(rows)
    assert PatchSearch.fitted(thumbnails, np.arange(12), np.arange(12)) is None


def test_the_search_of_a_part_of_the_pool_has_no_patches(cohort: Cohort) -> None:
    pool, _ = pool_of(cohort.training_set, cohort.store)
    assert pool.patches is not None
    assert pool.restricted(np.arange(20)).patches is None

from dataclasses import replace

import numpy as np
import pytest

from synthdata.errors import ConfigError
from synthdata.privacy import measure_privacy
from synthdata.privacy.copy_search import copy_share, thresholds_of
from synthdata.privacy.membership import auc_with_interval
from synthdata.records import PrivacyReport, digest_of, from_json, to_json


def outcomes(report: PrivacyReport) -> dict[str, str]:
    return {test.name: test.outcome for test in report.tests}


@pytest.fixture(scope="module")
def clean_report(cohort, new_people) -> PrivacyReport:
    """Of a generator that draws new people from the law of the patients."""
    return measure_privacy(
        cohort.spec, cohort.training_set, cohort.synthetic(new_people(200, 3)), cohort.store
    )


def test_a_generator_of_new_people_passes(clean_report: PrivacyReport) -> None:
    assert clean_report.outcome == "PASS", [test.explanation for test in clean_report.tests]
    assert not clean_report.suspects
    assert clean_report.copies.high < 0.02
    assert clean_report.detectable_share <= 0.05


def test_the_report_states_power_recall_and_controls(clean_report: PrivacyReport) -> None:
    found = outcomes(clean_report)
    assert found.keys() >= {
        "ratio_tail",
        "copy_search",
        "canary_self_test",
        "positive_control",
        "negative_control",
    }
    primary = next(test for test in clean_report.tests if test.name == "ratio_tail")
    assert primary.power is not None
    assert primary.power >= 0.8
    recall = {canary.kind: canary.found / canary.planted for canary in clean_report.canaries}
    assert recall["exact"] == recall["noise"] == 1
    assert recall["negative"] <= 0.05


def test_the_report_survives_the_codec_and_keeps_its_figure(cohort, clean_report: PrivacyReport) -> None:
    assert from_json(PrivacyReport, to_json(clean_report)) == clean_report
    assert cohort.store.read(clean_report.figures["nearest_pairs"]).startswith(b"\x89PNG")


def test_no_patient_is_named_in_the_report(cohort, clean_report: PrivacyReport) -> None:
    text = to_json(clean_report).decode()
    assert not any(f'"{case.patient_id}"' in text or f" {case.case_id} " in text for case in cohort.train)


def test_the_same_input_gives_the_same_report(cohort, new_people, clean_report: PrivacyReport) -> None:
    again = measure_privacy(
        cohort.spec, cohort.training_set, cohort.synthetic(new_people(200, 3)), cohort.store
    )
    assert digest_of(again) == digest_of(clean_report)


def test_a_generator_that_replays_training_cases_fails(cohort, rng) -> None:
    noisy = [
        replace(case, image=(case.image + rng.normal(0, 10, case.image.shape)).astype(np.int16))
        for case in cohort.train
    ]
    report = measure_privacy(cohort.spec, cohort.training_set, cohort.synthetic(noisy), cohort.store)
    assert report.outcome == "FAIL"
    assert outcomes(report)["ratio_tail"] == "FAIL"
    assert outcomes(report)["membership_inference"] == "FAIL"
    assert len(report.suspects) == len(noisy)


def test_one_copy_among_many_is_named(cohort, new_people) -> None:
    cases = [*new_people(99, 4), cohort.train[7]]
    report = measure_privacy(cohort.spec, cohort.training_set, cohort.synthetic(cases), cohort.store)
    assert report.outcome == "FAIL"
    assert report.suspects == ("SYN-0099",)


def test_too_few_patients_are_inconclusive(make_cohort, new_people) -> None:
    small = make_cohort(6)
    report = measure_privacy(small.spec, small.training_set, small.synthetic(new_people(40, 5)), small.store)
    assert report.outcome == "INCONCLUSIVE"
    assert outcomes(report)["ratio_tail"] == "INCONCLUSIVE"


def test_a_patient_in_both_groups_is_refused(cohort, new_people) -> None:
    shared = replace(cohort.training_set, control=cohort.training_set.train)
    with pytest.raises(ConfigError, match="split by patient again"):
        measure_privacy(cohort.spec, shared, cohort.synthetic(new_people(5, 6)), cohort.store)


def test_an_empty_synthetic_set_is_refused(cohort) -> None:
    empty = replace(cohort.training_set.test, shards=())
    with pytest.raises(ConfigError, match="generate first"):
        measure_privacy(cohort.spec, cohort.training_set, empty, cohort.store)


def test_two_noughts_of_300_are_the_rule_of_three() -> None:
    assert copy_share(0, 300).high == pytest.approx(3 / 300, rel=0.01)
    assert copy_share(3, 100).low < 0.03 < copy_share(3, 100).high
    assert copy_share(4, 4).high == 1


def test_the_copy_threshold_is_the_law_of_two_neighbours(rng) -> None:
    """Points of a plane: r = d1 / d2 has P(r < x) = x^2, so the dimension found is about 2, and never above."""
    ratios = {"v": np.sqrt(rng.random(4000))}
    limit = thresholds_of(ratios, units=4000, cases=100, rate=0.01)["v"]
    assert limit.dimension == pytest.approx(2, abs=0.25)
    assert 0.5 * 0.01 < limit.ratio <= min(0.01, limit.least)  # P(r < x) = 1e-4 at x = 0.01


def test_a_heavier_tail_lowers_the_copy_threshold(rng) -> None:
    even = rng.random(4000) ** (1 / 10)
    mixed = np.where(
        rng.random(4000) < 0.1, rng.random(4000) ** (1 / 2), even
    )  # a tenth lies in two dimensions
    limits = thresholds_of({"even": even, "mixed": mixed}, units=4000, cases=100, rate=0.01)
    assert limits["mixed"].ratio < 0.5 * limits["even"].ratio


def test_auc_of_guessing_is_one_half(rng) -> None:
    same = auc_with_interval(rng.normal(size=300), rng.normal(size=300))
    assert same.low < 0.5 < same.high
    assert same.high - same.low == pytest.approx(
        2 * 1.96 / np.sqrt(6 * 300), rel=0.1
    )  # closed form of the null
    assert auc_with_interval(np.arange(10.0) + 20, np.arange(10.0)).value == 1

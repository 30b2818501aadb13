from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from synthdata.errors import ConfigError
from synthdata.records import CaseSet, TrainingSet, UtilityReport, from_json, to_json
from synthdata.spec import DatasetSpec
from synthdata.storage.folder import FolderStore
from synthdata.validation.segmenter import (
    Segmenter,
    SegmenterConfig,
    dice,
    dice_and_cross_entropy,
    segment,
    segment_all,
    train_segmenter,
)
from synthdata.validation.utility import Results, measure_utility, summarise

Cohort = tuple[FolderStore, TrainingSet]
Synthesise = Callable[..., CaseSet]


def test_new_cases_of_the_same_law_are_as_useful_as_real_ones_and_shuffled_masks_are_not(
    spec: DatasetSpec, cohort: Cohort, synthesise: Synthesise
) -> None:
    store, training_set = cohort
    spec = replace(spec, gates=replace(spec.gates, utility_steps=150, utility_seeds=1))
    good = measure_utility(spec, training_set, synthesise(), store)
    assert good.trtr.value > 0.55
    assert good.ratio.value > 0.8
    assert good.ratio.low <= good.ratio.value <= good.ratio.high
    assert set(good.per_label) == {"organ", "lesion"}
    assert from_json(UtilityReport, to_json(good)) == good

    masks: list[np.ndarray] = []

    def with_the_mask_of_another(case):
        masks.append(case.mask[:, ::-1].copy())
        return replace(case, mask=np.roll(masks[len(masks) // 2], 3, axis=2))

    bad = measure_utility(spec, training_set, synthesise(with_the_mask_of_another), store)
    assert bad.ratio.high < good.ratio.low


def test_a_task_that_is_not_learnt_gives_ratio_zero(
    spec: DatasetSpec, cohort: Cohort, synthesise: Synthesise
) -> None:
    hasty = replace(spec, gates=replace(spec.gates, utility_steps=1, utility_seeds=1))
    report = measure_utility(hasty, cohort[1], synthesise(), cohort[0])
    assert report.ratio.high == 0
    assert any("utility_steps" in note for note in report.notes)


def test_without_labels_a_category_is_learnt_in_2d() -> None:
    from synthdata.validation.classifier import ClassifierConfig, classify, train_classifier

    rng = np.random.default_rng(0)
    classes = [int(i % 3 == 0) for i in range(40)]
    images = [rng.normal(0, 0.3, (1, 1, 16, 16)).astype(np.float32) for _ in classes]
    for image, value in zip(images, classes, strict=True):
        image[0, 0, 4:10, 4:10] += value
    config = ClassifierConfig(channels=1, classes=2, flat=True, steps=40, seed=0)
    network = train_classifier(images[:30], classes[:30], config)
    assert [classify(network, image) for image in images[30:]] == classes[30:]


def test_a_dataset_without_any_task_is_refused(
    spec: DatasetSpec, cohort: Cohort, synthesise: Synthesise
) -> None:
    with pytest.raises(ConfigError, match="neither labels nor a category"):
        measure_utility(replace(spec, labels={}, clinical=()), cohort[1], synthesise(), cohort[0])


@pytest.mark.parametrize("shape", [(1, 20, 28), (9, 10, 17)])
def test_the_segmenter_keeps_any_shape_in_2d_and_3d(shape: tuple[int, int, int]) -> None:
    import torch

    network = Segmenter(SegmenterConfig(channels=2, classes=3, flat=shape[0] == 1, steps=1, seed=0)).eval()
    assert network(torch.zeros(1, 2, *shape)).shape == (1, 3, *shape)


def test_dice_has_its_closed_form_and_skips_labels_which_the_truth_lacks() -> None:
    truth, predicted = np.zeros((1, 4, 4), np.uint8), np.zeros((1, 4, 4), np.uint8)
    truth[0, :2], predicted[0, 1:3] = 1, 1
    predicted[0, 0, 0] = 2
    found = dice(predicted, truth, 3)
    assert found[0] == pytest.approx(2 * 4 / 16)
    assert np.isnan(found[1])


def test_volumes_segmented_together_are_those_segmented_alone() -> None:
    rng = np.random.default_rng(0)
    images = list(rng.normal(size=(5, 1, 6, 9, 8)).astype(np.float32))
    network = Segmenter(SegmenterConfig(channels=1, classes=3, flat=False, steps=1, seed=0)).eval()
    for found, image in zip(segment_all(network, images), images, strict=True):
        np.testing.assert_array_equal(found, segment(network, image))


def test_the_report_tells_seeds_and_what_few_of_them_leave_open(
    spec: DatasetSpec, cohort: Cohort, synthesise: Synthesise
) -> None:
    quick = replace(spec, gates=replace(spec.gates, utility_steps=2, utility_seeds=2))
    few = " ".join(measure_utility(quick, cohort[1], synthesise(), cohort[0]).notes)
    assert "40 test patients and 2 seeds" in few
    assert "fewer seeds than the usual 5" in few
    enough = replace(quick, gates=replace(quick.gates, utility_seeds=5))
    report = measure_utility(enough, cohort[1], synthesise(), cohort[0])
    assert report.seeds == 5
    assert report.notes[-1].endswith("40 test patients and 5 seeds, the same draws for both arms.")


def test_equal_arms_have_a_ratio_of_one_in_each_resample() -> None:
    values = np.random.default_rng(0).uniform(0.5, 1, (2, 20, 3))
    found = summarise(Results(trtr=values, tstr=values, patients=tuple("abcdefghij" * 2)), resamples=50)
    np.testing.assert_allclose(found["tstr"], found["trtr"])
    np.testing.assert_allclose(found["trtr"][0], values.mean(axis=(0, 1)))


def test_a_label_that_few_cases_have_is_learnt_too() -> None:
    rng = np.random.default_rng(0)
    images, targets = [], []
    for index in range(30):
        image, target = rng.normal(-0.5, 0.05, (1, 1, 32, 32)), np.zeros((1, 32, 32), np.uint8)
        target[0, 4:14, 4:14] = 1
        if index % 10 == 0:
            target[0, 18:28, 18:28] = 2
        image[0][target == 1], image[0][target == 2] = 0.2, 0.8
        images.append(image.astype(np.float32))
        targets.append(target)
    config = SegmenterConfig(channels=1, classes=3, flat=True, steps=80, seed=0)
    network = train_segmenter(images, targets, config)
    assert dice(segment(network, images[0]), targets[0], 3).min() > 0.7


def test_a_label_that_the_batch_lacks_is_left_to_the_cross_entropy() -> None:
    import torch
    from torch.nn import functional

    logits = torch.randn(2, 3, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    target = torch.zeros(2, 1, 4, 4, dtype=torch.int64)
    plain = functional.cross_entropy(logits, target)
    assert torch.allclose(dice_and_cross_entropy(logits, target), plain)  # no label at all
    target[:, :, :2] = 1
    chance = logits.softmax(1)[:, 1]
    dice_1 = (2 * chance[target == 1].sum() + 1e-2) / (chance.sum() + (target == 1).sum() + 1e-2)
    expected = functional.cross_entropy(logits, target) + 1 - dice_1
    assert torch.allclose(dice_and_cross_entropy(logits, target), expected)


def test_further_arms_are_reported_and_do_not_change_the_gate(
    spec: DatasetSpec, cohort: Cohort, synthesise: Synthesise
) -> None:
    store, training_set = cohort
    gates = replace(spec.gates, utility_steps=40, utility_seeds=1)
    plain = measure_utility(replace(spec, gates=gates), training_set, synthesise(), store)
    assert plain.further == {}
    asked = replace(gates, utility_arms=("trts", "augmented", "pretrained", "gain"))
    report = measure_utility(replace(spec, gates=asked), training_set, synthesise(), store)
    assert report.ratio == plain.ratio
    gains = {f"{name}_{share}%" for name in ("real", "augmented") for share in (10, 25, 50)}
    added = {f"gain_{share}%" for share in (10, 25, 50, 100)}
    assert set(report.further) == {"trts", "augmented", "pretrained"} | gains | added
    for share in (10, 25, 50):
        more = report.further[f"augmented_{share}%"].value - report.further[f"real_{share}%"].value
        assert report.further[f"gain_{share}%"].value == pytest.approx(more)
    whole = report.further["augmented"].value - report.trtr.value
    assert report.further["gain_100%"].value == pytest.approx(whole)
    assert all(found.low <= found.value <= found.high for found in report.further.values())
    means = {name: found for name, found in report.further.items() if name not in added}
    assert all(0 <= found.low and found.high <= 1 for found in means.values())
    assert report.further["pretrained"].value > report.trtr.value  # 80 steps instead of 40
    assert report.further["real_10%"].value < report.further["real_50%"].value + 0.1
    assert from_json(UtilityReport, to_json(report)) == report


def test_trts_falls_where_masks_lie_elsewhere(
    spec: DatasetSpec, cohort: Cohort, synthesise: Synthesise
) -> None:
    store, training_set = cohort
    gates = replace(spec.gates, utility_steps=100, utility_seeds=1, utility_arms=("trts",))
    spec = replace(spec, gates=gates)
    good = measure_utility(spec, training_set, synthesise(), store).further["trts"]
    moved = synthesise(lambda case: replace(case, mask=np.roll(case.mask, 4, axis=2)))
    bad = measure_utility(spec, training_set, moved, store).further["trts"]
    assert bad.high < good.low

"""Images of one slice and without masks go the same way as volumes."""

from dataclasses import replace

from synthdata.records import CaseSet, TrainingSet
from synthdata.spec import DatasetSpec
from synthdata.storage.folder import FolderStore
from synthdata.validation import measure_fidelity, measure_utility
from synthdata.validation.features.radiomics import WHOLE

Flat = tuple[FolderStore, TrainingSet, CaseSet]


def test_fidelity_of_images_uses_the_whole_image_and_scores_new_ones_near_zero(
    spec: DatasetSpec, flat: Flat
) -> None:
    store, training_set, synthetic = flat
    report = measure_fidelity(replace(spec, labels={}), training_set, synthetic, store)
    assert {"radiomics", "encoder", "tissue"} <= set(report.scores)
    assert any(found.metric.startswith(f"wasserstein/mean_intensity/{WHOLE}/") for found in report.triples)
    assert abs(report.scores["radiomics"].value) < 0.5


def test_a_category_which_images_do_not_show_has_no_utility(spec: DatasetSpec, flat: Flat) -> None:
    store, training_set, synthetic = flat
    unlabelled = replace(spec, labels={}, gates=replace(spec.gates, utility_steps=20, utility_seeds=1))
    report = measure_utility(unlabelled, training_set, synthetic, store)
    assert (report.task, report.metric) == ("classification", "balanced_accuracy")
    assert set(report.per_label) == {"F", "M"}
    if report.trtr.value < 0.6:  # chance is 0.5: sex is drawn by lot here
        assert report.ratio.high == 0
    assert report.trtr.value < 0.85

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from synthdata.errors import ConfigError, IntegrityError, ShapeError
from synthdata.records import CaseSet, TrainingSet, from_json, to_json
from synthdata.records.parquet import read_cases
from synthdata.spec import DatasetSpec, FeatureEncoder
from synthdata.storage.folder import FolderStore
from synthdata.validation.features import Features, features_of, left_out_notes
from synthdata.validation.features.encoder import Encoder, EncoderConfig
from synthdata.validation.features.extract import encoder_features, radiomics_features
from synthdata.validation.features.stored_encoder import (
    encoder_file,
    encoder_key,
    encoder_of,
    load_encoder,
)
from tests.validation.conftest import make_training_set

Cohort = tuple[FolderStore, TrainingSet]


@pytest.mark.parametrize("family", ["radiomics", "encoder"])
def test_features_are_kept_and_read_again_unchanged(cohort: Cohort, family: str) -> None:
    store, training_set = cohort
    first = features_of(training_set.test, training_set, store, family)
    again = features_of(training_set.test, training_set, store, family)
    assert first.names == again.names
    assert first.case_ids == tuple(case.case_id for case in read_cases(store, training_set.test))
    np.testing.assert_array_equal(first.values, again.values)


@pytest.mark.parametrize("family", ["radiomics", "structure"])
def test_of_many_cases_every_nth_is_measured(
    cohort: Cohort, family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, training_set = cohort
    cases = training_set.train
    whole = features_of(cases, training_set, store, family)
    monkeypatch.setattr("synthdata.validation.features.extract.MOST_CASES", cases.cases // 2)
    few = features_of(cases, training_set, store, family)
    every = 2 + cases.cases % 2
    assert few.case_ids == whole.case_ids[::every]
    assert few.patient_ids == whole.patient_ids[::every]
    np.testing.assert_array_equal(few.values, whole.values[::every])


def test_a_report_tells_of_how_many_cases_features_are(
    cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = cohort[1].train
    assert left_out_notes({"training": training}) == ()
    monkeypatch.setattr("synthdata.validation.features.extract.MOST_CASES", training.cases // 2)
    (told,) = left_out_notes({"training": training})
    every = 2 + training.cases % 2
    assert f"at most {training.cases // 2} cases a set" in told
    assert f"one in {every} of {training.cases} training cases" in told


def test_a_training_set_that_is_read_again_has_the_same_columns(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    training_set = make_training_set(store, n=3)
    again = from_json(TrainingSet, to_json(training_set))
    assert list(again.labels) != list(training_set.labels)  # JSON is written with sorted keys
    for family in ("radiomics", "agreement"):
        kept = features_of(training_set.test, training_set, store, family)
        assert features_of(again.train, again, store, family).names == kept.names


def test_chunked_is_whole(cohort: Cohort) -> None:
    store, training_set = cohort
    encoder = load_encoder(training_set, store)
    cases = list(read_cases(store, training_set.test))[:11]
    for measure in (radiomics_features, lambda c, t: encoder_features(encoder, c, t)):
        whole = measure(cases, training_set).values
        single = np.concatenate([measure([case], training_set).values for case in cases])
        np.testing.assert_allclose(single, whole, rtol=1e-4, atol=1e-5)


def test_the_encoder_is_trained_once_and_on_the_training_part_only(cohort: Cohort) -> None:
    store, training_set = cohort
    first = load_encoder(training_set, store)
    assert load_encoder(training_set, store).sha256 == first.sha256
    other = {name: getattr(training_set, name) for name in TrainingSet.__slots__}
    swapped = TrainingSet(**other | {"control": training_set.test, "test": training_set.control})
    assert encoder_key(swapped) == encoder_key(training_set)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """An encoder that somebody trained elsewhere."""
    path = tmp_path / "encoder.safetensors"
    path.write_bytes(
        encoder_file(Encoder(EncoderConfig(channels=1, flat=False, pooling=(1, 1, 1), widths=(8, 16))))
    )
    return path


def naming(spec: DatasetSpec, path: Path, digest: str = "") -> DatasetSpec:
    sha256 = digest or hashlib.sha256(path.read_bytes()).hexdigest()
    return replace(spec, encoder=FeatureEncoder(weights=str(path), sha256=sha256))


def test_an_encoder_of_the_spec_is_used_as_it_is(spec: DatasetSpec, cohort: Cohort, own: Path) -> None:
    store, training_set = cohort
    encoder = encoder_of(naming(spec, own), training_set, store)
    assert encoder.sha256 == hashlib.sha256(own.read_bytes()).hexdigest()
    features = features_of(training_set.test, training_set, store, "encoder", encoder=encoder)
    trained = features_of(training_set.test, training_set, store, "encoder")
    assert len(features.names) == 8 + 8 + 16 != len(trained.names)
    assert encoder_of(spec, training_set, store).sha256 == load_encoder(training_set, store).sha256


def test_an_encoder_that_is_another_file_or_none_is_refused(
    spec: DatasetSpec, cohort: Cohort, own: Path, tmp_path: Path
) -> None:
    store, training_set = cohort
    with pytest.raises(IntegrityError, match=r"encoder\.weights"):
        encoder_of(naming(spec, own, "0" * 64), training_set, store)
    with pytest.raises(ConfigError, match="64 hex digits"):
        naming(spec, own, "abc")
    with pytest.raises(ConfigError, match=r"encoder\.weights"):
        encoder_of(naming(spec, tmp_path / "none", "0" * 64), training_set, store)
    own.write_bytes(b"no encoder at all")
    with pytest.raises(ConfigError, match="is no feature encoder"):
        encoder_of(naming(spec, own), training_set, store)
    own.write_bytes(encoder_file(Encoder(EncoderConfig(channels=3, flat=True, pooling=(1, 1, 1)))))
    with pytest.raises(ConfigError, match="3 channels of images, expected 1 of volumes"):
        encoder_of(naming(spec, own), training_set, store)


def test_the_encoder_tells_patients_apart_better_than_chance(cohort: Cohort) -> None:
    store, training_set = cohort
    from synthdata.records import Case

    def noisier(case: Case) -> Case:
        noise = np.random.default_rng(1).normal(0, 20, case.image.shape)
        return Case(
            **{name: getattr(case, name) for name in Case.__slots__}
            | {"image": np.rint(case.image + noise).astype(np.int16)}
        )

    encoder = load_encoder(training_set, store)
    cases = list(read_cases(store, training_set.control))[:20]
    plain = encoder_features(encoder, cases, training_set).values
    noisy = encoder_features(encoder, [noisier(case) for case in cases], training_set).values
    distance = ((plain[:, None] - noisy[None]) ** 2 / plain.var(axis=0)).sum(axis=-1)
    assert (distance.argmin(axis=1) == np.arange(20)).mean() > 0.5  # chance: 0.05


def test_a_lost_label_is_told_by_its_presence_and_leaves_no_nan(
    cohort: Cohort, synthesise: Callable[..., CaseSet]
) -> None:
    from synthdata.records import Case

    def without_lesion(case: Case) -> Case:
        mask = np.minimum(case.mask, 1)
        return Case(**{name: getattr(case, name) for name in Case.__slots__} | {"mask": mask})

    store, training_set = cohort
    features = features_of(synthesise(without_lesion, n=3), training_set, store, "radiomics")
    assert features.values[:, features.names.index("lesion/present")].max() == 0
    assert np.isfinite(features.values).all()


def test_features_of_other_channels_or_families_are_refused(cohort: Cohort) -> None:
    store, training_set = cohort
    other = CaseSet(
        **{name: getattr(training_set.test, name) for name in CaseSet.__slots__} | {"channels": ("CT",)}
    )
    with pytest.raises(ConfigError, match="channels"):
        features_of(other, training_set, store, "radiomics")
    with pytest.raises(ConfigError, match="family"):
        features_of(training_set.test, training_set, store, "colour")


def test_features_with_nan_or_missing_rows_are_refused() -> None:
    with pytest.raises(ShapeError, match="finite"):
        Features(values=np.full((1, 1), np.nan), names=("a",), case_ids=("x",), patient_ids=("p",))
    with pytest.raises(ShapeError, match="expected"):
        Features(values=np.zeros((2, 1)), names=("a",), case_ids=("x",), patient_ids=("p",))


@pytest.mark.parametrize("shape", [(1, 9, 8), (4, 5, 6), (1, 1, 1)])
def test_runs_and_zones_equal_those_counted_voxel_by_voxel(shape: tuple[int, int, int]) -> None:
    from scipy import ndimage

    from synthdata.validation.features.cooccurrence import DIRECTIONS
    from synthdata.validation.features.runs_zones import run_lengths, size_zones

    levels = np.random.default_rng(6).integers(0 if max(shape) > 1 else 1, 4, shape)
    runs = np.zeros((3, max(shape)), int)
    able = [d for d in DIRECTIONS if all(size > 1 or not step for step, size in zip(d, shape, strict=True))]
    for direction in able or [(0, 0, 1)]:
        for start in np.argwhere(levels):

            def at(steps: int, start=start, direction=direction) -> int:
                place = start + steps * np.array(direction)
                return int(levels[tuple(place)]) if (place >= 0).all() and (place < shape).all() else -1

            if at(-1) != at(0):
                length = next(n for n in range(1, max(shape) + 1) if at(n) != at(0))
                runs[at(0) - 1, length - 1] += 1
    assert (run_lengths(levels, 3) == runs).all()
    zones = []
    for level in range(1, 4):
        found, count = ndimage.label(levels == level, structure=np.ones((3, 3, 3)))
        zones += [(level, int((found == one).sum())) for one in range(1, count + 1)]
    assert sorted(map(tuple, size_zones(levels).tolist())) == sorted(zones)

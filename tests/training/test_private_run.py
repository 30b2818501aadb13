"""Training with differential privacy: what one patient can change, what it costs, and that the record says so."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load

from synthdata.errors import ConfigError, MissingExtraError, TrainingError
from synthdata.generation import generate, plan_samples
from synthdata.generation.engines import LocalEngine
from synthdata.models import GENERATORS, Geometry, family_of
from synthdata.models.build import load_generator
from synthdata.models.plain_flow import PlainFlow
from synthdata.records import Checkpoint, Grid, TrainingSet, from_json, to_json
from synthdata.records.parquet import read_cases
from synthdata.spec import DatasetSpec
from synthdata.spec_generator import FITTED_FAMILIES, DifferentialPrivacy
from synthdata.storage import ObjectStore, keys, open_store
from synthdata.training import accounting, train
from synthdata.training.accounting import epsilon_spent, noise_for
from synthdata.training.private_gradient import PrivateGradient
from tests.builders import ball_set, ball_spec

pytest.importorskip("opacus", reason="needs Opacus: pip install 'synthdata[dp]'")

CLIP = 0.01
BUDGET = DifferentialPrivacy(epsilon=8.0, delta=0.01, clip=CLIP)


def private_spec(**generator: object) -> DatasetSpec:
    settings = {"family": "plain-flow", "seen": 24, "batch": 4, "differential_privacy": BUDGET} | generator
    bare = ball_spec()
    return replace(
        bare,
        clinical=(),
        gates=replace(bare.gates, copy_share=0.0),
        generator=replace(bare.generator, **settings),
    )


def bare_set(store: ObjectStore) -> TrainingSet:
    """Balls without records, in a store whose noise key is known."""
    found = ball_set(store, shape=(4, 8, 8))
    store.create(keys.NOISE_KEY, bytes(range(32)))
    groups = {name: replace(getattr(found, name), columns=()) for name in ("train", "control", "test")}
    return replace(found, columns=(), **groups)


@pytest.fixture
def private(tmp_path: Path) -> ObjectStore:
    return open_store(str(tmp_path / "private"))


def patients(count: int) -> tuple[PlainFlow, torch.Tensor, torch.Tensor, list[int]]:
    """A model away from its start, an item of each patient, told conditions, and seeds."""
    family = family_of("plain-flow")
    grid = Grid(shape_zyx=(4, 8, 8), spacing_mm=(1.0, 1.0, 1.0))
    torch.manual_seed(0)
    model: PlainFlow = family.build(
        family.presets["tiny"], Geometry(grid=grid, channels=1, labels=1, conditions=2)
    )
    rng = torch.Generator().manual_seed(1)
    for value in model.parameters():
        value.data += 0.05 * torch.randn(value.shape, generator=rng)
    items = torch.randn((count, *model.latent), generator=rng)
    return model, items, torch.randn(count, 2, generator=rng), list(range(count))


def gradient_of(model: PlainFlow, *, clip: float, sigma: float = 0.0) -> PrivateGradient:
    return PrivateGradient(model, list(model.named_parameters()), clip=clip, sigma=sigma)


def flat(values: list[torch.Tensor]) -> torch.Tensor:
    return torch.cat([value.double().flatten() for value in values])


def test_gradients_per_patient_are_those_of_each_patient_alone() -> None:
    model, items, told, seeds = patients(3)
    alone = []
    for i in range(3):
        model.zero_grad()
        model.item_losses(items[i : i + 1], told[i : i + 1], seeds[i : i + 1]).sum().backward()
        alone.append(flat([value.grad for value in model.parameters() if value.grad is not None]))
    model.zero_grad()
    summed = gradient_of(model, clip=1e6).clipped_sum(items, told, seeds)
    torch.testing.assert_close(flat(summed), sum(alone), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("loud", [1.0, 1000.0, math.inf])
def test_a_patient_changes_the_sum_by_the_clip_at_most(loud: float) -> None:
    model, items, told, seeds = patients(4)
    items[3] *= loud
    private = gradient_of(model, clip=CLIP)
    whole = flat(private.clipped_sum(items, told, seeds))
    without = flat(private.clipped_sum(items[:3], told[:3], seeds[:3]))
    other = items.clone()
    other[3] = torch.randn(items[3].shape, generator=torch.Generator().manual_seed(9))
    replaced = flat(private.clipped_sum(other, told, seeds))
    assert torch.isfinite(whole).all()
    assert float((whole - without).norm()) <= CLIP * (1 + 1e-5)
    assert float((whole - replaced).norm()) <= 2 * CLIP * (1 + 1e-5)
    if math.isfinite(loud):
        assert float((whole - without).norm()) > 0.9 * CLIP  # the gradient was longer than the clip


def test_a_sum_does_not_depend_on_the_parts_in_which_it_is_made() -> None:
    model, items, told, seeds = patients(5)
    private = gradient_of(model, clip=CLIP)
    whole = flat(private.clipped_sum(items, told, seeds))
    private.rows = 2
    torch.testing.assert_close(flat(private.clipped_sum(items, told, seeds)), whole, rtol=1e-4, atol=1e-8)


def test_noise_has_the_deviation_of_sigma_times_the_clip_also_where_nobody_is_drawn() -> None:
    model, items, told, _ = patients(1)
    private = gradient_of(model, clip=0.5, sigma=3.0)
    noise = flat(private.gradient(items[:0], told[:0], [], np.random.default_rng(2)))
    assert float(noise.std()) == pytest.approx(1.5, rel=0.02)
    assert float(noise.mean()) == pytest.approx(0.0, abs=0.02)


def independent_epsilon(*, sigma: float, delta: float, rate: float, steps: int) -> float:
    """Whole Rényi orders of the sampled Gaussian in closed form (arXiv:1908.10530, equation 6), to epsilon."""
    best = math.inf
    for order in range(2, 64):
        terms = [
            math.log(math.comb(order, k))
            + k * math.log(rate)
            + (order - k) * math.log1p(-rate)
            + k * (k - 1) / (2 * sigma**2)
            for k in range(order + 1)
        ]
        high = max(terms)
        renyi = steps * (high + math.log(sum(math.exp(term - high) for term in terms))) / (order - 1)
        found = renyi + math.log1p(-1 / order) - (math.log(delta) + math.log(order)) / (order - 1)
        best = min(best, found)
    return best


@pytest.mark.parametrize(
    ("sigma", "rate", "steps"), [(1.1, 0.01, 2000), (2.0, 0.2, 100), (4.0, 0.05, 5000), (0.8, 0.02, 300)]
)
def test_epsilon_is_that_of_an_independent_computation(sigma: float, rate: float, steps: int) -> None:
    known = independent_epsilon(sigma=sigma, delta=1e-5, rate=rate, steps=steps)
    found = epsilon_spent(sigma=sigma, delta=1e-5, rate=rate, steps=steps)
    assert found <= known * (1 + 1e-9)  # it looks at fractions of orders too
    assert found == pytest.approx(known, rel=0.03)


def test_the_noise_for_a_budget_spends_nearly_all_of_it_and_not_more() -> None:
    sigma = noise_for(epsilon=2.0, delta=1e-3, rate=0.1, steps=200)
    spent = epsilon_spent(sigma=sigma, delta=1e-3, rate=0.1, steps=200)
    assert 1.98 < spent <= 2.0


def test_a_killed_run_goes_on_bit_for_bit_with_the_same_noise(private: ObjectStore, tmp_path: Path) -> None:
    left = iter([False, False, True])
    with pytest.raises(TrainingError, match="run it again"):
        train(private_spec(), bare_set(private), private, should_stop=lambda: next(left))
    resumed = train(private_spec(), bare_set(private), private)
    other = open_store(str(tmp_path / "other"))
    assert train(private_spec(), bare_set(other), other) == resumed


def test_a_whole_run_ends_in_cases_and_a_record_that_tells_the_budget(private: ObjectStore) -> None:
    spec, training_set = private_spec(), bare_set(private)
    checkpoint = train(spec, training_set, private)
    found = checkpoint.privacy
    assert found is not None
    assert 7.9 < found.epsilon <= 8.0
    assert (found.delta, found.clip, found.steps, found.patients) == (0.01, CLIP, 6, 12)
    assert found.epsilon == epsilon_spent(sigma=found.sigma, delta=0.01, rate=4 / 12, steps=6)
    assert found.accountant.startswith("RDP (Opacus")
    assert from_json(Checkpoint, to_json(checkpoint)) == checkpoint
    card = private.read((checkpoint.previews or {})["card"]).decode()
    assert found.sentence() in card
    plan = plan_samples(spec, checkpoint, training_set, watermark_key=None)
    drawn = generate(plan, checkpoint, training_set, private, engine=LocalEngine(), watermark_key=None)
    assert len(list(read_cases(private, drawn))) == 10


def test_nothing_about_patients_is_kept_but_the_weights(private: ObjectStore) -> None:
    training_set = bare_set(private)
    checkpoint = train(private_spec(), training_set, private)
    assert checkpoint.losses == ()
    assert not any("loss" in name for name in checkpoint.monitor or {})
    assert b"loss" not in private.read((checkpoint.previews or {})["card"]).replace(b"after a loss that", b"")
    weights = load(private.read(checkpoint.key))
    ready = load_generator(checkpoint, private)
    assert set(weights) == {name for name, _ in ready.model.named_parameters()}
    assert ready.volume_range.tolist() == [[0.0, 4.0 * 8 * 8]]
    law = json.loads(checkpoint.config)["law"]
    half = 4 * 8 * 8 / 2000  # millilitres
    assert law["centre"] == [pytest.approx(half)]
    assert not law["quantiles"]


def test_stores_and_runs_have_noise_of_their_own_from_a_secret(private: ObjectStore, tmp_path: Path) -> None:
    from synthdata.training.private_run import noise_secret

    other = open_store(str(tmp_path / "other"))
    assert noise_secret(private, "key") == noise_secret(private, "key")
    assert noise_secret(private, "key") != noise_secret(private, "another")
    assert noise_secret(private, "key") != noise_secret(other, "key")


@pytest.mark.parametrize("family", sorted({*GENERATORS} - {"plain-flow"}))
def test_families_that_fit_on_patients_are_refused_and_say_so_themselves(family: str) -> None:
    assert family in FITTED_FAMILIES
    assert not family_of(family).only_gradients
    with pytest.raises(ConfigError, match="choose plain-flow"):
        private_spec(family=family)


def test_specs_that_the_guarantee_does_not_cover_are_refused() -> None:
    with pytest.raises(ConfigError, match="set it to 0"):
        private_spec(monitor=0.2)
    with pytest.raises(ConfigError, match="leave the columns out"):
        replace(private_spec(), clinical=ball_spec().clinical)
    with pytest.raises(ConfigError, match="copy_share"):
        replace(private_spec(), gates=ball_spec().gates)
    for wrong in ({"epsilon": 0.0}, {"clip": -1.0}, {"delta": 1.0}):
        with pytest.raises(ConfigError, match="expected"):
            replace(BUDGET, **wrong)


def test_budgets_that_mean_nothing_for_so_few_patients_are_refused(private: ObjectStore) -> None:
    training_set = bare_set(private)
    for generator, sentence in (
        ({"differential_privacy": replace(BUDGET, delta=0.1)}, "less than 1/12"),
        ({"batch": 12}, "expected fewer"),
        ({"differential_privacy": replace(BUDGET, epsilon=1e-9, delta=1e-12)}, "no noise is enough"),
    ):
        with pytest.raises(ConfigError, match=sentence):
            train(private_spec(**generator), training_set, private)


def test_without_opacus_training_says_how_to_install_it(
    private: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(name: str) -> str:
        raise accounting.PackageNotFoundError(name)

    monkeypatch.setattr(accounting, "version", absent)
    with pytest.raises(MissingExtraError, match=r"pip install 'synthdata\[dp\]'"):
        train(private_spec(), bare_set(private), private)


def test_patients_are_drawn_one_by_one_and_give_one_item_each(
    private: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    true = PrivateGradient.clipped_sum

    def counted(self: PrivateGradient, items: torch.Tensor, *rest: object) -> list[torch.Tensor]:
        seen.append(len(items))
        return true(self, items[:0], rest[0][:0], [])

    monkeypatch.setattr(PrivateGradient, "clipped_sum", counted)
    train(private_spec(seen=400), bare_set(private), private)
    mean, variance = np.mean(seen), np.var(seen)
    assert mean == pytest.approx(4.0, abs=4 * math.sqrt(8 / 3 / 100))  # binomial: 12 patients at 1/3
    assert variance == pytest.approx(8 / 3, rel=0.45)

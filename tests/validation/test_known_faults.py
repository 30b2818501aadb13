"""The named faults beside closed forms and independent implementations; the table is in docs/figures.md."""

import numpy as np
import pytest
from scipy import ndimage, stats
from scipy.spatial.distance import cdist

from synthdata.records import Case, CaseSet, ChannelScale, FaultTest, Grid, TrainingSet
from synthdata.validation.artefacts import artefacts
from synthdata.validation.case_mix import CasePool, asked_values, case_mix
from synthdata.validation.fault_evidence import Evidence
from synthdata.validation.features.agreement import OTHER, OWN, agreements
from synthdata.validation.features.outline import runs
from synthdata.validation.features.spectrum import patterns, power
from synthdata.validation.features.structure import QUANTILES, structure
from synthdata.validation.features.table import Features
from synthdata.validation.image_faults import diversity, offset, sharpness
from synthdata.validation.mask_fit import fits_of
from synthdata.validation.mask_place import length, moves_of
from synthdata.validation.resampling import Plan, plan_resamples

SAME = 1e-6  # relative
ROLES = ("generated", "train", "test", "degraded")
CT = ChannelScale(channel="CT", modality="CT", method="window", unit="[hnsf'U]", low=-1000, high=1000)
PLAIN = ChannelScale(
    channel="X", modality="MR", method="percentile", unit="1", low=-1000, high=1000, percentiles=(0, 100)
)
N = 20


def table(names: list[str], values: np.ndarray, role: str) -> Features:
    ids = tuple(f"{role}-{index}" for index in range(len(values)))
    return Features(values=values.astype(np.float64), names=tuple(names), case_ids=ids, patient_ids=ids)


def training_set(scale: ChannelScale, labels: dict[str, int] | None = None) -> TrainingSet:
    cases = CaseSet(
        dataset="d",
        origin="real",
        channels=(scale.channel,),
        modalities=(scale.modality,),
        units=(scale.unit,),
        labels=labels or {},
        columns=(),
        shards=(),
    )
    return TrainingSet(
        dataset="d",
        grid=Grid(shape_zyx=(1, 8, 8), spacing_mm=(1, 1, 1)),
        scales=(scale,),
        labels=labels or {},
        columns=(),
        train=cases,
        control=cases,
        test=cases,
        patients={},
        dropped={},
    )


def evidence(scale: ChannelScale, names: list[str], rows: dict[str, np.ndarray]) -> Evidence:
    """Every case of a role has the same row, so that subsamples say what all cases say."""
    return Evidence(
        training_set=training_set(scale),
        counts={},
        planned=N,
        structure={role: table(names, np.tile(rows[role], (N, 1)), role) for role in ROLES},
        agreement={},
        volumes={},
        records={},
    )


def plan() -> Plan:
    return plan_resamples({role: [f"{role}-{i}" for i in range(N)] for role in ROLES}, resamples=20)


def value(found: FaultTest) -> float:
    assert found.value.low <= found.value.value <= found.value.high
    return found.value.value


def case(image: np.ndarray, mask: np.ndarray | None = None, spacing=(1.0, 1.0, 1.0)) -> Case:
    return Case(
        case_id="c",
        patient_id="p",
        image=np.rint(image).astype(np.int16)[None],
        mask=np.zeros(image.shape, np.uint8) if mask is None else mask.astype(np.uint8),
        grid=Grid(shape_zyx=image.shape, spacing_mm=spacing),
        record={},
    )


def test_sharpness_is_the_ratio_of_what_a_gaussian_removes_to_what_it_leaves_by_plain_sums() -> None:
    """Convolved here by hand with mirrored borders, not by scipy's filter; the body is the whole of a noise image."""
    rng = np.random.default_rng(0)
    image = rng.integers(-400, 400, (6, 9, 8))
    found = structure(case(image), [PLAIN])["X/sharpness"]
    network = PLAIN.to_network(np.rint(image).astype(np.int16)).astype(np.float64)
    weights = np.exp(-(np.arange(-4, 5) ** 2) / 2)
    weights /= weights.sum()
    coarse = network
    for axis, size in enumerate(network.shape):
        near = np.clip(np.arange(size)[:, None] + np.arange(-4, 5), 0, size - 1)
        mixing = np.zeros((size, size))
        np.add.at(mixing, (np.arange(size)[:, None], near), weights)
        coarse = np.moveaxis(np.tensordot(mixing, coarse, (1, axis)), 0, axis)
    smooth = ndimage.uniform_filter(network, 3, mode="nearest")
    dark, bright = np.percentile(smooth, (2, 98))
    body = smooth >= dark + 0.1 * (bright - dark)
    want = np.log((network - coarse)[body].std() / coarse[body].std())
    assert found == pytest.approx(want, rel=1e-5)  # the image is float32


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_sharpness_is_the_share_of_the_way_to_blurred_cases(share: float) -> None:
    rows = {"train": -1.0, "test": -1.0, "degraded": -3.0, "generated": -1.0 - 2 * share}
    found = sharpness(
        evidence(PLAIN, ["X/sharpness"], {role: np.array([x]) for role, x in rows.items()}), plan()
    )
    assert value(found) == pytest.approx(share, rel=SAME, abs=1e-12)


@pytest.mark.parametrize("sign", [1, -1])
def test_an_offset_is_what_three_quarters_of_the_quantiles_share(sign: int) -> None:
    names = [f"CT/quantile/{percent:02d}" for percent in QUANTILES]
    levels = np.linspace(-500, 500, len(names))
    moved = np.full(len(names), 7.0) + np.arange(len(names))  # 7 to 25 HU
    rows = dict.fromkeys(ROLES, levels) | {"generated": levels + sign * moved}
    want = float(np.quantile(moved, 0.25))  # the fifth and a half smallest of them: 11.5 HU
    assert want == 11.5
    assert value(offset(evidence(CT, names, rows), plan())) == pytest.approx(want, rel=SAME)
    both = dict.fromkeys(ROLES, levels) | {"generated": levels * 1.1}  # a gain is no offset
    assert value(offset(evidence(CT, names, both), plan())) == 0


def test_diversity_is_the_share_by_which_a_simplex_has_shrunk() -> None:
    """Corners of a simplex lie all equally far apart, whichever of them are drawn."""
    layout = {"train": np.eye(N) * 3, "generated": np.eye(N) * 3 * 0.4, "test": np.eye(N)}
    assert value(diversity(layout, plan())) == pytest.approx(0.6, rel=SAME)


def test_diversity_is_the_worse_of_two_percentiles_of_the_nearest_distance_by_scipy() -> None:
    rng = np.random.default_rng(0)
    layout = {role: rng.normal(size=(N, 3)) * size for role, size in (("generated", 0.7), ("train", 1.0))}
    whole = Plan(draws=({role: np.arange(N) for role in ROLES},) * 2, n=N, widen=1.0)
    nearest = {role: np.sort(cdist(x, x), axis=1)[:, 1] for role, x in layout.items()}
    want = max(
        1 - np.percentile(nearest["generated"], q) / np.percentile(nearest["train"], q) for q in (10, 50)
    )
    assert value(diversity(layout, whole)) == pytest.approx(want, rel=SAME)


def test_the_deficit_of_a_kind_is_that_of_the_hypergeometric_law() -> None:
    """60 real cases, 25 of the kind; 40 drawn ones, 8 of it. Random splits draw 40 of all 100 without replacement."""
    has = np.repeat([True, False, True, False], [25, 35, 8, 32])
    generated = np.repeat([False, True], [60, 40])
    pool = CasePool(
        flags={"lesion": has},
        numbers={},
        categories={},
        layout=np.zeros((100, 1)),
        strata=np.zeros(100, int),
        patients=np.arange(100),
        generated=generated,
    )
    kinds = {kind.name: kind for kind in case_mix(pool, allowed=0.5).kinds}
    law = stats.hypergeom(100, 33, 40)
    assert kinds["with lesion"].deficit == pytest.approx((law.mean() - 8) / law.std(), rel=SAME)
    assert kinds["without lesion"].deficit == pytest.approx(-(law.mean() - 8) / law.std(), rel=SAME)
    assert kinds["with lesion"].missed.value == pytest.approx(1 - (8 / 40) / (25 / 60), rel=SAME)
    counts = np.arange(41)
    far = np.abs(counts - law.mean()) >= law.mean() - 8 - 1e-9  # either kind of the two may be missed
    want = law.pmf(counts[far]).sum()
    assert kinds["with lesion"].p_value == pytest.approx(want, abs=4 * np.sqrt(want / 999))


def test_what_is_missing_of_a_value_that_the_plan_asks_for_has_scipys_exact_interval() -> None:
    """4 of 40 where the plan asks for 30 of 50; the other 20 may be of any kind."""
    records = [{"class": "a"}] * 4 + [{"class": "b"}] * 36
    (asked,) = asked_values(records, {"class": {"a": 30, "c": 0}}, planned=50)
    exact = stats.binomtest(4, 40).proportion_ci(0.95, method="exact")
    assert asked.missed.value == pytest.approx(1 - 0.1 / 0.6, rel=SAME)
    assert asked.missed.low == pytest.approx(1 - exact.high / 0.6, rel=SAME)
    assert asked.missed.high == pytest.approx(1 - exact.low / 0.6, rel=SAME)


def test_contrast_and_edge_of_a_bright_block_have_their_closed_forms() -> None:
    """A block of 10 in -10 has no spread but the least that counts; its outline is where the image is steep."""
    image, mask = np.full((1, 24, 24), -10.0), np.zeros((1, 24, 24))
    image[0, 8:16, 8:16], mask[0, 8:16, 8:16] = 10, 1
    image += np.where(
        np.indices(image.shape).sum(axis=0) % 2, 4, -4
    )  # a chessboard, of mean 0 in block and ring
    _, found = next(iter(agreements([case(image, mask)], [PLAIN], {"block": 1})))
    network = PLAIN.to_network(np.rint(image).astype(np.int16))
    inside = mask > 0
    steps = np.abs(np.indices((24, 24)) - 11.5) - 3.5
    away = np.maximum(steps, 0).sum(axis=0)[None]  # steps along the axes to the block
    ring = (away > 0) & (away <= 3)
    within, around = network[inside].astype(float), network[ring].astype(float)
    pooled = np.sqrt((within.var() * within.size + around.var() * around.size) / (within.size + around.size))
    assert found[f"block/{OWN}/X/contrast"] == pytest.approx(
        (within.mean() - around.mean()) / pooled, rel=1e-5
    )
    flat = np.where(mask > 0, 10.0, -10.0)
    _, plain = next(iter(agreements([case(flat, mask)], [PLAIN], {"block": 1})))
    network = PLAIN.to_network(np.rint(flat).astype(np.int16)).astype(float)[0]
    steep = np.hypot(*np.gradient(network))
    inner = (steps.max(axis=0) <= 0) & (steps.max(axis=0) > -1)
    outline = (away[0] == 1) | inner
    beside = (away[0] <= 5) & ~outline
    want = np.log(max(steep[outline].mean(), 1e-6) / max(steep[beside].mean(), 1e-6))
    assert plain[f"block/{OWN}/X/edge"] == pytest.approx(want, rel=1e-5)


def disc(rng: np.random.Generator, shift: tuple[int, int] = (0, 0), *, wider: float = 0.0) -> Case:
    """A bright disc with soft edges anywhere near the middle, and a mask of it that was moved, or is wider."""
    y, x = np.indices((32, 40), dtype=float)
    away = np.hypot(y - rng.uniform(14, 18), x - rng.uniform(18, 22)) - rng.uniform(5, 7)
    image = 400 - 800 / (1 + np.exp(-away / 0.8)) + rng.normal(0, 20, away.shape)
    return case(image[None], np.roll(away <= wider, shift, (0, 1))[None].astype(np.uint8))


def test_the_run_across_an_outline_is_the_mean_along_each_face() -> None:
    made = disc(np.random.default_rng(2))
    image, region = made.image[0].astype(float), made.mask > 0
    found = runs(region, image)
    assert set(found) == {"y/lower", "y/upper", "x/lower", "x/upper"}
    rows = [row for row in range(32) if region[0, row].any()]
    right = [np.flatnonzero(region[0, row])[-1] for row in rows]
    upper = [
        np.mean([image[0, row, end + step] for row, end in zip(rows, right, strict=True)])
        for step in range(-7, 8)
    ]
    left = [np.flatnonzero(region[0, row])[0] for row in rows]
    lower = [
        np.mean([image[0, row, end - step] for row, end in zip(rows, left, strict=True)])
        for step in range(-7, 8)
    ]
    both = np.array([lower, upper])
    assert np.stack([found["x/lower"], found["x/upper"]]) == pytest.approx(
        (both - both.mean()) / both.std(), rel=SAME
    )


@pytest.mark.parametrize("shift", [(0, 0), (1, 0), (0, -2), (3, 0), (-1, 1)])
def test_masks_that_were_moved_are_told_by_how_many_voxels(shift: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    moves = {role: shift if role == "generated" else (0, 0) for role in ROLES[:3]}
    tables = {
        role: agreement_table([disc(rng, move) for _ in range(N)], role) for role, move in moves.items()
    }
    found = {move.axis: move for move in moves_of(tables, ["disc"])}
    assert set(found) == {"y", "x"}
    moved = [(axis, by) for axis, by in zip("yx", shift, strict=True) if by]
    for axis, by in moved:
        assert found[axis].generated.value == pytest.approx(by, abs=0.15)
    assert (length(list(found.values())).low > 0.5) == bool(moved)


def test_masks_that_are_wider_were_not_moved() -> None:
    rng = np.random.default_rng(1)
    tables = {
        role: agreement_table([disc(rng, wider=float(role == "generated")) for _ in range(N)], role)
        for role in ROLES[:3]
    }
    assert length(moves_of(tables, ["disc"])).low < 0.25


def agreement_table(cases: list[Case], role: str) -> Features:
    rows = [found for _, found in agreements(cases, [PLAIN], {"disc": 1})]
    return table(list(rows[0]), np.array([list(row.values()) for row in rows]), role)


@pytest.mark.parametrize("shape", [(1, 32, 40), (16, 20, 24)])
def test_power_by_wave_length_is_parsevals_sum_and_flat_for_white_noise(shape: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.05, shape)
    cells = power(noise)
    assert np.mean(np.exp(list(cells.values()))) == pytest.approx(0.05**2, rel=0.05)
    window = np.ones(shape)
    for axis, size in enumerate(shape):
        if size > 1:
            window *= np.hanning(size + 2)[1:-1].reshape([-1 if one == axis else 1 for one in range(3)])
    waves = np.meshgrid(*(np.fft.fftfreq(size) for size in shape), indexing="ij")
    centred = (noise - (noise * window).sum() / window.sum()) * window
    shortest = np.all(
        [np.abs(wave) >= 0.375 for wave, size in zip(waves, shape, strict=True) if size > 1], axis=0
    )
    # by a plain sum over one wave at a time
    found = (
        np.mean(
            [
                np.abs(
                    (
                        centred
                        * np.exp(
                            -2j * np.pi * sum(f * at for f, at in zip(wave, np.indices(shape), strict=True))
                        )
                    ).sum()
                )
                ** 2
                for wave in np.stack([one[shortest] for one in waves], axis=1)
            ]
        )
        / (window**2).sum()
    )
    assert np.exp(cells["-33" if shape[0] == 1 else "333"]) == pytest.approx(found, rel=SAME)


@pytest.mark.parametrize(("shape", "place"), [((1, 32, 40), "-22"), ((16, 20, 24), "222")])
def test_a_chessboard_has_the_variance_of_its_amplitude(shape: tuple[int, int, int], place: str) -> None:
    board = 0.03 * (1 - 2 * (np.indices(shape).sum(axis=0) % 2))
    found = patterns(board)
    assert np.exp(found[place]) == pytest.approx(0.03**2, rel=0.01)
    assert max(found, key=lambda name: found[name]) == place


def artefact_evidence(power_of: dict[str, float], pattern_of: dict[str, float]) -> Evidence:
    """Power in 15 cells and a pattern, in shares of a range of 2000; the same in all cases of a role."""
    places = [f"X/power/-{y}{x}" for y in range(4) for x in range(4)][1:]
    rows = {
        role: np.log([*[1e-2] * 14, power_of.get(role, 1e-4), pattern_of.get(role, 1e-8)]) for role in ROLES
    }
    return evidence(PLAIN, [*places, "X/pattern/-22"], rows)


def test_artefacts_are_amplitudes_over_the_tolerance() -> None:
    """The tolerance is 5 % of the range; one cell of 16 holds the noise, and is gone in blurred cases."""
    blurred = {"degraded": 1e-8}
    clean = artefacts(artefact_evidence(blurred, {}), plan())
    assert (clean.outcome, value(clean)) == ("PASS", 0)
    noise = artefacts(artefact_evidence(blurred | {"generated": 1e-4 + 0.04**2 * 16}, {}), plan())
    assert (noise.outcome, value(noise)) == ("FAIL", pytest.approx(0.04 / 0.05, rel=SAME))
    board = artefacts(artefact_evidence(blurred, {"generated": 1e-8 + 0.02**2}), plan())
    assert (board.outcome, value(board)) == ("FAIL", pytest.approx(2 * 0.02 / 0.05, rel=SAME))
    gone = artefacts(artefact_evidence(blurred | {"generated": 1e-7}, {}), plan())
    assert (gone.outcome, value(gone)) == ("FAIL", pytest.approx(3 / 4, rel=SAME))


@pytest.mark.parametrize("slices", [1, 2, 3, 4, 5, 16])
def test_noise_weighs_the_same_in_volumes_of_few_slices(slices: int) -> None:
    """Axes of up to five voxels have no coefficient in some bands."""
    rng = np.random.default_rng(0)
    noise = power(0.04 * rng.normal(size=(slices, 48, 48)))
    rows = {role: np.full(len(noise), np.log(1e-12)) for role in ROLES} | {
        "generated": np.array(list(noise.values()))
    }
    found = artefacts(evidence(PLAIN, [f"X/power/{place}" for place in noise], rows), plan())
    assert (found.outcome, value(found)) == ("FAIL", pytest.approx(0.04 / 0.05, rel=0.07))


def test_mask_agreement_is_fishers_discriminant_of_paired_differences() -> None:
    """Beside scikit-learn: the difference and its negative as two classes have the same direction."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    rng = np.random.default_rng(0)
    names = [
        f"organ/{whose}/{kind}" for whose in (OWN, OTHER) for kind in ("present", "X/contrast", "X/edge")
    ]
    differences = {role: rng.normal([0.6, 0.3], [1.0, 0.5], (40, 2)) for role in ROLES[:3]}
    tables = {
        role: table(names, np.column_stack([np.ones(40), made, np.ones(40), made * 0]), role)
        for role, made in differences.items()
    }
    (fit,) = fits_of(tables, ["organ"])
    both = np.concatenate([differences["train"], -differences["train"]])
    model = LinearDiscriminantAnalysis(solver="lsqr").fit(both, np.repeat([1, 0], 40))
    for role, made in differences.items():
        assert fit.better[role].tolist() == model.predict(made).tolist()
    real = np.concatenate([fit.better["train"], fit.better["test"]])
    assert fit.real_share == pytest.approx(real.mean(), rel=SAME)

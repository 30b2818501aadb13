import numpy as np
import pytest

from synthdata.phantom import draw_patient, law, render, volume_grid
from synthdata.phantom.mr import (
    GAIN,
    NOISE_LOG_SD,
    SpinEcho,
    SpoiledGradientEcho,
    bias_field,
    render_mr,
    rician,
    varied,
)
from synthdata.phantom.render import block_fractions
from synthdata.phantom.tissues import PROPERTIES, Tissue, table, with_contrast
from synthdata.phantom.xrays import (
    CT_NOISE_HU,
    CT_NOISE_LOG_SD,
    PHOTONS,
    PROJECTION_SCALE,
    WATER_PER_MM,
    render_ct,
    render_projection,
)


def pure(tissue: Tissue, shape: tuple[int, int, int] = (10, 30, 30)) -> np.ndarray:
    """Shares of a volume which is all of one tissue, (tissues, z, y, x)."""
    fractions = np.zeros((len(Tissue), *shape), np.float32)
    fractions[tissue] = 1
    return fractions


def test_a_spin_echo_follows_the_two_exponentials() -> None:
    one = np.ones(1)
    signal = SpinEcho(repetition_ms=693.147, echo_ms=0).signal(1000 * one, one, one, one)
    assert signal[0] == pytest.approx(0.5, abs=1e-6)
    signal = SpinEcho(repetition_ms=1e9, echo_ms=80).signal(one, 80 * one, one, 0.7 * one)
    assert signal[0] == pytest.approx(0.7 / np.e)


def test_a_spoiled_echo_is_brightest_at_the_ernst_angle() -> None:
    t1, repetition = 800.0, 18.0
    ernst = np.rad2deg(np.arccos(np.exp(-repetition / t1)))
    one = np.ones(1)

    def at(angle: float) -> float:
        sequence = SpoiledGradientEcho(repetition_ms=repetition, echo_ms=0, flip_degrees=angle)
        return float(sequence.signal(t1 * one, one, one, one)[0])

    assert at(ernst) > max(at(ernst - 1), at(ernst + 1))
    assert at(90) == pytest.approx(1 - np.exp(-repetition / t1))


@pytest.mark.parametrize("sequence", ["T1w", "T2w"])
def test_pure_tissues_have_the_signal_of_the_equation(sequence: str) -> None:
    rng = np.random.default_rng(0)
    for tissue in Tissue:
        image = render_mr(pure(tissue, (4, 5, 6)), sequence, contrast=1, rng=rng, ideal=True)
        assert image == pytest.approx(GAIN * law.expected_signal(sequence, tissue), abs=0.51)


def test_weighting_orders_the_tissues_as_radiologists_know_them() -> None:
    t1, t2 = ([law.expected_signal(name, tissue) for tissue in Tissue] for name in ("T1w", "T2w"))
    assert t1[Tissue.CSF] < t1[Tissue.GREY] < t1[Tissue.WHITE] < t1[Tissue.FAT]
    assert t2[Tissue.WHITE] < t2[Tissue.GREY] < t2[Tissue.INFARCT] < t2[Tissue.CSF]
    assert t1[Tissue.INFARCT] < t1[Tissue.GREY]
    assert t1[Tissue.HAEMORRHAGE] > t1[Tissue.WHITE]


def test_ct_has_the_density_of_the_law_and_the_stated_noise() -> None:
    for tissue in Tissue:
        image = render_ct(pure(tissue), contrast=1, rng=np.random.default_rng(1)).astype(float)
        sigma = CT_NOISE_HU * varied(CT_NOISE_LOG_SD, np.random.default_rng(1))
        assert image.mean() == pytest.approx(
            law.expected_hu(tissue), abs=5 * sigma / np.sqrt(image.size) + 0.05
        )
        if tissue is not Tissue.AIR:  # whose noise is cut at -1024 HU
            assert image.std() == pytest.approx(np.hypot(sigma, np.sqrt(1 / 12)), rel=0.05)


def test_noise_differs_between_patients_by_the_stated_share() -> None:
    white = pure(Tissue.WHITE)
    ct = [render_ct(white, contrast=1, rng=np.random.default_rng(seed)).std() for seed in range(200)]
    mr = [render_mr(white, "T1w", contrast=1, rng=np.random.default_rng(seed)).std() for seed in range(200)]
    assert np.median(ct) == pytest.approx(CT_NOISE_HU, rel=0.08)
    assert np.log(ct).std() == pytest.approx(CT_NOISE_LOG_SD, rel=0.2)
    assert np.percentile(mr, 90) > 1.15 * np.percentile(mr, 10)
    factors = [varied(NOISE_LOG_SD, np.random.default_rng(seed)) for seed in range(2000)]
    assert np.log(factors).std() == pytest.approx(NOISE_LOG_SD, rel=0.05)
    assert max(factors) <= np.exp(3 * NOISE_LOG_SD)


def test_a_voxel_of_two_tissues_has_the_mean_of_both() -> None:
    half = (pure(Tissue.BONE) + pure(Tissue.GREY)) / 2
    image = render_ct(half, contrast=1, rng=np.random.default_rng(0), ideal=True)
    assert (image == (1200 + 38) / 2).all()


def test_contrast_moves_lesions_and_nothing_else() -> None:
    density = table("density_hu")
    changed = with_contrast(density, 0.5)
    host = (PROPERTIES[Tissue.GREY].density_hu + PROPERTIES[Tissue.WHITE].density_hu) / 2
    assert changed[Tissue.INFARCT] == pytest.approx((density[Tissue.INFARCT] + host) / 2)
    assert np.array_equal(changed[: Tissue.INFARCT], density[: Tissue.INFARCT])
    assert np.array_equal(with_contrast(density, 1.0), density)


def test_noise_without_a_signal_is_rayleigh_and_with_much_signal_gaussian() -> None:
    rng = np.random.default_rng(2)
    sigma = 20.0
    empty = rician(np.zeros((60, 60, 60), np.float32), sigma, rng)
    assert empty.mean() == pytest.approx(sigma * np.sqrt(np.pi / 2), rel=0.01)
    assert (empty.astype(float) ** 2).mean() == pytest.approx(2 * sigma**2, rel=0.01)
    bright = rician(np.full((60, 60, 60), 5000, np.float32), sigma, rng)
    assert bright.std() == pytest.approx(sigma, rel=0.02)


def test_the_bias_field_is_smooth_and_around_one() -> None:
    for seed in range(20):
        field = bias_field((24, 40, 32), np.random.default_rng(seed))
        assert 0.5 < field.min() < field.max() < 1.8
        assert max(np.abs(np.diff(field, axis=axis)).max() for axis in range(3)) < 0.06


def test_a_projection_follows_beer_and_lambert() -> None:
    lengths = np.zeros((len(Tissue), 64, 64), np.float32)
    lengths[Tissue.GREY], lengths[Tissue.BONE] = 150, 10
    expected = WATER_PER_MM * (150 * 1.038 + 10 * 2.2)
    ideal = render_projection(lengths, contrast=1, rng=np.random.default_rng(0), ideal=True)
    assert (ideal == round(expected * PROJECTION_SCALE)).all()
    noisy = render_projection(lengths, contrast=1, rng=np.random.default_rng(0)) / PROJECTION_SCALE
    assert noisy.mean() == pytest.approx(expected, abs=0.003)
    assert noisy.std() == pytest.approx(np.exp(expected / 2) / np.sqrt(PHOTONS), rel=0.05)  # Poisson


def test_shares_add_up_and_count_the_points_of_a_block() -> None:
    tissues = np.zeros((4, 4, 6), np.uint8)
    tissues[:2, :2, :3] = Tissue.BONE
    tissues[0, 0, 0] = Tissue.FAT
    fractions = block_fractions(tissues, (2, 2, 3))
    assert fractions.shape == (len(Tissue), 2, 2, 2)
    assert fractions[Tissue.BONE, 0, 0, 0] == pytest.approx(11 / 12)
    assert fractions[Tissue.FAT, 0, 0, 0] == pytest.approx(1 / 12)
    assert fractions.sum(axis=0) == pytest.approx(np.ones((2, 2, 2)))


def test_the_volume_of_a_projected_head_is_that_of_the_head() -> None:
    patient = draw_patient(3, 1)
    volume = render(patient, ("CT",), volume_grid((30, 40, 32), (6.0, 5.5, 5.5))).record
    flat = render(patient, ("XR",), volume_grid((1, 64, 64), (1.0, 2.75, 2.75))).record
    assert flat["intracranial_volume_ml"] == pytest.approx(volume["intracranial_volume_ml"], rel=0.02)

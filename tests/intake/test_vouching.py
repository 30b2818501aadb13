"""Text in pixels, faces and our own watermark are noticed whatever the header declares; clean pixels pass."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from synthdata.intake import inspect, take_in, vouching
from synthdata.intake.burned_in_text import holds_text, is_text
from synthdata.intake.faces import _largest, _without_specks, defaced, find_nose, shows_face
from synthdata.intake.policy import Policy
from synthdata.intake.text_engine import TextLine, text_engine
from synthdata.intake.vouching import Voucher, voucher_for
from synthdata.provenance.keys import load_or_create_watermark_key
from synthdata.provenance.watermark import embed
from synthdata.records import ChannelScale, Grid

SIDE = 128


def tissue(slices: int, seed: int = 0) -> np.ndarray:
    """Smooth values (n, y, x) from 0 to 1000, with noise."""
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.normal(size=(slices, SIDE, SIDE)), (1, 8, 8))
    scaled = (smooth - smooth.min()) / np.ptp(smooth) * 700 + 150 + rng.normal(scale=12, size=smooth.shape)
    return np.rint(scaled).astype(np.int16)


def written(pixels: np.ndarray, text: str, *, size: int = 14, ink: int = 1000) -> np.ndarray:
    mask = Image.new("L", (SIDE, SIDE))
    ImageDraw.Draw(mask).text((8, 50), text, fill=255, font=ImageFont.load_default(size))
    share = np.asarray(mask) / 255
    return np.rint(pixels * (1 - share) + ink * share).astype(np.int16)


@pytest.fixture(scope="module")
def engine():
    found = text_engine()
    assert found is not None
    return found


@pytest.mark.parametrize("ink", [1000, 0])
@pytest.mark.parametrize(("modality", "slices"), [("DX", 1), ("MR", 6)])
def test_text_over_tissue_is_found_light_or_dark(engine, modality, slices, ink) -> None:
    pixels = written(tissue(slices), "Smith 1962-03-14", ink=ink)
    assert holds_text(pixels, engine, modality=modality)


def head_hu(slices: int, seed: int = 0) -> np.ndarray:
    """HU (n, y, x) of a disc of soft tissue in air, alike in all slices, with noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    smooth = ndimage.gaussian_filter(rng.normal(size=(slices, SIDE, SIDE)), (2, 6, 6))
    inside = np.hypot(y, x) < SIDE * 0.48
    soft = 40 + 30 * smooth / smooth.std() + rng.normal(scale=10, size=smooth.shape)
    return np.rint(np.where(inside, soft, -1000)).astype(np.int16)


@pytest.mark.parametrize("index", [0, 5, 10])
@pytest.mark.parametrize("ink", [240, -160])
def test_text_in_one_slice_of_a_ct_volume_is_found_light_or_dark(engine, ink, index) -> None:
    pixels = head_hu(11)
    pixels[index] = written(pixels[index], "Smith 1962-03", ink=ink)
    assert holds_text(pixels, engine, modality="CT")


@pytest.mark.parametrize(("modality", "slices"), [("DX", 1), ("MR", 6)])
def test_tissue_without_text_passes(engine, modality, slices) -> None:
    assert not any(holds_text(tissue(slices, seed), engine, modality=modality) for seed in range(3))


def test_marks_of_side_and_view_are_no_text() -> None:
    assert not any(is_text(TextLine(text, 0.99, 12)) for text in ("L", "R", "AP", "PORTABLE", "Chest PA 2"))
    assert all(is_text(TextLine(text, 0.99, 12)) for text in ("DOE", "1962", "R Miller", "12.03.62"))


def test_remarks_on_position_are_no_text_even_cut_off_or_misread() -> None:
    remarks = (
        "liegend",
        "Bettaufnahme",
        "Auf Station",
        "Bettaufnahr",
        "fiegend",
        "Bettau",
        "debout",
        "SITTING",
        "acostado",
    )
    assert not any(is_text(TextLine(text, 0.99, 12)) for text in remarks)
    assert all(
        is_text(TextLine(text, 0.99, 12))
        for text in ("Stan", "liegend Maier", "Station 4711", "Portnoy", "Standish")
    )


def chest(build, scans, text: str = "") -> None:
    grid = build.grid(shape_zyx=(1, SIDE, SIDE))
    datasets = build.series("PAT-1", grid, modality="DX", name="XR")
    pixels = written(tissue(1), text) if text else tissue(1)
    datasets[0].PixelData = pixels.astype("<u2").tobytes()
    datasets[0].BurnedInAnnotation = "NO"
    build.write(scans, datasets)


def codes(report) -> set[str]:
    return {reason.code for reason in report.reasons}


def test_a_radiograph_whose_header_denies_its_text_is_held_and_the_text_told_to_nobody(build, scans) -> None:
    chest(build, scans, "DOE JANE")
    report = inspect(scans)
    assert codes(report) == {"deid.text_in_pixels"}
    assert "DOE" not in str(report)


def test_without_the_engine_radiographs_are_held_unless_the_spec_says_otherwise(
    build, scans, monkeypatch
) -> None:
    chest(build, scans)
    assert inspect(scans).accepted == 1
    monkeypatch.setattr(vouching, "text_engine", lambda: None)
    report = inspect(scans)
    assert codes(report) == {"deid.text_not_read"}
    assert any("not installed" in note for note in report.notes)
    off = inspect(scans, policy=Policy(burned_in_text="off"))
    assert off.accepted == 1
    assert any("vouching.burned_in_text" in note for note in off.notes)


def head(
    *, nose: bool = True, nose_mm: float = 88, cut: bool = False, brain: bool = False, sinuses: bool = False
) -> tuple[np.ndarray, Grid]:
    """An ellipsoid with or without a nose or hollows behind it, its face cut off, or the brain alone."""
    shape, spacing = (100, 110, 90), 2.0
    z, y, x = np.meshgrid(
        *[(np.arange(side) - (side - 1) / 2) * spacing for side in shape], indexing="ij", sparse=True
    )
    inside = ((z - 10) / 95) ** 2 + (y / 95) ** 2 + (x / 72) ** 2 < 1
    if brain:
        inside = ((z - 20) / 60) ** 2 + (y / 82) ** 2 + (x / 66) ** 2 < 1
    if nose and not brain:
        inside |= ((y + nose_mm) / 26) ** 2 + (x / 11) ** 2 + ((z + 30) / 20) ** 2 < 1
    if cut:
        inside &= ~((z < 10) & (y < -60))
    if sinuses:
        inside &= ~((z > -50) & (z < 0) & (y > -78) & (y < -36) & (abs(x) > 14) & (abs(x) < 48))
    noise = np.random.default_rng(0).normal(scale=15, size=shape)
    return np.where(inside, 600, 20) + noise, Grid(shape_zyx=shape, spacing_mm=(2.0, 2.0, 2.0))


def test_a_head_with_a_nose_shows_a_face_in_whatever_order_its_axes_lie() -> None:
    volume, grid = head()
    turned = Grid(
        shape_zyx=(90, 100, 110),
        spacing_mm=(2.0,) * 3,
        direction=(1, 0, 0, 0, 0, -1, 0, -1, 0),
        origin_mm=(0, 0, 0),
    )
    other = volume.transpose(2, 0, 1)[:, ::-1, ::-1]
    assert shows_face(volume, grid, modality="MR")
    assert shows_face(other, turned, modality="MR")
    assert shows_face(volume * 2 - 1000, grid, modality="CT")


@pytest.mark.parametrize("kind", [{"nose": False}, {"cut": True}, {"brain": True}])
def test_a_head_without_a_nose_shows_no_face(kind) -> None:
    volume, grid = head(**kind)
    assert find_nose(volume, grid, modality="MR") is None


def test_defacing_takes_the_nose_and_leaves_the_back_of_the_head() -> None:
    volume, grid = head()
    cut = defaced(volume, grid, modality="MR")
    assert cut is not None
    assert not shows_face(cut, grid, modality="MR")
    np.testing.assert_array_equal(cut[:, 60:], volume[:, 60:])


def test_what_a_cut_lays_bare_is_no_nose() -> None:
    """Between hollows that the cut opens stands what a nose alone would be: the head is defaced, not held."""
    volume, grid = head(sinuses=True)
    cut = defaced(volume, grid, modality="MR")
    assert cut is not None
    assert find_nose(cut, grid, modality="MR") is not None
    assert (cut[20:45, :18] == volume.min()).all()


def test_a_forehead_above_the_cut_is_no_nose() -> None:
    volume, grid = head(nose_mm=100)
    cut = defaced(volume, grid, modality="MR")
    assert cut is not None
    assert (cut[20:45, :18] == volume.min()).all()
    np.testing.assert_array_equal(cut[60:], volume[60:])


def test_our_own_watermark_is_no_source(private) -> None:
    key = load_or_create_watermark_key(private)
    scale = ChannelScale(
        channel="T1w", modality="MR", method="percentile", unit="1", low=0, high=1000, percentiles=(0.5, 99.5)
    )
    grid = Grid(shape_zyx=(6, SIDE, SIDE), spacing_mm=(7.0, 1.0, 1.0))
    marked = embed(tissue(6)[None], (scale,), key=key, case_id="C-1")[0]
    voucher = voucher_for(Policy(), private)
    changed = (
        marked,
        marked[:, ::-1],
        marked[::-1, ::-1, ::-1],
        np.rot90(marked, 1, (1, 2)),
        marked * 2.5 + 7,
    )
    for image in (
        *changed,
        (np.clip(marked, 0, 1000) / 1000 * 255).astype(np.uint8),
    ):  # other axes, scales and bits
        assert "source.watermarked" in voucher.codes_of(np.ascontiguousarray(image), grid, modality="MR")
    assert voucher.codes_of(tissue(6), grid, modality="MR") == set()
    assert Voucher(policy=Policy()).codes_of(marked, grid, modality="MR") == set()


def test_a_case_with_text_is_held_when_it_is_taken_in_and_again_on_the_next_run(
    build, scans, private
) -> None:
    grid = build.grid(shape_zyx=(5, SIDE, SIDE))
    datasets = build.series("PAT-1", grid)
    for dataset, pixels in zip(datasets, written(tissue(5), "Smith 1962-03-14"), strict=True):
        dataset.PixelData = pixels.tobytes()
    build.write(scans, datasets)
    for _ in range(2):
        report = take_in(build.spec(), scans, private, pseudonym_key=build.key)
        assert (report.cases.cases, codes(report)) == (0, {"deid.text_in_pixels"})


def test_the_largest_part_of_a_mask_is_the_same_run_by_run_and_voxel_by_voxel() -> None:
    rng, by_runs = np.random.default_rng(6), 0
    for number in range(60):
        smooth = ndimage.gaussian_filter(rng.normal(size=(6, 40, 48)), number % 6)
        mask = smooth < np.quantile(smooth, rng.uniform(0.02, 0.98))
        labels, _ = ndimage.label(_without_specks(mask))
        sizes = np.bincount(labels.ravel(), minlength=2)[1:]
        assert np.array_equal(_largest(mask), labels == sizes.argmax() + 1)
        by_runs += mask.size > 24 * len(np.flatnonzero(np.diff(mask.ravel())))
    assert 10 < by_runs < 50

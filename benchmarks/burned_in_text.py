"""How much text that is drawn into real images the intake finds, by its size, and how many clean images it holds.

Names, dates and numbers are drawn at the modality's window, light and dark, into slices of real CT, MR and CR, over
tissue where the ink can be told from what lies below (a quarter of the window). Volumes: into all slices, or into one.

    OMP_NUM_THREADS=1 SYNTHDATA_REALDATA=../shared/data python benchmarks/burned_in_text.py --repeats 6
"""

import argparse
import os
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from pydicom import dcmread

from synthdata.intake.burned_in_text import holds_text
from synthdata.intake.dicom_file import quiet_parsers
from synthdata.intake.inventory import SeenFile
from synthdata.intake.nifti_file import read_nifti
from synthdata.intake.text_engine import text_engine

REALDATA = Path(os.environ.get("SYNTHDATA_REALDATA", "../shared/data"))
SIZES = (8, 10, 12, 16, 20, 24, 32, 40)
TEXTS = (
    "DOE^JANE",
    "Smith, John",
    "1962-03-14",
    "14.03.1962",
    "MRN 4711081",
    "ID 00934-76",
    "Zacharias",
    "M 57Y 62kg",
)
CONTRAST = 0.25  # of the window: what lies below differs at least so much from the ink
SERIES = {
    "CT": ("dicom/ct_ge_head_gantry_tilt", "dicom/dcmqi_ct_with_seg"),
    "MR": ("dicom/mr_philips_classic",),
}


def series_of(folder: Path) -> list[tuple[np.ndarray, float, float]]:
    """Values (n, y, x) of the series of a folder, and the window's bounds in them."""
    groups: dict[str, list[tuple[np.ndarray, float, float]]] = defaultdict(list)
    for path in sorted(folder.glob("*.dcm")):
        dataset = dcmread(path)
        if dataset.Modality == "SEG" or getattr(dataset, "NumberOfFrames", 1) != 1:
            continue
        slope, intercept = float(dataset.get("RescaleSlope", 1)), float(dataset.get("RescaleIntercept", 0))
        pixels = dataset.pixel_array
        centre = np.ravel(dataset.get("WindowCenter", [np.median(pixels)]))[0]
        width = np.ravel(dataset.get("WindowWidth", [np.ptp(pixels)]))[0]
        low, high = (float(centre) + sign * float(width) / 2 for sign in (-1, 1))
        groups[dataset.SeriesInstanceUID].append((np.rint(pixels * slope + intercept).astype(int), low, high))
    return [(np.stack([one[0] for one in group]), *group[0][1:]) for group in groups.values()]


def carriers() -> dict[str, list[tuple[np.ndarray, float, float]]]:
    """Clean images by modality."""
    found = {
        modality: [one for name in names for one in series_of(REALDATA / name)]
        for modality, names in SERIES.items()
    }
    for path in sorted((REALDATA / "multicontrast_brain_mr").rglob("t1*.nii.gz")) + sorted(
        (REALDATA / "multicontrast_brain_mr").rglob("flair.nii.gz")
    ):
        image = read_nifti(SeenFile(path, "", 0), path.read_bytes())
        assert image is not None
        volume = np.rint(image.voxels[0]).astype(int)
        found["MR"].append((volume, 0.0, float(np.percentile(volume, 99.5))))
    pictures = sorted((REALDATA / "xray_chest" / "images256").glob("*.png"))
    found["CR"] = [(np.asarray(Image.open(path).convert("L"))[None], 0.0, 255.0) for path in pictures]
    return found


def drawn(
    stack: np.ndarray, low: float, high: float, *, size: int, light: bool, rng: np.random.Generator, one: bool
) -> np.ndarray | None:
    """A copy of the slices (n, y, x) with a text in one or all of them; None where no place gives it contrast."""
    fonts = sorted(Path("/usr/share/fonts/truetype/dejavu").glob("DejaVuSans*.ttf"))
    plain = not fonts or rng.random() < 0.3
    font = ImageFont.load_default(size) if plain else ImageFont.truetype(str(rng.choice(fonts)), size)
    text = str(rng.choice(TEXTS))
    box = font.getbbox(text)
    height, width = int(box[3]) + 2, int(box[2]) + 2
    if height >= stack.shape[1] or width >= stack.shape[2]:
        return None
    ink, at = (high if light else low), len(stack) // 2
    if one:
        at = int(rng.integers(len(stack)))
    for _ in range(200):
        y, x = rng.integers(0, stack.shape[1] - height), rng.integers(0, stack.shape[2] - width)
        below = np.clip(stack[at, y : y + height, x : x + width], low, high)
        if np.quantile(np.abs(below - ink), 0.1) >= CONTRAST * (high - low):
            mask = Image.new("L", (width, height))
            ImageDraw.Draw(mask).text((0, 0), text, fill=255, font=font)
            share = np.asarray(mask) / 255.0
            result = stack.copy()
            place = result[at : at + 1] if one else result
            place = place[:, y : y + height, x : x + width]
            place[:] = np.rint(place * (1 - share) + ink * share)
            return result
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=6)
    parser.add_argument(
        "--one-slice", action="store_true", help="draw into one slice of a volume, not into all"
    )
    parser.add_argument("--clean", type=int, default=1000, help="at most so many clean images of a modality")
    arguments = parser.parse_args()
    engine, rng = text_engine(), np.random.default_rng(1)
    assert engine is not None, "rapidocr-onnxruntime is not installed"
    with quiet_parsers():
        images = carriers()
    hits: dict[tuple[str, int, bool], list[bool]] = defaultdict(list)
    for modality, series in images.items():
        for size in SIZES:
            for light in (True, False):
                while len(hits[modality, size, light]) < arguments.repeats:
                    stack, low, high = series[rng.integers(len(series))]
                    planted = drawn(
                        stack, low, high, size=size, light=light, rng=rng, one=arguments.one_slice
                    )
                    if planted is None:
                        continue
                    hits[modality, size, light].append(holds_text(planted, engine, modality=modality))
        for light in (True, False):
            row = " ".join(f"{size}px {np.mean(hits[modality, size, light]):4.0%}" for size in SIZES)
            print(f"{modality} {'light' if light else 'dark':5} {row}", flush=True)
    found = [hit for (_, size, _), many in hits.items() if size >= 10 for hit in many]
    print(f"recall at 10 px and above: {np.mean(found):.1%} of {len(found)}")
    for modality, series in images.items():
        start = time.process_time()
        held = [holds_text(stack, engine, modality=modality) for stack, *_ in series[: arguments.clean]]
        seconds = (time.process_time() - start) / len(held)
        print(f"{modality}: {sum(held)} of {len(held)} clean held, {seconds:.2f} CPU s each", flush=True)
    pseudo = dcmread(REALDATA / "deid_phi/presidio_pseudo_phi/0_ORIGINAL_compressed.dcm").pixel_array
    found = holds_text(pseudo[None], engine, modality="CR")
    print(f"pseudo-PHI file: {'found' if found else 'MISSED'}")


if __name__ == "__main__":
    main()

"""How much text that is drawn into real images the intake finds, by its size, and how many clean images it holds.

Names, dates and numbers are drawn at the modality's window, light and dark, into slices of real CT, MR and CR, over
tissue where the ink can be told from what lies below (a quarter of the window). Volumes: into all slices, or into one.

    OMP_NUM_THREADS=1 SYNTHDATA_REALDATA=../shared/data python benchmarks/burned_in_text.py --repeats 6 [--unseen]

With --project a CT head on which nothing was tuned stands for all images: the example of InVesalius, which Debian ships
(`apt-get download invesalius-examples`, then `dpkg-deb -x`; GPL-2). It is cut into volumes of 27 slices, and for clean
images also of 9 and of single slices; its nose is looked for too.

    OMP_NUM_THREADS=1 python benchmarks/burned_in_text.py --project Cranium.inv3 [--one-slice]
"""

import argparse
import os
import plistlib
import tarfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from pydicom import dcmread

from synthdata.intake.burned_in_text import holds_text
from synthdata.intake.dicom_file import quiet_parsers
from synthdata.intake.faces import find_nose
from synthdata.intake.inventory import SeenFile
from synthdata.intake.nifti_file import read_nifti
from synthdata.intake.text_engine import TextEngine, text_engine
from synthdata.records.grid import Grid

REALDATA = Path(os.environ.get("SYNTHDATA_REALDATA", "../shared/data"))
SIZES = (8, 10, 12, 16, 20, 24, 32, 40)
LEGIBLE = 10  # px from which on 99 % are asked
MOST_TRIES = 40  # images looked at for each place that gives contrast
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
UNSEEN_TEXTS = (
    "O'BRIEN^MAEVE",
    "Lindqvist Astrid",
    "1987/11/02",
    "07-08-1949",
    "PID 5520318",
    "Acc 20/118345",
    "Papadopoulos",
    "F 034Y 171cm",
    "12.01.2021 09:47",
    "St Anna Hospital",
)  # nothing was tuned on them, nor on the images below
CONTRAST = 0.25  # of the window: what lies below differs at least so much from the ink
SEEN_RADIOGRAPHS = 60  # the first so many were counted while the search was built
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


def unseen_carriers() -> dict[str, list[tuple[np.ndarray, float, float]]]:
    """Clean images by modality on which nothing was tuned: other series, contrasts and patients.

    The CT slices have lost their Hounsfield units: 0 is taken for air, the median inside the body for 30 HU.
    """
    found: dict[str, list[tuple[np.ndarray, float, float]]] = defaultdict(list)
    for path in sorted((REALDATA / "paired_mr_ct_2d").rglob("*.png")):
        grey = np.asarray(Image.open(path).convert("L"), dtype=int)[None]
        if path.stem == "ct":
            body = np.asarray(Image.open(path.with_name("mask.png")).convert("L"))[None] > 0
            units = np.rint(grey * (1030 / np.median(grey[body])) - 1000).astype(int)
            found["CT"].append((units, -160.0, 240.0))
        elif path.stem == "mri":
            found["MR"].append((grey, 0.0, float(np.percentile(grey, 99.5))))
    for path in sorted((REALDATA / "multicontrast_brain_mr").rglob("t2.nii.gz")):
        image = read_nifti(SeenFile(path, "", 0), path.read_bytes())
        assert image is not None
        volume = np.rint(image.voxels[0]).astype(int)
        found["MR"] += [(volume, 0.0, float(np.percentile(volume, 99.5)))] * 8  # as often as the slices
    for name in ("mr_ge_classic", "mr_siemens_classic"):
        found["MR"] += series_of(REALDATA / "dicom" / name)
    pictures = sorted((REALDATA / "xray_chest" / "images256").glob("*.png"))[SEEN_RADIOGRAPHS:]
    found["CR"] = [(np.asarray(Image.open(path).convert("L"))[None], 0.0, 255.0) for path in pictures]
    return found


def project_volume(path: Path) -> tuple[np.ndarray, Grid]:
    """HU (z, y, x) of a project of InVesalius, its rows turned to run from front to back as in LPS, and its grid."""
    with tarfile.open(path) as archive:
        names = {Path(name).name: name for name in archive.getnames()}
        facts = plistlib.load(archive.extractfile(names["main.plist"]))  # type: ignore[arg-type] # a file
        data = archive.extractfile(names[facts["matrix"]["filename"]]).read()  # type: ignore[union-attr] # a file
    volume = np.frombuffer(data, facts["matrix"]["dtype"]).reshape(facts["matrix"]["shape"])[:, ::-1]
    across, along, up = facts["spacing"]
    return volume, Grid(shape_zyx=volume.shape, spacing_mm=(up, along, across))


def slabs(volume: np.ndarray, size: int) -> list[tuple[np.ndarray, float, float]]:
    """Volumes of so many slices, with the window of soft tissue."""
    return [(volume[at : at + size], -160.0, 240.0) for at in range(0, len(volume) - size + 1, size)]


def measure_project(path: Path, engine: TextEngine, arguments: argparse.Namespace) -> None:
    """Text and nose of one CT head."""
    volume, grid = project_volume(path)
    print(f"nose of the whole head: {'found' if find_nose(volume, grid, modality='CT') else 'MISSED'}")
    rng = np.random.default_rng(arguments.seed)
    images = {"CT": slabs(volume, 27)}
    recall(images, UNSEEN_TEXTS, engine, rng, repeats=arguments.repeats, one=arguments.one_slice)
    for size in (1, 9, 27):
        held = [holds_text(stack, engine, modality="CT") for stack, *_ in slabs(volume, size)]
        print(f"volumes of {size} slices: {sum(held)} of {len(held)} clean held", flush=True)


def drawn(
    stack: np.ndarray,
    low: float,
    high: float,
    *,
    text: str,
    size: int,
    light: bool,
    rng: np.random.Generator,
    one: bool,
) -> np.ndarray | None:
    """A copy of the slices (n, y, x) with a text in one or all of them; None where no place gives it contrast."""
    fonts = sorted(Path("/usr/share/fonts/truetype/dejavu").glob("DejaVuSans*.ttf"))
    plain = not fonts or rng.random() < 0.3
    font = ImageFont.load_default(size) if plain else ImageFont.truetype(str(rng.choice(fonts)), size)
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


def recall(
    images: dict[str, list[tuple[np.ndarray, float, float]]],
    texts: tuple[str, ...],
    engine: TextEngine,
    rng: np.random.Generator,
    *,
    repeats: int,
    one: bool,
) -> None:
    """Print the table of what was found of drawn texts, by modality, ink and size; misses with their text."""
    hits: dict[tuple[str, int, bool], list[bool]] = defaultdict(list)
    for modality, series in images.items():
        for light in (True, False):
            for size in SIZES:
                for _ in range(MOST_TRIES * repeats):
                    stack, low, high = series[rng.integers(len(series))]
                    text = str(rng.choice(texts))
                    planted = drawn(stack, low, high, text=text, size=size, light=light, rng=rng, one=one)
                    if planted is not None:
                        hit = holds_text(planted, engine, modality=modality)
                        hits[modality, size, light].append(hit)
                        if not hit:
                            print(f"  missed {modality} {size}px {text!r} {planted.shape}", flush=True)
                    if len(hits[modality, size, light]) == repeats:
                        break
            cells = [(size, hits[modality, size, light]) for size in SIZES]
            row = " ".join(f"{size}px {sum(many)}/{len(many)}" for size, many in cells)
            print(f"{modality} {'light' if light else 'dark':5} {row}", flush=True)
    for size in SIZES:
        many = [hit for (_, at, _), cell in hits.items() if at == size for hit in cell]
        print(f"{size}px: {sum(many)} of {len(many)}")
    found = [hit for (_, size, _), many in hits.items() if size >= LEGIBLE for hit in many]
    print(f"recall at {LEGIBLE} px and above: {np.mean(found):.1%}, {sum(found)} of {len(found)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=6)
    parser.add_argument(
        "--one-slice", action="store_true", help="draw into one slice of a volume, not into all"
    )
    parser.add_argument("--clean", type=int, default=1000, help="at most so many clean images of a modality")
    parser.add_argument("--unseen", action="store_true", help="images and texts on which nothing was tuned")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--project", type=Path, help="a CT head as a project of InVesalius")
    arguments = parser.parse_args()
    engine, rng = text_engine(), np.random.default_rng(arguments.seed)
    assert engine is not None, "rapidocr-onnxruntime is not installed"
    if arguments.project:
        measure_project(arguments.project, engine, arguments)
        return
    with quiet_parsers():
        images = unseen_carriers() if arguments.unseen else carriers()
    print({modality: len(series) for modality, series in images.items()}, flush=True)
    texts = UNSEEN_TEXTS if arguments.unseen else TEXTS
    recall(images, texts, engine, rng, repeats=arguments.repeats, one=arguments.one_slice)
    for modality, series in images.items():
        start = time.process_time()
        kept = series[: arguments.clean]
        held = [holds_text(stack, engine, modality=modality) for stack, *_ in kept]
        seconds = (time.process_time() - start) / len(held)
        print(f"{modality}: {sum(held)} of {len(held)} clean held, {seconds:.2f} CPU s each", flush=True)
    pseudo = dcmread(REALDATA / "deid_phi/presidio_pseudo_phi/0_ORIGINAL_compressed.dcm").pixel_array
    found = holds_text(pseudo[None], engine, modality="CR")
    print(f"pseudo-PHI file: {'found' if found else 'MISSED'}")


if __name__ == "__main__":
    main()

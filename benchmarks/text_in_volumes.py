"""Text that is drawn into volumes in other ways than the usual: what of it the intake finds, and what a look costs.

In one slice, two, a third or all of them; light, dark or grey; with a box behind it; standing; before a lossy JPEG. The
volumes are a CT head (`Cranium.inv3` of Debian's invesalius-examples), an MR head (`ch2.nii.gz`, `ch2better.nii.gz`
of Debian's mricron-data) in three directions, beside which bounds were chosen, and those of SYNTHDATA_REALDATA, on
which the weights were fitted.

    OMP_NUM_THREADS=1 python benchmarks/text_in_volumes.py --project Cranium.inv3 --heads ch2.nii.gz ch2better.nii.gz
    OMP_NUM_THREADS=1 SYNTHDATA_REALDATA=... python benchmarks/text_in_volumes.py --fit
"""

import argparse
import io
import time
from collections import defaultdict
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

import numpy as np
from burned_in_text import REALDATA, TEXTS, UNSEEN_TEXTS, project_volume, series_of, slabs
from PIL import Image, ImageDraw, ImageFont

from synthdata.intake.burned_in_text import MOST_PLACES, holds_text, is_text
from synthdata.intake.dicom_file import quiet_parsers
from synthdata.intake.inventory import SeenFile
from synthdata.intake.likely_lines import WEIGHTS, features_of, likely_line
from synthdata.intake.nifti_file import read_nifti
from synthdata.intake.strokes import Place, Scale, lone_places, scale_of, shared_places
from synthdata.intake.text_engine import TextEngine, text_engine

Volume = tuple[np.ndarray, float, float]  # values (n, y, x), and the bounds of the window
SIZES = (8, 10, 12, 16, 24)
CONTRAST = 0.25  # of the window, between the ink and what lies below
PENALTY = 0.003  # of squared weights


@dataclass(frozen=True, kw_only=True)
class Way:
    """How a text is drawn."""

    share: float = 1.0  # of slices; 0 is one, and 2 is two
    ink: float = 1.0  # of the window
    box: bool = False
    standing: bool = False
    quality: int = 0  # of JPEG; 0 is none


WAYS = {
    "all slices, light": Way(),
    "all slices, dark": Way(ink=0.0),
    "all slices, grey": Way(ink=0.6),
    "all slices, light, box behind it": Way(box=True),
    "all slices, light, standing": Way(standing=True),
    "all slices, dark, standing": Way(ink=0.0, standing=True),
    "all slices, light, JPEG 75": Way(quality=75),
    "all slices, dark, JPEG 75": Way(ink=0.0, quality=75),
    "one slice, light": Way(share=0),
    "one slice, dark": Way(share=0, ink=0.0),
    "one slice, grey": Way(share=0, ink=0.6),
    "one slice, light, box behind it": Way(share=0, box=True),
    "one slice, light, standing": Way(share=0, standing=True),
    "one slice, light, JPEG 75": Way(share=0, quality=75),
    "one slice, dark, JPEG 75": Way(share=0, ink=0.0, quality=75),
    "two slices, light": Way(share=2),
    "two slices, dark": Way(share=2, ink=0.0),
    "a third of the slices, light": Way(share=0.33),
    "a third of the slices, dark": Way(share=0.33, ink=0.0),
}


def heads(paths: list[Path]) -> list[Volume]:
    """Volumes of 20 slices in three directions, 5 or 6 mm apart."""
    found: list[Volume] = []
    for path in paths:
        image = read_nifti(SeenFile(path, "", 0), path.read_bytes())
        assert image is not None
        for axis in range(3):
            slices = np.moveaxis(np.rint(image.voxels[0]).astype(np.int16), axis, 0)[:: 5 + axis % 2]
            parts = (np.ascontiguousarray(slices[at : at + 20]) for at in range(0, len(slices) - 19, 20))
            found += [(part, 0.0, float(np.percentile(part, 99.5))) for part in parts]
    return found


def seen_volumes() -> dict[str, list[Volume]]:
    """What the weights were fitted on."""
    with quiet_parsers():
        series = [
            one
            for name in ("mr_philips_classic", "mr_ge_classic")
            for one in series_of(REALDATA / "dicom" / name)
        ]
        found = {"MR": [one for one in series if len(one[0]) >= 3 and min(one[0].shape[1:]) >= 48]}
        for path in sorted((REALDATA / "multicontrast_brain_mr").rglob("*.nii.gz")):
            image = read_nifti(SeenFile(path, "", 0), path.read_bytes())
            if image is not None and "mask" not in path.name and "seg" not in path.name:
                volume = np.rint(image.voxels[0]).astype(int)
                found["MR"].append((volume, 0.0, float(np.percentile(volume, 99.5))))
        found["CT"] = series_of(REALDATA / "dicom/ct_ge_head_gantry_tilt") + series_of(
            REALDATA / "dicom/dcmqi_ct_with_seg"
        )
    return found


def stamp(text: str, size: int, way: Way, rng: np.random.Generator) -> np.ndarray:
    """Share of ink (y, x) of a text in one of DejaVu's faces or Pillow's own."""
    faces = sorted(Path("/usr/share/fonts/truetype/dejavu").glob("DejaVuSans*.ttf"))
    plain = not faces or rng.random() < 0.3
    font = ImageFont.load_default(size) if plain else ImageFont.truetype(str(rng.choice(faces)), size)
    box = font.getbbox(text)
    mask = Image.new("L", (int(box[2]) + 2, int(box[3]) + 2))
    ImageDraw.Draw(mask).text((0, 0), text, fill=255, font=font)
    share = np.asarray(mask) / 255.0
    return np.rot90(share, int(rng.choice([1, 3]))) if way.standing else share


def drawn(
    volume: Volume, text: str, size: int, way: Way, rng: np.random.Generator
) -> tuple[np.ndarray, tuple[int, ...], tuple[int, ...]] | None:
    """A copy with a text, its slices, and its rows and columns (y0, y1, x0, x1); None where none gives it contrast."""
    stack, low, high = volume
    count = len(stack)
    many = {0: 1, 2: min(2, count)}.get(way.share, max(1, round(way.share * count)))
    first = int(rng.integers(count - many + 1))
    share, value = stamp(text, size, way, rng), low + (high - low) * way.ink
    height, width = share.shape
    if height >= stack.shape[1] or width >= stack.shape[2]:
        return None
    for _ in range(200):
        y, x = int(rng.integers(stack.shape[1] - height)), int(rng.integers(stack.shape[2] - width))
        below = np.clip(stack[first + many // 2, y : y + height, x : x + width], low, high)
        if way.box or np.quantile(abs(below - value), 0.1) >= CONTRAST * (high - low):
            result = stack.astype(np.int32)
            place = result[first : first + many, y : y + height, x : x + width]
            place[:] = np.rint((low if way.box else place) * (1 - share) + value * share)
            if way.quality:
                result = np.stack([coded(image, low, high, way.quality) for image in result])
            return result.astype(np.int16), tuple(range(first, first + many)), (y, y + height, x, x + width)
    return None


def coded(image: np.ndarray, low: float, high: float, quality: int) -> np.ndarray:
    """What JPEG of 8 bits leaves of a slice inside its window."""
    file = io.BytesIO()
    grey = np.clip((image - low) * (255.0 / (high - low)), 0, 255).astype(np.uint8)
    Image.fromarray(grey).save(file, "JPEG", quality=quality)
    values: np.ndarray = np.rint(np.asarray(Image.open(file)) * ((high - low) / 255.0) + low)
    return values


def measure(
    name: str, modality: str, volumes: list[Volume], engine: TextEngine, arguments: argparse.Namespace
) -> None:
    """Print what is found of each way by size, and what clean volumes cost."""
    for title, way in WAYS.items():
        rng, cells = np.random.default_rng(arguments.seed), []
        for size in SIZES:
            hits: list[bool] = []
            for _ in range(arguments.repeats * 6):
                one = volumes[rng.integers(len(volumes))]
                planted = drawn(one, str(rng.choice(UNSEEN_TEXTS)), size, way, rng)
                if planted is not None:
                    hits.append(holds_text(planted[0], engine, modality=modality))
                if len(hits) == arguments.repeats:
                    break
            cells.append(f"{size}px {sum(hits)}/{len(hits)}")
        print(f"{name} {title}: {' '.join(cells)}", flush=True)
    start = time.process_time()
    held = [holds_text(stack.astype(np.int16), engine, modality=modality) for stack, *_ in volumes]
    each = (time.process_time() - start) / len(volumes)
    print(
        f"{name} clean: {sum(held)} of {len(held)} held, {each * 1000:.0f} ms of processor each", flush=True
    )


def strongest(pixels: np.ndarray, modality: str) -> tuple[Scale, list[Place]]:
    """Places of a volume that would be looked at."""
    scale = scale_of(pixels, modality=modality)
    kinds = (shared_places(pixels, scale), lone_places(pixels, scale, turned=False))
    most = (sorted(kind, key=attrgetter("window.strokes"), reverse=True)[:MOST_PLACES] for kind in kinds)
    return scale, [place for kind in most for place in kind]


def examples(
    volumes: dict[str, list[Volume]], engine: TextEngine, count: int
) -> dict[tuple[bool, bool], list[list[float]]]:
    """Features of places, by whether one slice has the line alone, and whether the engine read the text there."""
    found: dict[tuple[bool, bool], list[list[float]]] = defaultdict(list)
    rng = np.random.default_rng(44)
    for modality, series in volumes.items():
        for stack, *_ in series:
            half, pixels = len(stack) // 2, stack.astype(np.int16)
            for part in (pixels, pixels[:half], pixels[half:]) if half >= 6 else (pixels,):
                scale, clean = strongest(part, modality)
                for place in clean:
                    found[bool(place.beside), False].append(list(features_of(part, place, scale).values()))
        for _ in range(count):
            way = Way(
                share=float(rng.choice([0, 1, 2, 0.15])),
                ink=float(rng.choice([0, 1, 0.6])),
                quality=int(rng.choice([0, 0, 0, 85])),
            )
            planted = drawn(
                series[rng.integers(len(series))],
                str(rng.choice(TEXTS)),
                int(rng.choice([*SIZES, 32])),
                way,
                rng,
            )
            if planted is None:
                continue
            pixels, slices, (y0, y1, x0, x1) = planted
            scale, places = strongest(pixels, modality)
            for place in (one for one in places if not one.turned):
                window = place.window
                there = y0 - 8 <= window.row <= y1 + 8 and window.columns[0] < x1 and window.columns[1] > x0
                if not there or set(slices).isdisjoint(place.slices):
                    continue
                line = likely_line(pixels, place, scale)
                if any(
                    is_text(read) for image, zoom in line.views for read in engine.lines(image, zoom=zoom)
                ):
                    found[bool(place.beside), True].append(list(features_of(pixels, place, scale).values()))
    return found


def fitted(clean: np.ndarray, text: np.ndarray) -> np.ndarray:
    """Weights of a logistic regression, both kinds of equal weight; the last feature is constant."""
    values = np.concatenate([clean, text])
    is_one = np.repeat([0.0, 1.0], [len(clean), len(text)])
    weight = np.where(is_one, 0.5 / len(text), 0.5 / len(clean))
    mean, spread = values.mean(axis=0), values.std(axis=0) + 1e-6
    mean[-1], spread[-1] = 0.0, 1.0
    scaled, result = (values - mean) / spread, np.zeros(values.shape[1])
    ridge = np.full(len(result), PENALTY)
    ridge[-1] = 1e-9
    for _ in range(80):  # Newton's steps
        chance = 1 / (1 + np.exp(-scaled @ result))
        gradient = scaled.T @ (weight * (chance - is_one)) + ridge * result
        curvature = (scaled.T * (weight * chance * (1 - chance))) @ scaled + np.diag(ridge)
        result -= np.linalg.solve(curvature, gradient)
    unscaled: np.ndarray = result / spread
    unscaled[-1] -= float(unscaled[:-1] @ mean[:-1])
    return unscaled


def fit(engine: TextEngine, count: int) -> None:
    """Print the weights, and what shares of texts and of clean places lie above some log odds."""
    found = examples(seen_volumes(), engine, count)
    for lone in (True, False):
        clean, text = (np.array(found[lone, is_text]) for is_text in (False, True))
        weights = fitted(clean, text)
        print("lone" if lone else "shared", len(text), "texts,", len(clean), "clean")
        print({name: round(float(weight), 2) for name, weight in zip(WEIGHTS, weights, strict=True)})
        for percent in (2, 5, 10):
            least = float(np.percentile(text @ weights, percent))
            print(
                f"  {percent} % of texts below {least:.2f}, {(clean @ weights >= least).mean():.1%} of clean above"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--project", type=Path, help="a CT head as a project of InVesalius")
    parser.add_argument("--heads", type=Path, nargs="*", default=[], help="MR heads as NIfTI")
    parser.add_argument("--repeats", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--fit", action="store_true")
    parser.add_argument("--examples", type=int, default=400, help="texts of each modality to fit on")
    arguments = parser.parse_args()
    engine = text_engine()
    assert engine is not None, "rapidocr-onnxruntime is not installed"
    if arguments.fit:
        fit(engine, arguments.examples)
    if arguments.heads:
        measure("MR", "MR", heads(arguments.heads), engine, arguments)
    if arguments.project:
        volume, _ = project_volume(arguments.project)
        cut = slabs(volume, 27) + [(volume[at::4], -160.0, 240.0) for at in range(4)]
        measure("CT", "CT", cut, engine, arguments)


if __name__ == "__main__":
    main()

"""The watermark at three sizes: how often it is found, how little it shows, what it costs, and what breaks it.

    python benchmarks/watermark.py [--cases N]

Hosts: phantom-like volumes made here, and where SYNTHDATA_REALDATA has them real hippocampus MR volumes and real
28 x 28 chest X-rays. Real images are rougher than generated ones. `found` is the share of marked images at or below a
stated false-positive rate of 1e-6 per image, with a 95 % Clopper-Pearson interval.
"""

import argparse
import io
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from synthdata.provenance.watermark import FALSE_POSITIVE_RATE, TILE, detect, embed
from synthdata.provenance.watermark import _folded_slices as folded_slices
from synthdata.records import ChannelScale

KEY = bytes(range(32))
SCALE = ChannelScale(
    channel="image", modality="MR", method="percentile", unit="1", low=0, high=1000, percentiles=(0.5, 99.5)
)
RANDOM_TILES = 20_000  # of other keys, per unmarked image
REAL = Path(os.environ.get("SYNTHDATA_REALDATA", "../shared/data"))
Attack = Callable[[np.ndarray], np.ndarray]


def encoded(volume: np.ndarray) -> np.ndarray:
    """As preparation does: two percentiles to 0 and 1000, with a margin of 5 %."""
    low, high = np.percentile(volume, [0.5, 99.5])
    return np.rint(np.clip((volume - low) / (high - low) * 1000, -25, 1025)).astype(np.int16)


def phantoms(count: int, shape: tuple[int, int, int] = (24, 40, 32)) -> Iterator[np.ndarray]:
    """Smooth bodies with 1.2 % noise in constant air."""
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    for seed in range(count):
        rng = np.random.default_rng(seed)
        waves = sum(np.cos(z * a + y * b + x * c + d) for a, b, c, d in rng.normal(0, 3, (6, 4)))
        values = (500 + 60 * waves + rng.normal(0, 12, shape)).clip(20, 1000)
        yield np.where(z**2 + y**2 + x**2 < 0.95, values, 0).astype(np.int16)


def hippocampi(count: int) -> Iterator[np.ndarray]:
    import nibabel as nib

    for path in sorted((REAL / "hippocampus_mr" / "images").glob("*.nii.gz"))[:count]:
        yield encoded(np.asarray(nib.load(path).dataobj, np.float32).transpose(2, 1, 0))


def radiographs(count: int) -> Iterator[np.ndarray]:
    images = np.load(REAL / "xray_chest" / "pneumonia28.npz")["train_images"]
    for image in images[:count]:
        yield encoded(image[None].astype(np.float32))


def eight_bits(volume: np.ndarray, low: float = 0, high: float = 1000) -> np.ndarray:
    return np.rint(((volume - low) / (high - low)).clip(0, 1) * 255).astype(np.uint8)


def jpeg(quality: int) -> Attack:
    from PIL import Image

    def one(pixels: np.ndarray) -> np.ndarray:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
        return np.asarray(Image.open(buffer))

    return lambda volume: np.stack([one(pixels) for pixels in eight_bits(volume)])


def noise(deviation: float) -> Attack:
    return lambda volume: volume + np.random.default_rng(0).normal(0, deviation, volume.shape)


def blurred(volume: np.ndarray) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(volume.astype(np.float32), (0, 0.6, 0.6))


def enlarged(volume: np.ndarray) -> np.ndarray:
    from scipy.ndimage import zoom

    return zoom(volume.astype(np.float32), (1, 1.25, 1.25), order=1)


ATTACKS: dict[str, Attack] = {
    "unaltered": lambda volume: volume,
    "gain and offset": lambda volume: volume * 0.37 - 1024,
    "8 bits, full window": eight_bits,
    "8 bits, half window": lambda volume: eight_bits(volume, 250, 750),
    "gamma 0.7": lambda volume: (volume.clip(0, 1000) / 1000) ** 0.7,
    "noise of 1 %": noise(10),
    "noise of 3 %": noise(30),
    "crop of 3 + 2 pixels": lambda volume: volume[:, 3:-2, 2:-3],
    "flip and turn": lambda volume: volume.transpose(0, 2, 1)[:, ::-1],
    "JPEG 95": jpeg(95),
    "JPEG 85": jpeg(85),
    "JPEG 75": jpeg(75),
    "JPEG 50": jpeg(50),
    "blur of 0.6 pixels": blurred,
    "resized by 1.25": enlarged,
}


def interval(found: int, n: int) -> str:
    """Share with its Clopper-Pearson interval at 95 %."""
    from scipy.stats import beta

    low = beta.ppf(0.025, found, n - found + 1) if found else 0.0
    high = beta.ppf(0.975, found + 1, n - found) if found < n else 1.0
    return f"{found / n:4.0%} [{low:.0%}, {high:.0%}]"


def cost(volumes: list[np.ndarray]) -> list[np.ndarray]:
    start = time.process_time()
    marked = [embed(volume[None], [SCALE], key=KEY, case_id=str(i))[0] for i, volume in enumerate(volumes)]
    embedding = time.process_time() - start
    start = time.process_time()
    for volume in marked:
        detect(volume, key=KEY)
    detecting = time.process_time() - start
    errors = [np.mean((a.astype(float) - b) ** 2) for a, b in zip(volumes, marked, strict=True)]
    psnr = 10 * np.log10(1000**2 / np.array(errors))
    print(
        f"  per CPU second: {len(volumes) / embedding:.0f} embedded, {len(volumes) / detecting:.0f} detected"
    )
    print(f"  PSNR against 1000: median {np.median(psnr):.1f} dB, lowest {psnr.min():.1f} dB")
    return marked


def survival(marked: list[np.ndarray]) -> None:
    single = len(marked[0]) == 1
    print(f"  {'':22}{'' if single else 'whole volume: z, found':34}middle slice: z, found")
    for name, attack in ATTACKS.items():
        cells = []
        for part in ([slice(None)] if not single else []) + ["middle"]:
            images = [volume if part != "middle" else volume[len(volume) // 2][None] for volume in marked]
            results = [detect(attack(image), key=KEY) for image in images]
            found = interval(sum(result.marked for result in results), len(results))
            cells.append(f"{np.median([result.z_score for result in results]):5.1f}  {found}")
        print(f"  {name:22}" + "".join(f"{cell:34}" for cell in cells))


def null(volumes: list[np.ndarray]) -> None:
    """Unmarked images against random tiles: the tail, beside the normal law and beside the bound that is stated."""
    from scipy.stats import norm

    rng = np.random.default_rng(1)
    tiles = np.stack([folded_slices(volume.astype(np.float32)).sum(axis=0).ravel() for volume in volumes])
    tiles = (tiles / np.linalg.norm(tiles, axis=1, keepdims=True)).astype(np.float32)
    beyond, total, square = dict.fromkeys((3.0, 4.0, 4.9), 0), 0, 0.0
    for _ in range(RANDOM_TILES // 2000):
        scores = np.abs(tiles @ (rng.integers(0, 2, (TILE**2, 2000)) * 2 - 1).astype(np.float32))
        total, square = total + scores.size, square + float((scores**2).sum())
        for z in beyond:
            beyond[z] += int((scores > z).sum())
    print(f"  unmarked: {total} scores, standard deviation {np.sqrt(square / total):.4f}")
    for z, count in beyond.items():
        normal, bound = 2 * norm.sf(z), 2 * np.exp(-z * z / 2)
        print(f"    |z| > {z}: {count / total:.1e}, normal law {normal:.1e}, stated bound {bound:.1e}")
    false = sum(detect(volume, key=KEY).marked for volume in volumes)
    print(f"    called marked at a stated rate of {FALSE_POSITIVE_RATE:g}: {false} of {len(volumes)}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", type=int, default=20)
    count = parser.parse_args().cases
    hosts = {"phantom-like 24 x 40 x 32": list(phantoms(count))}
    if (REAL / "hippocampus_mr").is_dir():
        hosts["real hippocampus MR, about 36 x 50 x 35"] = list(hippocampi(count))
    if (REAL / "xray_chest").is_dir():
        hosts["real chest X-ray 28 x 28"] = list(radiographs(10 * count))
    for name, volumes in hosts.items():
        print(f"{name}, {len(volumes)} cases")
        survival(cost(volumes))
        null(volumes)


if __name__ == "__main__":
    main()

"""Series made anew from random numbers: every syntax, type and orientation beside the truth, SimpleITK and dcm2niix.

Each object is written by pydicom alone, from an array and a grid that are drawn, and read back three times. Prints a
line per group: how many objects each reader read, the largest distance of a voxel's place, and how many voxels differ.
Where a reader reads nothing (SimpleITK: other bits than the low ones; dcm2niix: deflated, signed bytes), it is not
counted. HTJ2K and lossless JPEG need `imagecodecs` (`pip install imagecodecs`), which this project does not depend on.

    python benchmarks/reading_right.py --seeds 40
"""

import argparse
import importlib.util
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from geometry import Comparison, Image, compare, image_of, of_dcm2niix, of_simpleitk
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import (
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    MRImageStorage,
    RLELossless,
    generate_uid,
)

from synthdata.intake.dicom_file import quiet_parsers, read_instance
from synthdata.intake.elements import ElementJudge
from synthdata.intake.geometry import grid_of_slices
from synthdata.intake.inventory import Inventory
from synthdata.intake.pseudonyms import Pseudonyms
from synthdata.intake.series import Series, group_series
from synthdata.records import Grid

NATIVE = {
    "implicit": "1.2.840.10008.1.2",
    "big endian": "1.2.840.10008.1.2.2",
    "deflated": "1.2.840.10008.1.2.1.99",
}
PLUGINS = {
    "RLE": (RLELossless, "pydicom"),
    "JPEG-LS": (JPEGLSLossless, ""),
    "JPEG 2000": (JPEG2000Lossless, ""),
}
CODECS = {
    "HTJ2K": ("1.2.840.10008.1.2.4.201", "htj2k", {"reversible": True}),
    "HTJ2K RPCL": ("1.2.840.10008.1.2.4.202", "htj2k", {"reversible": True}),
    "HTJ2K lossy": ("1.2.840.10008.1.2.4.203", "htj2k", {"reversible": True}),
    "JPEG SV1": ("1.2.840.10008.1.2.4.70", "ljpeg", {}),
    "JPEG 14": ("1.2.840.10008.1.2.4.57", "ljpeg", {}),
    "native, wrapped": ("1.2.840.10008.1.2.1.98", "", {}),
}
TYPES = {
    "u8": ("u1", 8),
    "u10": ("u2", 10),
    "u12": ("u2", 12),
    "s12": ("i2", 12),
    "u16": ("u2", 16),
    "s16": ("i2", 16),
}
SHAPE = (3, 37, 35)  # odd, so that bytes are padded


def dataset_of(pixels: np.ndarray, stored: int, number: int, series: str) -> Dataset:
    """A slice (y, x), or frames (n, y, x), without its place."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = MRImageStorage, generate_uid()
    dataset.Modality, dataset.PatientID, dataset.PatientName = "MR", "PAT-1", "PAT-1"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = series + ".1", series + ".2"
    dataset.FrameOfReferenceUID, dataset.ImageType = series + ".3", ["ORIGINAL", "PRIMARY", "M"]
    dataset.InstanceNumber, dataset.SeriesNumber = number, 1
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = pixels.shape[-2:]
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8 * pixels.itemsize, stored, stored - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    masked = pixels.view(f"u{pixels.itemsize}") & np.array((1 << stored) - 1, f"u{pixels.itemsize}")
    dataset.add_new(
        "PixelData", "OB" if pixels.itemsize == 1 else "OW", masked.tobytes() + b"\0" * (masked.nbytes % 2)
    )
    return dataset


def placed(dataset: Dataset, grid: Grid, index: int, rng: np.random.Generator) -> Dataset:
    """A slice at its place, its cosines rounded as scanners round them."""
    position = (grid.affine @ [index, 0, 0, 1])[:3]
    dataset.ImagePositionPatient = [float(f"{value:.8g}") for value in position]
    cosines = np.concatenate([grid.axes[2], grid.axes[1]]) + rng.uniform(-1e-7, 1e-7, 6)
    dataset.ImageOrientationPatient = [float(f"{value:.9f}") for value in cosines]
    dataset.PixelSpacing = [float(f"{value:.6g}") for value in grid.spacing_mm[1:]]
    dataset.SliceThickness = float(f"{grid.spacing_mm[0]:.4f}")
    return dataset


def drawn_grid(rng: np.random.Generator, shape: tuple[int, int, int]) -> Grid:
    """An orientation, spacing and place by chance."""
    axes, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    spacing = rng.uniform(0.3, 4.0, 3).round(4)
    orientation = np.concatenate([axes[0], axes[1]])
    return grid_of_slices(rng.uniform(-300, 300, 3), orientation, (spacing[1], spacing[2]), spacing[0], shape)


def save(dataset: Dataset, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.save_as(path, enforce_file_format=True)


def counted(slices: int) -> np.ndarray:
    """Places of slices in the order of acquisition: upwards, or downwards."""
    return np.arange(slices)[:: 1 if slices % 2 else -1]


def write_series(
    folder: Path, values: np.ndarray, grid: Grid, stored: int, encode: Callable[[Dataset], None]
) -> None:
    """Classic slices, counted upwards or downwards, in files whose names tell nothing."""
    rng = np.random.default_rng(values.size)
    series = generate_uid()
    for number, index in enumerate(counted(len(values)), 1):
        dataset = placed(dataset_of(values[index], stored, number, series), grid, index, rng)
        encode(dataset)
        save(dataset, folder / f"{generate_uid()[-12:]}.dcm")


def write_frames(folder: Path, values: np.ndarray, grid: Grid, stored: int) -> None:
    """An enhanced image, its frames upwards or downwards, spacing and orientation shared."""
    order = counted(len(values))
    dataset = dataset_of(values[order], stored, 1, generate_uid())
    dataset.SOPClassUID, dataset.NumberOfFrames = EnhancedMRImageStorage, len(values)
    shared, frames = Dataset(), []
    for index in order:
        one, plane, measures, orientation, groups = (Dataset() for _ in range(5))
        placed(one, grid, index, np.random.default_rng(0))
        plane.ImagePositionPatient = one.ImagePositionPatient
        orientation.ImageOrientationPatient = one.ImageOrientationPatient
        measures.PixelSpacing, measures.SliceThickness = one.PixelSpacing, one.SliceThickness
        shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = (
            Sequence([orientation]),
            Sequence([measures]),
        )
        groups.PlanePositionSequence = Sequence([plane])
        frames.append(groups)
    dataset.SharedFunctionalGroupsSequence = Sequence([shared])
    dataset.PerFrameFunctionalGroupsSequence = Sequence(frames)
    save(dataset, folder / "frames.dcm")


def encoders() -> dict[str, Callable[[Dataset], None]]:
    """Name of a transfer syntax to what puts the pixels of a dataset into it."""
    found: dict[str, Callable[[Dataset], None]] = {"explicit": lambda _: None}
    found |= {name: lambda dataset, uid=uid: _native(dataset, uid) for name, uid in NATIVE.items()}
    found |= {
        name: lambda dataset, uid=uid, plugin=plugin: dataset.compress(
            uid, encoding_plugin=plugin, generate_instance_uid=False
        )
        for name, (uid, plugin) in PLUGINS.items()
    }
    installed = importlib.util.find_spec("imagecodecs") is not None
    return found | {
        name: lambda dataset, uid=uid, codec=codec, options=options: _encoded(dataset, uid, codec, options)
        for name, (uid, codec, options) in CODECS.items()
        if installed or not codec
    }


def _native(dataset: Dataset, uid: str) -> None:
    dataset.file_meta.TransferSyntaxUID = uid
    if uid == NATIVE["big endian"] and dataset.BitsAllocated == 16:
        dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").byteswap().tobytes()


def _encoded(dataset: Dataset, uid: str, codec: str, options: dict[str, object]) -> None:
    frame = dataset.PixelData
    if codec:
        import imagecodecs

        kind = (
            f"<{'i' if dataset.PixelRepresentation and codec == 'htj2k' else 'u'}{dataset.BitsAllocated // 8}"
        )
        pixels = np.frombuffer(frame, kind, dataset.Rows * dataset.Columns).reshape(
            dataset.Rows, dataset.Columns
        )
        if pixels.dtype.kind == "i" and dataset.BitsStored < dataset.BitsAllocated:
            shift = dataset.BitsAllocated - dataset.BitsStored
            pixels = pixels << shift >> shift
        more = {"bitspersample": dataset.BitsStored} if codec == "ljpeg" else {}
        frame = getattr(imagecodecs, f"{codec}_encode")(np.ascontiguousarray(pixels), **options, **more)
    dataset.file_meta.TransferSyntaxUID = uid
    dataset.PixelData = encapsulate([frame])
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True


def made(root: Path, seeds: int) -> Iterator[tuple[str, Path, np.ndarray, Grid]]:
    """Group, folder, values (z, y, x) and grid of each object."""
    for seed, (name, encode) in enumerate(encoders().items()):
        for kind, (dtype, stored) in TYPES.items():
            rng = np.random.default_rng(1000 * seed + stored)
            low = -(1 << (stored - 1)) if dtype[0] == "i" else 0
            values = rng.integers(low, low + (1 << stored), SHAPE).astype(dtype)
            grid, folder = drawn_grid(rng, SHAPE), root / f"{name} {kind}"
            write_series(folder, values, grid, stored, encode)
            yield f"syntax: {name}", folder, values, grid
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        shape = (int(rng.integers(3, 9)), int(rng.integers(20, 60)), int(rng.integers(20, 60)))
        values, grid = rng.integers(0, 4096, shape).astype("u2"), drawn_grid(rng, shape)
        write_series(root / f"classic {seed}", values, grid, 12, lambda _: None)
        yield "orientation: classic", root / f"classic {seed}", values, grid
        write_frames(root / f"enhanced {seed}", values, grid, 12)
        yield "orientation: enhanced", root / f"enhanced {seed}", values, grid


def read(folder: Path) -> tuple[Series, Inventory]:
    """The one volume of a folder as intake reads it; what speaks against its identity is not asked."""
    inventory, judge, names, instances = Inventory(), ElementJudge(), Pseudonyms(b"k" * 32), []
    for path in sorted(folder.iterdir()):
        seen, data = inventory.add(path)
        instance = read_instance(seen, data, judge=judge, names=names, inventory=inventory, body_part="")
        assert instance is not None, f"{folder.name}: {seen.reasons}"
        seen.reasons.clear()
        instances.append(instance)
    (series,) = group_series(instances)
    return series, inventory


def comparisons(folder: Path, values: np.ndarray, grid: Grid) -> Iterator[Comparison]:
    """One object beside its truth and both readers."""
    series, inventory = read(folder)
    mine = image_of(series, inventory)
    yield compare(mine, Image(values=values, grid=grid), series, "truth", interpolated=False)
    for reader, function in (("SimpleITK", of_simpleitk), ("dcm2niix", of_dcm2niix)):
        try:
            yield compare(mine, function(series), series, reader, interpolated=False)
        except (LookupError, RuntimeError):
            continue


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=40, help="orientations by chance")
    seeds = parser.parse_args().seeds
    found: dict[tuple[str, str], list[Comparison]] = {}
    with tempfile.TemporaryDirectory() as name, quiet_parsers():
        for group, folder, values, grid in made(Path(name), seeds):
            for one in comparisons(folder, values, grid):
                found.setdefault((group, one.reader), []).append(one)
    print(f"{'group':28}{'reader':12}{'objects':>8}{'largest mm':>12}{'differing voxels':>18}")
    for (group, reader), ones in found.items():
        distance, differing = max(one.distance_mm for one in ones), sum(one.differing for one in ones)
        print(f"{group:28}{reader:12}{len(ones):8}{distance:12.1e}{differing:18}")


if __name__ == "__main__":
    main()

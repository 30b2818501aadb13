"""Geometry and voxels of every DICOM series of a folder, as intake, SimpleITK and dcm2niix read them.

Prints one line per volume: the largest distance in mm between places of one voxel (8 corners), and how many voxels
differ. A mosaic is one flat image to SimpleITK, so there its pixels are compared and not its places. dcm2niix puts a
tilted series upright by interpolation, as intake does: there the mean difference of values is printed. dcm2niix of
Debian reads no JPEG-LS and no copy of it is compared.

    python benchmarks/geometry.py ../shared/data/dicom
"""

import argparse
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from synthdata.intake.dicom_file import Instance, quiet_parsers, read_instance
from synthdata.intake.elements import ElementJudge
from synthdata.intake.geometry import grid_of_affine, index_map, resample
from synthdata.intake.inventory import Inventory
from synthdata.intake.pixels import stored_slices, values_of
from synthdata.intake.pseudonyms import Pseudonyms
from synthdata.intake.reading import AIR_HU, read_volume
from synthdata.intake.series import Series, group_series
from synthdata.records import Grid


@dataclass(frozen=True, kw_only=True)
class Image:
    """Values (z, y, x) and where they lie."""

    values: np.ndarray
    grid: Grid


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One volume beside that of another reader."""

    series: str
    reader: str
    distance_mm: float  # largest, of the same voxel; NaN where it was not compared
    differing: int  # voxels
    voxels: int
    mean_difference: float


def ours(folder: Path) -> tuple[list[Series], Inventory]:
    """Volumes of a folder, each file as a series of its own where the files are copies of one object."""
    inventory, judge, names = Inventory(), ElementJudge(), Pseudonyms(b"k" * 32)
    instances: list[Instance] = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        seen, data = inventory.add(path)
        instance = read_instance(seen, data, judge=judge, names=names, inventory=inventory, body_part="")
        if instance is not None and not instance.is_mask:
            seen.reasons.clear()  # what speaks against the file's identity is not asked here
            instances.append(instance)
    series = group_series(instances)
    if any(one.stack is None for one in series):
        for instance in instances:
            instance.seen.reasons.clear()
        series = [volume for instance in instances for volume in group_series([instance])]
    return series, inventory


def image_of(series: Series, inventory: Inventory) -> Image:
    """A volume as intake reads it."""
    values = read_volume(series, inventory, unit="")
    assert values is not None
    assert series.grid is not None
    return Image(values=values, grid=series.grid)


def of_simpleitk(series: Series) -> Image:
    """The same files, sorted and read by SimpleITK."""
    import SimpleITK as sitk  # noqa: N813

    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    paths = [str(instance.seen.path) for instance in series.instances]
    if len(paths) == 1:
        image = sitk.ReadImage(paths[0])
    else:
        with tempfile.TemporaryDirectory() as name:
            for number, path in enumerate(sorted(paths)):
                shutil.copy(path, Path(name) / f"{number}.dcm")
            image = sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(name))
    columns = np.array(image.GetDirection()).reshape(3, 3)
    grid = Grid(
        shape_zyx=image.GetSize()[::-1],
        spacing_mm=image.GetSpacing()[::-1],
        origin_mm=image.GetOrigin(),
        direction=tuple(columns.T[::-1].ravel()),
    )
    return Image(values=sitk.GetArrayFromImage(image), grid=grid)


def of_dcm2niix(series: Series) -> Image:
    """The same files, converted by dcm2niix with the scaling of the files."""
    import nibabel as nib

    with tempfile.TemporaryDirectory() as name:
        scans, out = Path(name) / "scans", Path(name) / "out"
        scans.mkdir()
        out.mkdir()
        for number, instance in enumerate(series.instances):
            shutil.copy(instance.seen.path, scans / f"{number}.dcm")
        command = ["dcm2niix", "-b", "n", "-z", "n", "-p", "n", "-f", "one", "-o", str(out), str(scans)]
        subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        found = sorted(out.glob("*.nii"), key=lambda path: "Tilt" in path.name)
        if not found:
            raise LookupError("dcm2niix wrote nothing")
        image = nib.load(found[-1])
        values = np.asarray(image.dataobj).transpose(2, 1, 0)
        return Image(values=values, grid=grid_of_affine(image.affine, image.shape))


def compare(mine: Image, other: Image, series: Series, reader: str, *, interpolated: bool) -> Comparison:
    """Distances of corners and differing voxels, after the other volume was turned to the axes of ours."""
    air = AIR_HU if series.first.modality == "CT" else 0.0
    turned = resample(other.values, other.grid, mine.grid, order=0, fill=0)
    matrix = index_map(other.grid, mine.grid)
    corners = np.array([[z, y, x, 1] for z in (0, 1) for y in (0, 1) for x in (0, 1)], dtype=float)
    corners[:, :3] *= np.array(mine.grid.shape_zyx) - 1
    nearest = np.rint(corners @ matrix.T) @ other.grid.affine.T
    distance = np.linalg.norm((nearest - corners @ mine.grid.affine.T)[:, :3], axis=1).max()
    if interpolated:
        turned, distance = resample(other.values, other.grid, mine.grid, order=1, fill=air), float("nan")
    if air:  # padding, which intake sets to air
        turned = np.maximum(turned, air)
    difference = np.abs(turned - mine.values.astype(np.float64))
    allowed = 1e-6 * np.abs(mine.values).max()  # dcm2niix keeps slopes as float32
    return Comparison(
        series=series.name,
        reader=reader,
        distance_mm=float(distance),
        differing=int((difference > allowed).sum()),
        voxels=mine.values.size,
        mean_difference=float(difference.mean()),
    )


def flat_mosaic(series: Series, inventory: Inventory, other: Image) -> Comparison:
    """Tiles of our volume beside the mosaic as one image; SimpleITK gives it no place in the world."""
    tiles, side = len(series.slices), other.values.shape[-1] // series.first.shape_yx[1]
    order = np.argsort([item.frame.number for item in series.slices])
    rows, columns = series.first.shape_yx
    flat = np.zeros((side * side, rows, columns))
    flat[:tiles] = image_of(series, inventory).values[order]
    flat = flat.reshape(side, side, rows, columns).transpose(0, 2, 1, 3).reshape(side * rows, side * columns)
    differing = int((flat != other.values[0]).sum())
    return Comparison(
        series=series.name,
        reader="SimpleITK",
        distance_mm=float("nan"),
        differing=differing,
        voxels=flat.size,
        mean_difference=float(np.abs(flat - other.values[0]).mean()),
    )


def acquired_slices(series: Series) -> Comparison:
    """Slices of a tilted series one by one, before anything is interpolated; SimpleITK's stack ignores the tilt."""
    distances, differing, voxels = [], 0, 0
    for item in series.slices:
        other = of_simpleitk(Series(slices=(item,), stack=series.stack, name=series.name))
        distances.append(np.abs(np.subtract(item.frame.position_mm, other.grid.origin_mm)).max())
        stored = stored_slices(item.instance, item.instance.seen.path.read_bytes(), [item.frame])
        values, _ = values_of(stored, item.instance.pixels, item.frame.scales[0])
        differing += int((values != other.values).sum())
        voxels += values.size
    return Comparison(
        series=series.name,
        reader="SimpleITK",
        distance_mm=float(max(distances)),
        differing=differing,
        voxels=voxels,
        mean_difference=0.0,
    )


def comparisons(folder: Path) -> Iterator[Comparison]:
    """Every volume of a folder beside both readers; dcm2niix is left out where it reads nothing."""
    with quiet_parsers():
        series, inventory = ours(folder)
        for one in series:
            mine, tilted = image_of(one, inventory), one.stack.shifts_yx is not None
            simple = of_simpleitk(one)
            if one.first.pixels.tiles:
                yield flat_mosaic(one, inventory, simple)
            elif tilted:
                yield acquired_slices(one)
            else:
                yield compare(mine, simple, one, "SimpleITK", interpolated=False)
            try:
                other = of_dcm2niix(one)
            except LookupError:
                continue
            yield compare(mine, other, one, "dcm2niix", interpolated=tilted)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folders = sorted(path for path in parser.parse_args().folder.iterdir() if path.is_dir())
    print(f"{'folder':32}{'reader':12}{'mm':>10}{'voxels':>10}{'differ':>8}{'mean':>8}")
    for folder in folders:
        for one in comparisons(folder):
            print(
                f"{folder.name:32}{one.reader:12}{one.distance_mm:10.1e}{one.voxels:10}{one.differing:8}"
                f"{one.mean_difference:8.3f}  {re.sub('[^a-z0-9 ]', '', one.series.lower())}"
            )


if __name__ == "__main__":
    main()

"""NIfTI folders and sets with a table: a second intake reads nothing, and what is new, changed or gone costs itself."""

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from synthdata.intake import inventory, listing, take_in
from synthdata.records import digest_of
from synthdata.spec import GridSpec, Source
from synthdata.storage.folder import FolderStore


@pytest.fixture
def reads(monkeypatch) -> list[str]:
    """Names of the files whose bytes were read; files that were written a moment ago count as settled."""
    names: list[str] = []
    original = inventory.read_file
    monkeypatch.setattr(listing, "RACY_NS", -(10**12))
    monkeypatch.setattr(inventory, "read_file", lambda path: (names.append(path.name), original(path))[1])
    return names


class Nifti:
    """A folder of volumes with label maps and a table of records."""

    table, new = "clinical.csv", 4  # files that are read of a new case: image and mask, twice

    def __init__(self, build, folder: Path) -> None:
        source = Source(kind="folder", uri="unused", format="nifti", clinical=self.table)
        base = build.spec(labels={"lesion": 1}, clinical=(build.age,), source=source)
        self.folder = folder
        self.spec = replace(base, channels=(replace(base.channels[0], series=""),))

    def add(self, case: int, seed: int) -> None:
        """One case, or another one in its place."""
        voxels = np.random.default_rng(seed).integers(0, 900, (6, 8, 5)).astype(np.int16)
        for name, data in (("images", voxels), ("labels", (voxels > 450).astype(np.uint8))):
            path = self.folder / name / f"case{case:03d}.nii.gz"
            path.parent.mkdir(exist_ok=True)
            nib.save(nib.Nifti1Image(data, np.diag([2, 2, 3, 1])), path)

    def remove(self, case: int) -> None:
        """Its files; its row stays."""
        for name in ("images", "labels"):
            (self.folder / name / f"case{case:03d}.nii.gz").unlink()

    def write(self, ages: dict[int, int]) -> None:
        """The table."""
        rows = "".join(f"case{case:03d},{age}\n" for case, age in ages.items())
        (self.folder / self.table).write_text(f"subject,age\n{rows}")


class Pictures:
    """PNG files and a table with a row per case."""

    table, new = "labels.csv", 2

    def __init__(self, build, folder: Path) -> None:
        columns = {"XR": "file", "patient": "patient"}
        source = Source(
            kind="folder", uri="unused", format="table", clinical=self.table, images="images", columns=columns
        )
        base = build.spec(clinical=(build.age,), source=source)
        channel = replace(base.channels[0], name="XR", modality="CR", series="")
        grid = GridSpec(shape_zyx=(1, 16, 16), spacing_mm=(1.0, 1.0, 1.0))
        self.folder, self.spec = folder, replace(base, channels=(channel,), grid=grid)
        (folder / "images").mkdir()

    def add(self, case: int, seed: int) -> None:
        """One case, or another one in its place."""
        pixels = np.random.default_rng(seed).integers(0, 255, (16, 16)).astype(np.uint8)
        Image.fromarray(pixels).save(self.folder / "images" / f"im{case:03d}.png")

    def remove(self, case: int) -> None:
        """Its file; its row stays."""
        (self.folder / "images" / f"im{case:03d}.png").unlink()

    def write(self, ages: dict[int, int]) -> None:
        """The table."""
        rows = "".join(f"im{case:03d}.png,P{case:03d},{age}\n" for case, age in ages.items())
        (self.folder / self.table).write_text(f"file,patient,age\n{rows}")


@pytest.mark.parametrize("kind", [Nifti, Pictures])
def test_what_is_new_changed_or_gone_costs_itself(build, scans, private, tmp_path, reads, kind) -> None:
    source = kind(build, scans)
    ages = {case: 40 + case for case in range(8)}
    for case in ages:
        source.add(case, case)
    source.write(ages)

    def cost(store: FolderStore = private) -> tuple[int, int]:
        reads.clear()
        report = take_in(source.spec, scans, store, pseudonym_key=build.key)
        return report.cases.cases, len([name for name in reads if name != source.table])

    assert cost()[0] == 8
    assert cost() == (8, 0)
    for case in range(8, 11):
        source.add(case, case)
    source.write(ages | dict.fromkeys(range(8, 11), 50))
    assert cost() == (11, 3 * source.new)
    source.write(ages | dict.fromkeys(range(8, 11), 50) | {2: 77})
    assert cost() == (11, source.new // 2)  # pixels, not the first look
    source.add(3, 99)
    assert cost() == (11, source.new)
    source.remove(4)
    assert cost() == (10, 0)
    assert cost() == (10, 0)
    cases, _ = cost(whole := FolderStore(tmp_path / "whole"))
    assert cases == 10
    reports = [take_in(source.spec, scans, store, pseudonym_key=build.key) for store in (private, whole)]
    assert digest_of(reports[0]) == digest_of(reports[1])

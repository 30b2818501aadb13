"""What lies in a source's folder, cheaply enough to ask every minute."""

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

from assets.references import ScanInventory
from synthdata.errors import SourceError
from synthdata.progress import Progress, silent
from synthdata.spec import DatasetSpec


def source_folder(spec: DatasetSpec, sources: Path) -> Path:
    """Folder of the scans of a spec; that of the phantom, and of scans which are fetched, lies below `sources`."""
    if spec.source.is_remote:
        return sources / spec.name / "scans"
    return sources / spec.name if spec.source.kind == "phantom" else spec.source.folder()


def look_at_source(spec: DatasetSpec, sources: Path) -> str:
    """Digest of what the source holds, without reading or fetching a scan; of a clinical table beside scans, too.

    Raises:
        SourceError: The source does not answer, or is empty.
    """
    if not spec.source.is_remote:
        return take_inventory(spec, source_folder(spec, sources)).digest
    from synthdata.intake.listing import list_files
    from synthdata.intake.remote import look

    there = look(spec.source.address())
    table = source_folder(spec, sources) / spec.source.clinical if spec.source.clinical else None
    if spec.source.kind == "s3" or table is None or not table.is_file():
        return there
    return hashlib.sha256(f"{there} {list_files(table).digest()}".encode()).hexdigest()


def fetch_scans(spec: DatasetSpec, sources: Path, *, progress: Progress = silent) -> ScanInventory:
    """Bring the local copy of a remote source up to date, and count what is whole.

    Raises:
        SourceError: The server refused us, does not answer, or holds nothing.
        StoreError: The copy cannot be written.
    """
    from synthdata.intake.remote import fetch

    fetched = fetch(spec.source.address(), sources / spec.name, progress=progress)
    inventory = take_inventory(spec, source_folder(spec, sources))
    return replace(inventory, incomplete=len(fetched.failed))


def take_inventory(spec: DatasetSpec, folder: Path) -> ScanInventory:
    """Count the files of a folder and digest the name and stamp of each; a single file counts as one.

    Raises:
        SourceError: The folder or file is not there, holds no file, or may not be read.
    """
    from synthdata.intake.listing import list_files

    listing = list_files(folder)
    if not listing.files:
        raise SourceError(
            "the source holds links alone which lead nowhere: put scans there, or mend source.uri"
        )
    return ScanInventory(
        dataset=spec.name,
        files=len(listing.files),
        size_bytes=sum(entry.stamp[0] for entry in listing.files if entry.stamp),
        digest=listing.digest(),
        origin=spec.source.kind,
    )


def write_phantom(spec: DatasetSpec, folder: Path, key: str, *, progress: Progress = silent) -> ScanInventory:
    """Write the built-in cohort, unless it is there, whole and of the same key.

    The file beside the folder says which inputs made it and what it looked like; it is written last, so that a
    folder of a killed run is written again.
    """
    done = folder.with_name(folder.name + ".done.json")
    try:
        said = json.loads(done.read_text(encoding="utf-8"))
        inventory = take_inventory(spec, folder)
    except (OSError, ValueError, SourceError):
        pass
    else:
        if said == {"key": key, "inventory": inventory.digest}:
            return inventory
    from synthdata.phantom import write_cohort

    done.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    phantom = spec.source.phantom
    write_cohort(
        folder,
        patients=phantom.patients,
        seed=phantom.seed,
        channels=[channel.name for channel in spec.channels],
        shape_zyx=spec.grid.shape_zyx,
        spacing_mm=spec.grid.spacing_mm,
        progress=progress,
    )
    inventory = take_inventory(spec, folder)
    done.write_text(json.dumps({"key": key, "inventory": inventory.digest}), encoding="utf-8")
    return inventory

"""Look at a folder without a spec: what would be held back, and why."""

import secrets
from collections.abc import Sequence
from pathlib import Path

from synthdata.allocation import kept_memory
from synthdata.errors import SourceError
from synthdata.intake.archives import unpacked
from synthdata.intake.csv_rows import open_rows
from synthdata.intake.dicom_file import Instance, is_dicom, quiet_parsers, read_instance
from synthdata.intake.dicom_source import studies_of
from synthdata.intake.elements import ElementJudge
from synthdata.intake.file_names import SEPARATORS, judge_file_names
from synthdata.intake.inventory import Inventory, SeenFile
from synthdata.intake.listing import list_files
from synthdata.intake.nifti_file import is_nifti, read_nifti
from synthdata.intake.npz_source import arrays_are_whole, is_npz
from synthdata.intake.pixels import stored_slices
from synthdata.intake.policy import STRICT, Policy
from synthdata.intake.pseudonyms import Pseudonyms
from synthdata.intake.reading import read_volume
from synthdata.intake.reading_ahead import read_ahead
from synthdata.intake.series import Series, hold_companions
from synthdata.intake.telling import reason_of
from synthdata.intake.unread import Looked, series_beside_unread
from synthdata.intake.vouching import Voucher
from synthdata.intake.word_lists import vocabulary
from synthdata.progress import Progress, silent
from synthdata.records.case_set import CaseSet
from synthdata.records.intake import IntakeReport

OWN_UNIT = "1"  # the modality's own numbers
NO_CASES = CaseSet(
    dataset="inspection",
    origin="real",
    channels=(),
    modalities=(),
    units=(),
    labels={},
    columns=(),
    shards=(),
)


def inspect(folder: Path, *, policy: Policy = STRICT, progress: Progress = silent) -> IntakeReport:
    """De-identification and integrity of all files of a folder; nothing is stored.

    Args:
        folder: Folder of DICOM, NIfTI or NPZ files and CSV tables, or one file; only read.
        policy: What to look for beyond the standard, and what is allowed.
        progress: Told how many files are done.

    Returns:
        Counts and reasons; its CaseSet is empty.

    Raises:
        SourceError: The folder is empty, or holds no scan at all.
    """
    inventory, judge = Inventory(policy), ElementJudge(policy)
    names = Pseudonyms(secrets.token_bytes(32))  # grouping only; no name leaves this call
    scans = 0
    listing = list_files(folder)
    inventory.note_links(listing)
    with kept_memory(), quiet_parsers(), unpacked(listing.entries, inventory) as entries:
        looked = list[Looked]()
        for count, entry in enumerate(read_ahead(entries, lambda entry: entry.path), 1):
            seen, data = inventory.add(entry.path)
            instance = None
            if is_dicom(data):
                instance = read_instance(
                    seen, data, judge=judge, names=names, inventory=inventory, body_part=""
                )
                if instance is not None:
                    _try_decoding(instance, data)
                scans += 1
            elif data:
                scans += _inspect_other(seen, data)
            looked.append((entry.name, seen, instance))
            progress(count, len(entries), "reading and judging files")
        instances = [instance for _, _, instance in looked if instance is not None]
        judge_file_names(inventory.files, folder, policy.deny, inventory.archived)
        inventory.hold_archived()
        inventory.note_unread(series_beside_unread(looked))
        kept = {id(seen) for seen in inventory.refuse_duplicates(item.seen for item in instances)}
        chosen = [item for item in instances if id(item.seen) in kept]
        patients = _judge_series(chosen, inventory, names.patient(""))
    if not scans and not any(
        code.startswith("archive.") for seen in inventory.files for code in seen.reasons
    ):
        raise SourceError(
            f"the source holds {len(looked)} files and no scan{inventory.unreadable()}, expected DICOM, NIfTI or NPZ: "
            "check the path"
        )
    return inventory.report(NO_CASES, patients=patients)


def _judge_series(instances: Sequence[Instance], inventory: Inventory, nobody: str) -> int:
    """Judge series as a whole, and their pixels; returns the number of patients with an accepted file."""
    voucher = Voucher(policy=inventory.policy)
    for study in studies_of(instances, inventory, nobody):
        for series in study.series:
            hold_companions(series)
            if series.accepted:
                _vouch(series, inventory, voucher)
            hold_companions(series)
    return len({item.patient for item in instances if item.seen.outcome == "accepted"})


def _vouch(series: Series, inventory: Inventory, voucher: Voucher) -> None:
    """Look at the pixels of an accepted series."""
    volume, modality = read_volume(series, inventory, unit=OWN_UNIT), series.first.modality
    if volume is None or series.grid is None:
        return
    inventory.notes.update(voucher.notes_of(volume.shape[1:]))
    reasons = voucher.codes_of(volume, series.grid, modality=modality)
    for instance in series.instances:
        instance.seen.reasons |= reasons


def _try_decoding(instance: Instance, data: bytes) -> None:
    """Compressed pixels show only in the decoder that they are whole."""
    compressed = instance.pixels.offset < 0 and not instance.problems and not instance.is_mask
    if compressed and stored_slices(instance, data, instance.frames) is None:
        instance.seen.reasons.add("pixels.undecodable")


def _inspect_other(seen: SeenFile, data: bytes) -> int:
    """Judge what is no DICOM; returns 1 for a scan."""
    if is_nifti(data):
        read_nifti(seen, data)
        return 1
    if is_npz(data):
        if not arrays_are_whole(data):
            seen.reasons.add("file.malformed")
        return 1
    if seen.path.suffix.lower() == ".csv":
        _inspect_table(seen, data)
    else:
        seen.reasons.add("file.not_an_image")
    return 0


def _inspect_table(seen: SeenFile, data: bytes) -> None:
    try:
        columns, rows = open_rows(data, "table", ())
        cells = dict.fromkeys(cell for row in rows for cell in row)
    except SourceError:
        seen.reasons.add("file.malformed")
        return
    headings = dict.fromkeys(map(_without_eponyms, columns))
    seen.reasons |= {reason_of(cells), reason_of(headings)} - {""}


def _without_eponyms(heading: str) -> str:
    """Name of a column without the persons that scores are named after, such as Gleason."""
    words = SEPARATORS.sub(" ", heading).split()
    return " ".join(word for word in words if word.lower() not in vocabulary("eponyms"))

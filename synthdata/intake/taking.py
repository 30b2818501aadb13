"""The two calls of intake: take cases into the private store, or only look at a folder."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from synthdata.allocation import kept_memory
from synthdata.errors import ConfigError, SourceError
from synthdata.intake.archives import unpacked
from synthdata.intake.bids import kind_in_tree, rows_of_tree
from synthdata.intake.case_folders import rows_of_folders
from synthdata.intake.case_shards import CaseShards
from synthdata.intake.clinical import ClinicalTable, load_table, table_bytes
from synthdata.intake.cursor import Cursor, now_ns, rules_of
from synthdata.intake.dicom_file import quiet_parsers
from synthdata.intake.dicom_source import DicomSource, studies_of
from synthdata.intake.file_names import judge_file_names
from synthdata.intake.garbage import searched, staying
from synthdata.intake.image_set import ImageSet, picture_or_nothing, rows_of_table, survey_set
from synthdata.intake.inventory import Inventory
from synthdata.intake.listing import Entry, Listing, list_files, stamp_of
from synthdata.intake.masks import note_label_codes
from synthdata.intake.nifti_source import NiftiSource, survey_pairs
from synthdata.intake.npz_source import NpzSource, Stack, is_npz, read_arrays
from synthdata.intake.policy import Policy, policy_of
from synthdata.intake.pseudonyms import Pseudonyms
from synthdata.intake.quarantine import keep_quarantined
from synthdata.intake.review import review_of
from synthdata.intake.sealing import seal_of_environment
from synthdata.intake.survey import Rules, survey
from synthdata.intake.units import Unit
from synthdata.intake.vouching import vouched, voucher_for
from synthdata.processes import Crew
from synthdata.progress import Progress, silent
from synthdata.records.case_set import CaseSet
from synthdata.records.intake import IntakeReport
from synthdata.spec import DatasetSpec
from synthdata.storage.protocol import ObjectStore


class ScanSource(Protocol):
    """A source whose files are booked; what a further format must offer."""

    def units(self) -> Iterator[Unit]:
        """Stream what may become a case, in the order of the cases' pseudonyms."""
        ...


@searched()
def take_in(
    spec: DatasetSpec,
    folder: Path,
    private: ObjectStore,
    *,
    pseudonym_key: bytes,
    progress: Progress = silent,
) -> IntakeReport:
    """Read a source of scans into the private store.

    Args:
        spec: The dataset; says the format, channels, labels and clinical columns.
        folder: Folder of the scans, or the file for NPZ; only read.
        private: Takes the shards of accepted cases and the files held back.
        pseudonym_key: Secret of at least 16 bytes; the same key gives the same pseudonyms.
        progress: Told how many files and cases are done.

    Returns:
        Counts and reasons of all files, with the accepted cases on their native grids.

    Raises:
        SourceError: The folder is empty or holds nothing of the spec's format, or a table does not fit.
        ConfigError: The key is too short or a pattern of a channel is no regular expression.
        StoreError: The store cannot be written.
    """
    names = Pseudonyms(pseudonym_key)
    _check_patterns(spec)
    policy = policy_of(spec.vouching)
    voucher, review = voucher_for(policy, private), review_of(spec, private)
    cursor = Cursor(private, spec.name, names, rules_of(spec) + voucher.digest() + review.digest)
    started_ns = now_ns()
    with staying():
        listing = list_files(folder)
    digest = _digest(spec, folder, listing)
    if (last := cursor.last_report(digest)) is not None:
        return last
    inventory = Inventory(policy)
    with (
        kept_memory(),
        Crew() as crew,
        quiet_parsers(),
        unpacked(listing.entries, inventory, cursor=cursor) as entries,
    ):
        opening = Opening(
            spec=spec,
            names=names,
            inventory=inventory,
            cursor=cursor,
            progress=progress,
            policy=policy,
            crew=crew,
        )
        source, table = opening.open(folder, entries)
        judge_file_names(inventory.files, folder, policy.deny, inventory.archived)
        inventory.hold_archived()
        review.apply(spec, inventory)
        shards = CaseShards(private, _case_set(spec), cursor, inventory, crew, progress)
        case_set, patients = shards.write(
            vouched(
                source.units() if source else (),
                voucher,
                [channel.modality for channel in spec.channels],
            )
        )
        inventory.row_counts["clinical.row_without_images"] += table.unused_rows()
        inventory.note_links(listing)
        keep_quarantined(private, spec.name, inventory, seal_of_environment())
    report = inventory.report(case_set, patients=patients)
    cursor.finish(listing, digest, report, started_ns=started_ns)
    return report


def _digest(spec: DatasetSpec, folder: Path, listing: Listing) -> str:
    """Of all that lies in the source, and of tables which the spec names outside of it."""
    tables = [folder / name for name in (spec.source.clinical, spec.source.patients) if name]
    stamps = [stamp_of(path.stat()) if path.exists() else None for path in tables]
    return hashlib.sha256(f"{listing.digest()} {stamps}".encode()).hexdigest()


def _check_patterns(spec: DatasetSpec) -> None:
    for channel in spec.channels:
        try:
            re.compile(channel.series)
        except re.error:
            raise ConfigError(
                f"channel {channel.name} has series {channel.series!r}, expected a regular expression"
            ) from None


@dataclass(frozen=True, kw_only=True, slots=True)
class Opening:
    """Opens a source of the spec's format."""

    spec: DatasetSpec
    names: Pseudonyms
    inventory: Inventory
    cursor: Cursor
    progress: Progress
    policy: Policy
    crew: Crew

    def open(self, folder: Path, entries: Sequence[Entry]) -> tuple[ScanSource | None, ClinicalTable]:
        """Book the files, and give what streams their cases, with the clinical table."""
        spec, inventory = self.spec, self.inventory
        if spec.source.format == "npz":
            paths = [entry.path for entry in entries]
            return _open_npz(spec, paths, inventory, self.names), ClinicalTable((), {})
        root = folder if folder.is_dir() else folder.parent
        if spec.source.format in {"table", "bids", "folders"}:
            return self._open_set(root, entries), ClinicalTable((), {})
        tables = _tables(
            [entry.path for entry in entries], root, (spec.source.clinical, spec.source.patients)
        )
        scans = [entry for entry in entries if entry.path not in tables]
        for path in tables:
            inventory.add(path)
        clinical = (
            table_bytes(root / spec.source.clinical, "source.clinical") if spec.source.clinical else None
        )
        table = load_table(
            clinical, spec.clinical, self.names, inventory, paths=spec.source.fhir, rule=spec.rare
        )
        if spec.source.format == "nifti":
            pairs = survey_pairs(
                scans, root, spec, inventory, self.names, cursor=self.cursor, progress=self.progress
            )
            return NiftiSource(spec, pairs, table, inventory), table
        rules = Rules(names=self.names, body_part=spec.body_part, policy=self.policy, crew=self.crew)
        instances = survey(scans, inventory, rules, cursor=self.cursor, progress=self.progress)
        _require_dicom(inventory, instances)
        studies = studies_of(instances, inventory, self.names.patient(""))
        note_label_codes(instances, spec.labels, inventory)
        return DicomSource(spec, studies, table), table

    def _open_set(self, root: Path, entries: Sequence[Entry]) -> ScanSource:
        """A set of images with a row per case: in a table, or in the names of folders or of a BIDS tree."""
        spec, inventory = self.spec, self.inventory
        tables = _tables([entry.path for entry in entries], root, (spec.source.clinical,))
        scans = [entry for entry in entries if entry.path not in tables]
        for path in tables:
            inventory.add(path)
        kinds = kind_in_tree if spec.source.format == "bids" else picture_or_nothing
        files = survey_set(scans, inventory, kinds=kinds, cursor=self.cursor, progress=self.progress)
        match spec.source.format:
            case "bids":
                rows = rows_of_tree(spec, root, files)
            case "folders":
                rows = rows_of_folders(spec, files)
            case _:
                rows = rows_of_table(spec, root)
        return ImageSet(spec, rows, files, self.names, inventory)


def _tables(paths: Sequence[Path], root: Path, names: Iterable[str]) -> list[Path]:
    """Those of the paths which are tables of the spec, followed through links; each folder is followed once."""
    wanted = {(root / name).resolve() for name in names if name}
    if not wanted:
        return []
    real = {folder: folder.resolve() for folder in {path.parent for path in paths}}
    return [
        path
        for path in paths
        if (path.resolve() if path.is_symlink() else real[path.parent] / path.name) in wanted
    ]


def _require_dicom(inventory: Inventory, instances: Iterable[object]) -> None:
    """A folder without a single DICOM file is a wrong address rather than a set of bad files."""
    if not list(instances) and not any(
        seen.reasons - {"file.not_an_image", "file.empty", "file.unreadable"} for seen in inventory.files
    ):
        raise SourceError(
            f"the source holds {len(inventory.files)} files, none of them DICOM{inventory.unreadable()}, "
            "expected scans: check the uri"
        )


def _open_npz(
    spec: DatasetSpec, paths: list[Path], inventory: Inventory, names: Pseudonyms
) -> ScanSource | None:
    stacks = []
    for path in paths:
        seen, data = inventory.add(path)
        if data and not is_npz(data):
            seen.reasons.add("file.not_an_image")
        elif data:
            arrays = read_arrays(seen, data, spec.source.arrays)
            stacks += [Stack(seen=seen, arrays=arrays)] if arrays is not None else []
    if len(stacks) > 1:
        raise SourceError(
            f"the source holds {len(stacks)} NPZ files, expected one: name the file in source.uri"
        )
    if not stacks and not any(seen.reasons & {"file.malformed"} for seen in inventory.files):
        raise SourceError(
            f"the source holds no NPZ file{inventory.unreadable()}, expected one: check source.uri"
        )
    return NpzSource(spec, stacks[0], names, inventory) if stacks else None


def _case_set(spec: DatasetSpec) -> CaseSet:
    return CaseSet(
        dataset=spec.name,
        origin="real",
        channels=tuple(channel.name for channel in spec.channels),
        modalities=tuple(channel.modality for channel in spec.channels),
        units=tuple(channel.unit for channel in spec.channels),
        labels=dict(spec.labels),
        columns=spec.clinical,
        shards=(),
    )

"""Build a release in a folder; the same inputs give the same bytes, and a failed gate leaves nothing."""

import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from synthdata.errors import GateError, StoreError
from synthdata.progress import Progress, silent
from synthdata.records.case import Case
from synthdata.records.case_set import CaseSet
from synthdata.records.codec import digest_of, to_json
from synthdata.records.intake import IntakeReport
from synthdata.records.model import Checkpoint, SamplePlan
from synthdata.records.parquet import read_cases
from synthdata.records.release import ReleaseManifest
from synthdata.records.reports import (
    ExpectationsReport,
    FidelityReport,
    PrivacyReport,
    UtilityReport,
    Verdict,
)
from synthdata.records.training import TrainingSet
from synthdata.release import layout
from synthdata.release.changes import Previous, change_sections, compare
from synthdata.release.citation import citation, write_bids_head
from synthdata.release.croissant import croissant
from synthdata.release.datasheet import datasheet
from synthdata.release.document import markdown, page
from synthdata.release.gallery import CASES, write_gallery
from synthdata.release.gate import (
    check_verdict,
    needed_waivers,
    outcome_of,
    thresholds_json,
    waived_gates,
)
from synthdata.release.inputs import ReleaseInputs
from synthdata.release.licences import check_licence, licence_url
from synthdata.release.shards import ShardWriter, in_shards, profile_of
from synthdata.spec import DatasetSpec
from synthdata.storage.disk import on_disk
from synthdata.storage.protocol import ObjectStore

if TYPE_CHECKING:
    from synthdata.privacy.waivers import Signatory

VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")
DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def build_release(  # noqa: PLR0913 - a release carries the digests of the whole chain
    spec: DatasetSpec,
    private: ObjectStore,
    folder: Path,
    *,
    training_set: TrainingSet,
    checkpoint: Checkpoint,
    plan: SamplePlan,
    synthetic: CaseSet,
    verdict: Verdict,
    fidelity: FidelityReport,
    utility: UtilityReport,
    privacy: PrivacyReport,
    expectations: ExpectationsReport,
    intake: IntakeReport,
    created: str = layout.UNDATED,
    development_keys: bool = True,
    signatories: Mapping[str, "Signatory"] = MappingProxyType({}),
    previous: Previous | None = None,
    progress: Progress = silent,
) -> ReleaseManifest:
    """Turn a synthetic CaseSet that passed its gates into the files of one version.

    Args:
        spec: The dataset spec; its gates must be those of the verdict.
        private: Store of the shards and reports.
        folder: Where the release appears, whole; an earlier build in it is replaced.
        training_set: What the generator was trained on.
        checkpoint: The generator.
        plan: What was drawn.
        synthetic: The cases.
        verdict: The decision on exactly these cases.
        fidelity: Report that the verdict read.
        utility: Report that the verdict read.
        privacy: Report that the verdict read.
        expectations: Report that the verdict read.
        intake: What became of the source's files.
        created: Date, ISO 8601, a part of the released bytes; 1970-01-01 stands for not stated.
        development_keys: The release will be signed with development keys, and says so.
        signatories: Who may waive a blocked gate, by public key; nobody where it is not given.
        previous: The version before, for the change log.
        progress: Called per shard with cases done.

    Returns:
        The manifest, which lies in the folder too, as its canonical bytes.

    Raises:
        GateError: The verdict did not pass or is not about these inputs, or the licence is not allowed.
        StoreError: The folder cannot be written, or holds something else.
    """
    inputs = ReleaseInputs(
        spec=spec, training_set=training_set, checkpoint=checkpoint, plan=plan, synthetic=synthetic, verdict=verdict,
        fidelity=fidelity, utility=utility, privacy=privacy, expectations=expectations, intake=intake,
        created=created, development_keys=development_keys,
    )  # fmt: skip
    waivers = _check(inputs, private, signatories)
    with _appearing(folder) as partial:
        _write_data(inputs, private, partial, progress)
        _write_evidence(inputs, waivers, partial)
        _write_reports(inputs, private, partial)
        _write_documents(inputs, previous, partial)
        manifest = _manifest(inputs, partial)
        (partial / layout.MANIFEST).write_bytes(to_json(manifest))
    return manifest


def _check(
    inputs: ReleaseInputs, private: ObjectStore, signatories: Mapping[str, "Signatory"]
) -> dict[str, bytes]:
    """Refuse before anything is written. Returns the waiver files that the verdict needs."""
    spec, release, verdict = inputs.spec, inputs.spec.release, inputs.verdict
    if spec.name != inputs.synthetic.dataset or spec.name != verdict.dataset:
        raise GateError(f"the spec is {spec.name}, cases or verdict are of another dataset: use one dataset")
    waivers = needed_waivers(verdict, private, signatories)
    check_verdict(
        verdict,
        synthetic=inputs.synthetic,
        training_set=digest_of(inputs.training_set),
        reports=inputs.reports,
        thresholds=thresholds_json(spec.gates),
        waived=waived_gates(verdict, waivers.values(), signatories),
    )
    if inputs.plan.checkpoint != digest_of(inputs.checkpoint) or inputs.plan.cases != inputs.synthetic.cases:
        raise GateError(
            "the plan was made for another checkpoint or another number of cases: generate the set again"
        )
    _check_copy_filter(inputs)
    check_licence(spec)
    if not VERSION.fullmatch(release.version):
        raise GateError(f"release.version is {release.version!r}, expected a semantic one such as 1.0.0")
    if not DATE.fullmatch(inputs.created):
        raise GateError(f"created is {inputs.created!r}, expected a date such as 2026-11-22")
    return waivers


def _check_copy_filter(inputs: ReleaseInputs) -> None:
    """What the filter of the plan took out must have been judged too, or it would hide copies."""
    counts = inputs.privacy.copy_filter
    if inputs.plan.copy_share and (counts is None or counts.judged != inputs.plan.cases):
        raise GateError(
            "the plan has a copy filter, but the privacy report does not judge the cases before it: "
            "measure privacy again"
        )


@contextmanager
def _appearing(folder: Path) -> Iterator[Path]:
    """A folder beside the wanted one, which takes its name when all went well."""
    with on_disk(f"folder {folder.name}", "read"):
        foreign = folder.exists() and any(folder.iterdir()) and not (folder / layout.MANIFEST).is_file()
    if foreign:
        raise StoreError(
            f"folder {folder.name} holds other files: name an empty or a new one for the release"
        )
    partial = folder.with_name(f".partial-{folder.name}")
    with on_disk("the release that is built"):
        try:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            yield partial
            shutil.rmtree(folder, ignore_errors=True)
            partial.replace(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def _write_data(inputs: ReleaseInputs, private: ObjectStore, folder: Path, progress: Progress) -> None:
    """Shards, index, records, registry and gallery."""
    from synthdata.provenance.registry import write_registry
    from synthdata.validation.pictures import spread_places

    spec, synthetic = inputs.spec, inputs.synthetic
    profile = profile_of(
        synthetic,
        inputs.training_set.scales,
        version=spec.release.version,
        title=spec.title,
        body_part=spec.body_part or "HEAD",
        codes=inputs.label_codes,
        output=spec.release.dicom,
    )
    shown: list[Case] = []
    places = spread_places(synthetic.cases, CASES)
    with ShardWriter(folder, synthetic, profile, formats=spec.release.formats) as writer:
        for shard in in_shards(read_cases(private, synthetic)):
            writer.write(shard)
            shown.extend(
                case for place, case in enumerate(shard, writer.cases - len(shard)) if place in places
            )
            progress(writer.cases, synthetic.cases, "shards of the release")
        writer.check_ids()
    if writer.cases != synthetic.cases:
        raise GateError(
            f"the shards hold {writer.cases} cases, expected {synthetic.cases}: generate the set again"
        )
    write_registry(
        folder / layout.REGISTRY,
        read_cases(private, synthetic, verify=False),
        channels=synthetic.channels,
        dataset=synthetic.dataset,
        version=spec.release.version,
    )
    title = f"{spec.title} {spec.release.version}"
    write_gallery(folder, shown, inputs.training_set.scales, synthetic.labels, title=title)


def _write_evidence(inputs: ReleaseInputs, waivers: Mapping[str, bytes], folder: Path) -> None:
    """The records that the gate was decided on, so that the publisher and anybody else can decide again."""
    records = {"verdict": inputs.verdict, "synthetic": inputs.synthetic, **inputs.reports}
    parts = {name: to_json(record) for name, record in records.items()}
    parts["thresholds"] = thresholds_json(inputs.spec.gates)
    parts |= {f"waiver-{digest}": data for digest, data in waivers.items()}
    for name, data in parts.items():
        path = folder / layout.evidence_path(name)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)


def _write_reports(inputs: ReleaseInputs, private: ObjectStore, folder: Path) -> None:
    """The public edition of the validation report, which shows no real image."""
    from synthdata.validation import write_report

    found = write_report(
        inputs.spec,
        private,
        training_set=inputs.training_set,
        synthetic=inputs.synthetic,
        checkpoint=inputs.checkpoint,
        fidelity=inputs.fidelity,
        utility=inputs.utility,
        privacy=inputs.privacy,
        expectations=inputs.expectations,
        verdict=inputs.verdict,
        edition="public",
    )
    for kind, key in sorted(found.items()):
        path = folder / layout.report_path(kind)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(private.read(key))


def _write_documents(inputs: ReleaseInputs, previous: Previous | None, folder: Path) -> None:
    gallery = sorted(path.relative_to(folder).as_posix() for path in folder.glob("gallery/*.png"))
    title, sections = datasheet(inputs, gallery=gallery)
    (folder / layout.DATASHEET).write_text(markdown(title, sections), encoding="utf-8")
    (folder / layout.DATASHEET_HTML).write_text(page(title, sections), encoding="utf-8")
    release = inputs.spec.release
    lines = [
        f"{inputs.spec.title} {release.version} (synthetic)",
        f"SPDX-License-Identifier: {release.licence}",
        licence_url(release.licence),
        f"Attribution of the source: {release.attribution or 'none asked for'}",
    ]
    (folder / layout.LICENCE).write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / layout.CITATION).write_text(citation(inputs), encoding="utf-8")
    _write_changes(inputs, previous, folder)
    if "nifti" in release.formats:
        write_bids_head(inputs, folder)
    files = tuple(layout.entries(folder))
    (folder / layout.CROISSANT).write_bytes(croissant(inputs, files))


def _write_changes(inputs: ReleaseInputs, previous: Previous | None, folder: Path) -> None:
    """Against the version before: a page for people, and a row per case that is not as it was."""
    changes = None
    if previous is not None:
        changes = compare(previous, pq.read_table(folder / layout.INDEX), inputs.provenance)
        pq.write_table(changes, folder / layout.CHANGES_TABLE, compression="zstd")
    title = f"{inputs.spec.title} {inputs.spec.release.version}"
    text = markdown(title, change_sections(previous, changes, inputs.provenance))
    (folder / layout.CHANGES).write_text(text, encoding="utf-8")


def _manifest(inputs: ReleaseInputs, folder: Path) -> ReleaseManifest:
    release, synthetic = inputs.spec.release, inputs.synthetic
    return ReleaseManifest(
        dataset=synthetic.dataset,
        version=release.version,
        created=inputs.created,
        licence=release.licence,
        cases=synthetic.cases,
        channels=synthetic.channels,
        labels=synthetic.labels,
        files=tuple(layout.entries(folder)),
        verdict=digest_of(inputs.verdict),
        outcome=outcome_of(inputs.verdict),
        provenance=inputs.provenance,
        development_keys=inputs.development_keys,
    )

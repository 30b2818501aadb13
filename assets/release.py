"""From a passed verdict to a signed release: group `release`.

Versions never change. The first version of a dataset is the one of its spec; when that is taken by other content, the
next major version follows, because the samples were drawn again. An operator can name another one at launch. Releases
are no Dagster partitions yet: a partition key would be a second place which knows the version, and only the last two
assets of the chain would have it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import dagster as dg
from pydantic import Field

from assets.admission import check_that_it_may_go_out, check_that_verdict_holds
from assets.describing import Row, table
from assets.folders import Folders
from assets.generation import plan_stage
from assets.ingestion import intake_stage
from assets.references import Publication
from assets.stage import Metadata, Stage, working
from assets.training import checkpoint_stage
from assets.validation import real_and_synthetic, reports, validation_stage
from assets.watching import Watcher
from synthdata.errors import GateError
from synthdata.progress import Progress
from synthdata.records import (
    CaseSet,
    Checkpoint,
    ExpectationsReport,
    FidelityReport,
    IntakeReport,
    PrivacyReport,
    Record,
    ReleaseManifest,
    SamplePlan,
    TrainingSet,
    UtilityReport,
    Verdict,
    digest_of,
    to_json,
)
from synthdata.spec import DatasetSpec
from synthdata.storage import ObjectStore, keys

if TYPE_CHECKING:
    from synthdata.privacy.waivers import Signatory
    from synthdata.release.trust import ReleaseSigner


class SignerSource(Protocol):
    """Gives the keys when a release is signed, and not before."""

    def signer(self) -> "ReleaseSigner":
        """Signers of the release store. Raises TrustError where they are not at hand."""
        ...

    def signatories(self) -> "Mapping[str, Signatory]":
        """Who may waive a blocked gate, by public key. Raises TrustError where the list cannot be read."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Stores:
    """Where a release is made from, where it goes, and who signs it."""

    private: ObjectStore
    releases: ObjectStore
    keys_folder: SignerSource


@dataclass(frozen=True, kw_only=True, slots=True)
class Chain:
    """The records that a release is made from."""

    training_set: TrainingSet
    synthetic: CaseSet
    fidelity: FidelityReport
    utility: UtilityReport
    privacy: PrivacyReport
    expectations: ExpectationsReport
    verdict: Verdict
    checkpoint: Checkpoint
    plan: SamplePlan
    intake: IntakeReport

    def records(self) -> tuple[Record, ...]:
        """All of them, in the order by which a release is remembered."""
        return tuple(getattr(self, field.name) for field in fields(self))


class PackageConfig(dg.Config):
    """What an operator may change at launch."""

    version: str = Field(
        default="", description="Semantic version; empty: that of the spec, or the next major one."
    )


def package_stage(spec: DatasetSpec) -> Stage:
    """Name of the built release."""
    return Stage(spec=spec, group="release", name="package", kinds=("parquet", "dicom"))


def published_stage(spec: DatasetSpec) -> Stage:
    """Name of the published release."""
    return Stage(spec=spec, group="release", name="published", kinds=("s3", "python"))


def package(spec: DatasetSpec) -> dg.AssetsDefinition:
    """The files of a release, on this machine."""
    stage = package_stage(spec)
    text = (
        "Builds the release: Parquet, DICOM and documents, with the evidence that the gate was decided on. "
        "Reads the verdict and every report again and refuses by itself."
    )

    @dg.asset(
        **stage.options(text),
        ins={
            **real_and_synthetic(spec),
            **reports(spec),
            "verdict": dg.AssetIn(key=validation_stage(spec, "verdict").key),
            "trained": dg.AssetIn(key=checkpoint_stage(spec).key),
            "planned": dg.AssetIn(key=plan_stage(spec).key),
            "intake": dg.AssetIn(key=intake_stage(spec).key),
        },
    )
    def packaged(  # noqa: PLR0913, PLR0917 - a release carries the digests of the whole chain
        context: dg.AssetExecutionContext,
        config: PackageConfig,
        prepared: TrainingSet,
        synthetic: CaseSet,
        fidelity: FidelityReport,
        utility: UtilityReport,
        privacy: PrivacyReport,
        expectations: ExpectationsReport,
        verdict: Verdict,
        trained: Checkpoint,
        planned: SamplePlan,
        intake: IntakeReport,
        private: dg.ResourceParam[ObjectStore],
        releases: dg.ResourceParam[ObjectStore],
        keys_folder: dg.ResourceParam[SignerSource],
        folders: dg.ResourceParam[Folders],
        watcher: dg.ResourceParam[Watcher],
    ) -> dg.MaterializeResult[ReleaseManifest]:
        chain = Chain(
            training_set=prepared, synthetic=synthetic, fidelity=fidelity, utility=utility, privacy=privacy,
            expectations=expectations, verdict=verdict, checkpoint=trained, plan=planned, intake=intake,
        )  # fmt: skip
        stores = Stores(private=private, releases=releases, keys_folder=keys_folder)
        with working(context, watcher, stage.key) as progress:
            check_that_it_may_go_out(verdict, private, keys_folder.signatories())
            versioned = choose_version(spec, config.version, chain.records(), private, releases)
            manifest, was_there = build_once(versioned, chain, stores, folders.staging, progress)
        return stage.result(manifest, describe_manifest(manifest), was_there=was_there)

    return packaged


def build_once(
    spec: DatasetSpec, chain: Chain, stores: Stores, staging: Path, progress: Progress
) -> tuple[ReleaseManifest, bool]:
    """The release of a chain, built where it does not lie in the staging folder already.

    Returns:
        Its manifest, and whether it was there.
    """
    from synthdata.release import build_release
    from synthdata.release.changes import previous_release

    stage, version = package_stage(spec), spec.release.version
    folder = release_folder(staging, spec.name, version)
    kept = stage.recall(stores.private, ReleaseManifest, chain.records())
    if kept is not None and is_whole(folder, kept):
        return kept, True
    signer = stores.keys_folder.signer()
    manifest = build_release(
        spec,
        stores.private,
        folder,
        training_set=chain.training_set,
        checkpoint=chain.checkpoint,
        plan=chain.plan,
        synthetic=chain.synthetic,
        verdict=chain.verdict,
        fidelity=chain.fidelity,
        utility=chain.utility,
        privacy=chain.privacy,
        expectations=chain.expectations,
        intake=chain.intake,
        # a lost folder is built again with its old date: the version may be published already
        created=f"{datetime.now(UTC):%Y-%m-%d}" if kept is None else kept.created,
        development_keys=signer.development,
        signatories=stores.keys_folder.signatories(),
        previous=previous_release(stores.releases, signer, spec.name, version),
        progress=progress,
    )
    stage.keep(stores.private, manifest, chain.records())
    return manifest, False


def published(spec: DatasetSpec) -> dg.AssetsDefinition:
    """The signed release in the release store."""
    stage = published_stage(spec)
    text = "Publishes the built release: data, then manifest, then signatures, then the index. Versions never change."

    @dg.asset(
        **stage.options(text),
        ins={
            "manifest": dg.AssetIn(key=package_stage(spec).key),
            "verdict": dg.AssetIn(key=validation_stage(spec, "verdict").key),
        },
    )
    def released(
        context: dg.AssetExecutionContext,
        manifest: ReleaseManifest,
        verdict: Verdict,
        releases: dg.ResourceParam[ObjectStore],
        keys_folder: dg.ResourceParam[SignerSource],
        folders: dg.ResourceParam[Folders],
        watcher: dg.ResourceParam[Watcher],
    ) -> dg.MaterializeResult[Publication]:
        from synthdata.release import publish

        with working(context, watcher, stage.key) as progress:
            check_that_verdict_holds(manifest, verdict)
            folder = release_folder(folders.staging, manifest.dataset, manifest.version)
            if not is_whole(folder, manifest):
                raise GateError(
                    f"release {manifest.dataset} {manifest.version} is not built on this machine: "
                    "materialise release/package here, then publish"
                )
            publish(
                folder,
                manifest,
                releases,
                signer=keys_folder.signer(),
                title=spec.title,
                signatories=keys_folder.signatories(),
                progress=progress,
            )
        made = Publication(
            dataset=manifest.dataset,
            version=manifest.version,
            manifest=digest_of(manifest),
            files=len(manifest.files),
            size_bytes=sum(file.size_bytes for file in manifest.files),
            prefix=keys.release(manifest.dataset, manifest.version, ""),
        )
        return stage.result(made, describe_manifest(manifest))

    return released


def choose_version(
    spec: DatasetSpec,
    wanted: str,
    parents: tuple[Record, ...],
    private: ObjectStore,
    releases: ObjectStore,
) -> DatasetSpec:
    """Give the spec the version that its release gets.

    Args:
        spec: Names the first version.
        wanted: What the operator asked for; empty for no wish.
        parents: What the release is made from.
        private: Knows which release was made from the same parents before.
        releases: Knows which versions are taken.

    Returns:
        The spec with the wanted version; or the one that holds the same content already; or the next free major one.
    """
    if wanted:
        return _with_version(spec, wanted)
    chosen = spec
    while (taken := _published_manifest(chosen, releases)) is not None:
        built = package_stage(chosen).recall(private, ReleaseManifest, parents)
        if built is not None and to_json(built) == taken:
            break
        major = int(chosen.release.version.split(".")[0]) + 1
        chosen = _with_version(chosen, f"{major}.0.0")
    return chosen


def release_folder(staging: Path, dataset: str, version: str) -> Path:
    """Where a release is put together."""
    return staging / dataset / version


def is_whole(folder: Path, manifest: ReleaseManifest) -> bool:
    """True when each file of the manifest lies in the folder with its size; publishing looks at the digests."""
    paths = [(folder / file.path, file.size_bytes) for file in manifest.files]
    return all(path.is_file() and path.stat().st_size == size for path, size in paths)


def describe_manifest(manifest: ReleaseManifest) -> Metadata:
    """Version, sizes, and the files by role."""
    roles: dict[str, list[int]] = {}
    for file in manifest.files:
        roles.setdefault(file.role, []).append(file.size_bytes)
    rows: list[Row] = [
        {"role": role, "files": len(sizes), "size_bytes": sum(sizes)} for role, sizes in sorted(roles.items())
    ]
    return {
        "version": manifest.version,
        "outcome": manifest.outcome,
        "dagster/row_count": manifest.cases,
        "files": len(manifest.files),
        "size_bytes": sum(file.size_bytes for file in manifest.files),
        "development_keys": manifest.development_keys,
        "roles": table(rows),
    }


def _with_version(spec: DatasetSpec, version: str) -> DatasetSpec:
    return replace(spec, release=replace(spec.release, version=version))


def _published_manifest(spec: DatasetSpec, releases: ObjectStore) -> bytes | None:
    key = keys.manifest(spec.name, spec.release.version)
    return None if releases.size(key) is None else releases.read(key)

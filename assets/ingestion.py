"""From a source to accepted cases: groups `sources` and `intake`."""

import dagster as dg

from assets.describing import describe_intake
from assets.folders import Folders
from assets.inventory import fetch_scans, source_folder, take_inventory, write_phantom
from assets.references import ScanInventory
from assets.secret_keys import secret_key
from assets.stage import Stage, working
from assets.watching import Watcher
from synthdata.records import IntakeReport
from synthdata.spec import DatasetSpec
from synthdata.storage import ObjectStore, keys

NOT_WHOLE = "not_fetched_whole"  # metadata
WHEN_INPUT_CHANGES = dg.AutomationCondition.eager() & dg.AutomationCondition.all_deps_blocking_checks_passed()


def scans_stage(spec: DatasetSpec) -> Stage:
    """Name of the scans."""
    return Stage(spec=spec, group="sources", name="scans", kinds=(spec.source.format, "file"))


def intake_stage(spec: DatasetSpec) -> Stage:
    """Name of the intake report."""
    return Stage(spec=spec, group="intake", name="report", kinds=("python", "parquet"))


def scans(spec: DatasetSpec) -> dg.AssetsDefinition:
    """The folder of scans, written by the phantom or observed."""
    stage = scans_stage(spec)
    text = (
        f"Scans of *{spec.title}*: the built-in phantom writes them, the folder of the spec is looked at, or what is "
        "new on the server is fetched."
    )

    @dg.asset(**stage.options(text))
    def source_scans(
        context: dg.AssetExecutionContext,
        folders: dg.ResourceParam[Folders],
        watcher: dg.ResourceParam[Watcher],
    ) -> dg.MaterializeResult[ScanInventory]:
        folder = source_folder(spec, folders.sources)
        with working(context, watcher, stage.key) as progress:
            if spec.source.kind == "phantom":
                inventory = write_phantom(spec, folder, stage.stage_key(), progress=progress)
            elif spec.source.is_remote:
                inventory = fetch_scans(spec, folders.sources, progress=progress)
            else:
                inventory = take_inventory(spec, folder)
        counts = {"files": inventory.files, "size_bytes": inventory.size_bytes}
        if spec.source.is_remote:
            counts[NOT_WHOLE] = inventory.incomplete
        return stage.result(inventory, counts)

    return source_scans


def intake_report(spec: DatasetSpec) -> dg.AssetsDefinition:
    """Accepted cases, and why the other files were held back."""
    stage = intake_stage(spec)
    text = (
        "Takes the scans in: series, geometry, masks and clinical rows are put together; what is not provably clean "
        "goes to quarantine with a reason. Patients get keyed pseudonyms."
    )

    @dg.asset(
        **stage.options(text),
        ins={"inventory": dg.AssetIn(key=scans_stage(spec).key)},
        automation_condition=WHEN_INPUT_CHANGES,
    )
    def report(
        context: dg.AssetExecutionContext,
        inventory: ScanInventory,
        private: dg.ResourceParam[ObjectStore],
        folders: dg.ResourceParam[Folders],
        watcher: dg.ResourceParam[Watcher],
    ) -> dg.MaterializeResult[IntakeReport]:
        from synthdata.intake import take_in
        from synthdata.intake.outside import outside_of

        folder = source_folder(spec, folders.sources)
        with working(context, watcher, stage.key) as progress:
            pseudonym_key = secret_key(private, keys.PSEUDONYM_KEY)
            outside = outside_of(spec, private)
            made, was_there = stage.remember(
                private,
                IntakeReport,
                (inventory, outside) if outside.digest else (inventory,),
                lambda: take_in(spec, folder, private, pseudonym_key=pseudonym_key, progress=progress),
            )
        return stage.result(made, describe_intake(made), was_there=was_there)

    return report

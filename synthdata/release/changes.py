"""What changed against the version before: cases added, removed or changed, each with the reason."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from synthdata.records.codec import from_json
from synthdata.records.release import ReleaseManifest
from synthdata.release.document import Block, Bullets, Section, Table, Text
from synthdata.release.layout import CHANGES_TABLE, INDEX
from synthdata.release.portal import version_order
from synthdata.release.trust.keys import ReleaseSigner
from synthdata.release.trust.repository import settle
from synthdata.storage import keys, read_verified
from synthdata.storage.protocol import ObjectStore

COMPARED = {"image_sha256": "image", "mask_sha256": "mask"}
NAMES = {
    "synthetic": "the cases were drawn again",
    "checkpoint": "the generator was trained again",
    "training_set": "the training set changed",
    "intake": "the source changed",
    "code_version": "the code changed",
}
SCHEMA = pa.schema([("case_id", pa.string()), ("change", pa.string()), ("reason", pa.string())])


@dataclass(frozen=True, kw_only=True, slots=True)
class Previous:
    """The version before, as its signed manifest names it."""

    manifest: ReleaseManifest
    recalled: str | None  # the reason
    index: bytes  # of its index file


def previous_release(
    releases: ObjectStore, signer: ReleaseSigner, dataset: str, version: str
) -> Previous | None:
    """The highest published version below another one; None where there is none, or its files were deleted.

    Raises:
        TrustError: The store is signed by other keys.
        IntegrityError: The store gives other bytes than were signed.
    """
    if releases.size(keys.trust_metadata("timestamp.json")) is None:
        return None
    contents = settle(releases, signer).contents
    older = [
        item
        for item in contents.releases.values()
        if item.dataset == dataset and version_order(item.version) < version_order(version)
    ]
    if not older:
        return None
    newest = max(older, key=lambda item: version_order(item.version))
    manifest = from_json(ReleaseManifest, read_verified(releases, newest.path, newest.manifest_sha256))
    entry = next((file for file in manifest.files if file.path == INDEX), None)
    key = keys.release(dataset, newest.version, INDEX)
    if entry is None or releases.size(key) is None:
        return None
    return Previous(
        manifest=manifest,
        recalled=contents.recalls.reason(dataset, newest.version),
        index=read_verified(releases, key, entry.sha256),
    )


def compare(previous: Previous, index: pa.Table, provenance: Mapping[str, str]) -> pa.Table:
    """Cases added, removed and changed.

    Args:
        previous: The version before.
        index: Index of the new version.
        provenance: Digests of the new version's records.

    Returns:
        Columns case_id, change (added, removed or changed) and reason, sorted by case.
    """
    old = pq.read_table(pa.BufferReader(previous.index))
    why = "; ".join(reasons(previous, provenance)) or "no record behind the cases changed"
    shared = [name for name in _record_columns(index) if name in old.schema.names]
    parts = [
        _only(index, old, "added", why),
        _only(old, index, "removed", previous.recalled or why),
        _changed(old, index, shared, why),
    ]
    return pa.concat_tables(parts).sort_by("case_id")


def reasons(previous: Previous, provenance: Mapping[str, str]) -> list[str]:
    """Which of the records behind the cases are others, in words."""
    found = [
        words
        for name, words in NAMES.items()
        if previous.manifest.provenance.get(name) != provenance.get(name)
    ]
    if previous.recalled:
        found.insert(0, f"{previous.manifest.version} was recalled: {previous.recalled}")
    return found


def change_sections(
    previous: Previous | None, changes: pa.Table | None, provenance: Mapping[str, str]
) -> tuple[Section, ...]:
    """The change log for people."""
    if previous is None or changes is None:
        text = "The first version of this dataset in its store, or the one before was deleted."
        return (Section(title="Changes", blocks=(Text(text=text),)),)
    kinds = changes["change"]
    counts = {name: pc.sum(pc.equal(kinds, name)).as_py() or 0 for name in ("added", "removed", "changed")}
    kept = previous.manifest.cases - counts["removed"] - counts["changed"]
    rows = (*((name, str(count)) for name, count in counts.items()), ("unchanged", str(kept)))
    blocks: list[Block] = [
        Table(header=("Cases", "Count"), rows=rows),
        Bullets(items=tuple(reasons(previous, provenance)) or ("Documents alone changed.",)),
        Text(text=f"{CHANGES_TABLE} names each case with its reason; the report has what was measured anew."),
    ]
    return (Section(title=f"Changes since {previous.manifest.version}", blocks=tuple(blocks)),)


def _record_columns(index: pa.Table) -> list[str]:
    names = index.schema.names
    return [name for name in names[2 : names.index("shape_zyx")] if not name.endswith("_volume_mm3")]


def _only(here: pa.Table, there: pa.Table, change: str, why: str) -> pa.Table:
    missing = pc.invert(pc.is_in(here["case_id"], value_set=there["case_id"].combine_chunks()))
    return _rows(here.filter(missing)["case_id"], change, why)


def _changed(old: pa.Table, new: pa.Table, columns: list[str], why: str) -> pa.Table:
    compared = [*COMPARED, *columns]
    joined = new.select(["case_id", *compared]).join(
        old.select(["case_id", *compared]), "case_id", right_suffix=" before", join_type="inner"
    )
    parts = {}
    for name in compared:
        now, before = joined[name], joined[f"{name} before"]
        same = pc.or_(
            pc.fill_null(pc.equal(now, before), fill_value=False),
            pc.and_(pc.is_null(now), pc.is_null(before)),
        )
        parts[COMPARED.get(name, f"record column {name}")] = pc.invert(same)
    differs = reduce(pc.or_, parts.values())
    flags = pa.table(parts).filter(differs).to_pylist()  # of cases that changed alone
    ids = joined["case_id"].filter(differs).to_pylist()
    rows = [
        {"case_id": case_id, "change": "changed", "reason": f"{', '.join(w for w in row if row[w])}: {why}"}
        for case_id, row in zip(ids, flags, strict=True)
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def _rows(ids: pa.ChunkedArray, change: str, why: str) -> pa.Table:
    count = len(ids)
    return pa.table(
        [ids, pa.repeat(pa.scalar(change), count), pa.repeat(pa.scalar(why), count)], schema=SCHEMA
    )

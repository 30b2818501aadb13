"""The pixel registry: a released table of hashes, by which anybody recognises an unaltered image offline."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from synthdata.errors import IntegrityError, RecordError, UnreadableFileError
from synthdata.provenance.canonical import CANONICAL_FORM, is_telling, orientations, pixel_hash, ranks
from synthdata.records.case import Case
from synthdata.records.codec import from_json
from synthdata.records.release import ReleaseManifest
from synthdata.storage.commit import sha256_of
from synthdata.storage.disk import on_disk

REGISTRY_FILE = "registry.parquet"
MANIFEST_FILE = "manifest.json"
WHOLE_VOLUME = -1  # slice number of the hash of all slices
BATCH_ROWS = 1 << 16
SCHEMA = pa.schema(
    [
        pa.field("sha256", pa.binary(32), nullable=False),
        pa.field("case_id", pa.string(), nullable=False),
        pa.field("channel", pa.string(), nullable=False),
        pa.field(
            "slice", pa.int32(), nullable=False, metadata={"meaning": "index along z; -1 is the whole volume"}
        ),
    ]
)


@dataclass(frozen=True, kw_only=True, slots=True)
class RegistryEntry:
    """What one hash stands for."""

    dataset: str
    version: str
    case_id: str
    channel: str
    slice: int  # index along z, or -1 for the whole volume


def write_registry(
    path: Path,
    cases: Iterable[Case],
    *,
    channels: Sequence[str],
    dataset: str,
    version: str,
) -> int:
    """Write the hashes of all slices and volumes of some cases.

    Args:
        path: Parquet file to write.
        cases: Released cases, image (c, z, y, x), in a fixed order: the same cases give the same bytes.
        channels: Names of the c channels.
        dataset: Name of the released dataset.
        version: Its semantic version.

    Returns:
        The number of hashes. Empty slices have none, as they are alike in all images, synthetic or real.
    """
    metadata = {"canonical": CANONICAL_FORM, "dataset": dataset, "version": version}
    schema = SCHEMA.with_metadata({f"synthdata.registry.{name}": value for name, value in metadata.items()})
    total, batch = 0, list[dict[str, bytes | str | int]]()
    with pq.ParquetWriter(path, schema, compression="zstd", write_statistics=["slice"]) as writer:
        for case in cases:
            batch.extend(_rows(case, channels))
            if len(batch) >= BATCH_ROWS:
                writer.write_table(pa.Table.from_pylist(batch, schema=schema))
                total, batch = total + len(batch), []
        writer.write_table(pa.Table.from_pylist(batch, schema=schema))
    return total + len(batch)


class Registry:
    """Hashes of one or more releases, in memory: 40 bytes for each."""

    def __init__(self, tables: Sequence[pa.Table]) -> None:
        self._tables = [_checked(table) for table in tables]
        first_words = [_first_words(table) for table in self._tables]
        self._order = [np.argsort(words, kind="stable") for words in first_words]
        self._sorted = [words[order] for words, order in zip(first_words, self._order, strict=True)]

    def __len__(self) -> int:
        return sum(table.num_rows for table in self._tables)

    @property
    def releases(self) -> tuple[str, ...]:
        """`<dataset> <version>` of each table."""
        return tuple(f"{_meta(table, 'dataset')} {_meta(table, 'version')}" for table in self._tables)

    def lookup(self, digest: bytes) -> RegistryEntry | None:
        """What a hash stands for, or None where no release holds it."""
        word = np.frombuffer(digest[:8], "<u8")[0]
        for table, order, words in zip(self._tables, self._order, self._sorted, strict=True):
            start, stop = np.searchsorted(words, word, "left"), np.searchsorted(words, word, "right")
            for row in order[start:stop]:
                if table["sha256"][int(row)].as_py() == digest:
                    return _entry(table, int(row))
        return None

    def find_slice(self, pixels: np.ndarray) -> RegistryEntry | None:
        """Find a slice (y, x) of any numeric type, turned, flipped or with light and dark swapped."""
        ranked = ranks(pixels)
        if not is_telling(ranked):
            return None
        return next(
            (entry for turned in orientations(ranked) if (entry := self.lookup(pixel_hash(turned)))), None
        )

    def find_volume(self, pixels: np.ndarray) -> RegistryEntry | None:
        """Find a volume (z, y, x) as it was released, on any scale."""
        ranked = ranks(pixels)
        return self.lookup(pixel_hash(ranked)) if is_telling(ranked) else None


def open_registry(folder: Path) -> Registry:
    """Read the registry of a pulled release, or all registries below a folder.

    Args:
        folder: A folder which holds `registry.parquet` somewhere, or that file.

    Raises:
        UnreadableFileError: There is none, or it is no registry.
        StoreError: The folder may not be read.
        IntegrityError: The manifest beside it names another registry. Whether the manifest itself is signed
            is what `synthdata check` tells.
    """
    with on_disk(f"folder {folder.name} of the registry", "read"):
        if folder.is_dir():
            next(folder.iterdir(), None)  # a closed folder is no empty one
        paths = [folder] if folder.is_file() else sorted(folder.rglob(REGISTRY_FILE))
    if not paths:
        raise UnreadableFileError(
            f"{folder} holds no {REGISTRY_FILE}: give the folder of a release, as `synthdata pull` makes it"
        )
    for path in paths:
        _check_against_manifest(path)
    return Registry([_read(path) for path in paths])


def _rows(case: Case, channels: Sequence[str]) -> Iterator[dict[str, bytes | str | int]]:
    for channel, volume in zip(channels, case.image, strict=True):
        images = [(WHOLE_VOLUME, volume), *enumerate(volume)]
        if len(volume) == 1 and volume.min(initial=0) < 0:
            images.append(
                (0, np.maximum(volume[0], 0))
            )  # as a projection image in DICOM, which is not negative
        for index, pixels in images:
            ranked = ranks(pixels)
            if is_telling(ranked):
                digest = pixel_hash(ranked)
                yield {"sha256": digest, "case_id": case.case_id, "channel": channel, "slice": index}


def _read(path: Path) -> pa.Table:
    try:
        return pq.read_table(path)
    except (pa.ArrowInvalid, OSError):
        raise UnreadableFileError(
            f"{path.name} is no Parquet file or was cut: pull the release again"
        ) from None


def _checked(table: pa.Table) -> pa.Table:
    form = _meta(table, "canonical")
    if form != CANONICAL_FORM or not table.schema.equals(SCHEMA):
        raise RecordError(
            f"registry has the form {form or 'of no registry'!r}, expected {CANONICAL_FORM!r}: "
            "verify with the version of synthdata that the release names"
        )
    return table.combine_chunks()


def _meta(table: pa.Table, name: str) -> str:
    value: bytes = (table.schema.metadata or {}).get(f"synthdata.registry.{name}".encode(), b"")
    return value.decode()


def _first_words(table: pa.Table) -> np.ndarray:
    """First 8 bytes of each hash as one number."""
    chunks = table["sha256"].chunks
    parts = [np.frombuffer(c.buffers()[1], "<u8")[c.offset * 4 : (c.offset + len(c)) * 4 : 4] for c in chunks]
    return np.concatenate(parts) if parts else np.zeros(0, "<u8")


def _entry(table: pa.Table, row: int) -> RegistryEntry:
    return RegistryEntry(
        dataset=_meta(table, "dataset"),
        version=_meta(table, "version"),
        case_id=table["case_id"][row].as_py(),
        channel=table["channel"][row].as_py(),
        slice=table["slice"][row].as_py(),
    )


def _check_against_manifest(path: Path) -> None:
    beside = next(
        (folder / MANIFEST_FILE for folder in path.parents[:3] if (folder / MANIFEST_FILE).is_file()), None
    )
    if beside is None:
        return
    manifest = from_json(ReleaseManifest, beside.read_bytes())
    name = path.relative_to(beside.parent).as_posix()
    want = next((file.sha256 for file in manifest.files if file.path == name), None)
    if want is not None and (got := sha256_of(path)) != want:
        raise IntegrityError.of(f"registry {name}", got, want)

"""Fetch what a DICOMweb server has and this machine has not: study by study, and inside a study where a run stopped.

A study comes to intake when all of its instances are here. What was fetched is remembered only then, so the cursor
never stands beyond something that is not safe on this disk.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

from pydicom import dcmread

from synthdata.errors import SourceError
from synthdata.intake.dicom_file import DAMAGE
from synthdata.intake.listing import MAXIMUM_BYTES
from synthdata.intake.remote.dicomweb import DicomWeb, InstanceRow, StudyRow
from synthdata.intake.remote.landing import OLD, PART, Fetched, Landing, on_landing
from synthdata.intake.remote.problems import (
    EMPTY,
    FEWER,
    TWO_OF_ONE,
    BusyError,
    LaterError,
    RefusedError,
    StudyError,
)
from synthdata.progress import Progress

FAILURES_IN_A_ROW = 3  # studies; then it is the server and not the study
OURS = re.compile(rf"[a-p]{{32}}(?:{re.escape(OLD)})?")  # a folder of a study
BY_SERIES = 4  # missing instances of one series from which on the whole series is asked for in one answer


def fetch_studies(web: DicomWeb, landing: Landing, progress: Progress) -> Fetched:
    """Bring the landing up to what the server has.

    Raises:
        SourceError: The server refused us, does not answer, or failed for several studies in a row.
        StoreError: The landing cannot be written.
    """
    done = Fetched()
    studies = web.studies()
    if not studies:  # rather a wrong address than an archive that was emptied: what is here stays
        raise SourceError(EMPTY)
    done.seen = len(studies)
    try:
        _fetch_new(web, landing, sorted(studies, key=lambda one: one.name), done, progress)
    finally:
        landing.memory.flush()  # what came is known, however the run ends
    done.removed = _remove_gone(web, landing, {row.name: row for row in studies})
    landing.memory.close({row.name for row in studies})
    return done


def _fetch_new(
    web: DicomWeb, landing: Landing, studies: Sequence[StudyRow], done: Fetched, progress: Progress
) -> None:
    row_of_failures = 0
    for count, row in enumerate(studies, 1):
        if not _is_known(row, landing):
            try:
                _StudyFetch(web, landing, row).run()
                done.fetched += 1
                row_of_failures = 0
            except (RefusedError, BusyError, OSError):  # another study would meet the same
                raise
            except SourceError as error:
                done.failed.append(error)
                row_of_failures += not isinstance(error, StudyError)
                if row_of_failures == FAILURES_IN_A_ROW or len(done.failed) == len(studies):
                    raise
        progress(count, len(studies), "fetching studies")


def _is_known(row: StudyRow, landing: Landing) -> bool:
    return bool(row.mark) and landing.memory.get(row.name) == row.mark and (landing.scans / row.name).is_dir()


def _remove_gone(web: DicomWeb, landing: Landing, there: dict[str, StudyRow]) -> int:
    """Remove studies which the server has no longer, asking for each once more."""
    gone = 0
    for folder in [path for root in (landing.scans, landing.incoming) for path in root.iterdir()]:
        if folder.name in there or not OURS.fullmatch(folder.name):  # such as a clinical table
            continue
        uid = _study_uid(folder)
        if not uid or not web.has_study(uid):
            landing.remove(folder.name)
            gone += 1
    return gone


def _study_uid(folder: Path) -> str:
    path = next((path for path in folder.iterdir() if path.suffix != PART), None)
    return _uids(path)[0] if path is not None else ""


def _uids(path: Path) -> tuple[str, str]:
    """Study and SOP Instance UID of a file; empty where it tells none."""
    try:
        header = dcmread(path, stop_before_pixels=True, specific_tags=["StudyInstanceUID", "SOPInstanceUID"])
        return str(header.get("StudyInstanceUID", "")), str(header.get("SOPInstanceUID", ""))
    except DAMAGE:
        return "", ""


class _StudyFetch:
    """One study on its way."""

    def __init__(self, web: DicomWeb, landing: Landing, row: StudyRow) -> None:
        self._web, self._landing, self._row = web, landing, row
        self._whole, self._incoming = landing.scans / row.name, landing.incoming / row.name

    def run(self) -> None:
        """Fetch what is missing, then hand it over and remember it."""
        listed = self._web.instances(self._row.uid)
        if not listed:
            raise StudyError(
                "the DICOMweb server shows a study without instances, expected some: see whether it was deleted"
            )
        if len(listed) < self._row.instances:
            raise StudyError(FEWER)
        with on_landing():
            self._incoming.mkdir(parents=True, exist_ok=True)
            for path in self._incoming.glob(f"*{PART}"):  # of a killed run
                path.unlink()
        series: dict[str, list[InstanceRow]] = {}
        for instance in listed:
            series.setdefault(instance.series, []).append(instance)
        for instances in series.values():
            self._fetch_series(instances)
        self._landing.promote(self._row.name, {instance.file for instance in listed})
        self._landing.memory.put(self._row.name, f"{len(series)}:{len(listed)}")

    def _fetch_series(self, instances: Sequence[InstanceRow]) -> None:
        """As long as a try brings something, it is worth the next one."""
        missing = self._missing(instances)
        while missing:
            before = len(missing)
            try:
                self._web.patiently(partial(self._try_series, missing, len(instances)))
            except LaterError:
                missing = self._missing(instances)
                if len(missing) == before:
                    raise
            missing = self._missing(instances)

    def _try_series(self, missing: Sequence[InstanceRow], listed: int) -> None:
        """One answer with all, or one for each where little is missing."""
        missing = self._missing(missing)
        if len(missing) >= BY_SERIES and 2 * len(missing) > listed:
            with closing(self._web.series_files(missing[0].study, missing[0].series)) as files:
                self._store_all(files, {instance.uid: instance for instance in missing})
            missing = self._missing(missing)
        for instance in missing:
            with closing(self._web.instance_file(instance)) as files:
                self._store_all(files, {instance.uid: instance, "": instance})
            if self._missing([instance]):
                raise LaterError.of(
                    "the DICOMweb server answered without the instance that was asked for, expected its file: see the "
                    "server's log, and run it again"
                )

    def _missing(self, instances: Sequence[InstanceRow]) -> list[InstanceRow]:
        return [
            one
            for one in instances
            if not (self._whole / one.file).exists() and not (self._incoming / one.file).exists()
        ]

    def _store_all(self, files: Iterator[Iterator[bytes]], wanted: Mapping[str, InstanceRow]) -> None:
        """Write files as they stream in; each gets its name when it is whole.

        Args:
            files: Of one answer.
            wanted: Instances by UID; that of the empty text takes a file which tells none, and intake will judge it.
        """
        part = self._incoming / f"file{PART}"
        came: dict[str, bytes] = {}
        for chunks in files:
            with on_landing(), part.open("wb") as writer:
                digest = hashlib.sha256()
                for chunk in _bounded(chunks):
                    writer.write(chunk)
                    digest.update(chunk)
            study, uid = _uids(part)
            instance = wanted.get(uid) if study in {self._row.uid, ""} else None
            if instance is not None and came.setdefault(uid, digest.digest()) != digest.digest():
                raise StudyError(TWO_OF_ONE)
            with on_landing():
                if instance is None:
                    part.unlink()
                else:
                    part.replace(self._incoming / instance.file)


def _bounded(chunks: Iterator[bytes]) -> Iterator[bytes]:
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > MAXIMUM_BYTES:
            raise StudyError(
                "the DICOMweb server sends a file of more than 1 GiB, expected less: split it in the archive"
            )
        yield chunk

"""Studies of a DICOMweb server: searched by QIDO-RS, retrieved by WADO-RS, only what is not here yet.

Source: DICOM PS3.18, 10.6 (search) and 10.4 (retrieve).
"""

import hashlib
import re
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from synthdata.errors import SourceError
from synthdata.intake.remote.multipart import Multipart, boundary_of
from synthdata.intake.remote.web_client import Patience, WebClient

T = TypeVar("T")

PAGE = 200  # rows of one search: no server refuses that, and none has to hold much
MOST_ROWS = 20_000  # of one search on a server that knows no pages
STUDY, SERIES, INSTANCE = "0020000D", "0020000E", "00080018"
SERIES_COUNT, INSTANCE_COUNT = "00201206", "00201208"
COUNT = re.compile(r"[0-9]{1,9}")
LETTERS = str.maketrans("0123456789", "ghijklmnop")
UID = re.compile(r"[0-9A-Za-z._-]{1,64}")
DICOM = (
    'multipart/related; type="application/dicom"; transfer-syntax=*'  # as it is stored, without conversion
)
Row = dict[str, Any]
Files = Generator[Iterator[bytes], None, None]  # each in chunks; to be closed


@dataclass(frozen=True, slots=True)
class StudyRow:
    """A study as a search shows it."""

    uid: str
    mark: str  # numbers of series and of instances; empty where the server does not tell

    @property
    def name(self) -> str:
        """Of its folder on this machine, and in what is remembered."""
        return short(self.uid)

    @property
    def instances(self) -> int:
        """How many it has, by the search; 0 where the server does not tell."""
        return int(self.mark.partition(":")[2] or 0)


@dataclass(frozen=True, slots=True)
class InstanceRow:
    """An instance as a search shows it."""

    study: str
    series: str
    uid: str

    @property
    def file(self) -> str:
        """Of its copy on this machine."""
        return f"{short(self.uid)}.dcm"


class DicomWeb:
    """The two services of one server."""

    def __init__(self, address: str, patience: Patience) -> None:
        """Raises ConfigError for an address which cannot be one."""
        self._client = WebClient(address, patience)

    def patiently(self, work: Callable[[], T]) -> T:
        """Do something again where that may help."""
        return self._client.patiently(work)

    def studies(self) -> list[StudyRow]:
        """All studies, by pages; one that moved between two pages is there once."""
        fields = [("includefield", SERIES_COUNT), ("includefield", INSTANCE_COUNT)]
        rows = self._pages(["studies"], [*self._client.filters, *fields], STUDY)
        return [StudyRow(_uid(row, STUDY), _mark(row)) for row in rows]

    def has_study(self, uid: str) -> bool:
        """True where the server still shows a study: a page may have passed over it while others came or went."""
        query = [*self._client.filters, ("StudyInstanceUID", uid), ("limit", "1")]
        return any(_uid(row, STUDY) == uid for row in self._client.rows(["studies"], query))

    def instances(self, study: str) -> list[InstanceRow]:
        """All instances of a study, by pages."""
        rows = self._pages(["studies", study, "instances"], [("includefield", SERIES)], INSTANCE)
        return [InstanceRow(study, _uid(row, SERIES), _uid(row, INSTANCE)) for row in rows]

    def series_files(self, study: str, series: str) -> Files:
        """Files of a series, each as chunks, in one answer. Raises the errors of the client."""
        return self._files(["studies", study, "series", series])

    def instance_file(self, row: InstanceRow) -> Files:
        """The file of one instance as chunks."""
        return self._files(["studies", row.study, "series", row.series, "instances", row.uid])

    def _files(self, path: Sequence[str]) -> Files:
        with self._client.answer(path, DICOM) as (content_type, chunks):
            if not content_type:
                return
            if content_type.partition(";")[0].strip().lower() == "application/dicom":
                yield chunks
                return
            boundary = boundary_of(content_type)
            if not boundary:
                raise SourceError(
                    "the DICOMweb server answered with something else than DICOM (a login page?), expected "
                    "multipart/related: check the address, and that the server has WADO-RS"
                )
            yield from Multipart(chunks, boundary).parts()

    def _pages(self, path: Sequence[str], query: Sequence[tuple[str, str]], key: str) -> Iterator[Row]:
        """All rows, each once: by pages, or all at once where the server does not know what an offset is."""
        found: dict[str, Row] = {}
        offset = 0
        while True:
            rows = self._page(path, query, PAGE, offset)
            before = len(found)
            found |= {_uid(row, key): row for row in rows}
            if not rows:
                break
            if len(found) == before:
                found |= self._at_once(path, query, key)
                break
            offset += len(rows)
        yield from found.values()

    def _at_once(
        self, path: Sequence[str], query: Sequence[tuple[str, str]], key: str
    ) -> Iterator[tuple[str, Row]]:
        """Rows of a server which gives the same page whatever the offset."""
        rows = self._page(path, query, MOST_ROWS, 0)
        if len(rows) >= MOST_ROWS:
            raise SourceError(
                "the DICOMweb server gives the same page of a search whatever the offset, and has more than one page, "
                "expected paging: narrow the search by a query in the address"
            )
        return ((_uid(row, key), row) for row in rows)

    def _page(
        self, path: Sequence[str], query: Sequence[tuple[str, str]], limit: int, offset: int
    ) -> list[Row]:
        return self._client.rows(path, [*query, ("limit", str(limit)), ("offset", str(offset))])


def short(uid: str) -> str:
    """Name for a UID which tells nobody what it is; in letters alone, which nobody takes for a number of a person."""
    return hashlib.sha256(uid.encode()).hexdigest()[:32].translate(LETTERS)


def _values(row: Row, key: str) -> list[Any]:
    found = row.get(key)
    values = found.get("Value") if isinstance(found, dict) else None
    return values if isinstance(values, list) else []


def _uid(row: Row, key: str) -> str:
    values = _values(row, key)
    uid = str(values[0]).strip() if values else ""
    if not UID.fullmatch(uid) or set(uid) == {"."}:
        raise SourceError(
            "the DICOMweb server answered a search without a UID where one must be, expected DICOM JSON: check the "
            "address"
        )
    return uid


def _mark(row: Row) -> str:
    counts = [
        str(values[0]).strip() if (values := _values(row, key)) else ""
        for key in (SERIES_COUNT, INSTANCE_COUNT)
    ]
    return ":".join(counts) if all(map(COUNT.fullmatch, counts)) else ""

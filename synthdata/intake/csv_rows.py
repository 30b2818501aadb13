"""Rows of CSV files as programs in many countries write them; what cannot be told is refused, not guessed."""

import codecs
import csv
import io
import re
from collections.abc import Collection, Iterator, Sequence

from synthdata.errors import SourceError

SEPARATORS = (",", ";", "\t")
DECIMAL = re.compile(r"[+-]?[0-9]+([,.])[0-9]+(?:[eE][+-]?[0-9]+)?")
IDENTIFIERS = frozenset({"patient", "subject", "participant_id", "file"})  # columns such as 01.001
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
SEPARATOR_LINE = re.compile(r"sep=(.)\r?\n")  # of spreadsheets, before the header


def read_rows(
    data: bytes, what: str, needed: Sequence[str], keep: Collection[str] | None = None
) -> list[dict[str, str]]:
    """Rows of a CSV file with a header line.

    Cells are separated by commas, semicolons or tabs, whichever gives the needed columns; between semicolons a comma
    is a decimal one. Text is UTF-8, or UTF-16 with its mark.

    Args:
        data: The file.
        what: What the table is, for messages.
        needed: Columns which must be there.
        keep: Columns to keep beside these; None keeps all.

    Raises:
        SourceError: The file is no such CSV, lacks a column or has it twice.
    """
    header, rows = open_rows(data, what, needed)
    chosen = [number for number, name in enumerate(header) if keep is None or name in {*needed, *keep}]
    names = [header[number] for number in chosen]
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise SourceError(f"the {what} has the columns {', '.join(twice)} twice: leave one of each")
    require(needed, header, what)
    return [{name: row[number] for name, number in zip(names, chosen, strict=True)} for row in rows]


def open_rows(data: bytes, what: str, needed: Sequence[str]) -> tuple[list[str], Iterator[list[str]]]:
    """The header of a CSV file, and its rows, each as long as the header; empty lines are left out.

    Raises:
        SourceError: The file is no CSV; for rows, when they are read.
    """
    text = _text(data, what)
    separator = None
    if found := SEPARATOR_LINE.match(text):
        separator, text = found[1], text[found.end() :]
    separator = separator or max(SEPARATORS, key=lambda one: _fit(_header(text, one), needed))
    names = _header(text, separator)
    if names is None:
        raise _broken(what, 1)
    header = [name.strip() for name in names]
    rows = _cells(text, separator, len(header), what)
    if separator == ";":
        numeric = set(needed) - IDENTIFIERS
        rows = _with_points(
            rows, [number for number, name in enumerate(header) if _bare(name) in numeric], what
        )
    return header, rows


def require(needed: Sequence[str], there: Collection[str], what: str) -> None:
    """Raises SourceError where a table lacks a column."""
    missing = [name for name in needed if name not in there]
    if missing:
        raise SourceError(f"the {what} lacks the columns {', '.join(missing)}: add them, or mend the spec")


def _text(data: bytes, what: str) -> str:
    if data[:1] == b"<" or data[:2] == b"PK":
        kind = "XML" if data[:1] == b"<" else "a spreadsheet or ZIP file"
        raise SourceError(f"the {what} is {kind}, expected comma separated text: save it as CSV in UTF-8")
    try:
        return data.decode("utf-16" if data.startswith(UTF_16) else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SourceError(
            f"the {what} is no CSV in UTF-8, its line {line} is of another encoding: save it as comma separated text "
            "in UTF-8"
        ) from None


def _header(text: str, separator: str) -> list[str] | None:
    """Cells of the first line; None where it is none with that separator."""
    try:
        return next(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True), [])
    except csv.Error:
        return None


def _fit(header: Sequence[str] | None, needed: Sequence[str]) -> tuple[int, int]:
    names = {_bare(name) for name in header or ()}
    return len(names.intersection(needed)), len(header or ())


def _bare(name: str) -> str:
    """Name of a column without its unit."""
    return name.strip().partition("[")[0].rstrip()


def _cells(text: str, separator: str, width: int, what: str) -> Iterator[list[str]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    before = 1
    try:
        next(reader, None)
        before = reader.line_num + 1
        for row in reader:
            if len(row) > width:
                raise SourceError(
                    f"line {before} of the {what} has {len(row)} cells, expected {width} as in its header: put cells "
                    "that hold the separator in quotes"
                )
            before = reader.line_num + 1
            if row:
                yield [*row, *[""] * (width - len(row))]
    except csv.Error:
        raise _broken(what, before) from None


def _with_points(rows: Iterator[list[str]], needed: Sequence[int], what: str) -> Iterator[list[str]]:
    """Rows with decimal points; where needed numbers have either, 1.234 and 1,234 may each be a thousand and more."""
    has_comma = has_point = False
    for row in rows:
        kinds = [kind for number in needed if (kind := DECIMAL.fullmatch(row[number].strip()))]
        has_comma = has_comma or any("," in kind[1] for kind in kinds)
        has_point = has_point or any("." in kind[1] for kind in kinds)
        if has_comma and has_point:
            raise SourceError(
                f"the {what} has numbers with a comma and numbers with a point between semicolons, expected one of "
                "both and nothing between thousands: export it again"
            )
        yield [_point(cell) for cell in row]


def _point(cell: str) -> str:
    return cell.replace(",", ".") if "," in cell and DECIMAL.fullmatch(cell.strip()) else cell


def _broken(what: str, line: int) -> SourceError:
    return SourceError(
        f"the {what} breaks the rules of CSV from its line {line} on, expected quotes that are closed and cells of at "
        f"most {csv.field_size_limit()} signs: export it again"
    )

"""Pictures of synthetic cases, and a page which shows them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from synthdata.records.case import Case, Value
from synthdata.records.training import ChannelScale
from synthdata.release.document import Block, Link, Picture, Section, Table, Text, page
from synthdata.release.layout import DATASHEET_HTML, GALLERY

CASES = 24  # shown in all
PER_SHEET = 12
PER_ROW = 6


def write_gallery(
    folder: Path,
    cases: Sequence[Case],
    scales: Sequence[ChannelScale],
    labels: Mapping[str, int],
    *,
    title: str,
) -> tuple[str, ...]:
    """Write contact sheets of some cases and their page: what the colours mean, and the record of each case.

    Args:
        folder: Folder of the release.
        cases: Synthetic cases that are shown, at most `CASES`.
        scales: Encoding of the channels.
        labels: Name to mask value.
        title: Of the page.

    Returns:
        Paths of the sheets, relative to the folder.
    """
    from synthdata.validation.pictures import case_sheet, label_colours

    place = folder / GALLERY
    place.parent.mkdir(exist_ok=True)
    outlines = ", ".join(f"{outline.label} {outline.word}" for outline in label_colours(labels))
    blocks: list[Block] = [
        Text(text="All images on this page are synthetic. Not for diagnosis.", warning=True),
        Text(text=f"Outlines: {outlines}." if outlines else "The cases have no labels."),
    ]
    sheets = []
    for number, start in enumerate(range(0, len(cases), PER_SHEET)):
        part = cases[start : start + PER_SHEET]
        sheet = place.with_name(f"sheet-{number}.png")
        sheet.write_bytes(case_sheet(part, scales, labels, columns=PER_ROW))
        sheets.append(f"{place.parent.name}/{sheet.name}")
        words = f"Synthetic cases {part[0].case_id} to {part[-1].case_id}, with the outlines of their labels"
        blocks += [Picture(source=sheet.name, words=words), _records(part, number + 1)]
    blocks.append(Link(target=f"../{DATASHEET_HTML}", text="Datasheet of this version"))
    place.write_text(page(title, (Section(title="Synthetic cases", blocks=tuple(blocks)),)), encoding="utf-8")
    return tuple(sheets)


def _records(cases: Sequence[Case], sheet: int) -> Table:
    """Where each case stands on its sheet, and its record."""
    columns = tuple(cases[0].record)
    rows = tuple(
        (f"{index // PER_ROW + 1}, {index % PER_ROW + 1}", case.case_id, *map(_shown, case.record.values()))
        for index, case in enumerate(cases)
    )
    return Table(header=("Row, column", "Case", *columns), rows=rows, name=f"Records of sheet {sheet}")


def _shown(value: Value) -> str:
    return "" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)

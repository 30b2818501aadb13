"""Pictures of synthetic cases, and a page which shows them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from synthdata.records.case import Case
from synthdata.records.training import ChannelScale
from synthdata.release.document import Picture, Section, Text, page
from synthdata.release.layout import GALLERY

CASES = 24  # shown in all
PER_SHEET = 12


def write_gallery(
    folder: Path,
    cases: Sequence[Case],
    scales: Sequence[ChannelScale],
    labels: Mapping[str, int],
    *,
    title: str,
) -> tuple[str, ...]:
    """Write contact sheets of some cases and their page.

    Args:
        folder: Folder of the release.
        cases: Synthetic cases; the first `CASES` are shown.
        scales: Encoding of the channels.
        labels: Name to mask value.
        title: Of the page.

    Returns:
        Paths of the sheets, relative to the folder.
    """
    from synthdata.validation.pictures import case_sheet

    place = folder / GALLERY
    place.parent.mkdir(exist_ok=True)
    sheets = []
    for number, start in enumerate(range(0, min(CASES, len(cases)), PER_SHEET)):
        part = cases[start : start + PER_SHEET]
        sheet = place.with_name(f"sheet-{number}.png")
        sheet.write_bytes(case_sheet(part, scales, labels))
        words = f"Synthetic cases {part[0].case_id} to {part[-1].case_id}, with the outlines of their labels"
        sheets.append(Picture(source=sheet.name, words=words))
    note = Text(text="All images on this page are synthetic. Not for diagnosis.", warning=True)
    section = Section(title="Synthetic cases", blocks=(note, *sheets))
    place.write_text(page(title, (section,)), encoding="utf-8")
    return tuple(f"{Path(GALLERY).parent}/{sheet.source}" for sheet in sheets)

"""One text for people, rendered as Markdown and as HTML: paragraphs, lists, tables, pictures."""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files


@dataclass(frozen=True, kw_only=True, slots=True)
class Text:
    """A paragraph; `code` shows it as typed, `warning` sets it off."""

    text: str
    code: bool = False
    warning: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Bullets:
    """A list."""

    items: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """A picture by its address, with the words for those who cannot see it."""

    source: str
    words: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Link:
    """A paragraph that is one link."""

    target: str
    text: str


Cell = str | Link


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """A table with a header; cells are plain text or a link."""

    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    name: str = "Table"  # what a screen reader calls it


Block = Text | Bullets | Table | Picture | Link


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """A heading and what stands below it."""

    title: str
    blocks: tuple[Block, ...]


def markdown(title: str, sections: Sequence[Section]) -> str:
    """The document as Markdown."""
    lines = [f"# {title}", ""]
    for section in sections:
        lines += [f"## {section.title}", ""]
        for block in section.blocks:
            lines += [_markdown(block), ""]
    return "\n".join(lines).rstrip() + "\n"


def page(title: str, sections: Sequence[Section], *, contents: bool = False) -> str:
    """The document as one HTML page without scripts or foreign addresses, light and dark.

    Args:
        title: Of the page.
        sections: What stands in it.
        contents: Begin with links to the sections.
    """
    style = files("synthdata.release").joinpath("page.css").read_text(encoding="utf-8")
    places = [f"part-{number}" for number in range(1, len(sections) + 1)]
    body = "\n".join(
        f'<section>\n<h2 id="{place}">{html.escape(section.title)}</h2>\n'
        + "\n".join(_html(block, _name(section, number)) for number, block in enumerate(section.blocks))
        + "\n</section>"
        for place, section in zip(places, sections, strict=True)
    )
    links = "".join(
        f'<li><a href="#{place}">{html.escape(section.title)}</a></li>'
        for place, section in zip(places, sections, strict=True)
    )
    head = f'<nav aria-label="Contents"><ul>{links}</ul></nav>\n' if contents else ""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<link rel="icon" href="data:,">\n<title>{html.escape(title)}</title>\n<style>\n{style}</style>\n'
        '</head>\n<body>\n<a class="skip" href="#content">Skip to the content</a>\n'
        f'<header>\n<h1>{html.escape(title)}</h1>\n{head}</header>\n<main id="content" tabindex="-1">\n{body}\n'
        "</main>\n</body>\n</html>\n"
    )


def _name(section: Section, number: int) -> str:
    """What a screen reader calls one block: the section, and which table or listing of it."""
    before = sum(isinstance(block, type(section.blocks[number])) for block in section.blocks[:number])
    return section.title if not before else f"{section.title}, {before + 1}"


def _markdown(block: Block) -> str:
    if isinstance(block, Text):
        return (
            f"```text\n{block.text}\n```"
            if block.code
            else f"> {block.text}"
            if block.warning
            else block.text
        )
    if isinstance(block, Bullets):
        return "\n".join(f"- {item}" for item in block.items)
    if isinstance(block, Picture):
        return f"![{block.words}]({block.source})"
    if isinstance(block, Link):
        return f"[{block.text}]({block.target})"
    rows = [block.header, tuple("---" for _ in block.header), *block.rows]
    return "\n".join("| " + " | ".join(map(_markdown_cell, row)) + " |" for row in rows)


def _markdown_cell(cell: Cell) -> str:
    text = f"[{cell.text}]({cell.target})" if isinstance(cell, Link) else cell
    return text.replace("|", "\\|")


def _html(block: Block, name: str) -> str:
    if isinstance(block, Text):
        text = html.escape(block.text)
        if block.code:
            label = html.escape(f"Commands: {name}")
            return f'<pre tabindex="0" role="region" aria-label="{label}"><code>{text}</code></pre>'
        return f'<p class="warning">{text}</p>' if block.warning else f"<p>{text}</p>"
    if isinstance(block, Bullets):
        return "<ul>" + "".join(f"<li>{html.escape(item)}</li>" for item in block.items) + "</ul>"
    if isinstance(block, Picture):
        return (
            f'<p><img src="{html.escape(block.source)}" alt="{html.escape(block.words)}" loading="lazy"></p>'
        )
    if isinstance(block, Link):
        return f"<p>{_html_cell(block)}</p>"
    head = "".join(f'<th scope="col">{html.escape(cell)}</th>' for cell in block.header)
    rows = "".join("<tr>" + _html_row(row) + "</tr>" for row in block.rows)
    label = html.escape(name if block.name == "Table" else f"{name}: {block.name}")
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{label}">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _html_row(row: tuple[Cell, ...]) -> str:
    first, *others = map(_html_cell, row)
    return f'<th scope="row">{first}</th>' + "".join(f"<td>{cell}</td>" for cell in others)


def _html_cell(cell: Cell) -> str:
    if isinstance(cell, Link):
        return f'<a href="{html.escape(cell.target)}">{html.escape(cell.text)}</a>'
    return html.escape(cell)

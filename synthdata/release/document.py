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
class Table:
    """A table with a header; cells are plain text."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


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


def page(title: str, sections: Sequence[Section]) -> str:
    """The document as one HTML page without scripts or foreign addresses, light and dark."""
    style = files("synthdata.release").joinpath("page.css").read_text(encoding="utf-8")
    body = "\n".join(
        f"<section>\n<h2>{html.escape(section.title)}</h2>\n"
        + "\n".join(map(_html, section.blocks))
        + "\n</section>"
        for section in sections
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{html.escape(title)}</h1>\n{body}\n</main>\n</body>\n</html>\n"
    )


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
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)


def _html(block: Block) -> str:
    if isinstance(block, Text):
        text = html.escape(block.text)
        return (
            f"<pre><code>{text}</code></pre>"
            if block.code
            else (f'<p class="warning">{text}</p>' if block.warning else f"<p>{text}</p>")
        )
    if isinstance(block, Bullets):
        return "<ul>" + "".join(f"<li>{html.escape(item)}</li>" for item in block.items) + "</ul>"
    if isinstance(block, Picture):
        return f'<p><img src="{html.escape(block.source)}" alt="{html.escape(block.words)}"></p>'
    if isinstance(block, Link):
        return f'<p><a href="{html.escape(block.target)}">{html.escape(block.text)}</a></p>'
    head = "".join(f'<th scope="col">{html.escape(cell)}</th>' for cell in block.header)
    rows = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in block.rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"

"""The front page of a release store: what is there, what was withdrawn, how to get it. A static file, for people."""

from synthdata.records.codec import to_json
from synthdata.release.document import Block, Cell, Link, Picture, Section, Table, Text, page
from synthdata.release.layout import CHANGES, DATASHEET_HTML, FIRST_SHEET, GALLERY, UNDATED, report_path
from synthdata.release.trust.contents import Contents, SignedRelease
from synthdata.storage import keys
from synthdata.storage.protocol import ObjectStore

NEWS = 8  # versions in the list of what is new


def write_portal(releases: ObjectStore, contents: Contents) -> None:
    """Write the front page and the recall list for people; clients read the signed one."""
    releases.write(keys.RECALLS, to_json(contents.recalls))
    releases.write(keys.PORTAL, portal(contents).encode())


def portal(contents: Contents) -> str:
    """The front page as HTML."""
    names = sorted({dataset for dataset, _ in contents.releases})
    sections = [_news(contents), *(Section(title=name, blocks=_dataset(name, contents)) for name in names)]
    sections += [_how(names), _recalls(contents)]
    return page("Synthetic imaging datasets", sections, contents=True)


def _news(contents: Contents) -> Section:
    """The newest versions, by date."""
    order = sorted(contents.releases.values(), key=lambda item: (item.dataset, version_order(item.version)))
    newest = sorted(order, key=lambda item: item.created, reverse=True)[:NEWS]
    rows = tuple(
        (
            Link(target=_file(item, CHANGES), text=f"{item.dataset} {item.version}: changes"),
            "not stated" if item.created == UNDATED else item.created,
            _state(item, contents),
        )
        if not _recalled(item, contents)
        else (f"{item.dataset} {item.version}", item.created, _state(item, contents))
        for item in newest
    )
    notice = Text(
        text="All images here are synthetic: no patients. For research, not for diagnosis.", warning=True
    )
    if not rows:
        return Section(title="What is new", blocks=(notice, Text(text="Nothing is released yet.")))
    return Section(
        title="What is new", blocks=(notice, Table(header=("Version", "Date", "State"), rows=rows))
    )


def _dataset(name: str, contents: Contents) -> tuple[Block, ...]:
    found = sorted(
        (item for item in contents.releases.values() if item.dataset == name),
        key=lambda item: version_order(item.version),
        reverse=True,
    )
    rows = tuple(_row(item, contents) for item in found)
    header = ("Version", "Cases", "Size", "Licence", "Gates", "State", "Report", "Gallery", "Files")
    blocks: list[Block] = [Text(text=found[0].title), Table(header=header, rows=rows, name="versions")]
    current = next((item for item in found if not _recalled(item, contents)), None)
    if current is not None:
        words = f"Synthetic cases of {name} {current.version}, with the outlines of their labels"
        blocks.append(Picture(source=_file(current, FIRST_SHEET), words=words))
        blocks.append(
            Text(text=f"synthdata pull {name}@{current.version} --from THIS_ADDRESS --to {name}", code=True)
        )
    return tuple(blocks)


def _row(item: SignedRelease, contents: Contents) -> tuple[Cell, ...]:
    size = f"{item.size_bytes / 1e6:.1f} MB"
    facts: tuple[Cell, ...] = (str(item.cases), size, item.licence, item.outcome, _state(item, contents))
    if _recalled(item, contents):
        return (item.version, *facts, "", "", Link(target=item.path, text=f"Manifest of {item.version}"))
    return (
        Link(target=_file(item, DATASHEET_HTML), text=f"{item.version}: datasheet"),
        *facts,
        Link(target=_file(item, report_path("html")), text=f"Report of {item.version}"),
        Link(target=_file(item, GALLERY), text=f"Gallery of {item.version}"),
        Link(target=item.path, text=f"Manifest of {item.version}"),
    )


def _how(names: list[str]) -> Section:
    name = names[0] if names else "NAME"
    commands = (
        "pip install synthdata\n"
        f"synthdata pull {name} --from THIS_ADDRESS --to {name}\n"
        f"synthdata check {name}\n\n"
        "# a table of all cases first, then the cases that you want\n"
        f"synthdata pull {name} --from THIS_ADDRESS --to look --formats index\n"
        f'synthdata pull {name} --from THIS_ADDRESS --to part --where "age > 60" --sample 1%'
    )
    blocks: tuple[Block, ...] = (
        Text(text="Every file is checked against the signed manifest while it is downloaded."),
        Text(text=commands, code=True),
        Link(target=keys.trust_metadata("timestamp.json"), text="Signed metadata (TUF)"),
        Link(target=keys.trust_metadata("1.root.json"), text="First root of trust: compare its fingerprint"),
    )
    return Section(title="How to download", blocks=blocks)


def _recalls(contents: Contents) -> Section:
    if not contents.recalls.recalls:
        return Section(title="Recalls", blocks=(Text(text="No version was recalled."),))
    rows = tuple(
        (f"{item.dataset} {item.version}", item.date, item.reason) for item in contents.recalls.recalls
    )
    table = Table(header=("Version", "Date", "Reason"), rows=rows)
    text = Text(text="Do not use these versions any more. `synthdata check` tells of copies.", warning=True)
    return Section(title="Recalls", blocks=(text, table))


def _state(item: SignedRelease, contents: Contents) -> str:
    reason = contents.recalls.reason(item.dataset, item.version)
    return f"recalled: {reason}" if reason else "development keys" if item.development_keys else "current"


def _recalled(item: SignedRelease, contents: Contents) -> bool:
    return contents.recalls.reason(item.dataset, item.version) is not None


def _file(item: SignedRelease, path: str) -> str:
    return keys.release(item.dataset, item.version, path)


def version_order(version: str) -> tuple[int, ...]:
    """Order of semantic versions."""
    return tuple(int(part) if part.isdigit() else 0 for part in version.split("."))

"""The front page of a release store: what is there, what was withdrawn, how to get it. A static file, for people."""

from synthdata.records.codec import to_json
from synthdata.release.document import Block, Link, Section, Table, Text, page
from synthdata.release.layout import DATASHEET_HTML, GALLERY, report_path
from synthdata.release.trust.contents import Contents, SignedRelease
from synthdata.storage import keys
from synthdata.storage.protocol import ObjectStore


def write_portal(releases: ObjectStore, contents: Contents) -> None:
    """Write the front page and the recall list for people; clients read the signed one."""
    releases.write(keys.RECALLS, to_json(contents.recalls))
    releases.write(keys.PORTAL, portal(contents).encode())


def portal(contents: Contents) -> str:
    """The front page as HTML."""
    names = sorted({dataset for dataset, _ in contents.releases})
    sections = [Section(title=name, blocks=_dataset(name, contents)) for name in names]
    if contents.recalls.recalls:
        rows = tuple(
            (item.dataset, item.version, item.date, item.reason) for item in contents.recalls.recalls
        )
        table = Table(header=("Dataset", "Version", "Date", "Reason"), rows=rows)
        sections.append(Section(title="Recalled", blocks=(table,)))
    command = (
        "pip install synthdata\nsynthdata pull NAME --from THIS_ADDRESS --to FOLDER\nsynthdata check FOLDER"
    )
    how = (
        Text(text="Every file is checked against the signed manifest while it is downloaded."),
        Text(text=command, code=True),
        Link(target="metadata/timestamp.json", text="Signed metadata (TUF)"),
    )
    sections.append(Section(title="How to download", blocks=how))
    return page("Synthetic imaging datasets", sections)


def _dataset(name: str, contents: Contents) -> tuple[Block, ...]:
    found = sorted(
        (item for item in contents.releases.values() if item.dataset == name),
        key=lambda item: version_order(item.version),
        reverse=True,
    )
    rows = tuple(_row(item, contents) for item in found)
    header = ("Version", "Cases", "Size", "Licence", "Gates", "State")
    links = [
        Link(target=keys.release(name, item.version, path), text=f"{words} of {item.version}")
        for item in found
        for path, words in (
            (DATASHEET_HTML, "Datasheet"),
            (GALLERY, "Gallery"),
            (report_path("html"), "Report"),
        )
    ]
    return (Text(text=found[0].title), Table(header=header, rows=rows), *links)


def _row(item: SignedRelease, contents: Contents) -> tuple[str, ...]:
    reason = contents.recalls.reason(item.dataset, item.version)
    state = f"recalled: {reason}" if reason else "development keys" if item.development_keys else "current"
    size = f"{item.size_bytes / 1e6:.1f} MB"
    return (item.version, str(item.cases), size, item.licence, item.outcome, state)


def version_order(version: str) -> tuple[int, ...]:
    """Order of semantic versions."""
    return tuple(int(part) if part.isdigit() else 0 for part in version.split("."))

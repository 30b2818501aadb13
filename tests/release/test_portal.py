"""The front page: complete, readable by keyboard and screen reader, quiet in a real browser, light and dark."""

import itertools
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from synthdata.release import publish
from synthdata.release.portal import portal
from synthdata.release.trust import ReleaseSigner, recall
from synthdata.release.trust.contents import Contents
from synthdata.storage.folder import FolderStore
from tests.release.builders import Made, spec_of
from tests.services import axe

VOID = {"meta", "link", "img", "br", "input"}


class Page(HTMLParser):
    """Elements with their attributes and the text inside."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None], list[str]]] = []
        self.open: list[int] = []
        self.feed(text)
        assert not self.open, "an element is not closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs), []))
        if tag not in VOID:
            self.open.append(len(self.elements) - 1)

    def handle_endtag(self, tag: str) -> None:
        assert self.elements[self.open.pop()][0] == tag

    def handle_data(self, data: str) -> None:
        for number in self.open:
            self.elements[number][2].append(data)

    def of(self, *tags: str) -> list[tuple[dict[str, str | None], str]]:
        return [(attrs, "".join(text).strip()) for tag, attrs, text in self.elements if tag in tags]


@pytest.fixture
def store(
    made: Made, private: FolderStore, published: FolderStore, signer: ReleaseSigner, tmp_path: Path
) -> FolderStore:
    """Two versions, the first of them recalled with words that would be markup."""
    manifest = replace(made, spec=spec_of(version="1.1.0")).build(private, tmp_path / "next")
    publish(tmp_path / "next", manifest, published, signer=signer, title="Ellipsoids <b>& more</b>")
    recall(published, signer, "ellipsoids", "1.0.0", "a <script>alert(1)</script> & a mask was wrong")
    return published


def test_every_link_and_picture_of_the_front_page_is_there(store: FolderStore) -> None:
    page = Page(store.read("index.html").decode())
    targets = [attrs["href"] or "" for attrs, _ in page.of("a")] + [
        attrs["src"] or "" for attrs, _ in page.of("img")
    ]
    for target in targets:
        if target.startswith("#"):
            assert any(attrs.get("id") == target[1:] for _, attrs, _ in page.elements), target
        else:
            assert store.size(target) is not None, target
    text = store.read("index.html").decode()
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    words = " ".join(text for _, text in page.of("main"))
    for part in ("What is new", "1.1.0", "How to download", "Recalls", "a mask was wrong", "--sample 1%"):
        assert part in words
    assert "datasets/ellipsoids/1.0.0/gallery/index.html" not in targets, (
        "a recalled version is not shown off"
    )


def test_the_pages_keep_the_rules_that_keyboards_and_screen_readers_need(store: FolderStore) -> None:
    for name in (
        "index.html",
        "datasets/ellipsoids/1.1.0/datasheet.html",
        "datasets/ellipsoids/1.1.0/gallery/index.html",
    ):
        page = Page(store.read(name).decode())
        tags = [tag for tag, _, _ in page.elements]
        assert [attrs.get("lang") for attrs, _ in page.of("html")] == ["en"]
        assert all(text for _, text in page.of("title", "h1", "h2", "th"))
        assert (tags.count("h1"), tags.count("main"), tags.count("header")) == (1, 1, 1)
        levels = [int(tag[1]) for tag in tags if re.fullmatch(r"h[1-6]", tag)]
        assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
        ids = [attrs["id"] for _, attrs, _ in page.elements if "id" in attrs]
        assert len(ids) == len(set(ids))
        assert all((attrs.get("alt") or "").strip() for attrs, _ in page.of("img"))
        assert all(text for _, text in page.of("a"))
        assert all(attrs.get("scope") in {"row", "col"} for attrs, _ in page.of("th"))
        links = [(text, attrs["href"]) for attrs, text in page.of("a")]
        assert len({text for text, _ in links}) == len(set(links)), (
            "two links of one name lead to different places"
        )
        for attrs, _ in page.of("div", "pre"):
            assert (attrs["tabindex"], attrs["role"]) == ("0", "region")
            assert attrs["aria-label"]
        regions = [attrs["aria-label"] for _, attrs, _ in page.elements if attrs.get("role") == "region"]
        assert len(regions) == len(set(regions)), "two regions of one name"
        assert page.of("a")[0][0]["href"] == "#content", "the first stop leads past the contents"


def luminance(colour: str) -> float:
    """Relative luminance. Source: WCAG 2.2."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_light_and_dark_text_has_the_contrast_of_wcag_aa() -> None:
    style = portal(Contents())
    schemes = re.findall(r":root \{([^}]*)\}", style)
    assert len(schemes) == 2
    for scheme in schemes:
        colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", scheme))
        paper = luminance(colours["paper"])
        for name in ("ink", "soft", "mark", "warn"):
            light, dark = sorted((luminance(colours[name]), paper), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, name


@pytest.mark.service
@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Chromium: apt-get install chromium")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_real_browser_shows_the_page_without_a_complaint(
    store: FolderStore, tmp_path: Path, scheme: str
) -> None:
    shot = tmp_path / "shot.png"
    command = ["chromium", *axe.CHROMIUM, f"--user-data-dir={tmp_path / 'profile'}", f"--screenshot={shot}",
               "--window-size=1000,1400", *(["--force-dark-mode"] if scheme == "dark" else []),
               (store.root / "index.html").as_uri()]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert "CONSOLE" not in done.stderr
    from PIL import Image

    with Image.open(shot) as image:
        corner = image.convert("RGB").getpixel((3, 3))
        assert image.size[0] == 1000
    assert isinstance(corner, tuple)
    assert (max(corner) < 60) == (scheme == "dark")


@pytest.mark.service
@pytest.mark.slow
@pytest.mark.skipif(bool(axe.missing()), reason=axe.missing() or "installed")
@pytest.mark.parametrize(("scheme", "width"), [("light", 1000), ("dark", 1000), ("light", 500)])
@pytest.mark.parametrize(
    "name",
    [
        "index.html",
        "datasets/ellipsoids/1.1.0/datasheet.html",
        "datasets/ellipsoids/1.1.0/gallery/index.html",
    ],
)
def test_axe_finds_no_violation(
    store: FolderStore, tmp_path: Path, name: str, scheme: str, width: int
) -> None:
    found = axe.judge(store.root / name, tmp_path / "profile", dark=scheme == "dark", width=width)
    assert (found.dark, found.violations, found.console) == (scheme == "dark", (), ())
    assert found.passes >= 20
    # what is scrolled out of sight cannot be judged there; its colours are judged above
    assert all(rule.startswith("color-contrast") for rule in found.undecided)


@pytest.mark.service
@pytest.mark.slow
@pytest.mark.skipif(bool(axe.missing()), reason=axe.missing() or "installed")
def test_axe_sees_a_picture_without_words(store: FolderStore, tmp_path: Path) -> None:
    page = store.root / "index.html"
    page.write_text(re.sub(r' alt="[^"]*"', "", page.read_text()))
    found = axe.judge(page, tmp_path / "profile", dark=False)
    assert [rule for rule in found.violations if rule.startswith("image-alt")]

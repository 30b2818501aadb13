"""The accessibility rules of axe-core, asked in headless Chromium about pages in a folder.

axe-core (MPL-2.0) is no part of the project: the checks take the file from an installed Python package that carries it.
"""

import html
import importlib.util
import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

CHROMIUM = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--disable-dev-shm-usage", "--enable-logging=stderr", "--hide-scrollbars")  # fmt: skip
CARRIER = "axe_playwright_python"
INSTALL = "pip install --no-deps axe-playwright-python"
LIMIT_S = 120
NO_SCRIPTS = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')
ANSWER = re.compile(r'<pre id="axe-answer">(.*?)</pre>', re.DOTALL)
ASK = """<script src="{source}"></script><script>
axe.run(document, {{resultTypes: ["violations", "incomplete"]}}).then(found => JSON.stringify({{
  dark: matchMedia("(prefers-color-scheme: dark)").matches, passes: found.passes.length,
  violations: found.violations.map(rule => rule.id + ": " + rule.nodes.map(node => node.html).join(" | ")),
  undecided: found.incomplete.map(rule => rule.id + ": " + rule.nodes.map(node => node.html).join(" | "))
}}), error => JSON.stringify({{error: String(error)}})).then(text => {{
  const answer = document.createElement("pre");
  answer.id = "axe-answer"; answer.textContent = text; document.body.append(answer);
}});
</script>"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """What axe-core says of one page."""

    dark: bool  # the page was shown to a reader who prefers dark
    passes: int  # rules that were kept
    violations: tuple[str, ...]
    undecided: tuple[str, ...]  # rules that axe leaves to people
    console: tuple[str, ...]  # what the browser complained of


def missing() -> str:
    """Why the check cannot run here; empty where it can."""
    if shutil.which("chromium") is None:
        return "needs Chromium: apt-get install chromium"
    return "" if _source() else f"needs axe-core: {INSTALL}"


def judge(page: Path, profile: Path, *, dark: bool, width: int = 1000) -> Judgement:
    """Show a copy of a page, with the rules inside, and read the answer.

    Args:
        page: An HTML file; what it shows lies beside it. The copy lies in the same folder until it was shown.
        profile: Empty folder of the browser.
        dark: Show it as to a reader who prefers dark.
        width: Of the window, in pixels; a narrow one has regions that scroll.
    """
    source = _source()
    assert source is not None
    text = NO_SCRIPTS.sub("", page.read_text(encoding="utf-8")).replace("<details>", "<details open>")
    asked = page.with_name(f"axe-{page.name}")
    asked.write_text(
        text.replace("</body>", ASK.format(source=source.as_uri()) + "</body>"), encoding="utf-8"
    )
    scheme = ("--force-dark-mode",) if dark else ()
    command = ["chromium", *CHROMIUM, *scheme, f"--user-data-dir={profile}", f"--window-size={width},1400",
               "--virtual-time-budget=60000", "--dump-dom", asked.as_uri()]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    finally:
        asked.unlink()
    answer = ANSWER.search(done.stdout)
    assert answer is not None, "axe-core gave no answer"
    found = json.loads(html.unescape(answer[1]))
    assert "error" not in found, found
    return Judgement(
        dark=found["dark"],
        passes=found["passes"],
        violations=tuple(found["violations"]),
        undecided=tuple(found["undecided"]),
        console=tuple(line for line in done.stderr.splitlines() if "CONSOLE" in line),
    )


def _source() -> Path | None:
    """The file of the rules: that of SYNTHDATA_AXE, or of the package that carries it."""
    if named := os.environ.get("SYNTHDATA_AXE"):
        return Path(named)
    found = importlib.util.find_spec(CARRIER)
    folders = (found.submodule_search_locations or ()) if found else ()
    return next((path for folder in folders if (path := Path(folder) / "axe.min.js").is_file()), None)

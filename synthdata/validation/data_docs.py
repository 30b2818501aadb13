"""Data Docs: what Great Expectations ran and found, as pages which need no network.

Great Expectations renders the tables of each suite; its own pages around them fetch styles and scripts from the
network and build their index in the browser, so page and index are ours. What may hold a value of a patient
(observed and unexpected values, messages of exceptions, fingerprints of the data) is taken out before.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Protocol

from synthdata.errors import MissingExtraError
from synthdata.storage import keys
from synthdata.storage.protocol import ObjectStore

if TYPE_CHECKING:
    from great_expectations.core import ExpectationSuiteValidationResult

INDEX = "data_docs"  # name of the site's first page among a report's figures
KEPT_META = frozenset({"great_expectations_version", "run_id"})


@dataclass(frozen=True, kw_only=True, slots=True)
class _Page:
    """One suite."""

    name: str
    file: str
    passed: bool
    evaluated: int
    met: int
    tables: tuple[str, ...]  # HTML of Great Expectations


class _View(Protocol):
    """Renders one section to HTML."""

    def render(self, document: Mapping[str, object]) -> str: ...


def without_values(outcome: "ExpectationSuiteValidationResult") -> None:
    """Take out of a result, in place, all that is not success or the question itself.

    `BOOLEAN_ONLY` keeps observed values out, but neither messages and traces of exceptions nor the fingerprint of the
    data that the batch markers hold.
    """
    for result in outcome.results:
        raised = _raised(result.exception_info)
        message = "the expectation could not be evaluated on this table" if raised else ""
        result.exception_info = {
            "raised_exception": raised,
            "exception_message": message,
            "exception_traceback": "",
        }
        result.result = {}
    outcome.meta = {name: value for name, value in outcome.meta.items() if name in KEPT_META}


def write_data_docs(
    outcomes: "Mapping[str, ExpectationSuiteValidationResult]",
    private: ObjectStore,
    *,
    dataset: str,
    digest: str,
) -> dict[str, str]:
    """Render suites to a static site in the private store.

    Args:
        outcomes: Suite name to its result; those of real cases have gone through `without_values`.
        private: Where the site is written, beside the reports on the same cases.
        dataset: Name of the dataset.
        digest: Of the synthetic CaseSet.

    Returns:
        `data_docs` with the key of the first page, and one entry per suite.

    Raises:
        MissingExtraError: Great Expectations or jinja2 is not installed.
    """
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ImportError:
        raise MissingExtraError.of("Data Docs", "pipeline") from None
    pages = [_page(name, outcome) for name, outcome in outcomes.items()]
    loader = PackageLoader("synthdata.validation.report", ".")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
    folder = files("synthdata.validation.report")
    style = "".join(
        folder.joinpath(name).read_text(encoding="utf-8") for name in ("style.css", "data_docs.css")
    )
    template = environment.get_template("data_docs.html.j2")
    found = {}
    for page in (None, *pages):
        name, file = (INDEX, "index.html") if page is None else (f"{INDEX}/{page.name}", page.file)
        found[name] = keys.report(dataset, digest, f"{INDEX}/{file}")
        html = template.render(dataset=dataset, style=style, pages=pages, page=page)
        private.write(found[name], html.encode())
    return found


def _page(name: str, outcome: "ExpectationSuiteValidationResult") -> _Page:
    from great_expectations.render.renderer.page_renderer import ValidationResultsPageRenderer
    from great_expectations.render.view.view import DefaultJinjaSectionView

    view: _View = DefaultJinjaSectionView()
    sections = (
        ValidationResultsPageRenderer().render(outcome).sections[1:]
    )  # the first one links to pages of the other site
    return _Page(
        name=name,
        file=name.replace("/", ".") + ".html",
        passed=bool(outcome.success),
        evaluated=len(outcome.results),
        met=sum(bool(result.success) for result in outcome.results),
        tables=tuple(
            view.render({"section": section.to_json_dict(), "section_loop": {"index": index}})
            for index, section in enumerate(sections, start=1)
        ),
    )


def _raised(info: object) -> bool:
    """Whether an expectation met an exception; some come as a mapping from metric to exception."""
    if not isinstance(info, Mapping):
        return False
    if "raised_exception" in info:
        return bool(info["raised_exception"])
    return any(_raised(inner) for inner in info.values())

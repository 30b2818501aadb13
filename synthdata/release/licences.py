"""Which licence a release may have, given that of its source."""

from collections.abc import Mapping

from synthdata.errors import GateError
from synthdata.spec import DatasetSpec

URLS: Mapping[str, str] = {
    "Apache-2.0": "https://www.apache.org/licenses/LICENSE-2.0",
    "CC-BY-4.0": "https://creativecommons.org/licenses/by/4.0/",
    "CC-BY-NC-4.0": "https://creativecommons.org/licenses/by-nc/4.0/",
    "CC-BY-NC-SA-4.0": "https://creativecommons.org/licenses/by-nc-sa/4.0/",
    "CC-BY-SA-4.0": "https://creativecommons.org/licenses/by-sa/4.0/",
    "CC0-1.0": "https://creativecommons.org/publicdomain/zero/1.0/",
    "ODC-By-1.0": "https://opendatacommons.org/licenses/by/1-0/",
    "PDDL-1.0": "https://opendatacommons.org/licenses/pddl/1-0/",
}
FREE = ("CC0-1.0", "PDDL-1.0")  # no conditions
ATTRIBUTION = (
    "Apache-2.0",
    "BSD-3-Clause",
    "CC-BY-3.0",
    "CC-BY-4.0",
    "MIT",
    "ODC-By-1.0",
)  # name the authors
SUCCESSORS: Mapping[str, tuple[str, ...]] = {  # of licences which bind what is made from the source
    "CC-BY-SA-3.0": ("CC-BY-SA-4.0",),
    "CC-BY-SA-4.0": ("CC-BY-SA-4.0",),
    "CC-BY-NC-3.0": ("CC-BY-NC-4.0", "CC-BY-NC-SA-4.0"),
    "CC-BY-NC-4.0": ("CC-BY-NC-4.0", "CC-BY-NC-SA-4.0"),
    "CC-BY-NC-SA-3.0": ("CC-BY-NC-SA-4.0",),
    "CC-BY-NC-SA-4.0": ("CC-BY-NC-SA-4.0",),
}


def check_licence(spec: DatasetSpec) -> None:
    """Refuse a release whose licence its source does not allow.

    A generator trained on a work may carry parts of it, so a release is treated as made from its source:
    share-alike and non-commercial sources bind it. A source of no known licence, of one for research only, or without
    derivatives cannot be released. The built-in phantom has no source licence.

    Raises:
        GateError: The licence is not allowed, not known, or the attribution that the source asks for is missing.
    """
    source, licence = spec.release.source_licence, spec.release.licence
    if licence not in URLS:
        raise GateError(
            f"release.licence is {licence!r}, expected one of {', '.join(sorted(URLS))}: choose one of them"
        )
    if not source and spec.source.kind == "phantom":
        return
    if source in FREE:
        return
    allowed = tuple(URLS) if source in ATTRIBUTION else SUCCESSORS.get(source, ())
    if not allowed:
        raise GateError(
            f"release.source_licence is {source!r}, which does not allow a public release of what is made from it, "
            "or is not known here: ask the source for another licence, or keep the data to yourself"
        )
    if licence not in allowed:
        raise GateError(
            f"release.licence is {licence}, but a source under {source} asks for {' or '.join(allowed)}: change "
            "release.licence"
        )
    if licence in FREE and source in ATTRIBUTION:
        raise GateError(
            f"release.licence is {licence}, which drops the attribution that {source} asks for: change it"
        )
    if not spec.release.attribution.strip():
        raise GateError(
            f"release.attribution is empty, but a source under {source} asks to be named: fill it in"
        )


def licence_url(licence: str) -> str:
    """Address of the text of a licence that `check_licence` accepts."""
    return URLS[licence]

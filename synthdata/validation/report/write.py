"""Write one edition of the validation report to the private store."""

import json
import posixpath
from dataclasses import fields
from importlib.resources import files
from typing import Any

from synthdata.errors import MissingExtraError, RecordError
from synthdata.records.case_set import CaseSet
from synthdata.records.codec import Record, digest_of, to_json
from synthdata.records.model import Checkpoint
from synthdata.records.reports import (
    ExpectationsReport,
    FidelityReport,
    PrivacyReport,
    UtilityReport,
    Verdict,
)
from synthdata.records.training import TrainingSet
from synthdata.spec import DatasetSpec
from synthdata.storage import keys
from synthdata.storage.protocol import ObjectStore
from synthdata.validation.data_docs import INDEX
from synthdata.validation.pictures import label_colours
from synthdata.validation.report.content import Edition, Inputs, pictures, rejected_draws
from synthdata.validation.report.words import metric_name, plain, quantity_name, short

GATES = ("fidelity", "utility", "privacy", "expectations")
FORMAT = "synthdata-validation-report/1"


def write_report(  # noqa: PLR0913 - one argument per record that the report explains
    spec: DatasetSpec,
    private: ObjectStore,
    *,
    training_set: TrainingSet,
    synthetic: CaseSet,
    checkpoint: Checkpoint,
    fidelity: FidelityReport,
    utility: UtilityReport,
    privacy: PrivacyReport,
    expectations: ExpectationsReport,
    verdict: Verdict,
    edition: Edition,
) -> dict[str, str]:
    """Write one HTML file that needs no network, and its numbers as JSON.

    Args:
        spec: Of the dataset.
        private: Where cases and figures are read and the report is written; a release copies the public edition.
        training_set: Real cases: quantiles in both editions, pictures in the private one only.
        synthetic: The CaseSet that was judged.
        checkpoint: Its generator.
        fidelity: Of the same CaseSet.
        utility: Of the same CaseSet.
        privacy: Of the same CaseSet.
        expectations: Of the same CaseSet.
        verdict: On the same CaseSet.
        edition: `private` shows real cases beside synthetic ones; `public` holds no real pixel and no real id.

    Returns:
        `html` and `json`, each with its key in the private store.

    Raises:
        RecordError: A report belongs to another CaseSet or training set.
        MissingExtraError: jinja2 or matplotlib is not installed.
    """
    inputs = Inputs(
        spec=spec,
        training_set=training_set,
        synthetic=synthetic,
        checkpoint=checkpoint,
        fidelity=fidelity,
        utility=utility,
        privacy=privacy,
        expectations=expectations,
        verdict=verdict,
    )
    _check_same_cases(inputs)
    html, numbers = _page(inputs, private, edition), _numbers(inputs, edition)
    digest = digest_of(verdict)
    found = {}
    for kind, data in (
        ("html", html.encode()),
        ("json", json.dumps(numbers, indent=1, sort_keys=True).encode()),
    ):
        found[kind] = keys.report(spec.name, digest, f"{edition}.{kind}")
        private.write(found[kind], data)
    return found


def _check_same_cases(inputs: Inputs) -> None:
    """Refuse reports which were not made from these cases."""
    synthetic, training_set = digest_of(inputs.synthetic), digest_of(inputs.training_set)
    for name in ("fidelity", "utility", "privacy", "expectations", "verdict"):
        report = getattr(inputs, name)
        if report.synthetic != synthetic or getattr(report, "training_set", training_set) != training_set:
            raise RecordError(
                f"the {name} report is of CaseSet {report.synthetic[:12]}…, expected {synthetic[:12]}… and its "
                "training set: measure this CaseSet again"
            )


def _page(inputs: Inputs, private: ObjectStore, edition: Edition) -> str:
    from synthdata.privacy.findings import GATING_TESTS  # whose package reads the faults of this one

    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ImportError:
        raise MissingExtraError.of("The validation report", "train") from None
    environment = Environment(
        loader=PackageLoader("synthdata.validation.report", "."), autoescape=True, undefined=StrictUndefined
    )
    environment.filters["number"] = lambda value: f"{value:.3g}"
    environment.filters["percent"] = lambda value: f"{100 * value:.3g} %"
    environment.filters |= {"plain": plain, "metric": metric_name, "quantity": quantity_name, "short": short}
    style = files("synthdata.validation.report").joinpath("style.css").read_text(encoding="utf-8")
    return environment.get_template("page.html.j2").render(
        **{field.name: getattr(inputs, field.name) for field in fields(Inputs)},
        edition=edition,
        style=style,
        gates=[gate for gate in GATES if gate in inputs.verdict.gates],
        reasons=_blocking_first(inputs.verdict),
        rejected=rejected_draws(inputs, private),
        gating_tests=GATING_TESTS,
        pictures=pictures(inputs, private, edition),
        label_colours=label_colours(inputs.training_set.labels),
        digests={
            "synthetic cases": digest_of(inputs.synthetic),
            "training set": digest_of(inputs.training_set),
            "checkpoint": digest_of(inputs.checkpoint),
            "verdict": digest_of(inputs.verdict),
            "feature encoder": inputs.fidelity.encoder,
        },
        data_docs=_data_docs(inputs) if edition == "private" else None,
    )


def _blocking_first(verdict: Verdict) -> list[str]:
    """Reasons; those of gates which did not pass come first."""
    return sorted(verdict.reasons, key=lambda reason: verdict.gates.get(reason.partition(":")[0]) == "PASS")


def _data_docs(inputs: Inputs) -> str | None:
    """Address of Data Docs as seen from the report; both lie in folders of one dataset."""
    first = inputs.expectations.figures.get(INDEX)
    report = keys.report(inputs.spec.name, digest_of(inputs.verdict), "private.html")
    return None if first is None else posixpath.relpath(first, posixpath.dirname(report))


def _numbers(inputs: Inputs, edition: Edition) -> dict[str, Any]:
    """All reports as plain JSON; keys of the private store stay out of the public edition."""
    reports = {
        name: _plain(getattr(inputs, name), edition)
        for name in ("verdict", "fidelity", "utility", "privacy", "expectations")
    }
    return {"format": FORMAT, "edition": edition, "dataset": inputs.spec.name, **reports}


def _plain(record: Record, edition: Edition) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(to_json(record))
    if edition == "public" and "figures" in document:
        document["figures"] = {}
    return document

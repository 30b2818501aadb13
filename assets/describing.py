"""Metadata of the assets: counts, digests, numbers with intervals; never real pixels, paths or header values."""

import base64
from collections.abc import Mapping, Sequence

import dagster as dg

from assets.stage import Metadata
from synthdata.errors import StoreError
from synthdata.records import (
    CaseSet,
    Checkpoint,
    CopyFilterCounts,
    Estimate,
    ExpectationsReport,
    FidelityReport,
    IntakeReport,
    PrivacyReport,
    TrainingSet,
    UtilityReport,
    Verdict,
)
from synthdata.storage import ObjectStore

Row = Mapping[str, str | int | float]

MOST_IDS = 100
PREVIEW_BYTES = 75_000  # as base64 it stays below 100 kB: metadata are kept for ever


def describe_intake(report: IntakeReport) -> Metadata:
    """Counts and reasons."""
    rows: list[Row] = [
        {
            "reason": reason.code,
            "outcome": reason.outcome,
            "files": reason.files,
            "meaning": reason.explanation,
        }
        for reason in report.reasons
    ]
    return {
        "seen": report.seen,
        "accepted": report.accepted,
        "quarantined": report.quarantined,
        "refused": report.refused,
        "approved": report.approved,
        "patients": report.patients,
        "dagster/row_count": report.cases.cases,
        "reasons": table(rows),
        "notes": dg.MetadataValue.md("\n".join(f"- {note}" for note in report.notes) or "none"),
    }


def describe_training_set(record: TrainingSet) -> Metadata:
    """Sizes of the groups, and why cases were left out."""
    from synthdata.preparation.reasons import DROPPED

    rows: list[Row] = [
        {"reason": code, "cases": count, "meaning": DROPPED[code]} for code, count in record.dropped.items()
    ]
    return {
        "train_cases": record.train.cases,
        "control_cases": record.control.cases,
        "test_cases": record.test.cases,
        **{f"{group}_patients": count for group, count in record.patients.items()},
        "left_out": table(rows),
        "grid": f"{record.grid.shape_zyx} of {record.grid.spacing_mm} mm",
        "dagster/row_count": record.train.cases + record.control.cases + record.test.cases,
    }


def describe_checkpoint(record: Checkpoint, private: ObjectStore) -> Metadata:
    """Budget, last loss, and the previews: curves and generated cases, no real ones."""
    shown = {
        f"preview_{name}": preview(private, key)
        for name, key in (record.previews or {}).items()
        if key.endswith(".png")
    }
    return {
        "family": record.family,
        "seen": record.seen,
        "size_bytes": record.size_bytes,
        "train_key": record.train_key,
        **({"loss": record.losses[-1][1]} if record.losses else {}),
        **({"differential_privacy": record.privacy.sentence()} if record.privacy else {}),
        **{f"monitor_{name}": value for name, value in (record.monitor or {}).items()},
        **shown,
    }


def describe_cases(record: CaseSet) -> Metadata:
    """Size of a CaseSet."""
    return {
        "dagster/row_count": record.cases,
        "shards": len(record.shards),
        "size_bytes": sum(shard.size_bytes for shard in record.shards),
        "channels": ", ".join(record.channels),
        "labels": ", ".join(record.labels),
    }


def describe_rejections(rejected: Mapping[str, int]) -> Metadata:
    """Draws that the quality control of generation threw away, by reason, and cases which fail it still."""
    kept = rejected.get("kept_failing", 0)
    draws = {reason: count for reason, count in rejected.items() if reason != "kept_failing"}
    return {
        "rejected_draws": sum(draws.values()),
        "kept_failing": kept,
        "rejected": table([{"reason": reason, "draws": count} for reason, count in draws.items()]),
    }


def describe_fidelity(report: FidelityReport) -> Metadata:
    """Scores per family (0 as real, 1 as degraded), and all triples as a table."""
    rows: list[Row] = [
        {
            "metric": triple.metric,
            "family": triple.family,
            "generated": str(triple.generated),
            "floor": str(triple.floor),
            "ceiling": str(triple.ceiling),
            "score": str(triple.score),
        }
        for triple in report.triples
    ]
    faults: list[Row] = [
        {"fault": test.name, "outcome": test.outcome, "value": str(test.value), "meaning": test.explanation}
        for test in (*report.faults, *report.reviews)
    ]
    groups: list[Row] = [
        {"subgroup": group.name, "outcome": group.outcome, "meaning": group.told}
        | {family: str(group.scores.get(family, "none")) for family in report.scores}
        for group in report.subgroups
    ]
    return {
        **_estimates("score", report.scores),
        **_estimates("fault", {test.name: test.value for test in report.faults}),
        "faults": table(faults),
        **_estimates("review", {test.name: test.value for test in report.reviews}),
        "subgroups": table(groups),
        "triples": table(rows),
        "notes": _lines(report.notes),
    }


def describe_utility(report: UtilityReport) -> Metadata:
    """Train on synthetic, test on real, beside train on real."""
    numbers = {"trtr": report.trtr, "tstr": report.tstr, "ratio": report.ratio}
    rows: list[Row] = [
        {"label": label, "trtr": str(real), "tstr": str(fake)}
        for label, (real, fake) in report.per_label.items()
    ]
    return {
        "task": report.task,
        "metric": report.metric,
        **_estimates("", numbers),
        "per_label": table(rows),
        **_estimates("further", report.further),
        "notes": _lines(report.notes),
    }


def describe_privacy(report: PrivacyReport) -> Metadata:
    """Outcome, tests with their power, canaries."""
    tests: list[Row] = [
        {
            "test": test.name,
            "outcome": test.outcome,
            "statistic": test.statistic,
            "p_value": -1.0 if test.p_value is None else test.p_value,
            "threshold": test.threshold,
            "power": -1.0 if test.power is None else test.power,
            "meaning": test.explanation,
        }
        for test in report.tests
    ]
    canaries: list[Row] = [{"kind": c.kind, "planted": c.planted, "found": c.found} for c in report.canaries]
    return {
        "outcome": report.outcome,
        **_estimates("", {"copies": report.copies}),
        "suspects": len(report.suspects),
        "suspected_cases": _case_ids(report.suspects),
        **_copy_filter(report.copy_filter),
        "detectable_share": report.detectable_share,
        "tests": table(tests),
        "canaries": table(canaries),
        "notes": _lines(report.notes),
    }


def _copy_filter(counts: CopyFilterCounts | None) -> dict[str, float]:
    """What the copy filter removed; nothing where none was used."""
    if counts is None:
        return {}
    removed = {"copy_filter_removed": counts.removed, "copy_filter_draws": counts.draws}
    return removed | _estimates("", {"copies_before_filter": counts.before})


def describe_expectations(report: ExpectationsReport) -> Metadata:
    """Suites and what failed, without values, and where in the private store Data Docs lie."""
    first = report.figures.get("data_docs")
    return {
        **({"data_docs": dg.MetadataValue.path(first)} if first else {}),
        "evaluated": report.evaluated,
        "failed": len(report.failed),
        **{f"suite_{name}": passed for name, passed in report.suites.items()},
        "failures": _lines(report.failed),
        "failing_cases": _case_ids(report.failing_cases),
    }


def describe_verdict(verdict: Verdict) -> Metadata:
    """Outcome per gate, and the reasons."""
    return {
        "outcome": verdict.outcome,
        **{f"gate_{gate}": outcome for gate, outcome in verdict.gates.items()},
        "reasons": _lines(verdict.reasons),
        "waivers": len(verdict.waivers),
        "thresholds": verdict.thresholds,
    }


def table(rows: Sequence[Row]) -> dg.MetadataValue:
    """A table of plain values; Dagster wants at least one row."""
    if not rows:
        return dg.MetadataValue.text("none")
    return dg.MetadataValue.table([dg.TableRecord(row) for row in rows])


def preview(private: ObjectStore, key: str) -> dg.MetadataValue:
    """A small PNG inside the metadata, or a sentence where it is too large or gone."""
    try:
        size = private.size(key)
        if size is None or size > PREVIEW_BYTES:
            return dg.MetadataValue.text("not shown here: see the report in the private store")
        data = base64.b64encode(private.read(key)).decode()
    except StoreError:
        return dg.MetadataValue.text("not shown here: the private store did not give it")
    return dg.MetadataValue.md(f"![preview](data:image/png;base64,{data})")


def _estimates(prefix: str, estimates: Mapping[str, Estimate]) -> dict[str, float]:
    """Numbers with both ends of their intervals; Dagster plots each over the runs."""
    numbers: dict[str, float] = {}
    for name, estimate in estimates.items():
        full = f"{prefix}_{name}".strip("_")
        numbers |= {full: estimate.value, f"{full}_low": estimate.low, f"{full}_high": estimate.high}
    return numbers


def _case_ids(case_ids: Sequence[str]) -> dg.MetadataValue:
    """Ids of synthetic cases, the first ones of many."""
    shown = ", ".join(case_ids[:MOST_IDS])
    more = len(case_ids) - MOST_IDS
    return dg.MetadataValue.text(f"{shown} and {more} more" if more > 0 else shown or "none")


def _lines(sentences: tuple[str, ...]) -> dg.MetadataValue:
    return dg.MetadataValue.md("\n".join(f"- {sentence}" for sentence in sentences) or "none")

"""The second level of the gates: a release re-reads the verdict and what it stands on, and refuses by itself."""

import dataclasses
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from synthdata.errors import GateError, RecordError, StoreError
from synthdata.records.case_set import CaseSet
from synthdata.records.codec import Record, digest_of, from_json
from synthdata.records.release import ReleaseManifest
from synthdata.records.reports import (
    ExpectationsReport,
    FidelityReport,
    PrivacyReport,
    UtilityReport,
    Verdict,
)
from synthdata.release.layout import evidence_path
from synthdata.spec import Gates
from synthdata.storage import ObjectStore, keys
from synthdata.storage.commit import sha256_of
from synthdata.storage.disk import disk_sentence

if TYPE_CHECKING:
    from synthdata.privacy.waivers import Signatory

GATES = ("fidelity", "utility", "privacy", "expectations")
REPORT_KINDS: Mapping[str, type[Record]] = {
    "fidelity": FidelityReport,
    "utility": UtilityReport,
    "privacy": PrivacyReport,
    "expectations": ExpectationsReport,
}


def thresholds_json(gates: Gates) -> bytes:
    """Canonical bytes of a spec's gates section; their SHA-256 is `Verdict.thresholds`."""
    return json.dumps(
        dataclasses.asdict(gates), sort_keys=True, separators=(",", ":"), allow_nan=False
    ).encode()


def check_verdict(
    verdict: Verdict,
    *,
    synthetic: CaseSet,
    training_set: str,
    reports: Mapping[str, Record],
    thresholds: bytes,
    waived: frozenset[str] = frozenset(),
) -> None:
    """Refuse what the verdict does not cover.

    Args:
        verdict: The verdict.
        synthetic: The cases that shall be released.
        training_set: Digest of the training set of those cases.
        reports: Gate to the report that the release would publish.
        thresholds: Canonical bytes of the gates that hold now.
        waived: Gates that signed waivers of this verdict cover.

    Raises:
        GateError: A gate blocks, or the verdict was made for other cases, reports or thresholds.
    """
    if synthetic.origin != "synthetic":
        raise GateError(
            f"the cases are {synthetic.origin}, expected synthetic: a release never holds real cases"
        )
    blocked = {gate for gate in GATES if verdict.gates.get(gate) != "PASS"} - waived
    if blocked or (verdict.outcome != "PASS" and not waived):
        reasons = " ".join(verdict.reasons) or "It gives no reason."
        names = ", ".join(sorted(blocked)) or "the whole"
        raise GateError(f"the verdict is {verdict.outcome}, expected PASS ({names}). {reasons}")
    if verdict.synthetic != digest_of(synthetic):
        raise GateError("the verdict was made for other cases than these: validate these cases first")
    if verdict.training_set != training_set:
        raise GateError("the verdict was made with another training set: validate these cases first")
    for gate in GATES:
        _check_report(gate, reports[gate], verdict)
    if verdict.thresholds != sha256_of(thresholds):
        raise GateError(
            "the gates were changed after the verdict was made: decide again with the gates of now"
        )


def waived_gates(
    verdict: Verdict, waivers: Iterable[bytes], allowed: Mapping[str, "Signatory"]
) -> frozenset[str]:
    """Gates that some signed waiver files cover.

    Raises:
        GateError: A waiver is for another verdict, or for a privacy gate that failed.
        TrustError: A waiver is not signed by somebody on the allow list.
    """
    covered: set[str] = set()
    for data in waivers:
        from synthdata.privacy.waivers import read_waiver  # loads all of privacy, which few releases need

        waiver = read_waiver(data, allowed)
        if waiver.verdict != digest_of(verdict):
            raise GateError("a waiver is for another verdict: remove it, or have this one waived")
        if "privacy" in waiver.gates and verdict.gates.get("privacy") == "FAIL":
            raise GateError(
                "a waiver covers a privacy gate that FAILs, which cannot be waived: generate other cases"
            )
        covered |= set(waiver.gates)
    return frozenset(covered)


def needed_waivers(
    verdict: Verdict, private: ObjectStore, allowed: Mapping[str, "Signatory"]
) -> dict[str, bytes]:
    """Signed waiver files that a verdict needs, by digest; none where it passed or nobody has waived it."""
    if verdict.outcome == "PASS" or not allowed:
        return {}
    from synthdata.privacy.waivers import may_release  # loads all of privacy, which few releases need

    released, digests = may_release(verdict, private, allowed)
    found = {digest: private.read(f"{keys.WAIVERS}{digest}.json") for digest in digests}
    return found if released else {}


def outcome_of(verdict: Verdict) -> str:
    """What the manifest says: PASS, or WAIVED. Only for a verdict that the gate has let through."""
    return "PASS" if verdict.outcome == "PASS" else "WAIVED"


def check_folder(folder: Path, manifest: ReleaseManifest, allowed: Mapping[str, "Signatory"]) -> None:
    """Decide the gate once more from the evidence that a built release carries.

    Args:
        folder: A built release.
        manifest: Its manifest.
        allowed: Public key to who may waive a gate; empty allows no waiver.

    Raises:
        GateError: The evidence is missing, was changed, or does not carry the release.
        StoreError: The evidence may not be read.
        TrustError: A waiver is not signed by somebody on the allow list.
    """
    try:
        verdict = from_json(Verdict, _evidence(folder, "verdict"))
        synthetic = from_json(CaseSet, _evidence(folder, "synthetic"))
        reports = {gate: from_json(kind, _evidence(folder, gate)) for gate, kind in REPORT_KINDS.items()}
        thresholds = _evidence(folder, "thresholds")
        waivers = [
            path.read_bytes() for path in sorted((folder / evidence_path("waivers")).parent.glob("waiver-*"))
        ]
    except (FileNotFoundError, RecordError) as error:
        what = str(error) if isinstance(error, RecordError) else "a file is missing"
        raise GateError(
            f"the evidence of the release cannot be read ({what}): build the release again"
        ) from error
    except OSError as error:
        raise StoreError(disk_sentence("the evidence of the release", error, "read")) from error
    if digest_of(verdict) != manifest.verdict or digest_of(synthetic) != manifest.provenance.get("synthetic"):
        raise GateError(
            "the manifest names another verdict or other cases than the evidence: build the release again"
        )
    check_verdict(
        verdict,
        synthetic=synthetic,
        training_set=manifest.provenance.get("training_set", ""),
        reports=reports,
        thresholds=thresholds,
        waived=waived_gates(verdict, waivers, allowed),
    )
    said = (manifest.dataset, manifest.cases, manifest.outcome)
    if said != (synthetic.dataset, synthetic.cases, outcome_of(verdict)):
        raise GateError(
            "the manifest and the evidence disagree on dataset, cases or outcome: build the release again"
        )


def _check_report(gate: str, report: Record, verdict: Verdict) -> None:
    if verdict.reports.get(gate) != digest_of(report):
        raise GateError(f"the {gate} report is not the one that the verdict read: decide again")
    about = (getattr(report, "synthetic", None), getattr(report, "training_set", verdict.training_set))
    if about != (verdict.synthetic, verdict.training_set):
        raise GateError(f"the {gate} report is about other cases than the verdict: measure these cases")


def _evidence(folder: Path, name: str) -> bytes:
    return (folder / evidence_path(name)).read_bytes()

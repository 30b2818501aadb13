"""Does a verdict let a release out: passed, or each blocking gate waived by somebody who may?"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from synthdata.errors import GateError
from synthdata.records import ReleaseManifest, Verdict, digest_of
from synthdata.storage import ObjectStore

if TYPE_CHECKING:
    from synthdata.privacy.waivers import Signatory


def check_that_it_may_go_out(
    verdict: Verdict, private: ObjectStore, signatories: "Mapping[str, Signatory]"
) -> None:
    """Refuse a verdict that neither passed nor is waived, gate by gate, by those who may.

    Raises:
        GateError: A gate blocks, or a waiver covers what may not be waived.
        TrustError: A waiver file of the store cannot be trusted.
    """
    if verdict.outcome == "PASS":
        return
    from synthdata.privacy.waivers import may_release  # loads all of privacy, which few releases need

    if not may_release(verdict, private, signatories)[0]:
        raise GateError(f"the verdict is {verdict.outcome}, expected PASS. {' '.join(verdict.reasons)}")


def check_that_verdict_holds(manifest: ReleaseManifest, verdict: Verdict) -> None:
    """Refuse to publish what the verdict of now does not cover; a blocking check does not stop a later run.

    A release that says WAIVED goes on to `publish`, which reads the signed waivers in its evidence again.

    Raises:
        GateError: The newest verdict did not pass, or it is not the one that the release was built on.
    """
    if verdict.outcome != "PASS" and manifest.outcome != "WAIVED":
        raise GateError(
            f"the newest verdict is {verdict.outcome}, expected PASS. {' '.join(verdict.reasons)}"
        )
    if manifest.verdict != digest_of(verdict):
        raise GateError(
            f"release {manifest.dataset} {manifest.version} was built on another verdict than the newest one: "
            "materialise release/package again"
        )

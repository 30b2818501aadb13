"""What people said of a source: approvals of held files, and the controller's attestation."""

from collections.abc import Mapping
from dataclasses import dataclass

from synthdata.intake.approvals import Approvals, load_approvals
from synthdata.intake.attestation import require_attestation
from synthdata.intake.inventory import Inventory
from synthdata.intake.outside import outside_of
from synthdata.intake.signatures import Reviewer, reviewers_of_environment
from synthdata.spec import DatasetSpec, expanded
from synthdata.storage.protocol import ObjectStore


@dataclass(frozen=True, kw_only=True, slots=True)
class Review:
    """Signed records which hold for one dataset."""

    reviewers: Mapping[str, Reviewer]
    approvals: Approvals
    digest: str  # of all that is said, and of the deny list

    def apply(self, spec: DatasetSpec, inventory: Inventory) -> None:
        """Let approved reasons pass, and hold what is not attested where the spec asks for that."""
        self.approvals.apply(inventory.files)
        if spec.vouching.attestation:
            where = expanded(spec.vouching.attestation, "vouching.attestation")
            require_attestation(where, inventory, self.reviewers)


def review_of(spec: DatasetSpec, private: ObjectStore) -> Review:
    """Read and verify what was signed.

    Raises:
        TrustError: An approval cannot be trusted.
        ConfigError: There are approvals and no list of reviewers, or the list cannot be read.
    """
    reviewers = reviewers_of_environment()
    return Review(
        reviewers=reviewers,
        approvals=load_approvals(private, spec.name, reviewers),
        digest=outside_of(spec, private).digest,
    )

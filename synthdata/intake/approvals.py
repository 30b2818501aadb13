"""Approvals: a named role signs that certain files, held for certain reasons, were reviewed and may be taken in."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from synthdata.errors import ConfigError, GateError, TrustError
from synthdata.intake.inventory import SeenFile
from synthdata.intake.reasons import REASONS
from synthdata.intake.signatures import Reviewer, Signed, read_signed, sign
from synthdata.storage import keys
from synthdata.storage.commit import sha256_of
from synthdata.storage.protocol import ObjectStore

LEAST_WORDS = 20  # characters of an explanation


@dataclass(frozen=True, kw_only=True, slots=True)
class Approval(Signed):
    """Which files may pass in spite of which reasons, and why."""

    dataset: str
    files: tuple[str, ...]  # SHA-256
    reasons: tuple[str, ...]  # codes which were reviewed; another one holds a file still
    because: str  # a sentence without any value of a header
    date: str  # ISO 8601

    def __post_init__(self) -> None:
        if not self.files or not self.role or len(self.because) < LEAST_WORDS:
            raise GateError(
                f"an approval has {len(self.files)} files and an explanation of {len(self.because)} characters, "
                f"expected files, a role, and {LEAST_WORDS} characters or more: say why"
            )
        wrong = sorted(
            code for code in self.reasons if code not in REASONS or REASONS[code].outcome != "quarantined"
        )
        if wrong or not self.reasons:
            raise GateError(
                f"an approval names the reasons {wrong}, which nobody can approve: name held ones"
            )


def keep_approval(private: ObjectStore, approval: Approval, key: Ed25519PrivateKey) -> str:
    """Sign an approval and keep it in the private store; returns the digest of the file."""
    data = sign(approval, key)
    digest = sha256_of(data)
    private.create(keys.approval(approval.dataset, digest), data)
    return digest


@dataclass(frozen=True, kw_only=True, slots=True)
class Approvals:
    """What was approved, by file."""

    by_file: Mapping[str, frozenset[str]]  # SHA-256 to reason codes
    digests: tuple[str, ...] = ()  # of the signed files

    def apply(self, files: Iterable[SeenFile]) -> None:
        """Let the approved reasons of files count no more; they stay in the book."""
        for seen in files:
            seen.approved = self.by_file.get(seen.sha256, frozenset())


def load_approvals(private: ObjectStore, dataset: str, reviewers: Mapping[str, Reviewer]) -> Approvals:
    """All approvals of a dataset, each verified.

    Raises:
        TrustError: A file of the store cannot be trusted.
        ConfigError: There are approvals and nobody is allowed to sign.
    """
    found: dict[str, frozenset[str]] = {}
    stored = sorted(private.keys(keys.approval(dataset)))
    if stored and not reviewers:
        raise ConfigError(
            f"the quarantine has {len(stored)} approvals and no list of reviewers: name it in SYNTHDATA_REVIEWERS"
        )
    digests = []
    for key in stored:
        data = private.read(key)
        approval = read_signed(Approval, data, reviewers)
        digests.append(sha256_of(data))
        for sha256 in approval.files if approval.dataset == dataset else ():
            found[sha256] = found.get(sha256, frozenset()) | frozenset(approval.reasons)
    return Approvals(by_file=found, digests=tuple(digests))


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptApproval:
    """An approval of the private store, as it may be shown; it counts only where it is trusted."""

    digest: str
    role: str
    files: int
    trusted: bool


def kept_approvals(
    private: ObjectStore, dataset: str, reviewers: Mapping[str, Reviewer]
) -> list[KeptApproval]:
    """All approvals of a dataset, those that cannot be trusted too."""
    found = []
    for key in sorted(private.keys(keys.approval(dataset))):
        data = private.read(key)
        digest = key.rsplit("/", 1)[1].removesuffix(".json")
        try:
            approval = read_signed(Approval, data, reviewers)
        except TrustError:
            found.append(KeptApproval(digest=digest, role="", files=0, trusted=False))
        else:
            files = len(approval.files)
            found.append(KeptApproval(digest=digest, role=approval.role, files=files, trusted=True))
    return found


def withdraw_approval(private: ObjectStore, dataset: str, digest: str) -> None:
    """Remove an approval; the next intake holds its files again."""
    private.delete(keys.approval(dataset, digest))

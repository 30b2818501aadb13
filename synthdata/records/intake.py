"""What intake saw, and what became of each file."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from synthdata.errors import ConfigError
from synthdata.records.case_set import CaseSet
from synthdata.records.codec import Record


@dataclass(frozen=True, kw_only=True, slots=True)
class ReasonCount(Record):
    """How many files met one reason; never which values they held."""

    code: str  # such as `deid.private_tag`
    outcome: str  # quarantined or refused
    files: int
    explanation: str  # a sentence for people: what it means and what to do


@dataclass(frozen=True, kw_only=True, slots=True)
class IntakeReport(Record):
    """Counts and reasons of one intake; accepted + quarantined + refused = seen, in files."""

    dataset: str
    inventory: str  # digest of the sorted (size, SHA-256) of all files seen
    seen: int
    accepted: int
    quarantined: int
    refused: int
    approved: int = 0  # of the accepted ones: had reasons, which a signed approval lets pass
    patients: int
    cases: CaseSet  # accepted cases, native grid and unit, one row per case
    reasons: tuple[ReasonCount, ...]
    notes: tuple[str, ...] = ()  # sentences without any value from a header
    label_codes: Mapping[str, str] = field(
        default_factory=dict
    )  # label to `<SNOMED CT code>|<meaning>` of masks

    def __post_init__(self) -> None:
        if self.accepted + self.quarantined + self.refused != self.seen:
            raise ConfigError(
                f"intake accepted {self.accepted}, quarantined {self.quarantined} and refused {self.refused} "
                f"of {self.seen} files: expected the three to add up"
            )

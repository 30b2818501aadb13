"""All that a release is built from, in one place."""

from collections.abc import Mapping
from dataclasses import dataclass

from synthdata.records.case_set import CaseSet
from synthdata.records.codec import Record, digest_of
from synthdata.records.intake import IntakeReport
from synthdata.records.model import Checkpoint, SamplePlan
from synthdata.records.reports import (
    ExpectationsReport,
    FidelityReport,
    PrivacyReport,
    UtilityReport,
    Verdict,
)
from synthdata.records.training import TrainingSet
from synthdata.spec import DatasetSpec


@dataclass(frozen=True, kw_only=True, slots=True)
class ReleaseInputs:
    """The records behind one release."""

    spec: DatasetSpec
    training_set: TrainingSet
    checkpoint: Checkpoint
    plan: SamplePlan
    synthetic: CaseSet
    verdict: Verdict
    fidelity: FidelityReport
    utility: UtilityReport
    privacy: PrivacyReport
    expectations: ExpectationsReport
    intake: IntakeReport
    created: str  # date, ISO 8601
    development_keys: bool

    @property
    def label_codes(self) -> dict[str, str]:
        """SNOMED CT code and meaning of labels, `<code>|<meaning>`: those of the scans' masks, the spec's first."""
        return {**self.intake.label_codes, **self.spec.label_codes}

    def label_words(self, label: str) -> str:
        """A label with its code, for people."""
        code, _, meaning = self.label_codes.get(label, "").partition("|")
        return f"{label} (SNOMED CT {code}, {meaning})" if code else label

    @property
    def reports(self) -> Mapping[str, Record]:
        """Gate to the report that it reads."""
        return {
            "fidelity": self.fidelity,
            "utility": self.utility,
            "privacy": self.privacy,
            "expectations": self.expectations,
        }

    @property
    def provenance(self) -> dict[str, str]:
        """Digests of the records, and the version of the code."""
        return {
            "synthetic": digest_of(self.synthetic),
            "checkpoint": digest_of(self.checkpoint),
            "training_set": digest_of(self.training_set),
            "plan": digest_of(self.plan),
            "intake": digest_of(self.intake),
            "code_version": self.plan.code_version,
        }

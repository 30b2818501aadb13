"""What the validators found, and the verdict."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from synthdata.records.case_set import CaseSet
from synthdata.records.codec import Record
from synthdata.records.estimate import Estimate

Outcome = Literal["PASS", "FAIL", "INCONCLUSIVE"]
FeatureFamily = Literal["radiomics", "encoder"]
FEATURE_FAMILIES: tuple[FeatureFamily, ...] = ("radiomics", "encoder")  # a verdict needs a score of each


@dataclass(frozen=True, kw_only=True, slots=True)
class Triple(Record):
    """One fidelity number at equal n: generated, floor (train vs test) and ceiling (degraded vs test)."""

    metric: str  # such as frechet, coverage, wasserstein/anterior_volume_mm3
    family: str  # radiomics, encoder, tissue, lesion, record
    lower_is_better: bool
    generated: Estimate
    floor: Estimate
    ceiling: Estimate
    score: Estimate  # (generated - floor) / (ceiling - floor); 0 is as good as real, 1 as bad as degraded
    gating: bool = True  # whether the family's median score counts it; docs/adr/0013-named-faults.md


@dataclass(frozen=True, kw_only=True, slots=True)
class FaultTest(Record):
    """One named fault of a generator: is it there?"""

    name: str  # sharpness, intensity_offset, diversity, artefacts, modes, mask_agreement or record_coupling
    outcome: Outcome
    value: Estimate  # the size of the fault; above the threshold it is one
    threshold: float
    explanation: str
    follows: str | None = None  # the fault which makes this test meaningless


@dataclass(frozen=True, kw_only=True, slots=True)
class Distribution(Record):
    """One quantity of generated cases beside that of held-out patients; reported, no gate."""

    quantity: str  # such as volume/infarct, euler_number/infarct, contrast/infarct/CT
    family: str  # tissue or lesion
    unit: str
    distance: Estimate  # Wasserstein-1 over the interquartile range of test cases
    floor: Estimate  # the same of training cases
    ks: float  # Kolmogorov-Smirnov statistic, one case per patient
    p_value: float  # of it, by Holm over all quantities
    low_gap: float  # difference of the 5 % quantiles over the interquartile range
    high_gap: float  # of the 95 % quantiles


@dataclass(frozen=True, kw_only=True, slots=True)
class Subgroup(Record):
    """The metrics that gate, measured in one subgroup of the record; reported, no gate."""

    name: str  # such as `sex F`, `age small`
    cases: Mapping[str, int]  # role to cases: generated, train, degraded, test
    outcome: Outcome  # intervals beside what the gate allows all cases; INCONCLUSIVE: too few cases to tell
    told: str
    triples: tuple[Triple, ...]  # none where there are too few cases
    scores: Mapping[str, Estimate]  # median score per family


@dataclass(frozen=True, kw_only=True, slots=True)
class FidelityReport(Record):
    """Fidelity and diversity of one synthetic CaseSet against held-out real patients."""

    VERSION: ClassVar[int] = 2
    dataset: str
    synthetic: str  # digest of the synthetic CaseSet
    training_set: str  # digest
    triples: tuple[Triple, ...]
    scores: Mapping[str, Estimate]  # median score per family
    figures: Mapping[str, str]  # name to key of a PNG or an HTML file in the private store
    encoder: str  # SHA-256 of the feature encoder's weights
    faults: tuple[FaultTest, ...] = ()  # a verdict needs all that the dataset allows
    notes: tuple[str, ...] = ()
    distributions: tuple[Distribution, ...] = ()
    subgroups: tuple[Subgroup, ...] = ()
    reviews: tuple[FaultTest, ...] = ()  # tests which a fault takes into account, with their own numbers


@dataclass(frozen=True, kw_only=True, slots=True)
class UtilityReport(Record):
    """Train on synthetic, test on real, beside train on real, test on real."""

    dataset: str
    synthetic: str
    training_set: str
    task: str  # segmentation or classification
    metric: str  # dice or balanced_accuracy
    trtr: Estimate
    tstr: Estimate
    ratio: Estimate  # tstr / trtr, bootstrap over test patients and seeds
    per_label: Mapping[str, tuple[Estimate, Estimate]]  # label or class to (trtr, tstr)
    steps: int  # equal for both
    seeds: int
    figures: Mapping[str, str]
    notes: tuple[str, ...] = ()
    further: Mapping[str, Estimate] = field(default_factory=dict)  # arm of `gates.utility_arms` to its mean


@dataclass(frozen=True, kw_only=True, slots=True)
class CanaryRecall(Record):
    """How many planted copies of one kind the copy search found."""

    kind: str  # exact, noise, shift ...; negative: held-out patients
    planted: int
    found: int


@dataclass(frozen=True, kw_only=True, slots=True)
class PrivacyTest(Record):
    """One test of the privacy gate."""

    name: str
    outcome: Outcome
    statistic: float
    p_value: float | None
    threshold: float
    power: float | None  # share of repetitions, labels drawn anew, that catch the spec's share of copies
    explanation: str


@dataclass(frozen=True, kw_only=True, slots=True)
class CopyFilterReport(Record):
    """What the copy filter took out of one plan's cases while they were drawn (private)."""

    dataset: str
    plan: str  # digest
    training_set: str  # digest
    share: float  # of cases of nobody which the filter may remove
    judged: int  # cases of the plan
    draws: int  # removed draws, repeated ones of one case counted each
    kept: int  # cases whose last draw was suspect too
    removed: CaseSet  # the removed first draw of each case, under the id of the case that replaces it


@dataclass(frozen=True, kw_only=True, slots=True)
class CopyFilterCounts(Record):
    """What the copy filter removed, as the privacy report tells it: counted anew from the cases, not taken over."""

    share: float  # of cases of nobody which the filter may remove
    judged: int  # cases
    removed: int  # of them, whose first draw was removed and replaced
    draws: int  # removed draws, repeated ones of one case counted each
    kept: int  # released cases that the filter would remove
    before: Estimate  # share of suspects among the first draws, before any was removed

    def __str__(self) -> str:
        return (
            f"removed by the copy filter: {self.removed} of {self.judged} cases ({self.draws} draws); "
            f"rate before filtering {self.before}"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class PrivacyReport(Record):
    """Whether generated cases are nearer to training patients than chance allows."""

    VERSION: ClassVar[int] = 2
    dataset: str
    synthetic: str
    training_set: str
    outcome: Outcome
    tests: tuple[PrivacyTest, ...]
    canaries: tuple[CanaryRecall, ...]
    copies: Estimate  # share of generated cases that are suspected copies, with upper bound
    suspects: tuple[str, ...]  # synthetic case ids only
    detectable_share: float  # smallest share of copies that the primary test catches with the aimed power
    figures: Mapping[str, str]
    notes: tuple[str, ...] = ()
    copy_filter: CopyFilterCounts | None = None  # None: none was used


@dataclass(frozen=True, kw_only=True, slots=True)
class ExpectationsReport(Record):
    """Outcome of the Great Expectations suites over the tables of cases, records and metrics."""

    dataset: str
    synthetic: str
    suites: Mapping[str, bool]  # suite name to success
    failed: tuple[str, ...]  # `<suite>/<column>/<expectation>`; no values
    evaluated: int
    figures: Mapping[str, str] = field(default_factory=dict)  # pages of Data Docs to keys (private)
    failing_cases: tuple[str, ...] = ()  # of synthetic cases alone


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict(Record):
    """May this synthetic CaseSet be released?"""

    dataset: str
    synthetic: str  # digest of the CaseSet that was judged
    training_set: str
    outcome: Outcome
    gates: Mapping[str, Outcome]  # fidelity, utility, privacy, expectations
    reasons: tuple[str, ...]  # a sentence each: what was measured, what was asked
    reports: Mapping[str, str]  # gate to digest of the report that was read
    thresholds: str  # digest of the spec's gates section
    waivers: tuple[str, ...] = ()  # digests of signed waiver files

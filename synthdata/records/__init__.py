"""The frozen records which travel between the stages; arrays stay in the store."""

from synthdata.records.case import Case
from synthdata.records.case_set import CaseSet, ColumnSpec, ShardRef
from synthdata.records.codec import Record, digest_of, from_json, to_json
from synthdata.records.estimate import Estimate
from synthdata.records.grid import Grid
from synthdata.records.intake import IntakeReport, ReasonCount
from synthdata.records.model import Checkpoint, PrivacyGuarantee, SamplePlan
from synthdata.records.release import FileEntry, ReleaseManifest
from synthdata.records.reports import (
    CanaryRecall,
    CopyFilterCounts,
    CopyFilterReport,
    ExpectationsReport,
    FaultTest,
    FidelityReport,
    PrivacyReport,
    PrivacyTest,
    Triple,
    UtilityReport,
    Verdict,
)
from synthdata.records.training import ChannelScale, TrainingSet

__all__ = [
    "CanaryRecall",
    "Case",
    "CaseSet",
    "ChannelScale",
    "Checkpoint",
    "ColumnSpec",
    "CopyFilterCounts",
    "CopyFilterReport",
    "Estimate",
    "ExpectationsReport",
    "FaultTest",
    "FidelityReport",
    "FileEntry",
    "Grid",
    "IntakeReport",
    "PrivacyGuarantee",
    "PrivacyReport",
    "PrivacyTest",
    "ReasonCount",
    "Record",
    "ReleaseManifest",
    "SamplePlan",
    "ShardRef",
    "TrainingSet",
    "Triple",
    "UtilityReport",
    "Verdict",
    "digest_of",
    "from_json",
    "to_json",
]

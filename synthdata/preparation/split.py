"""Patients to train, control and test by a keyed hash: stable when patients are added, nobody's choice."""

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from synthdata.errors import ConfigError
from synthdata.spec import Split

GROUPS = ("train", "control", "test")
SMALL_COHORT = 40  # patients below which thresholds may leave a group empty by chance, so ranks decide


@dataclass(frozen=True, kw_only=True, slots=True)
class PatientSplit:
    """The group of each patient; trimmed patients are in none."""

    group: Mapping[str, str]
    trimmed: frozenset[str]


def position(patient_id: str, key: bytes) -> float:
    """A number in [0, 1), uniform over keys: HMAC-SHA256 of the patient's pseudonym, first 53 bit."""
    digest = hmac.new(key, patient_id.encode(), hashlib.sha256).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / (1 << 53)


def split_patients(patients: Iterable[str], shares: Split, key: bytes) -> PatientSplit:
    """Split patients by their position.

    Args:
        patients: Pseudonyms.
        shares: Shares of the groups.
        key: Secret of the split.

    Returns:
        The groups; of train and control, the larger is trimmed from its highest position until they are equal.
        Without a share for control nobody is in it, and nobody is trimmed.

    Raises:
        ConfigError: A group would be empty.
    """
    at = {patient: position(patient, key) for patient in patients}
    ordered = sorted(at, key=lambda patient: at[patient])
    if len(ordered) < SMALL_COHORT:
        at = {patient: (rank + 0.5) / len(ordered) for rank, patient in enumerate(ordered)}
    bounds = (shares.train, shares.train + shares.control)
    groups: dict[str, list[str]] = {name: [] for name in GROUPS}
    for patient in ordered:
        groups[GROUPS[sum(at[patient] >= bound for bound in bounds)]].append(patient)
    equal = min(len(groups["train"]), len(groups["control"])) if shares.control else len(groups["train"])
    trimmed = frozenset(groups["train"][equal:] + groups["control"][equal:])
    if not equal or not groups["test"]:
        counts = ", ".join(f"{name} {len(members)}" for name, members in groups.items())
        raise ConfigError(
            f"the split of {len(ordered)} patients gives {counts}, expected one or more each: add patients"
        )
    group = {
        patient: name for name, members in groups.items() for patient in members if patient not in trimmed
    }
    return PatientSplit(group=group, trimmed=trimmed)

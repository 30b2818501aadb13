"""The attributes of PS3.15 Table E.1-1, and which options of a de-identification allow them to stay."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType

# DICOM PS3.16, CID 7050, De-identification Method
BASIC_PROFILE = "113100"
CLEAN_PIXELS = "113101"
CLEAN_FACES = "113102"
CLEAN_DESCRIPTORS = "113105"
FULL_DATES = "113106"
MODIFIED_DATES = "113107"
PATIENT = "113108"
DEVICE = "113109"
SAFE_PRIVATE = "113111"
INSTITUTION = "113112"
RETAINED_UIDS = frozenset({"113110"})
DATES = frozenset({FULL_DATES, MODIFIED_DATES})


@dataclass(frozen=True, slots=True)
class Rule:
    """What the basic profile does with one attribute, and which option keeps it."""

    action: str  # X remove, Z empty or dummy, D dummy, U another UID; several: any of them
    options: frozenset[str]  # method codes which allow a value to stay
    descriptor: bool  # a text of descriptive kind


@cache
def load_rules() -> Mapping[str, Rule]:
    """Rules by DICOM keyword. Source: DICOM PS3.15 2024b, Annex E, Table E.1-1, column Basic Profile."""
    text = resources.files("synthdata.intake").joinpath("ps3_15_table_e1_1.json").read_text(encoding="utf-8")
    table = json.loads(text)
    options: dict[str, list[str]] = table["options"]
    endings = tuple(table["descriptor_endings"])

    def rule(keyword: str, action: str) -> Rule:
        allowing = {code for code, keywords in options.items() if keyword in keywords}
        if keyword.endswith(endings):
            allowing.add(CLEAN_DESCRIPTORS)
        return Rule(action, frozenset(allowing), CLEAN_DESCRIPTORS in allowing)

    actions: dict[str, list[str]] = table["actions"]
    return MappingProxyType(
        {keyword: rule(keyword, action) for action, keywords in actions.items() for keyword in keywords}
    )


@cache
def safe_private() -> Mapping[str, frozenset[str]]:
    """Elements such as `0019,0C` by private creator. Source: DICOM PS3.15, Table E.3.10-1."""
    text = resources.files("synthdata.intake").joinpath("safe_private_attributes.json").read_text("utf-8")
    elements: dict[str, list[str]] = json.loads(text)["elements"]
    return MappingProxyType({creator: frozenset(names) for creator, names in elements.items()})

"""Resources of FHIR R4, and who they are about: bundles, NDJSON, versions, references of every form."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from synthdata.errors import SourceError

Resource = Mapping[str, Any]
ADDRESS = re.compile(r"(https?://.+)/([A-Za-z]+/[A-Za-z0-9.-]+)")  # server, type and id
Name = tuple[str, str]  # server, which is empty where there is one or none, and `Type/id`, URN or identifier
LISTS = {"Condition": "conditions", "Observation": "observations", "ImagingStudy": "studies"}


class Entry(NamedTuple):
    """A resource, and where it comes from."""

    server: str  # empty where the file is of one or none
    url: str  # empty where the file does not tell
    resource: Resource
    about: Name  # what its reference names; empty where it has none


@dataclass(slots=True)
class Person:
    """Resources of one patient."""

    patient: Resource
    conditions: list[Resource] = field(default_factory=list)
    observations: list[Resource] = field(default_factory=list)
    studies: list[Resource] = field(default_factory=list)


def resources_of(data: bytes) -> Iterator[tuple[str, Resource]]:
    """Resources with their full URL, which may be empty."""
    try:
        text = data.decode("utf-8-sig")
        try:
            parsed = [json.loads(text)]
        except json.JSONDecodeError:
            parsed = [json.loads(line) for line in text.split("\n") if line.strip()]
    except (ValueError, RecursionError):
        raise SourceError("the clinical table is no FHIR in JSON: export a bundle, or NDJSON") from None
    for item in parsed[0] if parsed and isinstance(parsed[0], list) else parsed:
        if not isinstance(item, dict):
            raise SourceError("the clinical table is JSON, but no FHIR: export a bundle, or NDJSON")
        if item.get("resourceType") == "Bundle":
            for entry in item.get("entry") or ():
                if isinstance(entry, dict) and isinstance(entry.get("resource"), dict):
                    yield str(entry.get("fullUrl", "")), entry["resource"]
        else:
            yield "", item


def people_of(resources: Sequence[tuple[str, Resource]]) -> tuple[list[Person], int]:
    """Patients with what refers to them, and the count of the rest.

    What an unknown extension may turn into its opposite (`modifierExtension`) counts to the rest.

    Raises:
        SourceError: Two patients have one id.
    """
    current = _latest(_entries(resources))
    people: list[Person] = []
    by_name: dict[Name, Person] = {}
    for server, url, resource, _ in current:
        if resource.get("resourceType") == "Patient" and not resource.get("modifierExtension"):
            person = Person(resource)
            people.append(person)
            names = [("", url), (server, f"Patient/{resource.get('id') or ''}"), *_identifier_names(resource)]
            by_name |= {name: person for name in names if name[1] not in {"", "Patient/"}}
    left_over = len(resources) - len(current)
    for entry in current:
        resource, subject = entry.resource, _subject(entry, by_name)
        kind = str(resource.get("resourceType"))
        if kind == "Patient":
            left_over += bool(resource.get("modifierExtension"))
        elif subject is None or _is_modified(resource):
            left_over += 1
        else:
            getattr(subject, LISTS[kind]).append(resource)
    return people, left_over


def _entries(resources: Sequence[tuple[str, Resource]]) -> list[Entry]:
    """Resources with their servers: what two servers give one id are two resources."""
    found = [(_address(url), _address(_reference(resource))) for url, resource in resources]
    servers = [{name[0] for name in names} - {""} for names in zip(*found, strict=True)]
    is_one = all(len(names) <= 1 for names in servers)  # behind a gateway one server may have two names
    return [
        Entry("" if is_one else own, url, resource, ("" if is_one or ":" in about else other or own, about))
        for (url, resource), ((own, _), (other, about)) in zip(resources, found, strict=True)
    ]


def _address(url: str) -> Name:
    """Server and `Type/id` of an absolute URL; others as they are, without a server. Versions are left out."""
    bare = url.partition("/_history/")[0]
    match = ADDRESS.fullmatch(bare)
    return (match[1], match[2]) if match else ("", bare)


def _reference(resource: Resource) -> str:
    """Whom one of our kinds is about; others, such as an account, may have a list of subjects."""
    subject = resource.get("subject") if resource.get("resourceType") in LISTS else None
    return str((subject or {}).get("reference") or "")


def _latest(entries: Sequence[Entry]) -> list[Entry]:
    """Resources, of several versions of one the last: by its time or number, else by its place in the file."""
    latest: dict[tuple[str, ...], tuple[tuple[float, int], Entry]] = {}
    for place, entry in enumerate(entries):
        resource = entry.resource
        name = str(resource.get("id") or entry.url or f"#{place}")
        rank = _version(resource.get("meta") or {})
        # without versions, what is about another patient is another resource
        whose = "" if any(rank) else _reference(resource)
        key = (str(resource.get("resourceType")), entry.server, name, whose)
        if key in latest and key[0] == "Patient":
            _require_one(resource, latest[key][1].resource)
        if key not in latest or latest[key][0] <= rank:
            latest[key] = (rank, entry)
    return [entry for _, entry in latest.values()]


def _version(meta: Resource) -> tuple[float, int]:
    """Time and number of a version, 0 for what it does not tell."""
    number = str(meta.get("versionId") or "")
    try:
        time = datetime.fromisoformat(str(meta.get("lastUpdated") or "")).timestamp()
    except (ValueError, OverflowError):
        time = 0.0
    return time, int(number) if number.isdecimal() else 0


def _require_one(one: Resource, other: Resource) -> None:
    known = {str(item["value"]) for item in named(one)}, {str(item["value"]) for item in named(other)}
    if all(known) and known[0].isdisjoint(known[1]):
        raise SourceError(
            "the clinical table has two patients of one id, without an identifier in common: export the patients of "
            "each server as a bundle with full URLs"
        )


def _is_modified(resource: Resource) -> bool:
    """True for an observation or study whose sense an extension may change; a condition stays, as unknown."""
    return bool(resource.get("modifierExtension")) and resource.get("resourceType") != "Condition"


def _subject(entry: Entry, by_name: Mapping[Name, Person]) -> Person | None:
    """Whom a resource is about: by URL or type and id, with or without a version, or by an identifier."""
    resource, reference = entry.resource, entry.about[1]
    if resource.get("resourceType") not in LISTS:
        return None
    inner = resource.get("subject") or {}
    if reference.startswith("#"):  # a patient inside of the resource, known by an identifier
        held = resource.get("contained") or ()
        inner = next((item for item in held if str(item.get("id")) == reference[1:]), {})
    elif reference:
        return by_name.get(entry.about)
    return next((by_name[name] for name in _identifier_names(inner) if name in by_name), None)


def _identifier_names(resource: Resource) -> list[Name]:
    return [("", f"?{item.get('system', '')}|{item.get('value')}") for item in named(resource)]


def named(resource: Resource) -> list[Resource]:
    """Identifiers with a value, of a patient or a reference."""
    found = resource.get("identifier") or ()
    return [item for item in ([found] if isinstance(found, dict) else found) if item.get("value")]

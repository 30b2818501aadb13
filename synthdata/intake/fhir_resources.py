"""Resources of FHIR R4, and who they are about: bundles, NDJSON, versions, references of every form."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from synthdata.errors import SourceError

Resource = Mapping[str, Any]
LISTS = {"Condition": "conditions", "Observation": "observations", "ImagingStudy": "studies"}


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
    """
    current = _latest(resources)
    people: list[Person] = []
    by_reference: dict[str, Person] = {}
    for url, resource in current:
        if resource.get("resourceType") == "Patient" and not resource.get("modifierExtension"):
            person = Person(resource)
            people.append(person)
            identifiers = (f"?{item.get('system', '')}|{item.get('value')}" for item in named(resource))
            names = (f"Patient/{resource['id']}" if resource.get("id") else "", url, *identifiers)
            by_reference |= {name: person for name in names if name}
    left_over = len(resources) - len(current)
    for _, resource in current:
        kind = str(resource.get("resourceType"))
        subject = _subject(resource, by_reference)
        if kind == "Patient":
            left_over += bool(resource.get("modifierExtension"))
        elif subject is None or kind not in LISTS or _is_modified(resource):
            left_over += 1
        else:
            getattr(subject, LISTS[kind]).append(resource)
    return people, left_over


def _latest(resources: Sequence[tuple[str, Resource]]) -> list[tuple[str, Resource]]:
    """Resources, of several versions of one the last: by its number or time, else by its place in the file."""
    latest: dict[tuple[str, str], tuple[tuple[str, int], tuple[str, Resource]]] = {}
    for place, (url, resource) in enumerate(resources):
        name = str(resource.get("id") or url or f"#{place}")
        meta = resource.get("meta") or {}
        number = str(meta.get("lastUpdated") or "") or str(meta.get("versionId") or "").zfill(12)
        key, rank = (str(resource.get("resourceType")), name), (number, place)
        if key not in latest or latest[key][0] <= rank:
            latest[key] = (rank, (url, resource))
    return [entry for _, entry in latest.values()]


def _is_modified(resource: Resource) -> bool:
    """True for an observation or study whose sense an extension may change; a condition stays, as unknown."""
    return bool(resource.get("modifierExtension")) and resource.get("resourceType") != "Condition"


def _subject(resource: Resource, by_reference: Mapping[str, Person]) -> Person | None:
    """Whom a resource is about: by URL or type and id, with or without a version, or by an identifier."""
    subject = resource.get("subject") or {}
    reference = str(subject.get("reference") or "").partition("/_history/")[0]
    inner = subject
    if reference.startswith("#"):  # a patient inside of the resource, known by an identifier
        held = resource.get("contained") or ()
        inner = next((item for item in held if str(item.get("id")) == reference[1:]), {})
    elif reference:
        return by_reference.get(reference) or by_reference.get("/".join(reference.split("/")[-2:]))
    keys = (f"?{item.get('system', '')}|{item.get('value')}" for item in named(inner))
    return next((by_reference[key] for key in keys if key in by_reference), None)


def named(resource: Resource) -> list[Resource]:
    """Identifiers with a value, of a patient or a reference."""
    found = resource.get("identifier") or ()
    return [item for item in ([found] if isinstance(found, dict) else found) if item.get("value")]

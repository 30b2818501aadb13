"""Croissant metadata: what dataset search engines and loaders read.

Source: MLCommons Croissant 1.1, http://mlcommons.org/croissant/1.1; Croissant RAI 1.0.
"""

import json
from collections.abc import Sequence
from typing import Any

from synthdata.records.case_set import ColumnSpec
from synthdata.records.release import FileEntry
from synthdata.release.datasheet import FORBIDDEN, LIMITS
from synthdata.release.index import volume_column
from synthdata.release.inputs import ReleaseInputs
from synthdata.release.layout import INDEX, UNDATED
from synthdata.release.licences import licence_url

CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "prov": "http://www.w3.org/ns/prov#",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
DATA_TYPES = {"number": "sc:Float", "integer": "sc:Integer", "category": "sc:Text", "boolean": "sc:Boolean"}


def croissant(inputs: ReleaseInputs, files: Sequence[FileEntry]) -> bytes:
    """JSON-LD of a release.

    Args:
        inputs: The records behind the release.
        files: Its files so far; each becomes a FileObject with its SHA-256.

    Returns:
        Sorted and indented JSON; the same inputs give the same bytes.
    """
    spec = inputs.spec
    url = f"urn:synthdata:{spec.name}:{spec.release.version}"
    document: dict[str, Any] = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"],
        "name": spec.name,
        "description": spec.description or spec.title,
        "version": spec.release.version,
        "license": licence_url(spec.release.licence),
        "url": url,
        "citeAs": _citation(inputs),
        "creator": {"@type": "sc:Organization", "name": spec.owner, "url": url},
        "keywords": ["synthetic data", "medical imaging", *inputs.synthetic.modalities],
        "isLiveDataset": False,
        "datePublished": inputs.created,
        "distribution": [_file_object(file) for file in files],
        "recordSet": [_record_set(inputs)],
        **_responsible(inputs),
        **_provenance(inputs),
    }
    return (json.dumps(document, sort_keys=True, indent=1, ensure_ascii=False) + "\n").encode()


def _citation(inputs: ReleaseInputs) -> str:
    spec = inputs.spec
    year = "" if inputs.created == UNDATED else f", year = {{{inputs.created[:4]}}}"
    return (
        f"@misc{{{spec.name}, title = {{{spec.title}, version {spec.release.version} (synthetic)}}, "
        f"howpublished = {{synthdata}}{year}}}"
    )


def _file_object(file: FileEntry) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": file.path,
        "name": file.path,
        "contentUrl": file.path,
        "contentSize": f"{file.size_bytes} B",
        "encodingFormat": "application/x-parquet" if file.path.endswith(".parquet") else file.media_type,
        "sha256": file.sha256,
    }


def _record_set(inputs: ReleaseInputs) -> dict[str, Any]:
    """The index: a row per case."""
    taken = {column.name for column in inputs.synthetic.columns}
    fields = [_field("case_id", "sc:Text", "Id of the synthetic case")]
    fields += [
        _field(column.name, DATA_TYPES[column.kind], _words(column)) for column in inputs.synthetic.columns
    ]
    fields += [
        _field(volume_column(label), "sc:Float", f"Volume of {inputs.label_words(label)}, in mm3")
        for label in inputs.synthetic.labels
        if volume_column(label) not in taken
    ]
    fields += [
        _field("image_sha256", "sc:Text", "SHA-256 of the raw little-endian voxels of the image"),
        _field("cases_file", "sc:Text", "Parquet file which holds image and mask"),
        _field("cases_row", "sc:Integer", "Row in that file"),
    ]
    return {
        "@type": "cr:RecordSet",
        "@id": "cases",
        "name": "cases",
        "key": {"@id": "cases/case_id"},
        "description": "One row per synthetic case: record, label volumes, files and digests; no pixels.",
        "field": fields,
    }


def _words(column: ColumnSpec) -> str:
    unit = "" if column.unit == "1" else f", in {column.unit}"
    return f"{column.description or column.name}{unit}"


def _field(name: str, kind: str, words: str) -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": f"cases/{name}",
        "name": name,
        "description": words,
        "dataType": kind,
        "source": {"fileObject": {"@id": INDEX}, "extract": {"column": name}},
    }


def _responsible(inputs: ReleaseInputs) -> dict[str, Any]:
    """Fields of the responsible-AI extension."""
    intake, privacy = inputs.intake, inputs.privacy
    return {
        "rai:dataCollection": (
            f"Generated. The generator was trained on de-identified scans: {intake.accepted} of "
            f"{intake.seen} files were "
            f"accepted ({intake.approved} of them by a signed review), {intake.quarantined} held back, "
            f"{intake.refused} refused."
            if inputs.spec.source.kind != "phantom"
            else "Generated. The generator was trained on a digital phantom."
        ),
        "rai:dataCollectionType": "Software Collection",
        "rai:dataAnnotationProtocol": "Masks were generated together with the images; no human has drawn them.",
        "rai:dataPreprocessingProtocol": [
            f"{scale.channel}: {scale.method}, int16, {scale.low:g} to {scale.high:g} {scale.unit}"
            for scale in inputs.training_set.scales
        ],
        "rai:dataUseCases": "Development and teaching of image analysis; augmentation; testing of pipelines.",
        "rai:dataLimitations": [*LIMITS, *FORBIDDEN],
        "rai:dataBiases": "Those of the source cohort; groups that it lacks are absent here too.",
        "rai:personalSensitiveInformation": (
            "None of a person. Measured privacy risk: "
            f"{privacy.outcome}, suspected copies {privacy.copies}; not certified anonymous in law."
        ),
        "rai:dataReleaseMaintenancePlan": "Versions never change; a withdrawn one is on the "
        "store's signed recall list.",
    }


def _provenance(inputs: ReleaseInputs) -> dict[str, Any]:
    """How it came about, in W3C PROV: the digests are those of the manifest."""
    provenance = inputs.provenance
    return {
        "prov:wasDerivedFrom": {"@id": f"urn:sha256:{provenance['training_set']}"},
        "prov:wasGeneratedBy": {
            "@type": "prov:Activity",
            "prov:used": [{"@id": f"urn:sha256:{provenance[name]}"} for name in ("checkpoint", "plan")],
            "prov:label": f"synthdata {provenance['code_version']}, generator {inputs.checkpoint.family}",
        },
    }

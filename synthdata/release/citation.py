"""How to cite a release, and the two files that a BIDS-like tree begins with.

Source: Citation File Format 1.2.0, https://citation-file-format.github.io; BIDS 1.10, "Dataset description".
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq

from synthdata.release.inputs import ReleaseInputs
from synthdata.release.layout import BIDS_DESCRIPTION, BIDS_PARTICIPANTS, RECORDS, UNDATED
from synthdata.release.licences import licence_url
from synthdata.release.nifti_out import subject_of


def citation(inputs: ReleaseInputs) -> str:
    """Citation file of a release; JSON strings are YAML."""
    spec, release = inputs.spec, inputs.spec.release
    lines = [
        "cff-version: 1.2.0",
        "type: dataset",
        "message: If you use these synthetic data, cite them as below, and name the sources of LICENSE.txt.",
        f"title: {json.dumps(f'{spec.title} (synthetic)', ensure_ascii=False)}",
        f"version: {json.dumps(release.version)}",
        "authors:",
        f"  - name: {json.dumps(spec.owner, ensure_ascii=False)}",
        f"abstract: {json.dumps(spec.description or spec.title, ensure_ascii=False)}",
        f"license: {json.dumps(release.licence)}",
        f"license-url: {json.dumps(licence_url(release.licence))}",
        "keywords:",
        *(f"  - {json.dumps(word)}" for word in ("synthetic data", "medical imaging", *_modalities(inputs))),
    ]
    if inputs.created != UNDATED:
        lines.append(f"date-released: {json.dumps(inputs.created)}")
    return "\n".join(lines) + "\n"


def write_bids_head(inputs: ReleaseInputs, folder: Path) -> None:
    """Write description and participants of the NIfTI tree into a release; the tar files unpack beside them."""
    spec, release = inputs.spec, inputs.spec.release
    description = {
        "Name": f"{spec.title} {release.version} (synthetic)",
        "BIDSVersion": "1.10.0",
        "DatasetType": "derivative",
        "License": release.licence,
        "HowToAcknowledge": release.attribution or "See CITATION.cff",
        "GeneratedBy": [
            {
                "Name": "synthdata",
                "Version": inputs.plan.code_version,
                "Description": f"Synthetic images of generator family {inputs.checkpoint.family}; no scans of people",
            }
        ],
    }
    text = json.dumps(description, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    (folder / BIDS_DESCRIPTION).write_text(text, encoding="utf-8")
    with (folder / BIDS_PARTICIPANTS).open("w", encoding="utf-8", newline="\n") as writer:
        writer.writelines(_participants(folder / RECORDS))


def _participants(records: Path) -> Iterator[str]:
    with pq.ParquetFile(records) as file:
        names = [name for name in file.schema_arrow.names if name not in {"case_id", "patient_id"}]
        yield "\t".join(["participant_id", *names]) + "\n"
        for batch in file.iter_batches():
            for row in batch.to_pylist():
                values = ("n/a" if row[name] is None else str(row[name]) for name in names)
                yield (
                    "\t".join(" ".join(cell.split()) for cell in (subject_of(row["case_id"]), *values)) + "\n"
                )


def _modalities(inputs: ReleaseInputs) -> list[str]:
    return sorted(set(inputs.synthetic.modalities))

"""What decides an intake beside the spec and the scans: files that the spec names, and approvals of the store."""

import hashlib
from dataclasses import dataclass

from synthdata.records.codec import Record
from synthdata.spec import DatasetSpec, expanded
from synthdata.storage import keys
from synthdata.storage.protocol import ObjectStore


@dataclass(frozen=True, kw_only=True, slots=True)
class Outside(Record):
    """Changes when a deny list, an attestation or an approval does, so that the files are judged anew."""

    digest: str  # empty where there is none of them


def outside_of(spec: DatasetSpec, private: ObjectStore) -> Outside:
    """Digest of the files that `vouching` names and of the approvals of a dataset.

    Args:
        spec: The dataset.
        private: Holds the approvals, whose keys name their content.
    """
    parts = sorted(private.keys(keys.approval(spec.name)))
    for name in ("deny_list", "attestation"):
        text = getattr(spec.vouching, name)
        path = expanded(text, f"vouching.{name}") if text else None
        if path is not None and path.is_file():
            parts.append(hashlib.sha256(path.read_bytes()).hexdigest())
    return Outside(digest=hashlib.sha256("\n".join(parts).encode()).hexdigest() if parts else "")

"""Who vouches for a release: TUF roles, their keys, and the recall list."""

from synthdata.release.trust.keys import (
    KeyStatus,
    Lifetimes,
    ReleaseSigner,
    init_keys,
    key_status,
    load_signer,
)
from synthdata.release.trust.recalls import Recall, RecallList
from synthdata.release.trust.repository import recall, resign_timestamp

__all__ = [
    "KeyStatus",
    "Lifetimes",
    "Recall",
    "RecallList",
    "ReleaseSigner",
    "init_keys",
    "key_status",
    "load_signer",
    "recall",
    "resign_timestamp",
]

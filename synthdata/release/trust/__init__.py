"""Who vouches for a release: TUF roles, their keys, and the recall list."""

from synthdata.release.trust.keys import Ceremony, Lifetimes, ReleaseSigner, init_keys, load_signer
from synthdata.release.trust.recalling import recall
from synthdata.release.trust.recalls import Recall, RecallList
from synthdata.release.trust.repository import resign_timestamp
from synthdata.release.trust.rotation import Rotation, rotate, sign_draft
from synthdata.release.trust.status import KeyStatus, key_status

__all__ = [
    "Ceremony",
    "KeyStatus",
    "Lifetimes",
    "Recall",
    "RecallList",
    "ReleaseSigner",
    "Rotation",
    "init_keys",
    "key_status",
    "load_signer",
    "recall",
    "resign_timestamp",
    "rotate",
    "sign_draft",
]

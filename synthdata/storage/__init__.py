"""Object stores: where bytes are kept, by key, on a disk or in S3."""

from synthdata.storage.commit import commit_blob, read_verified
from synthdata.storage.opening import open_store
from synthdata.storage.protocol import ObjectStore

__all__ = ["ObjectStore", "commit_blob", "open_store", "read_verified"]

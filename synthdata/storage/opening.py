"""Open a store by its address."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from synthdata.errors import ConfigError
from synthdata.storage.folder import FolderStore
from synthdata.storage.protocol import ObjectStore


def open_store(url: str, *, create: bool = True, private: bool = False) -> ObjectStore:
    """Open a folder or an S3 prefix.

    Args:
        url: A path, `file:///path` or `s3://bucket/prefix`. The endpoint and the credentials of S3 come from
            the usual `AWS_*` variables (`AWS_ENDPOINT_URL`, `AWS_ACCESS_KEY_ID` ...).
        create: Make a folder which is not there yet.
        private: Which no other user of the machine may enter, if it is made.

    Raises:
        ConfigError: The scheme is unknown.
        StoreError: The folder is not there (and `create` is False) or cannot be made.
    """
    parts = urlsplit(url)
    if parts.scheme == "s3":
        from synthdata.storage.s3 import S3Store

        return S3Store(bucket=parts.netloc, prefix=parts.path.strip("/"))
    if parts.scheme == "file":
        return FolderStore(Path(unquote(parts.path)), create=create, private=private)
    if parts.scheme in {"", "."} or len(parts.scheme) == 1:
        return FolderStore(Path(url), create=create, private=private)
    raise ConfigError(
        f"store address has scheme {parts.scheme!r}, expected a folder, file:// or s3://bucket/prefix"
    )

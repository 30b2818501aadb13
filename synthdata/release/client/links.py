"""A file of presigned links to the objects of one release, and to the signed metadata that vouch for it."""

import json
from dataclasses import dataclass
from pathlib import Path

from synthdata.errors import ConfigError
from synthdata.release.client.listing import choose
from synthdata.release.client.pulling import fetch_manifest
from synthdata.release.client.signed_web import LINKS_KIND
from synthdata.release.client.trusted import Tell, ignore, open_trusted
from synthdata.release.layout import MANIFEST
from synthdata.storage import keys, open_store
from synthdata.storage.disk import on_disk, write_whole
from synthdata.storage.s3 import S3Store

LONGEST_S = 7 * 86400  # what S3 signs at most


@dataclass(frozen=True, kw_only=True, slots=True)
class Links:
    """What was written."""

    dataset: str
    version: str
    links: int


def write_links(
    name: str,
    version: str | None,
    url: str,
    out: Path,
    *,
    seconds: int,
    root: Path | None = None,
    tell: Tell = ignore,
) -> Links:
    """Write links to one release.

    Args:
        name: Dataset.
        version: Version; None is the newest one which was not recalled.
        url: `s3://bucket/prefix`, with credentials that may read it.
        out: JSON file to write.
        seconds: How long the links can be used; up to seven days.
        root: Root of trust to pin.
        tell: Gets sentences for people.

    Raises:
        ConfigError: The store is no S3, the time is out of range, or the file is not named `*.json`.
        TrustError: The store cannot be trusted, or has no such release.
    """
    store = open_store(url, create=False)
    if not isinstance(store, S3Store):
        raise ConfigError(
            f"the store is {url}, expected s3://bucket/prefix: other stores have no presigned links"
        )
    if not 0 < seconds <= LONGEST_S or out.suffix != ".json":
        raise ConfigError(
            f"links for {seconds} s in {out.name}, expected up to {LONGEST_S} s (7 days) and a name *.json"
        )
    trusted = open_trusted(url, root=root, tell=tell)
    release = choose(trusted, name, version)
    _, manifest = fetch_manifest(trusted.remote, release)
    paths = [MANIFEST, *(file.path for file in manifest.files)]
    wanted = [keys.release(release.dataset, release.version, path) for path in paths]
    wanted += [item for item in store.keys(keys.trust_metadata("")) if item.endswith(".json")]
    wanted += list(store.keys(keys.signed_target("", "").rstrip(".")))
    found = {key: store.presigned(key, seconds=seconds) for key in wanted}
    document = {"kind": LINKS_KIND, "store": store.url, "links": found}
    with on_disk(f"file {out.name}"):
        write_whole(out, json.dumps(document, indent=1).encode())
        out.chmod(0o600)
    return Links(dataset=release.dataset, version=release.version, links=len(found))

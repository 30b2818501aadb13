"""What a release store offers."""

from dataclasses import dataclass
from pathlib import Path

from synthdata.errors import TrustError
from synthdata.release.client.trusted import Tell, TrustedStore, ignore, open_trusted
from synthdata.release.portal import version_order
from synthdata.release.trust.contents import SignedRelease


@dataclass(frozen=True, kw_only=True, slots=True)
class ReleaseLine:
    """One version in a listing."""

    dataset: str
    version: str
    title: str
    created: str
    licence: str
    cases: int
    size_bytes: int
    outcome: str
    development_keys: bool
    recalled: str | None  # the reason


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """All versions of a store, newest first per dataset."""

    url: str
    root_fingerprint: str
    releases: tuple[ReleaseLine, ...]


def list_releases(
    url: str, *, root: Path | None = None, anonymous: bool = False, tell: Tell = ignore
) -> Listing:
    """List the datasets and versions of a release store, as its publisher signed them.

    Args:
        url: A folder, `file://`, `s3://`, `http://` or `https://`.
        root: Root of trust to pin; else the remembered one, or that of the store at first use.
        anonymous: Read S3 without a signature, although credentials are at hand.
        tell: Gets a sentence at first use.

    Raises:
        TrustError: The metadata cannot be trusted.
        StoreError: The store cannot be reached.
    """
    store = open_trusted(url, root=root, anonymous=anonymous, tell=tell)
    ordered = sorted(
        store.contents.releases.values(), key=lambda item: version_order(item.version), reverse=True
    )
    lines = tuple(_line(item, store) for item in sorted(ordered, key=lambda item: item.dataset))
    return Listing(url=store.remote.url, root_fingerprint=store.fingerprint, releases=lines)


def choose(store: TrustedStore, name: str, version: str | None) -> SignedRelease:
    """The wanted version, or the newest one which was not recalled.

    Raises:
        TrustError: There is none, or it was recalled.
    """
    found = [item for item in store.contents.releases.values() if item.dataset == name]
    if not found:
        names = ", ".join(sorted({dataset for dataset, _ in store.contents.releases})) or "nothing"
        raise TrustError(f"{store.remote.url} has no dataset {name!r}, it has {names}: check the name")
    recalled = {item.version: store.contents.recalls.reason(name, item.version) for item in found}
    if version is not None:
        wanted = [item for item in found if item.version == version]
        if not wanted:
            versions = sorted(recalled, key=version_order)
            if begin := [held for held in versions if held.startswith(f"{version.rstrip('.')}.")]:
                raise TrustError(
                    f"{version} stands for {' and '.join(begin)} of {name}: write the version in full"
                )
            raise TrustError(
                f"{name} has no version {version}, it has {', '.join(versions)}: choose one of them"
            )
        if recalled[version]:
            raise TrustError(f"{name} {version} was recalled: {recalled[version]}. Use another version")
        return wanted[0]
    current = [item for item in found if not recalled[item.version]]
    if not current:
        raise TrustError(f"all versions of {name} were recalled: see `synthdata releases` for the reasons")
    return max(current, key=lambda item: version_order(item.version))


def _line(item: SignedRelease, store: TrustedStore) -> ReleaseLine:
    return ReleaseLine(
        dataset=item.dataset,
        version=item.version,
        title=item.title,
        created=item.created,
        licence=item.licence,
        cases=item.cases,
        size_bytes=item.size_bytes,
        outcome=item.outcome,
        development_keys=item.development_keys,
        recalled=store.contents.recalls.reason(item.dataset, item.version),
    )

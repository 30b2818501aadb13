"""Attacks on a release store: each is refused, and no wrong file appears under its final name."""

import json
import os
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tuf.api.metadata import Metadata, MetaFile, Timestamp

from synthdata.errors import IntegrityError, SynthDataError, TrustError
from synthdata.records import FileEntry, ReleaseManifest, to_json
from synthdata.release import publish
from synthdata.release.client import check, list_releases, pull
from synthdata.release.client.paths import check_paths
from synthdata.release.trust import ReleaseSigner, init_keys
from synthdata.release.trust.contents import SignedRelease
from synthdata.release.trust.repository import transact
from synthdata.storage.commit import sha256_of
from synthdata.storage.folder import FolderStore
from tests.release.builders import Made, spec_of, tree

RELEASE = "datasets/ellipsoids/1.0.0"
FILES = (
    "data/cases-00000.parquet", "dicom/cases-00000.tar", "nifti/cases-00000.tar", "records/cases-00000.ndjson",
    "index.parquet", "records.parquet",
    "registry.parquet", "croissant.json", "datasheet.md", "datasheet.html", "LICENSE.txt", "gallery/index.html",
    "gallery/sheet-0.png", "reports/report.html", "evidence/verdict.json", "manifest.json",
)  # fmt: skip
METADATA = ("1.root.json", "timestamp.json", "1.snapshot.json", "1.targets.json")


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def refused(published: FolderStore, folder: Path, **options: object) -> SynthDataError:
    """A pull fails with one of our errors, and what lies in the folder is right."""
    right = (
        json.loads(published_manifest)["files"]
        if (published_manifest := options.pop("manifest", None))
        else []
    )
    with pytest.raises(SynthDataError) as caught:
        pull("ellipsoids", None, published.url, folder, **options)  # type: ignore[arg-type]
    digests = {item["path"]: item["sha256"] for item in right}
    for name, digest in tree(folder).items() if folder.exists() else ():
        if not name.startswith(".synthdata/") and not name.endswith(".part"):
            assert digests.get(name) == digest, f"{name} is wrong and has its final name"
    return caught.value


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("how", ["flip", "cut", "grow", "gone"])
def test_a_changed_file_is_refused(
    built, published: FolderStore, tmp_path: Path, monkeypatch, name: str, how: str
) -> None:
    monkeypatch.setattr("synthdata.release.client.remote.FIRST_PAUSE_S", 0.001)
    manifest, path = (built[0] / "manifest.json").read_bytes(), published.root / RELEASE / name
    if how == "flip":
        flip(path)
    elif how == "cut":
        os.truncate(path, path.stat().st_size // 2)
    elif how == "grow":
        path.write_bytes(path.read_bytes() + b"x")
    else:
        path.unlink()
    assert name in str(refused(published, tmp_path / "got", manifest=manifest)) or name == "manifest.json"
    assert not (tmp_path / "got" / name).exists()


@pytest.mark.parametrize("name", METADATA)
@pytest.mark.parametrize("how", ["flip", "cut", "empty", "other"])
def test_changed_metadata_are_refused(published: FolderStore, tmp_path: Path, name: str, how: str) -> None:
    path = published.root / "metadata" / name
    if how == "flip":
        flip(path)
    elif how == "cut":
        os.truncate(path, path.stat().st_size // 2)
    else:
        path.write_bytes(b"" if how == "empty" else b"{}")
    assert "signed metadata" in str(refused(published, tmp_path / "got"))
    assert not (tmp_path / "got").exists()


def test_an_endless_timestamp_is_refused(published: FolderStore, tmp_path: Path) -> None:
    (published.root / "metadata" / "timestamp.json").write_bytes(b" " * (65 << 20))
    assert "larger than" in str(refused(published, tmp_path / "got"))
    assert not (tmp_path / "got").exists()


def test_an_older_state_is_refused_once_a_newer_one_was_seen(
    made: Made, private: FolderStore, published: FolderStore, signer: ReleaseSigner, tmp_path: Path
) -> None:
    shutil.copytree(published.root, tmp_path / "old")
    manifest = replace(made, spec=spec_of(version="1.0.1")).build(private, tmp_path / "next")
    publish(tmp_path / "next", manifest, published, signer=signer)
    assert len(list_releases(published.url).releases) == 2
    shutil.rmtree(published.root)
    shutil.copytree(tmp_path / "old", published.root)
    with pytest.raises(TrustError, match="rolled back"):
        list_releases(published.url)


def test_an_old_snapshot_under_a_new_timestamp_is_refused(
    made: Made, private: FolderStore, published: FolderStore, signer: ReleaseSigner, tmp_path: Path
) -> None:
    manifest = replace(made, spec=spec_of(version="1.0.1")).build(private, tmp_path / "next")
    publish(tmp_path / "next", manifest, published, signer=signer)
    metadata = published.root / "metadata"
    shutil.copy(metadata / "1.snapshot.json", metadata / "2.snapshot.json")
    assert "do not fit" in str(refused(published, tmp_path / "got"))


def test_a_file_of_another_version_is_refused(
    made: Made, private: FolderStore, published: FolderStore, signer: ReleaseSigner, tmp_path: Path
) -> None:
    manifest = replace(made, spec=spec_of(version="1.0.1")).build(private, tmp_path / "next")
    publish(tmp_path / "next", manifest, published, signer=signer)
    newer = published.root / "datasets/ellipsoids/1.0.1"
    shutil.copy(published.root / RELEASE / "dicom/cases-00000.tar", newer / "dicom/cases-00000.tar")
    data = (newer / "manifest.json").read_bytes()
    assert "dicom/cases-00000.tar" in str(refused(published, tmp_path / "got", manifest=data))
    shutil.copy(published.root / RELEASE / "manifest.json", newer / "manifest.json")
    assert "manifest of ellipsoids 1.0.1" in str(refused(published, tmp_path / "got2"))


def expired(signer: ReleaseSigner, path: Path) -> None:
    """Sign the timestamp with an expiry date in the past."""
    old = Metadata[Timestamp].from_bytes(path.read_bytes()).signed
    passed = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)
    meta = MetaFile(
        old.snapshot_meta.version, hashes=old.snapshot_meta.hashes, length=old.snapshot_meta.length
    )
    metadata = Metadata(Timestamp(version=old.version + 1, expires=passed, snapshot_meta=meta))
    metadata.sign(signer.of("timestamp"))
    path.write_bytes(metadata.to_bytes())


def test_stale_metadata_are_refused_but_a_pulled_release_still_checks(
    published: FolderStore, signer: ReleaseSigner, tmp_path: Path
) -> None:
    pull("ellipsoids", None, published.url, tmp_path / "got")
    expired(signer, published.root / "metadata" / "timestamp.json")
    assert "have expired" in str(refused(published, tmp_path / "again"))
    assert check(tmp_path / "got").ok


def test_metadata_of_other_keys_are_refused(built, published: FolderStore, tmp_path: Path) -> None:
    list_releases(published.url)
    thief = init_keys(tmp_path / "thief")
    evil = FolderStore(tmp_path / "evil")
    publish(*built, evil, signer=thief)
    shutil.rmtree(published.root)
    shutil.copytree(evil.root, published.root)
    with pytest.raises(TrustError, match="not signed by the root that is trusted here"):
        list_releases(published.url)


def test_a_pinned_root_of_others_is_refused_even_at_first_use(published: FolderStore, tmp_path: Path) -> None:
    init_keys(tmp_path / "others")
    with pytest.raises(TrustError, match="not signed by the root"):
        list_releases(published.url, root=tmp_path / "others" / "root.json")


def test_the_pinned_root_is_remembered(published: FolderStore, signer: ReleaseSigner, tmp_path: Path) -> None:
    told: list[str] = []
    list_releases(published.url, root=tmp_path / "keys" / "root.json", tell=told.append)
    list_releases(published.url, tell=told.append)
    assert told == []


def entry(path: str) -> FileEntry:
    return FileEntry(path=path, sha256="0" * 64, size_bytes=1, media_type="text/plain", role="document")


@pytest.mark.parametrize(
    "path",
    ["../evil", "/etc/passwd", "a/../../b", "a//b", "", ".", "a/./b", "C:/x", "a\\b", ".synthdata/origin.json", "~/x",
     "a\x00b", "a\nb", "x.part", "nul", "aux.txt", "manifest.json", "MANIFEST.json", "data/" + "x" * 300, "trailing."],
)  # fmt: skip
def test_a_path_that_leaves_hides_or_overwrites_is_refused(path: str) -> None:
    with pytest.raises(TrustError):
        check_paths([entry(path)])


def test_two_files_of_one_name_are_refused() -> None:
    with pytest.raises(TrustError, match="twice"):
        check_paths([entry("data/a"), entry("data/A")])


def signed(version: str, data: bytes) -> SignedRelease:
    """What a publisher signs of a manifest, whatever the manifest says."""
    return SignedRelease(
        dataset="ellipsoids", version=version, title="t", created="2026-01-01", licence="CC-BY-4.0", cases=1,
        size_bytes=1, outcome="PASS", development_keys=True, manifest_sha256=sha256_of(data), manifest_bytes=len(data),
    )  # fmt: skip


def test_a_signed_manifest_cannot_write_outside_the_folder(
    built, published: FolderStore, signer: ReleaseSigner, tmp_path: Path
) -> None:
    """Even the publisher's own key does not give the right to write elsewhere."""
    manifest: ReleaseManifest = replace(built[1], version="6.6.6", files=(entry("../../outside"),))
    data = to_json(manifest)
    published.write("datasets/ellipsoids/6.6.6/manifest.json", data)
    published.write("outside", b"x")
    release = signed("6.6.6", data)
    transact(published, signer, lambda contents: contents.adding(release))
    with pytest.raises(TrustError, match="may not be written"):
        pull("ellipsoids", "6.6.6", published.url, tmp_path / "deep" / "got")
    assert not (tmp_path / "outside").exists()
    assert not (tmp_path / "deep").exists()


def test_a_link_in_the_target_folder_is_not_followed(published: FolderStore, tmp_path: Path) -> None:
    pull("ellipsoids", None, published.url, tmp_path / "got")
    shutil.rmtree(tmp_path / "got" / "dicom")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "got" / "dicom").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(TrustError, match="symbolic link"):
        pull("ellipsoids", None, published.url, tmp_path / "got")
    assert not any((tmp_path / "elsewhere").iterdir())
    assert not check(tmp_path / "got").ok


def test_a_check_finds_what_was_changed_added_or_removed(published: FolderStore, tmp_path: Path) -> None:
    folder = tmp_path / "got"
    pull("ellipsoids", None, published.url, folder)
    flip(folder / "data/cases-00000.parquet")
    (folder / "registry.parquet").unlink()
    (folder / "dicom" / "more.tar").write_bytes(b"unsigned")
    problems = " ".join(check(folder).problems)
    assert "data/cases-00000.parquet is not the file" in problems
    assert "registry.parquet is missing" in problems
    assert "dicom/more.tar is not a part of the release" in problems


SIGNED = ("targets.json", "snapshot.json", "timestamp.json", "recalls.json")


@pytest.mark.parametrize("name", ["manifest.json", *(f".synthdata/metadata/{name}" for name in SIGNED)])
def test_a_check_finds_changed_signatures(published: FolderStore, tmp_path: Path, name: str) -> None:
    pull("ellipsoids", None, published.url, tmp_path / "got")
    flip(tmp_path / "got" / name)
    assert not check(tmp_path / "got").ok


def test_a_folder_signed_by_others_does_not_check_where_the_root_is_known(
    built, published: FolderStore, signer: ReleaseSigner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pull("ellipsoids", None, published.url, tmp_path / "got")
    evil = FolderStore(tmp_path / "evil")
    publish(*built, evil, signer=init_keys(tmp_path / "thief"))
    pull("ellipsoids", None, evil.url, tmp_path / "fake")
    shutil.copy(tmp_path / "got" / ".synthdata/origin.json", tmp_path / "fake" / ".synthdata/origin.json")
    assert not check(tmp_path / "fake").ok
    assert not check(tmp_path / "fake", root=tmp_path / "keys" / "root.json").ok
    monkeypatch.setenv("SYNTHDATA_CONFIG", str(tmp_path / "another machine"))
    result = check(tmp_path / "fake")
    assert not result.pinned
    assert any("compare its fingerprint" in note for note in result.notes)


def test_a_manifest_of_a_newer_format_is_a_sentence(
    built, published: FolderStore, signer: ReleaseSigner, tmp_path: Path
) -> None:
    data = to_json(replace(built[1], version="7.0.0")).replace(b"ReleaseManifest/1", b"ReleaseManifest/2")
    published.write("datasets/ellipsoids/7.0.0/manifest.json", data)
    release = signed("7.0.0", data)
    transact(published, signer, lambda contents: contents.adding(release))
    with pytest.raises(SynthDataError, match="update synthdata"):
        pull("ellipsoids", "7.0.0", published.url, tmp_path / "got")


def test_integrity_errors_name_the_file_and_never_a_record(
    built, published: FolderStore, tmp_path: Path
) -> None:
    flip(published.root / RELEASE / "records.parquet")
    with pytest.raises(IntegrityError, match=r"records\.parquet in the store has SHA-256"):
        pull("ellipsoids", None, published.url, tmp_path / "got")

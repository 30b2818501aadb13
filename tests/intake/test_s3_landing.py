"""A prefix of S3 knows no folders: what was an object may later be the folder of others, and the other way round."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from synthdata.errors import SourceError
from synthdata.intake.remote.landing import Fetched, Landing
from synthdata.intake.remote.s3_prefix import fetch_objects
from synthdata.progress import silent


class Prefix:
    """Objects by key, as the store lists and streams them."""

    def __init__(self, objects: dict[str, bytes]) -> None:
        self._objects = objects

    def listing(self, what: str) -> Iterator[tuple[str, int, str]]:
        return ((key, len(data), f"version of {data!r}") for key, data in sorted(self._objects.items()))

    def stream(self, key: str, version: str, what: str) -> Iterator[bytes]:
        yield self._objects[key]


def fetched(root: Path, objects: dict[str, bytes]) -> tuple[Fetched, dict[str, bytes]]:
    done = fetch_objects(Prefix(objects), Landing(root, "s3://bucket/prefix"), silent)
    scans = root / "scans"
    here = {path.relative_to(scans).as_posix(): path for path in scans.rglob("*")}
    return done, {name: path.read_bytes() for name, path in here.items() if path.is_file()}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"a/b": b"1", "c": b"2"}, {"a": b"3", "c": b"2"}),
        ({"a/b/d": b"1", "c": b"2"}, {"a": b"3", "c": b"2"}),
        ({"a": b"1", "c": b"2"}, {"a/b": b"3", "c": b"2"}),
    ],
)
def test_an_object_takes_the_place_of_a_folder_and_a_folder_that_of_an_object(
    before, after, tmp_path
) -> None:
    fetched(tmp_path, before)
    done, here = fetched(tmp_path, after)
    assert (done.fetched, done.removed, done.failed, here) == (1, 1, [], after)
    assert fetched(tmp_path, after)[0].fetched == 0


def test_an_object_that_becomes_a_folder_as_well_leaves_itself_out_and_the_others_come(tmp_path) -> None:
    fetched(tmp_path, {"a": b"1", "c": b"2"})
    done, here = fetched(tmp_path, {"a": b"1", "a/b": b"3", "c": b"2"})
    assert here == {"a/b": b"3", "c": b"2"}
    assert [str(error).partition(",")[0] for error in done.failed] == [
        "the prefix holds an object whose key is also the folder of others"
    ]


def test_no_empty_folder_is_left(tmp_path) -> None:
    fetched(tmp_path, {"a/b/c": b"1", "d": b"2"})
    fetched(tmp_path, {"d": b"2"})
    assert [path.name for path in (tmp_path / "scans").rglob("*")] == ["d"]


def test_a_folder_of_an_earlier_run_that_was_killed_while_it_wrote_the_address_is_taken_up(tmp_path) -> None:
    fetched(tmp_path, {"a": b"1"})
    (tmp_path / "address").write_bytes(b"")
    done, here = fetched(tmp_path, {"a": b"1"})
    assert (done.fetched, here) == (0, {"a": b"1"})
    with pytest.raises(SourceError, match="holds those of another address"):
        Landing(tmp_path, "s3://bucket/other")


def test_an_address_that_is_known_is_not_written_again(tmp_path) -> None:
    Landing(tmp_path, "s3://bucket/prefix")
    before = (tmp_path / "address").stat()
    Landing(tmp_path, "s3://bucket/prefix")
    after = (tmp_path / "address").stat()
    assert (after.st_ino, after.st_mtime_ns, after.st_ctime_ns) == (
        before.st_ino,
        before.st_mtime_ns,
        before.st_ctime_ns,
    )

import hashlib
import re

import pytest

from synthdata.dicom import uid_of
from synthdata.errors import ConfigError


def test_an_identifier_is_the_same_in_each_run() -> None:
    digest = hashlib.sha256(b"synthdata\x1f1").hexdigest()[:32]
    versioned = digest[:12] + "8" + digest[13:16] + "89ab"[int(digest[16], 16) % 4] + digest[17:]
    assert uid_of("synthdata", 1) == uid_of("synthdata", "1") == f"2.25.{int(versioned, 16)}"


def test_parts_are_not_run_together() -> None:
    assert uid_of("a", "bc") != uid_of("ab", "c") != uid_of("abc")


def test_identifiers_are_valid_and_differ() -> None:
    many = [uid_of("case", number) for number in range(2000)]
    assert len(set(many)) == 2000
    assert all(len(uid) <= 44 and re.fullmatch(r"2\.25\.[1-9][0-9]*", uid) for uid in many)


def test_an_identifier_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="without parts"):
        uid_of()

"""The operator's list of names and numbers which must not occur anywhere; held in memory, never written."""

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

from synthdata.errors import ConfigError
from synthdata.storage.disk import disk_sentence

PIECES = re.compile(r"[^\W_]+")
SPLIT = re.compile(r"(?<=[^\W\d_])(?=\d)|(?<=\d)(?=[^\W\d_])")
LONGEST_ENTRY = 6  # words
LEAST_CHARACTERS = 3
LEAST_DIGITS = 5  # numbers this long are found inside longer ones, such as UIDs


class DenyList:
    """Finds its entries in texts, whatever their case, accents and separators."""

    def __init__(self, entries: Iterable[str] = ()) -> None:
        plain = {"".join(_words(entry)) for entry in entries}
        self._entries = frozenset(entry for entry in plain if len(entry) >= LEAST_CHARACTERS)
        numbers = sorted(e for e in self._entries if e.isdigit() and len(e) >= LEAST_DIGITS)
        self._numbers = re.compile("|".join(numbers)) if numbers else None

    def __len__(self) -> int:
        return len(self._entries)

    def digest(self) -> str:
        """Of the entries; a changed list judges anew."""
        return hashlib.sha256("\n".join(sorted(self._entries)).encode()).hexdigest()

    def matches(self, text: str) -> bool:
        """True where a text holds an entry as words in a row, or a number of the list inside another one."""
        if not self._entries:
            return False
        if self._numbers is not None and self._numbers.search(re.sub(r"[\s./-]", "", text)):
            return True
        return any(run in self._entries for words in _readings(text) for run in _runs(words))


def _readings(text: str) -> Iterator[list[str]]:
    """Words with digits and letters together, then apart."""
    words = _words(text)
    yield words
    yield [part for word in words for part in SPLIT.split(word)]


def _runs(words: list[str]) -> Iterator[str]:
    for start in range(len(words)):
        for end in range(start + 1, min(start + LONGEST_ENTRY, len(words)) + 1):
            yield "".join(words[start:end])


def _words(text: str) -> list[str]:
    parts = unicodedata.normalize("NFKD", text.casefold())
    return PIECES.findall("".join(char for char in parts if not unicodedata.combining(char)))


def load_deny_list(path: Path) -> DenyList:
    """Read a list: UTF-8, one entry a line, lines after `#` are comments.

    Raises:
        ConfigError: The file cannot be read, is no UTF-8, or has no entry.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise ConfigError(disk_sentence("the deny list", error, "read")) from None
    except UnicodeDecodeError:
        raise ConfigError("the deny list is no UTF-8, expected one entry a line: save it as UTF-8") from None
    found = DenyList(line for line in lines if not line.startswith("#"))
    if not len(found):
        raise ConfigError("the deny list has no entry, expected one a line: fill it, or leave it out")
    return found

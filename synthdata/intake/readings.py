"""What a text says once it is decoded: escapes of the web and of mail, base 64 and 32, hexadecimal, hidden signs."""

import base64
import html
import quopri
import re
import unicodedata
import urllib.parse
from collections.abc import Callable, Iterator, Sequence

ENCODED = re.compile(r"[A-Za-z0-9+/_-]{16,}={0,2}")  # base 64, or hexadecimal
BASE_32 = re.compile(r"[A-Z2-7]{16,}={0,6}")
SPACED_HEXADECIMAL = re.compile(r"(?<![^\W_])[0-9A-Fa-f]{2}(?:[ :-][0-9A-Fa-f]{2}){7,}(?![^\W_])")
JSON_ESCAPE: re.Pattern[str] = re.compile(r"\\u([0-9A-Fa-f]{4})")
ESCAPES: tuple[tuple[re.Pattern[str], Callable[[str], str]], ...] = (
    (re.compile(r"%[0-9A-Fa-f]{2}"), urllib.parse.unquote),
    (re.compile(r"&(?:#\d|#x[0-9A-Fa-f]|[A-Za-z]{2,})"), html.unescape),
    (
        re.compile(r"\\u[0-9A-Fa-f]{4}"),
        lambda text: JSON_ESCAPE.sub(lambda code: chr(int(code[1], 16)), text),
    ),
    (re.compile(r"=[0-9A-F]{2}"), lambda text: quopri.decodestring(text.encode()).decode("utf-8", "replace")),
)  # what shows that a text is escaped, and what undoes it
ENCODINGS = ("utf-8", "utf-16-le", "utf-16-be")
LEAST_ENCODED = 16  # letters
LEAST_SPELLED = 5  # numbers in a row which may be the letters of a text
PRINTABLE = range(0x20, 0x7F)


def unescaped(text: str) -> Iterator[str]:
    """A text without invisible signs and escapes, its accents put together, where that differs from how it stands."""
    plain = text
    if not text.isascii():
        shown = "".join(char for char in text if unicodedata.category(char) != "Cf")
        plain = unicodedata.normalize("NFC", shown)
    for shows, undo in ESCAPES:
        if shows.search(plain):
            plain = undo(plain)
    if plain != text:
        yield plain


def decoded(text: str) -> Iterator[str]:
    """What stands in a text in base 64 or 32, or hexadecimal digits, where that is a text itself."""
    if len(text) < LEAST_ENCODED:
        return
    runs: list[str] = ENCODED.findall(text)
    if any(char.isspace() for char in text):
        runs += [run for run in ["".join(text.split())] if ENCODED.fullmatch(run)]  # broken into lines
    for run in runs:
        for decode in (bytes.fromhex, _base64):
            yield from _printable(decode, run)
    for run in BASE_32.findall(text):
        yield from _printable(lambda run: base64.b32decode(run + "=" * (-len(run) % 8)), run.rstrip("="))
    for run in SPACED_HEXADECIMAL.findall(text):
        yield from _printable(lambda run: bytes.fromhex(re.sub("[ :-]", "", run)), run)


def _printable(decode: Callable[[str], bytes], run: str) -> Iterator[str]:
    """The text in a run, by the first encoding in which it is one."""
    for encoding in ENCODINGS:
        try:
            said = decode(run).decode(encoding)
        except ValueError:
            continue
        if said.isprintable() and (encoding == "utf-8" or said.isascii()):
            yield said
            return


def _base64(run: str) -> bytes:
    plain = run.rstrip("=")
    return base64.urlsafe_b64decode(plain.replace("+", "-").replace("/", "_") + "=" * (-len(plain) % 4))


def spelled(numbers: Sequence[float]) -> str:
    """The text of which numbers are the letters, such as 77 105 108; empty where they are no letters."""
    if len(numbers) < LEAST_SPELLED or not all(number in PRINTABLE for number in numbers if number):
        return ""
    return "".join(chr(int(number)) for number in numbers if number)

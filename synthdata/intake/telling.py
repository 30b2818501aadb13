"""Does a text, of whatever kind of file, name or date a person?"""

from collections.abc import Iterable

from synthdata.intake.dates_in_text import has_short_date
from synthdata.intake.person_names import has_foreign_script, has_foreign_words, names_a_person
from synthdata.intake.readings import decoded, unescaped
from synthdata.intake.text_patterns import bytes_look_identifying, looks_identifying, names_a_machine


def reason_of(texts: Iterable[str]) -> str:
    """Reason to hold texts back that stand beside pixels, or empty where they say nothing of a person."""
    found = {_reason(said) for text in texts for said in (text, *unescaped(text))} - {""}
    return min(found, default="")


def hides_a_person(text: str) -> bool:
    """True where escapes, or base 64 and the like, hide what would be found as it is read."""
    return any(map(_reason, unescaped(text))) or _is_encoded(text)


def _reason(text: str) -> str:
    if looks_identifying(text) or has_short_date(text) or names_a_machine(text) or _is_encoded(text):
        return "deid.text_pattern"
    named = names_a_person(text) or has_foreign_script(text) or has_foreign_words(text)
    return "deid.name_in_text" if named else ""


def _is_encoded(text: str) -> bool:
    """True where base 64 and the like hide a person."""
    return any(bytes_look_identifying(said.encode()) or has_foreign_script(said) for said in decoded(text))

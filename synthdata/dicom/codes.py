"""Coded concepts as DICOM items, written in specs as `<code>|<meaning>`."""

from typing import TYPE_CHECKING

from pydicom.dataset import Dataset

from synthdata.errors import ConfigError

if TYPE_CHECKING:
    from highdicom.sr import CodedConcept


def split_code(text: str) -> tuple[str, str]:
    """Code and meaning of `<code>|<meaning>`. Raises ConfigError for another form."""
    code, bar, meaning = text.partition("|")
    if not bar or not code.strip() or not meaning.strip():
        raise ConfigError(
            f"a code is {text!r}, expected '<code>|<meaning>', such as '35764002|Brain ventricle'"
        )
    return code.strip(), meaning.strip()


def code_item(text: str, scheme: str = "SCT") -> Dataset:
    """One item of a code sequence; the scheme is SCT (SNOMED CT), DCM or another coding scheme designator."""
    code, meaning = split_code(text)
    item = Dataset()
    item.CodeValue = code
    item.CodingSchemeDesignator = scheme
    item.CodeMeaning = meaning
    return item


def concept(text: str, scheme: str = "SCT") -> "CodedConcept":
    """The same as highdicom wants it; highdicom is installed where this is called."""
    import highdicom as hd

    code, meaning = split_code(text)
    return hd.sr.CodedConcept(value=code, scheme_designator=scheme, meaning=meaning)

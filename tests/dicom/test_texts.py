import pytest

from synthdata.dicom.texts import LONG_STRING, long_string


@pytest.mark.parametrize(
    ("title", "stored"),
    [
        ("Heads", "Heads"),
        ("T1w\\T2w\nof heads", "T1w/T2w of heads"),
        (
            "Hippocampus in T1-weighted MR, with its anterior and posterior part",
            "Hippocampus in T1-weighted MR, with its anterior and...",
        ),
        ("x" * 80, "x" * 61 + "..."),
    ],
    ids=["short", "separators", "words", "one word"],
)
def test_a_title_of_any_length_is_a_study_description(title: str, stored: str) -> None:
    assert long_string(title) == stored
    assert len(stored) <= LONG_STRING

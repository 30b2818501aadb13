"""What the public datasheet says of differential privacy."""

from dataclasses import replace

from synthdata.records import PrivacyGuarantee
from synthdata.release.datasheet import datasheet
from synthdata.release.document import Text
from synthdata.release.inputs import ReleaseInputs
from tests.release.builders import Made

GUARANTEE = PrivacyGuarantee(
    epsilon=7.9876,
    delta=1e-4,
    epsilon_asked=8.0,
    clip=0.5,
    sigma=1.2345,
    sampling_rate=0.125,
    steps=300,
    patients=1059,
    accountant="RDP (Opacus 1.6.0)",
)


def told(made: Made, guarantee: PrivacyGuarantee | None) -> str:
    """Texts of the privacy section."""
    records = {name: getattr(made, name) for name in made.__dataclass_fields__}
    records["checkpoint"] = replace(made.checkpoint, privacy=guarantee)
    inputs = ReleaseInputs(**records, created="2026-01-01", development_keys=False)
    _, sections = datasheet(inputs, gallery=())
    section = next(section for section in sections if section.title == "Privacy")
    return " ".join(block.text for block in section.blocks if isinstance(block, Text))


def test_the_datasheet_shows_budget_noise_and_accountant_and_what_is_not_covered(made: Made) -> None:
    text = told(made, GUARANTEE)
    for shown in ("epsilon 7.988", "delta 0.0001", "per patient", "RDP (Opacus 1.6.0)", "sigma 1.234", "clip 0.5",
                  "300 steps", "1059 patients", "does not cover"):  # fmt: skip
        assert shown in text


def test_a_release_without_a_guarantee_says_that_it_has_none(made: Made) -> None:
    assert "Differential privacy: none." in told(made, None)

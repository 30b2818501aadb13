"""Mutated files end in one outcome each; a deep sequence and a bomb end in a refusal, soon and in little memory."""

import sys
from pathlib import Path

import numpy as np
import pytest

from synthdata.intake import inspect

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
from fuzz_intake import bomb, deep_sequence, judged, mutated

MANY = 120


@pytest.fixture(scope="module")
def clean(tmp_path_factory) -> list[bytes]:
    from synthdata.phantom import write_cohort

    folder = tmp_path_factory.mktemp("seeds")
    write_cohort(folder, patients=1, seed=1)
    return [path.read_bytes() for path in sorted(folder.rglob("*.dcm"))[:4]]


def test_mutated_files_are_all_accounted_for(clean, tmp_path) -> None:
    outcomes, _ = judged(tmp_path, mutated(clean, MANY, np.random.default_rng(7)))
    assert sum(outcomes.values()) == MANY
    assert outcomes["refused"] > 0


def test_a_damaged_deflated_file_is_refused(clean, scans) -> None:
    whole = bomb(1 << 20)
    (scans / "clean.dcm").write_bytes(clean[0])
    for cut in range(220, len(whole), 97):
        (scans / f"{cut}.dcm").write_bytes(whole[:cut] + b"\xff" + whole[cut + 1 :])
    report = inspect(scans)
    assert (report.accepted, report.refused) == (1, report.seen - 1)


def test_a_sequence_nested_a_hundred_thousand_deep_is_held_back(clean, scans) -> None:
    (scans / "deep.dcm").write_bytes(deep_sequence(100_000))
    (scans / "clean.dcm").write_bytes(clean[0])
    report = inspect(scans)
    assert (report.seen, report.accepted) == (2, 1)


def test_a_deflated_bomb_is_refused_before_it_is_unpacked(clean, scans) -> None:
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    (scans / "bomb.dcm").write_bytes(bomb(2 << 30))
    (scans / "clean.dcm").write_bytes(clean[0])
    report = inspect(scans)
    assert (report.refused, report.accepted) == (1, 1)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 20  # kB: a GiB


@pytest.mark.parametrize("run", ["a", "ab ", "A^", "1", "a.", "@a", "-", "f-"])
def test_a_text_of_a_million_signs_is_judged(run: str) -> None:
    from synthdata.intake.person_names import names_a_person

    assert isinstance(names_a_person(run * 300_000), bool)


def test_names_and_addresses_behind_a_long_run_of_letters_are_found() -> None:
    from synthdata.intake.person_names import names_a_person
    from synthdata.intake.text_patterns import looks_identifying

    assert names_a_person("x" * 300_000 + "^Quorlwick")
    assert looks_identifying("x" * 300_000 + "@example.org")

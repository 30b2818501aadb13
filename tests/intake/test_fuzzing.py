"""Mutated files end in one outcome each; a deep sequence and a bomb end in a refusal, soon and in little memory."""

import io
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synthdata.errors import SourceError
from synthdata.intake import inspect
from synthdata.intake.clinical_rows import patient_rows
from synthdata.intake.dicom_file import quiet_parsers
from synthdata.intake.inventory import SeenFile
from synthdata.intake.nifti_file import read_nifti

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
from fuzz_intake import (
    OTHERS,
    bomb,
    deep_sequence,
    fuzz_archives,
    judged,
    mutated,
    mutated_others,
    nifti_seed,
    read_other,
)

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


@pytest.mark.parametrize("kind", sorted(OTHERS))
def test_readers_of_other_files_say_what_is_wrong_and_no_more(kind) -> None:
    with quiet_parsers():
        taken = [read_other(kind, data) for data in mutated_others(kind, MANY, np.random.default_rng(7))]
        assert read_other(kind, OTHERS[kind]())
    assert not all(taken)


def test_mutated_archives_are_all_accounted_for(clean) -> None:
    counts, _ = fuzz_archives(clean, 25, np.random.default_rng(7))
    assert counts["refused"] > 0


def test_a_nifti_header_that_claims_more_voxels_than_the_file_has_takes_no_memory() -> None:
    data = bytearray(nifti_seed())
    data[42:48] = np.array([32767, 32767, 8], "<i2").tobytes()
    seen = SeenFile(Path("huge"), "", 0)
    tracemalloc.start()
    try:
        assert read_nifti(seen, bytes(data)) is None
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (seen.reasons, peak_bytes < 1 << 20) == ({"file.truncated"}, True)


def test_a_parquet_table_of_very_many_equal_cells_is_refused_unread() -> None:
    buffer = io.BytesIO()
    column = pa.DictionaryArray.from_arrays(pa.array(np.zeros(60_000_000, np.int8)), pa.array(["P-1"]))
    pq.write_table(pa.table({"patient": column}), buffer)
    with pytest.raises(SourceError, match="send its rows in parts"):
        patient_rows(buffer.getvalue(), ())


def test_a_header_of_brackets_alone_is_a_name() -> None:
    rows, _ = patient_rows(
        b"patient,pressure [mm[Hg]],size []," + b"[" * 100_000 + b"\n1,2,3,4\n", ("pressure",)
    )
    assert rows[0].cells["pressure"] == ("2", "mm[Hg]")


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

"""CSV files as programs of many countries write them: separators, decimals, marks, quotes, encodings."""

import csv
import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synthdata.errors import SourceError
from synthdata.intake.clinical import load_table, typed
from synthdata.intake.csv_rows import read_rows
from synthdata.intake.inventory import Inventory
from synthdata.intake.pseudonyms import Pseudonyms
from synthdata.records import ColumnSpec

NAMES = Pseudonyms(b"k" * 32)
AGE = ColumnSpec(name="age", kind="integer", unit="a", minimum=18, maximum=90)
HB = ColumnSpec(name="hb", kind="number", unit="g/L", minimum=0, maximum=300, role="outcome")


def look_up(data: bytes, patient: str = "P-1", columns=(AGE, HB)):
    return load_table(data, columns, NAMES, Inventory()).look_up(NAMES.patient(patient))


@pytest.mark.parametrize(
    "text",
    [
        "patient,age,hb\nP-1,50,133.5\n",
        "patient;age;hb\nP-1;50;133,5\n",
        "patient;age;hb [g/dL]\nP-1;50;13,35\n",
        "patient\tage\thb\nP-1\t50\t133.5\n",
        "sep=;\npatient;age;hb\nP-1;50;133,5\n",
        '"patient","age","hb"\r\n"P-1","50","133.5"\r\n',
        "age,remark; with a sign,patient,hb\n50,x;y;z,P-1,133.5\n",
        'patient,remark,age,hb\nP-1,"two\nlines, and ""a quote""",50,133.5\n',
        " patient , age , hb \nP-1,50,133.5\n\n",
        "patient,age,hb\nP-1,50,133.5\n,,\n",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_table_is_read_however_it_is_separated_and_encoded(text, encoding) -> None:
    assert look_up(text.encode(encoding)) == ({"age": 50, "hb": pytest.approx(133.5)}, "")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ("patient,age,hb,größe\nP-1,50,1,2\n".encode("cp1252"), "its line 1 is of another encoding"),
        ("patient,age,hb,x\nP-1,50,1,2\nP-2,50,1,é\n".encode("latin-1"), "its line 3 is of another encoding"),
        (b"patient,age,hb,age\nP-1,50,1,60\n", "columns age twice"),
        (b"patient,age,hb,hb [g/dL]\nP-1,50,100,10\n", "columns hb twice"),
        (b"patient,age,hb\nP-1,50,1\nP-2,50,1,7\n", "line 3 of the clinical table has 4 cells, expected 3"),
        (b'patient,age,hb\nP-1,50,1\nP-2,"50,1\nP-3,50,1\n', "CSV from its line 3 on"),
        (b'patient,age,hb\nP-1,"5"0,1\n', "CSV from its line 2 on"),
        (b"patient;age;hb\nP-1;50;13,5\nP-2;50;1.234\n", "numbers with a comma and numbers with a point"),
        (b"PK\3\4 a spreadsheet", "spreadsheet or ZIP file"),
        (b"<Bundle xmlns='http://hl7.org/fhir'/>", "is XML"),
        (b"patient,age\nP-1,50\n", "lacks the columns hb"),
        (b"", "lacks the columns age, hb"),
        (b"patient,age,hb\n", "lacks rows"),
    ],
)
def test_what_cannot_be_told_is_refused_with_the_place(data, says) -> None:
    with pytest.raises(SourceError, match=says):
        look_up(data)


def test_a_longer_cell_than_the_parser_takes_is_said_so() -> None:
    data = f"patient,age,hb,remark\nP-1,50,1,{'x' * (csv.field_size_limit() + 1)}\n".encode()
    with pytest.raises(SourceError, match="line 2 on, expected quotes that are closed and cells of at most"):
        look_up(data)


def test_cells_that_end_early_are_empty() -> None:
    assert look_up(b"patient,age,hb\nP-1,50\n") == ({"age": 50, "hb": None}, "")


def test_a_decimal_comma_between_commas_is_no_number() -> None:
    assert look_up(b'patient,age,hb\nP-1,50,"133,5"\n') == ({}, "clinical.bad_value")


@pytest.mark.parametrize("text", ["1_000", "٣", "+-3", "0x10", "1.234,5", "1e", "."])
def test_only_plain_digits_make_a_number(text) -> None:
    assert look_up(f"patient;age;hb\nP-1;50;{text}\n".encode()) == ({}, "clinical.bad_value")


def test_points_in_a_column_that_nobody_asks_for_are_no_numbers() -> None:
    assert look_up(b"patient;age;hb;version\nP-1;50;13,5;1.2\n01.001;50;1,5;1\n") == (
        {"age": 50, "hb": 13.5},
        "",
    )


def test_a_column_that_nobody_asks_for_may_come_twice() -> None:
    assert look_up(b"patient,age,hb,x,x\nP-1,50,1,2,3\n") == ({"age": 50, "hb": 1}, "")


def test_rows_of_other_tables_keep_all_cells() -> None:
    assert read_rows(b"file;subject\na.nii;1,5\n", "table", ("file",)) == [
        {"file": "a.nii", "subject": "1.5"}
    ]
    with pytest.raises(SourceError, match="columns file twice"):
        read_rows(b"file,file\na,b\n", "table", ("file",))


def test_a_parquet_column_that_comes_twice_is_refused() -> None:
    arrays = [pa.array(["P-1"]), pa.array([50]), pa.array([60]), pa.array([1.0])]
    sink = io.BytesIO()
    pq.write_table(pa.table(arrays, names=["patient", "age", "age", "hb"]), sink)
    with pytest.raises(SourceError, match="columns age twice"):
        look_up(sink.getvalue())


@pytest.mark.parametrize(
    ("text", "unit", "years"), [("65.9", "", 65), ("803", "mo", 66), ("89.99", "", 89), ("36524", "d", 90)]
)
def test_ages_are_completed_years(text, unit, years) -> None:
    assert typed(AGE, text, unit) == (years, "")
    assert typed(ColumnSpec(name="visits", kind="integer"), "65.9") == (None, "clinical.bad_value")

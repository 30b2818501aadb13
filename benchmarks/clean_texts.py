"""How many texts of published, de-identified series intake holds, and how many made-up names in texts it misses.

The index of the NCI Imaging Data Commons states the descriptions and devices of a million series. Each distinct text
is judged as its attribute would be in a file that declares the profile, clean descriptors and device identity retained.
A text is held where a pattern or a name is found in it. Collections are dealt to two parts by the digest of their
name, so that rules may be looked at beside `--half seen` (141 collections; `--half second`, 53 of them, were unseen
until the rules of November 2026); the figure is that of `--half unseen` (38). What is held may be right, since
published texts hold names at times.

With --names, names that Faker makes up for 19 countries are put into seven texts each, and those that are held counted.

    pip install --target PEERS idc-index-data==25.0.5 faker==40.54.0
    PYTHONPATH=.:PEERS OMP_NUM_THREADS=1 python benchmarks/clean_texts.py --index PEERS/idc_index_data/idc_index.parquet
"""

import argparse
import hashlib
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
from pydicom import Dataset

from synthdata.intake.dicom_file import quiet_parsers
from synthdata.intake.elements import PIXEL_DATA, ElementJudge

TEXTS = ("SeriesDescription", "StudyDescription", "Manufacturer", "ManufacturerModelName", "BodyPartExamined")
MODALITIES = ("MR", "CT", "CR", "DX")
DECLARED = frozenset({"113100", "113105", "113107", "113109"})
COUNTRIES = (
    "de_DE", "fr_FR", "es_ES", "it_IT", "pt_BR", "nl_NL", "pl_PL", "sv_SE", "cs_CZ", "tr_TR", "hr_HR", "hu_HU",
    "fi_FI", "en_US", "en_IN", "ro_RO", "no_NO", "da_DK", "vi_VN",
)  # fmt: skip
FORMS = (
    "{f} {l}",
    "{l}, {f}",
    "{l}^{f}",
    "CT Abdomen {l} {f}",
    "kontrolle {f} {l}",
    "{F} {L}",
    "{l} {f} 2",
)
FOUND = frozenset({"deid.text_pattern", "deid.name_in_text"})


def half_of(collection: str) -> str:
    """seen, second or unseen."""
    first, then, *_ = hashlib.sha256(collection.encode()).digest()
    return ("unseen" if then % 2 else "second") if first % 2 else "seen"


def texts_of(index: Path, half: str) -> dict[str, Counter[str]]:
    """Series by text, for each attribute."""
    table = pq.read_table(index, columns=[*TEXTS, "Modality", "collection_id"])
    found = {keyword: Counter[str]() for keyword in TEXTS}
    for row in (
        table.group_by([*TEXTS, "Modality", "collection_id"]).aggregate([([], "count_all")]).to_pylist()
    ):
        if row["Modality"] in MODALITIES and half_of(row["collection_id"]) == half:
            for keyword in TEXTS:
                if row[keyword]:
                    found[keyword][row[keyword]] += row["count_all"]
    return found


def is_held(judge: ElementJudge, keyword: str, text: str) -> bool:
    """True where a pattern or a name is found."""
    dataset = Dataset()
    setattr(dataset, keyword, text)
    return any(
        reason in FOUND and not options & DECLARED
        for reason, options in judge.judge(dataset, without=PIXEL_DATA)
    )


def held_names(judge: ElementJudge, country: str, count: int) -> float:
    """Share of texts with a made-up name that are held."""
    from faker import Faker

    Faker.seed(1)
    faker, held, total = Faker(country), 0, 0
    for _ in range(count):
        given, family = faker.first_name(), faker.last_name()
        for form in FORMS:
            text = form.format(f=given, l=family, F=given.upper(), L=family.upper())
            held, total = held + is_held(judge, "SeriesDescription", text), total + 1
    return held / total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--index", type=Path, required=True)
    parser.add_argument("--half", choices=("seen", "second", "unseen"), default="unseen")
    parser.add_argument("--show", type=int, default=0, help="so many held texts, with their series")
    parser.add_argument("--names", type=int, default=0, help="so many made-up names for each country")
    arguments = parser.parse_args()
    judge = ElementJudge()
    if arguments.names:
        shares = {country: held_names(judge, country, arguments.names) for country in COUNTRIES}
        told = ", ".join(f"{country} {share:.3f}" for country, share in shares.items())
        print(f"made-up names held: {sum(shares.values()) / len(shares):.4f}; {told}")
    texts = series = held_texts = held_series = 0
    with quiet_parsers():
        for keyword, counts in texts_of(arguments.index, arguments.half).items():
            held = Counter({text: n for text, n in counts.items() if is_held(judge, keyword, text)})
            print(
                f"{keyword:22} {len(held):5} of {len(counts):6} texts, {held.total():6} of {counts.total():7} series"
            )
            texts, series = texts + len(counts), series + counts.total()
            held_texts, held_series = held_texts + len(held), held_series + held.total()
            for text, count in held.most_common(arguments.show):
                print(f"    {count:6}  {text!r}")
    print(
        f"{arguments.half}: {held_texts / texts:.2%} of {texts} texts, {held_series / series:.3%} of {series} values"
    )


if __name__ == "__main__":
    main()

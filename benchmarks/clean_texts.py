"""How many texts of published, de-identified series intake holds, and how many made-up names in texts it misses.

The index of the NCI Imaging Data Commons states the descriptions and devices of a million series. Each distinct text
is judged as its attribute would be in a file that declares the profile, clean descriptors and device identity retained.
A text is held where a pattern or a name is found in it. Collections are dealt to two parts by the digest of their
name, so that rules may be looked at beside `--half seen` (141 collections; `--half second`, 53 of them, were unseen
until the rules of November 2026); the figure is that of `--half unseen` (38). What is held may be right, since
published texts hold names at times.

With --other, descriptions of other modalities (PET, mammograms, ultrasound, angiograms) are judged, of all collections.

With --names, names of the package mimesis, from which no list of intake was made, are put into seven texts each, and a
surname into two alone; those that are held are counted. Names of Faker are among intake's lists.

    pip install --target PEERS idc-index-data==25.0.5 mimesis==22.2.0
    PYTHONPATH=.:PEERS OMP_NUM_THREADS=1 python benchmarks/clean_texts.py --index PEERS/idc_index_data/idc_index.parquet
"""

import argparse
import hashlib
import json
import random
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
from pydicom import Dataset

from synthdata.intake.dicom_file import quiet_parsers
from synthdata.intake.elements import PIXEL_DATA, ElementJudge

TEXTS = ("SeriesDescription", "StudyDescription", "Manufacturer", "ManufacturerModelName", "BodyPartExamined")
MODALITIES = ("MR", "CT", "CR", "DX")
DECLARED = frozenset({"113100", "113105", "113107", "113109"})
OTHER = ("PT", "MG", "US", "NM", "XA", "RF", "OPT", "PX", "IVUS")
FORMS = (
    "{f} {l}",
    "{l}, {f}",
    "{l}^{f}",
    "CT Abdomen {l} {f}",
    "kontrolle {f} {l}",
    "{F} {L}",
    "{l} {f} 2",
)
ALONE = ("{l}", "t1 mpr {s}")
FOUND = frozenset({"deid.text_pattern", "deid.name_in_text"})


def half_of(collection: str) -> str:
    """seen, second or unseen."""
    first, then, *_ = hashlib.sha256(collection.encode()).digest()
    return ("unseen" if then % 2 else "second") if first % 2 else "seen"


def texts_of(index: Path, half: str, modalities: tuple[str, ...] = MODALITIES) -> dict[str, Counter[str]]:
    """Series by text, for each attribute."""
    table = pq.read_table(index, columns=[*TEXTS, "Modality", "collection_id"])
    found = {keyword: Counter[str]() for keyword in TEXTS}
    for row in (
        table.group_by([*TEXTS, "Modality", "collection_id"]).aggregate([([], "count_all")]).to_pylist()
    ):
        if row["Modality"] in modalities and half in {"all", half_of(row["collection_id"])}:
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


def names_of(facts: object) -> list[str]:
    """All names in a part of a file of mimesis."""
    if isinstance(facts, dict):
        facts = list(facts.values())
    return [name for part in facts for name in names_of(part)] if isinstance(facts, list) else [str(facts)]


def held_names(judge: ElementJudge, facts: dict[str, object], count: int) -> tuple[float, float]:
    """Shares of texts that are held: of those with a given name and a surname, and of those with a surname alone."""
    rng, shares = random.Random(1), []
    given, family = names_of(facts["names"]), names_of(facts["surnames"])
    people = [(rng.choice(given), rng.choice(family)) for _ in range(count)]
    for forms in (FORMS, ALONE):
        texts = [
            form.format(f=first, l=last, F=first.upper(), L=last.upper(), s=last.lower())
            for first, last in people
            for form in forms
        ]
        shares.append(sum(is_held(judge, "SeriesDescription", text) for text in texts) / len(texts))
    return shares[0], shares[1]


def tell_names(judge: ElementJudge, count: int) -> None:
    """Print the shares of held names, by language."""
    import mimesis

    found = {}
    for path in sorted(Path(mimesis.__file__).parent.glob("datasets/*/person.json")):
        facts = json.loads(path.read_text(encoding="utf-8"))
        if facts.get("names") and facts.get("surnames"):
            found[path.parent.name] = held_names(judge, facts, count)
    whole, alone = (sum(shares[at] for shares in found.values()) / len(found) for at in (0, 1))
    told = ", ".join(f"{language} {both:.2f} {one:.2f}" for language, (both, one) in found.items())
    print(f"names held, whole {whole:.4f}, surname alone {alone:.4f}, of {len(found)} languages; {told}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--index", type=Path, required=True)
    parser.add_argument("--half", choices=("seen", "second", "unseen", "all"), default="unseen")
    parser.add_argument("--other", action="store_true", help="of other modalities, of all collections")
    parser.add_argument("--show", type=int, default=0, help="so many held texts, with their series")
    parser.add_argument("--names", type=int, default=0, help="so many names of each language")
    arguments = parser.parse_args()
    judge = ElementJudge()
    if arguments.names:
        tell_names(judge, arguments.names)
    which = ("all", OTHER) if arguments.other else (arguments.half, MODALITIES)
    texts = series = held_texts = held_series = 0
    with quiet_parsers():
        for keyword, counts in texts_of(arguments.index, *which).items():
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

"""What other de-identification tools leave of planted identifiers, and whether intake catches it.

Each kind of identifier of a planter in `tests/intake` is planted into a clean object. The tool cleans the object; then
intake judges what came out, beside what came out of the clean object. A kind counts as left where intake still gives
a reason which the planted object has and the cleaned clean one lacks. The tools live in a virtual environment of
their own, since they need other versions of what we need:

    python -m venv PEERS && PEERS/bin/pip install dicom-anonymizer deid
    OMP_NUM_THREADS=1 python benchmarks/deidentification_peers.py --peers PEERS/bin/python
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

from synthdata.intake.dicom_file import is_dicom, quiet_parsers, read_instance
from synthdata.intake.elements import ElementJudge
from synthdata.intake.inventory import Inventory
from synthdata.intake.pseudonyms import Pseudonyms
from synthdata.phantom import write_cohort
from tests.intake import planter, planter_fourth

TOOLS = {
    "dicom-anonymizer": """
import sys, pathlib, warnings
warnings.simplefilter("ignore")
from dicomanonymizer import anonymize_dicom_file
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.dcm")):
    try:
        anonymize_dicom_file(str(path), str(pathlib.Path(sys.argv[2]) / path.name))
    except Exception as error:
        print(path.name, type(error).__name__)
""",
    "deid": """
import sys, pathlib, warnings, logging
warnings.simplefilter("ignore")
logging.disable()
from deid.config import DeidRecipe
from deid.dicom import get_identifiers, replace_identifiers
recipe = DeidRecipe()
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.dcm")):
    try:
        files = [str(path)]
        ids = get_identifiers(files, expand_sequences=True)
        out = sys.argv[2]
        replace_identifiers(dicom_files=files, deid=recipe, ids=ids, output_folder=out, save=True, overwrite=True)
    except Exception as error:
        print(path.name, type(error).__name__)
""",
}
SETS = {"first": (planter, planter.PLANTS), "fourth": (planter_fourth, planter_fourth.ALL)}


def reasons(path: Path, judge: ElementJudge) -> set[str] | None:
    """Reason codes of one file; None where the tool wrote none that can be read."""
    if not path.is_file() or not is_dicom(path.read_bytes()):
        return None
    inventory = Inventory()
    with quiet_parsers():
        seen, data = inventory.add(path)
        read_instance(seen, data, judge=judge, names=Pseudonyms(bytes(32)), inventory=inventory, body_part="")
    return seen.reasons


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=Path, required=True, help="Python of an environment with both tools")
    parser.add_argument("--carrier", type=Path, help="a clean DICOM file; default: a slice of the phantom")
    parser.add_argument("--set", choices=tuple(SETS), default="first")
    arguments = parser.parse_args()
    source, plants = SETS[arguments.set]
    kinds = [*source.HEADER, *source.META, *source.BYTES]  # names of files are the operator's, not the tools'
    judge = ElementJudge()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_cohort(folder / "phantom", patients=1, seed=3, channels=("T1w",))
        carrier = arguments.carrier or min((folder / "phantom").rglob("T1w/*.dcm"))
        planted = folder / "planted"
        planted.mkdir()
        shutil.copy(carrier, planted / "clean.dcm")
        for number, kind in enumerate(kinds):
            shutil.copy(carrier, planted / f"{number:03d}.dcm")
            plants[kind](planted / f"{number:03d}.dcm")
        clean = reasons(planted / "clean.dcm", judge) or set()
        wanted = {
            kind: (reasons(planted / f"{number:03d}.dcm", judge) or set()) - clean
            for number, kind in enumerate(kinds)
        }
        print(f"intake alone: {sum(bool(codes) for codes in wanted.values())} of {len(kinds)} kinds found")
        for tool, script in TOOLS.items():
            out = folder / tool
            out.mkdir()
            done = subprocess.run(
                [str(arguments.peers), "-c", script, str(planted), str(out)],
                capture_output=True,
                text=True,
                check=False,
            )
            floor = reasons(out / "clean.dcm", judge) or set()
            after = {kind: reasons(out / f"{number:03d}.dcm", judge) for number, kind in enumerate(kinds)}
            failed = [kind for kind, codes in after.items() if codes is None]
            left = [
                kind for kind, codes in after.items() if codes is not None and codes & wanted[kind] - floor
            ]
            print(
                f"\n{tool}: {len(left)} of {len(kinds)} kinds left and caught by intake; {len(failed)} not written"
            )
            if done.returncode:
                print(f"  (the tool ended with {done.returncode})")
            for kind in left:
                print(f"  left: {kind}")


if __name__ == "__main__":
    main()

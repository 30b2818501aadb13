"""How many clean file names intake holds, and how many telephone numbers in names it misses.

Clean names: those of a folder of real scans, and random ones in the ways that studies name files (BIDS, challenges,
archives, PACS exports). Telephone numbers: random ones in the ways that 14 countries write them, at five places.

    SYNTHDATA_REALDATA=../shared/data python benchmarks/file_names.py --names 20000
"""

import argparse
import os
import string
from collections import Counter
from pathlib import Path

import numpy as np

from synthdata.intake.deny_list import DenyList
from synthdata.intake.file_names import judge_file_names
from synthdata.intake.inventory import SeenFile

REALDATA = Path(os.environ.get("SYNTHDATA_REALDATA", "../shared/data"))
CONTRASTS = (
    "t1", "T1w", "t2_flair", "T2_TSE_AX", "dwi_b1000", "ADC", "adc-map", "bold", "swi", "CT", "ct_soft",
    "CR", "DX",
)  # fmt: skip
PATTERNS = (  # # is a digit, @ a capital letter, % the name of a contrast
    "sub-##_ses-##_%.nii.gz", "sub-####_task-rest_run-##_bold.nii.gz", "sub-@@##_acq-mprage_%.nii.gz",
    "@@@-###_######/%.nii.gz", "@@@@-###_######/mask.nii.gz", "@@@@_###_####/image.nii",
    "case_#####_####.nii.gz", "case_CT_#####.nii", "case_MR_#####/IM_####", "patient###_frame##.nii.gz",
    "BraTS##_Training_###_%.nii.gz", "OAS#_####_MR#_%.img", "###_S_####/%.nii", "TCGA-##-####/%_#.dcm",
    "LIDC-IDRI-####/#-###.dcm", "IXI###-HH-####-%.nii.gz", "IM-####-####.dcm", "IMG######.dcm",
    "MR######.dcm", "CT.#.##.###.dcm", "#######.dcm", "######_##.png", "########", "@@-##-###-######.dcm",
    "site##_subj####_visit#/%.dcm", "@##-###-######/img#####.dcm",
    "anon_######ies_###_%/slice_####.dcm", "anon-####-####/%-###.dcm", "P####/S##/%/I#####",
    "###_######_##.nii.gz", "###-######.nii", "##_##_##_##.dcm", "###_###_####.dcm", "exam_######-####.dcm",
    "control_##_%_brain_mask.nii.gz", "lesion_##_seg_early_phase.nii.gz", "volume-###.nii",
    "segmentation-###.nii", "hippocampus_###_0000.nii.gz", "chest_##_portable_AP_low_dose.png",
    "series##_%_post_contrast.dcm",
)  # fmt: skip
PHONES = (  # the first digits of what follows an area are 2 to 9
    "030 9### ####", "030-9#######", "(040) 4######", "0171 2######", "0176-3#######", "0921-5#####",
    "0921 5# ## ##", "020 7### ####", "01632 9#####", "07700 9#####", "01 ## ## ## ##", "06.##.##.##.##",
    "06-2#######", "020 6######", "044 6## ## ##", "079 3## ## ##", "02 9### ####", "03-5###-####",
    "090-3###-####", "06 7######", "02 7#######", "08-5## ### ##", "031-2# ## ##", "01 5######",
    "02 3## ## ##", "0471 2# ## ##", "09 4## ####", "011 4## ####", "0212 3## ## ##", "022 2### ####",
    "+49 30 9### ####", "+33 6 ## ## ## ##", "+44 20 7### ####", "+1-212-5##-####", "+49176########",
    "0049 30 9#######", "0044 20 7### ####", "555-8##-####", "(212) 5##-####", "212.5##.####",
    "212 5## ####", "1-800-5##-####", "tel 9######", "phone 5######", "fax-9#######",
)  # fmt: skip
PLACES = ("{}.dcm", "{}/0001.dcm", "scan_{}.dcm", "{}_t1.nii.gz", "mr-{}-2.dcm")


def filled(pattern: str, rng: np.random.Generator) -> str:
    """A random name of a pattern; digits that would write a date are drawn again by the caller's count alone."""
    letters = {"#": string.digits, "@": string.ascii_uppercase}
    text = "".join(str(rng.choice(list(letters[char]))) if char in letters else char for char in pattern)
    return text.replace("%", str(rng.choice(CONTRASTS)))


def held(names: list[str]) -> list[bool]:
    """Which relative names are held."""
    root = Path("/source")
    files = [SeenFile(root / name, f"{number}", 0) for number, name in enumerate(names)]
    judge_file_names(files, root, DenyList())
    return ["deid.file_name" in file.reasons for file in files]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--names", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    if REALDATA.is_dir():
        real = [str(path.relative_to(REALDATA)) for path in REALDATA.rglob("*") if path.is_file()]
        flags = held(real)
        print(f"real names: {sum(flags)} of {len(real)} held, {sum(flags) / len(real):.2%}")
        print(
            "  folders held:",
            sorted({str(Path(n).parent) for n, flag in zip(real, flags, strict=True) if flag}),
        )
    kinds = [str(rng.choice(PATTERNS)) for _ in range(arguments.names)]
    names = [filled(kind, rng) for kind in kinds]
    flags = held(names)
    print(f"random study-like names: {sum(flags)} of {len(names)} held, {np.mean(flags):.2%}")
    seen, caught = Counter(kinds), Counter(kind for kind, flag in zip(kinds, flags, strict=True) if flag)
    for kind, count in caught.most_common(8):
        example = next(n for n, k, f in zip(names, kinds, flags, strict=True) if f and k == kind)
        print(f"  {kind}: {count / seen[kind]:.1%}, such as {example}")
    missed = Counter[str]()
    total = 0
    for phone in PHONES:
        for place in PLACES:
            for joint in (" ", "_", "-"):
                planted = [place.format(filled(phone, rng).replace(" ", joint)) for _ in range(10)]
                total += len(planted)
                missed[phone] += sum(not flag for flag in held(planted))
    print(f"telephone numbers in names: {total - missed.total()} of {total} found")
    print("  missed:", {phone: count for phone, count in missed.items() if count})


if __name__ == "__main__":
    main()

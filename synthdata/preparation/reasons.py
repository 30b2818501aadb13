"""Why preparation leaves an accepted case out: one sentence for people per code."""

from collections.abc import Mapping

DROPPED: Mapping[str, str] = {
    "constant_image": "A channel of the case has one value everywhere, expected an image: look at the scan.",
    "near_duplicate": "Two patients have images which are alike beyond anatomy, so one of them was left out: "
    "find out whether one person has two ids, and give one id.",
    "not_registered": "The bodies in a source and a target channel of the translation overlap too little (Dice below "
    "0.7), expected registered channels: register them, or look whether they are of one patient.",
    "trimmed": "The patient was left over, as train and control have equal numbers of patients: nothing to do.",
}

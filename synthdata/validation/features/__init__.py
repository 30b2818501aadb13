"""Two families of features: IBSI-style radiomics, and a self-supervised encoder trained on `train` only."""

from synthdata.validation.features.extract import (
    Change,
    Family,
    check_encoding,
    features_of,
    left_out_notes,
)
from synthdata.validation.features.table import Features, check_same_width

__all__ = [
    "Change",
    "Family",
    "Features",
    "check_encoding",
    "check_same_width",
    "features_of",
    "left_out_notes",
]

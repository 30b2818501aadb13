"""Tables for Great Expectations: one row per case without its pixels."""

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from synthdata.records.case import Case
from synthdata.records.case_set import CaseSet
from synthdata.records.parquet import read_cases, read_records
from synthdata.records.training import TrainingSet
from synthdata.storage.protocol import ObjectStore

if TYPE_CHECKING:
    import pandas as pd


def case_table(case_set: CaseSet, training_set: TrainingSet, private: ObjectStore) -> "pd.DataFrame":
    """One row per case: ids, type, size, intensities in network units, labels and a digest of the pixels."""
    import pandas as pd

    return pd.DataFrame(list(_rows(read_cases(private, case_set), training_set)))


def record_table(case_set: CaseSet, private: ObjectStore) -> "pd.DataFrame":
    """One row per case: ids and record columns."""
    table: pd.DataFrame = read_records(private, case_set).to_pandas()
    return table


def _rows(cases: Iterable[Case], training_set: TrainingSet) -> Iterable[dict[str, object]]:
    known = [0, *training_set.labels.values()]
    for case in cases:
        network = [scale.to_network(case.image[index]) for index, scale in enumerate(training_set.scales)]
        yield {
            "case_id": case.case_id,
            "patient_id": case.patient_id,
            "dtype": case.image.dtype.name,
            "channels": len(case.image),
            "size_z": case.grid.shape_zyx[0],
            "size_y": case.grid.shape_zyx[1],
            "size_x": case.grid.shape_zyx[2],
            "spacing_equal": bool(np.allclose(case.grid.spacing_mm, training_set.grid.spacing_mm, rtol=1e-4)),
            "unknown_labels": int((~np.isin(case.mask, known)).sum()),
            "contrast": float(min(channel.std() for channel in network)),
            "lowest": float(min(channel.min() for channel in network)),
            "highest": float(max(channel.max() for channel in network)),
            "pixels": hashlib.sha256(case.image.tobytes()).hexdigest(),
        }

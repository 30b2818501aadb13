"""Parts of training cases pasted into cases of nobody: how many does the patch search find, and whom does it wrong?

Hosts are held-out patients: the test group of the hippocampus volumes (SYNTHDATA_REALDATA), and a second cohort of
phantom heads. Thresholds as in the report.

    python benchmarks/patch_search.py
"""

import tempfile
import time
from collections.abc import Iterable
from itertools import cycle
from pathlib import Path

import numpy as np

from synthdata.intake import take_in
from synthdata.phantom import write_cohort
from synthdata.preparation import prepare
from synthdata.privacy.alterations import PASTED, pasted
from synthdata.privacy.boxes import PATCH
from synthdata.privacy.cohort import pool_of, thumbnailer_of
from synthdata.privacy.copy_search import COPY_RATE, CopyThreshold, harmless_ratios, thresholds_of
from synthdata.records import Case, TrainingSet
from synthdata.records.parquet import read_cases
from synthdata.spec import Gates, load_spec
from synthdata.storage import ObjectStore
from synthdata.storage.folder import FolderStore

SPECS = Path(__file__).parents[1] / "pipelines" / "datasets"
PASTED_CASES = 60


def prepared(name: str, folder: Path, *, patients: int = 0, seed: int = 0) -> tuple[TrainingSet, ObjectStore]:
    """The training set of a shipped spec; `patients` phantoms where they are asked for."""
    spec = load_spec(SPECS / f"{name}.yaml")
    source = folder / "scans" if patients else spec.source.folder()
    if patients:
        write_cohort(source, patients=patients, seed=seed)
    store = FolderStore(folder / "private")
    report = take_in(spec, source, store, pseudonym_key=bytes(32))
    return prepare(spec, report, store, split_key=bytes(range(32))), store


def judge(name: str, training_set: TrainingSet, store: ObjectStore, hosts: list[Case]) -> None:
    """Print wrong suspects among the hosts, and the parts that were found in them."""
    gates, start = Gates(), time.process_time()
    pool, _ = pool_of(training_set, store)
    thumbnailer = thumbnailer_of(training_set)
    clean = thumbnailer.of_cases(hosts)
    found = {PATCH: pool.patches.matches(clean)}
    harmless = harmless_ratios({PATCH: pool.patches.real}, found, pool.in_train)
    rate = COPY_RATE * gates.privacy_alpha
    limits = {
        "report": thresholds_of(harmless, units=pool.patients, cases=len(hosts), rate=rate)[PATCH],
    }
    least = found[PATCH].ratio.min()
    print(f"{name}: {pool.patients} patients, {len(hosts)} hosts, least chance of a host {least:.2g}")
    for limit_name, limit in limits.items():
        wrong = (found[PATCH].ratio < limit.ratio) & pool.in_train[found[PATCH].patient]
        print(f"  {limit_name}: below {limit.ratio:.2g}, {int(wrong.sum())} hosts wrongly suspected")
    train = list(read_cases(store, training_set.train))[:PASTED_CASES]
    show(
        pool.names,
        {PATCH: pool.patches.matches(of_pasted(train, hosts, thumbnailer, training_set))},
        train,
        limits,
    )
    print(f"  {time.process_time() - start:.0f} s of one core", flush=True)


def of_pasted(train: list[Case], hosts: Iterable[Case], thumbnailer, training_set: TrainingSet):
    """Thumbnails of hosts with parts of training cases in them."""
    rng = np.random.default_rng(1)
    return thumbnailer.collect(pasted(iter(train), cycle(hosts), training_set.scales, rng=rng))


def show(names: tuple[str, ...], searched: dict, train: list[Case], limits: dict[str, CopyThreshold]) -> None:
    """Print recall by kind."""
    matches, kinds = searched[PATCH], list(PASTED)
    for index, kind in enumerate(kinds):
        rows = np.arange(index, len(kinds) * len(train), len(kinds))
        right = np.array([names[matches.patient[row]] for row in rows]) == [case.patient_id for case in train]
        told = {
            name: int((right & (matches.ratio[rows] < limit.ratio)).sum()) for name, limit in limits.items()
        }
        print(f"  {kind}: {told} found of {len(train)}, nearest patient right in {int(right.sum())}")


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        training_set, store = prepared("hippocampus-mr", Path(name) / "hippocampus")
        judge("hippocampus MR", training_set, store, list(read_cases(store, training_set.test)))
        training_set, store = prepared("phantom-head", Path(name) / "heads", patients=160, seed=11)
        other, others = prepared("phantom-head", Path(name) / "hosts", patients=125, seed=911)
        hosts = [
            case for group in (other.train, other.control, other.test) for case in read_cases(others, group)
        ]
        judge("phantom heads", training_set, store, hosts)


if __name__ == "__main__":
    main()

"""What the report shows, gathered from the records and the store; both editions differ here and nowhere else."""

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from synthdata.records.case import Case
from synthdata.records.case_set import CaseSet
from synthdata.records.codec import from_json
from synthdata.records.model import Checkpoint, SamplePlan
from synthdata.records.parquet import read_cases
from synthdata.records.reports import (
    ExpectationsReport,
    FidelityReport,
    PrivacyReport,
    UtilityReport,
    Verdict,
)
from synthdata.records.training import TrainingSet
from synthdata.spec import DatasetSpec
from synthdata.storage import keys
from synthdata.storage.protocol import ObjectStore
from synthdata.validation.features import features_of
from synthdata.validation.measures import quantities
from synthdata.validation.pictures import case_sheet, curve, spread_places
from synthdata.validation.report import plots

Edition = Literal["private", "public"]
SHEET_CASES = 12


@dataclass(frozen=True, kw_only=True, slots=True)
class Inputs:
    """All records of one validation."""

    spec: DatasetSpec
    training_set: TrainingSet
    synthetic: CaseSet
    checkpoint: Checkpoint
    fidelity: FidelityReport
    utility: UtilityReport
    privacy: PrivacyReport
    expectations: ExpectationsReport
    verdict: Verdict


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """A PNG inside the page."""

    title: str
    alt: str
    data_uri: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Rejected:
    """Draws that the quality control of generation threw away."""

    draws: int
    reasons: Mapping[str, int]
    kept: int  # cases which fail it after the last try


def pictures(inputs: Inputs, private: ObjectStore, edition: Edition) -> dict[str, list[Picture]]:
    """All pictures of an edition, by section. The public one reads no pixel of a real case."""
    gates = inputs.spec.gates
    found = {
        "fidelity": [_scores(inputs)],
        "subgroups": _subgroups(inputs),
        "distributions": _distributions(inputs, private),
        "utility": [
            picture(
                "Train on real, train on synthetic",
                f"Bars of {inputs.utility.metric} on real test patients, with intervals; the dashed line is the gate.",
                plots.utility(inputs.utility, gates.utility_ratio),
            )
        ],
        "training": [_loss(inputs.checkpoint)] if inputs.checkpoint.losses else list[Picture](),
        "sheets": [_sheet("Synthetic cases", inputs.synthetic, inputs, private)],
        "privacy": list[Picture](),
    }
    if edition == "private":
        found["sheets"].append(_sheet("Real test cases", inputs.training_set.test, inputs, private))
        found["privacy"] = list(_stored(inputs.privacy.figures, private))
    return found


def rejected_draws(inputs: Inputs, private: ObjectStore) -> Rejected | None:
    """What the quality control of generation threw away; None where the plan of the cases is not in the store."""
    from synthdata.generation.receipts import rejections  # whose package loads the generator

    for digest in inputs.synthetic.parents:
        key = keys.record(SamplePlan.__name__, digest)
        if private.size(key) is not None:
            counts = rejections(private, from_json(SamplePlan, private.read(key)))
            kept = counts.pop("kept_failing", 0)
            reasons = {reason: count for reason, count in counts.items() if count}
            return Rejected(draws=sum(reasons.values()), reasons=reasons, kept=kept)
    return None


def picture(title: str, alt: str, png: bytes) -> Picture:
    """A PNG as a data URI."""
    return Picture(title=title, alt=alt, data_uri="data:image/png;base64," + base64.b64encode(png).decode())


def spread_cases(case_set: CaseSet, private: ObjectStore, count: int) -> list[Case]:
    """Some cases of a set, evenly spread over it."""
    places = spread_places(case_set.cases, count)
    return [case for place, case in enumerate(read_cases(private, case_set)) if place in places]


def _scores(inputs: Inputs) -> Picture:
    gate = inputs.spec.gates.fidelity_score
    alt = "Scores of all metrics with intervals; 0 is as near as training cases, 1 as far as degraded ones."
    return picture("Fidelity scores", alt, plots.scores(inputs.fidelity, gate))


def _subgroups(inputs: Inputs) -> list[Picture]:
    measured = [found for found in inputs.fidelity.subgroups if found.scores]
    if not measured:
        return []
    alt = "Median score of each family in each subgroup, with intervals; the worst subgroup of each family stands out."
    png = plots.subgroups(measured, inputs.spec.gates.fidelity_score)
    return [picture("Scores by subgroup", alt, png)]


def _loss(checkpoint: Checkpoint) -> Picture:
    png = curve(checkpoint.losses, "training loss", x_name="volumes seen", y_name="loss")
    return picture("Training", "Loss of the generator over the volumes seen.", png)


def _sheet(title: str, case_set: CaseSet, inputs: Inputs, private: ObjectStore) -> Picture:
    cases = spread_cases(case_set, private, SHEET_CASES)
    png = case_sheet(cases, inputs.training_set.scales, inputs.training_set.labels, columns=6)
    alt = f"{len(cases)} cases, the slice with most mask each; of a volume a coronal one below; contours are labels."
    return picture(title, alt, png)


def _distributions(inputs: Inputs, private: ObjectStore) -> list[Picture]:
    """Quantile boxes of tissue density and label sizes, test patients beside generated cases."""
    training_set = inputs.training_set
    sets = {"generated": inputs.synthetic, "train": training_set.train, "test": training_set.test}
    tables = {
        role: features_of(case_set, training_set, private, "radiomics") for role, case_set in sets.items()
    }
    shown: dict[str, list[plots.Spread]] = {"lesion": [], "tissue": []}
    for found in quantities(tables, training_set):
        box = plots.spread(found.name, found.unit, found.values["test"], found.values["generated"])
        if box is not None:
            shown[found.family].append(box)
    titles = {"lesion": "Size of the labels", "tissue": "Tissue density"}
    alt = "Quantiles 5, 25, 50, 75 and 95 % in real test patients and in synthetic cases."
    return [picture(titles[family], alt, plots.spreads(boxes)) for family, boxes in shown.items() if boxes]


def _stored(figures: Mapping[str, str], private: ObjectStore) -> Iterator[Picture]:
    """Figures that other stages left in the private store."""
    for name, key in figures.items():
        if key.endswith(".png"):
            yield picture(name.replace("_", " "), f"Figure {name} of the privacy report.", private.read(key))

"""One page for people about a checkpoint."""

from collections.abc import Sequence

from synthdata.models.groups import FEWEST_PATIENTS
from synthdata.records import PrivacyGuarantee, TrainingSet
from synthdata.spec import DatasetSpec
from synthdata.training.checkpoint import CODE_VERSION, Progression


def model_card(
    spec: DatasetSpec,
    training_set: TrainingSet,
    at: Progression,
    *,
    parameters: int,
    privacy: PrivacyGuarantee | None = None,
    never_drawn: Sequence[int] = (),
) -> str:
    """Markdown: what it is, what it learnt from, how long, what it may be used for.

    Args:
        spec: The dataset.
        training_set: Of which the train group was learnt from.
        at: Where the training ended.
        parameters: Learned numbers.
        privacy: Guarantee, where it was trained with differential privacy.
        never_drawn: Labels, from 0, that too few patients have to be learnt.
    """
    generator, grid = spec.generator, training_set.grid
    conditions = [column.name for column in training_set.columns if column.role == "condition"]
    lines = [
        f"# Generator of {spec.name}",
        "",
        f"{spec.title}. Research use only; what it draws is no patient.",
        "",
        "| | |",
        "|---|---|",
        f"| family, preset | {generator.family}, {generator.preset} |",
        f"| learned numbers | {parameters:,} |",
        f"| channels | {', '.join(scale.channel for scale in training_set.scales)} |",
        f"| labels | {', '.join(training_set.labels) or 'none'} |",
        *([f"| never drawn | {_too_rare(training_set, never_drawn)} |"] if never_drawn else []),
        f"| conditions | {', '.join(conditions) or 'none'} |",
        f"| grid (z, y, x) | {grid.shape_zyx} of {grid.spacing_mm} mm |",
        f"| learnt from | {training_set.train.cases} cases of {training_set.patients.get('train', 0)} patients |",
        f"| volumes seen | {at.step * generator.batch} of a budget of {generator.seen} |",
        f"| batch, learning rate | {generator.batch} in {at.parts} parts, {generator.learning_rate} |",
        f"| pretrained start | {generator.pretrained_sha256 or 'none'} |",
        f"| licence of the source | {spec.release.source_licence or 'not stated'} |",
        f"| code version | {CODE_VERSION} |",
        f"| differential privacy | {'none' if privacy is None else privacy.sentence()} |",
        "",
        "## What was watched",
        "",
        *(f"- {name}: {value:.4g}" for name, value in sorted(at.watched.items())),
        *([f"- last loss: {at.losses[-1][1]:.4g}"] if at.losses else []),
        f"- rewinds after a loss that was not finite: {at.rewinds}",
        f"- stopped early since memorisation rose: {'yes' if at.stopped else 'no'}",
        "",
        "Whether what it draws may be released is decided by the gates of a release, not by this page.",
        "",
    ]
    return "\n".join(lines)


def _too_rare(training_set: TrainingSet, labels: Sequence[int]) -> str:
    """Names of labels, and why no case has them."""
    names = ", ".join(list(training_set.labels)[label] for label in labels)
    return f"{names}: fewer than {FEWEST_PATIENTS} training patients have it, and their mean would tell of single ones"

"""The training loop: one for all families, resumable bit for bit on one device."""

from collections.abc import Callable

from safetensors.torch import save

from synthdata.errors import TrainingError
from synthdata.models.build import pack_config
from synthdata.models.clinical import ClinicalLaw, fit_law
from synthdata.models.protocol import Choosy
from synthdata.progress import Progress, silent
from synthdata.records import Checkpoint, TrainingSet, digest_of
from synthdata.spec import DatasetSpec
from synthdata.storage import ObjectStore, commit_blob, keys
from synthdata.training.checkpoint import CODE_VERSION, CheckpointFolder, train_key_of
from synthdata.training.data import TrainingCases, load_training_cases, without_volumes
from synthdata.training.model_card import model_card
from synthdata.training.ranks import join_ranks
from synthdata.training.run import Run


def never() -> bool:
    """Training that nobody stops."""
    return False


def train(
    spec: DatasetSpec,
    training_set: TrainingSet,
    private: ObjectStore,
    *,
    progress: Progress = silent,
    should_stop: Callable[[], bool] = never,
) -> Checkpoint:
    """Train the generator of a spec on the train group, or go on where a killed run stopped.

    Args:
        spec: Names the family, the preset and the budget in volumes seen.
        training_set: Prepared cases; control and test are not looked at.
        private: Store of cases and checkpoints.
        progress: Called about once a second.
        should_stop: Asked after each step; True saves the state and raises.

    Under `torchrun`, each process trains its part of every batch, and the first one writes.

    Under `torchrun`, each process takes its part of every batch, and the first one writes.

    Returns:
        The finished checkpoint; the same record, without training, where the run has ended before.

    Raises:
        TrainingError: Too few or unusable cases, loss that stays non-finite after rewinds, or a stop.
    """
    folder = CheckpointFolder(
        private, spec.name, train_key_of(spec.generator, training_set, spec.translation)
    )
    if (done := folder.finished()) is not None:
        return done
    cases = load_training_cases(private, training_set)
    if spec.generator.differential_privacy is not None:
        cases = without_volumes(cases, training_set.grid)
    law = fit_law(training_set.columns, cases.records, cases.volumes)
    ranks = join_ranks()
    run = _kind_of(spec)(spec, training_set, cases, folder, ranks)
    told = progress if ranks.first else silent
    told(0, spec.generator.seen, "codes are fitted, training starts")
    run.go(told, should_stop)
    if ranks.first:
        folder.finish(_finish(spec, training_set, private, run, cases, law))
    ranks.wait()
    if (record := folder.finished()) is None:
        raise TrainingError("the checkpoint is not in the store after training: run it again")
    return record


def _kind_of(spec: DatasetSpec) -> type[Run]:
    if spec.generator.differential_privacy is None:
        return Run
    from synthdata.training.private_run import PrivateRun

    return PrivateRun


def _finish(
    spec: DatasetSpec,
    training_set: TrainingSet,
    private: ObjectStore,
    run: Run,
    cases: TrainingCases,
    law: ClinicalLaw,
) -> Checkpoint:
    data = save(run.settled())
    key = keys.checkpoint(spec.name, run.folder.train_key, run.at.step, "model.safetensors")
    private.write(key, data)
    return Checkpoint(
        dataset=spec.name,
        family=spec.generator.family,
        config=pack_config(run.config, run.geometry, training_set, law, cases.volumes),
        key=key,
        sha256=commit_blob(private, key, data),
        size_bytes=len(data),
        train_key=run.folder.train_key,
        code_version=CODE_VERSION,
        seen=run.at.step * spec.generator.batch,
        losses=tuple((int(seen), float(loss)) for seen, loss in run.at.losses),
        previews=_previews(spec, training_set, private, run, cases),
        monitor=_monitored(run),
        privacy=run.guarantee(),
        parents=(digest_of(training_set),),
    )


def _previews(
    spec: DatasetSpec, training_set: TrainingSet, private: ObjectStore, run: Run, cases: TrainingCases
) -> dict[str, str]:
    """Write the model card and the sheet of drawn cases, where the family draws any; name to key."""
    from synthdata.training.preview import preview_sheet

    card = keys.checkpoint(spec.name, run.folder.train_key, run.at.step, "card.md")
    count = sum(value.numel() for _, value in run.named)
    never = run.model.never_drawn() if isinstance(run.model, Choosy) else []
    text = model_card(
        spec, training_set, run.at, parameters=count, privacy=run.guarantee(), never_drawn=never
    )
    private.write(card, text.encode())
    if spec.translates_only:
        return {"card": card}
    key = keys.checkpoint(spec.name, run.folder.train_key, run.at.step, "samples.png")
    private.write(key, preview_sheet(run.model, training_set, cases.conditions))
    return {"samples": key, "card": card}


def _monitored(run: Run) -> dict[str, float]:
    """Last values of what was watched."""
    found = {f"monitor_{name}": value for name, value in run.at.watched.items()}
    if run.at.losses:
        found["loss"] = run.at.losses[-1][1]
    return found | {"parts_of_a_batch": float(run.at.parts), "stopped_early": float(run.at.stopped)}

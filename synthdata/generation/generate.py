"""Carry out a plan, shard by shard; what is committed is never drawn again."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from synthdata.errors import GenerationError
from synthdata.generation.engines import Engine
from synthdata.generation.receipts import Receipt, ReceiptBook
from synthdata.generation.worker import ShardWorker
from synthdata.models.build import load_generator
from synthdata.privacy.copy_filter import CopyFilter
from synthdata.progress import Progress, silent
from synthdata.records import (
    CaseSet,
    Checkpoint,
    CopyFilterReport,
    SamplePlan,
    TrainingSet,
    digest_of,
    to_json,
)
from synthdata.records.parquet import commit_shard
from synthdata.storage import ObjectStore, commit_blob, keys, open_store


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardTask:
    """Draws and commits one shard; small enough to send to another process, which then holds the weights."""

    plan: SamplePlan
    checkpoint: Checkpoint
    training_set: TrainingSet
    store_url: str
    watermark_key: bytes | None

    def open(self) -> "ShardRunner":
        """Load the weights, once per process."""
        return ShardRunner(self, open_store(self.store_url))


class ShardRunner:
    """A task with its weights loaded."""

    def __init__(self, task: ShardTask, private: ObjectStore) -> None:
        self.private = private
        ready = load_generator(task.checkpoint, private)
        share = task.plan.copy_share
        self.worker = ShardWorker(
            task.plan,
            ready,
            task.training_set,
            watermark_key=task.watermark_key,
            copy_filter=CopyFilter.of(task.training_set, private, share=share) if share else None,
        )
        self.empty = empty_case_set(task.plan, task.checkpoint, task.training_set)
        self.book = ReceiptBook(private, task.plan.dataset, digest_of(task.plan))

    def run(self, index: int) -> int:
        """Draw and commit shard `index`; the number of its cases."""
        cases, tally = self.worker.draw(index)
        shard = commit_shard(self.private, self.empty, "synthetic", cases)
        removed = commit_shard(self.private, self.empty, "removed", tally.removed) if tally.removed else None
        receipt = Receipt(
            shard=shard,
            rejected=tally.rejected,
            kept_failing=tally.kept_failing,
            removed=removed,
            removed_draws=tally.removed_draws,
            kept_suspect=tally.kept_suspect,
        )
        self.book.write(index, receipt)
        return shard.cases


def generate(
    plan: SamplePlan,
    checkpoint: Checkpoint,
    training_set: TrainingSet,
    private: ObjectStore,
    *,
    engine: Engine,
    watermark_key: bytes | None,
    progress: Progress = silent,
) -> CaseSet:
    """Draw what the plan says and is not drawn yet.

    Args:
        plan: Names checkpoint and training set by digest.
        checkpoint: The generator.
        training_set: Its grid, scales, labels and columns.
        private: Store of weights, shards and receipts.
        engine: Where shards are drawn.
        watermark_key: Secret key that the plan names; None where it names none.
        progress: Called after each shard.

    Returns:
        The synthetic CaseSet, shards in order of the plan, watermarked. Where the plan asks for the copy filter, its
        report is in the private store, and the CaseSet names it behind the plan.

    Raises:
        GenerationError: Records that do not belong together, or shards that failed.
        ConfigError: The training set has too few patients for the copy filter that the plan asks for.
    """
    if plan.checkpoint != digest_of(checkpoint) or plan.training_set != digest_of(training_set):
        raise GenerationError("the plan names another checkpoint or training set: plan the samples again")
    if bool(plan.watermark_key) != (watermark_key is not None):
        raise GenerationError("the plan and the given watermark key do not agree: plan the samples again")
    book = ReceiptBook(private, plan.dataset, digest_of(plan))
    todo = [index for index in range(plan.shards) if book.read(index) is None]
    done = plan.shards - len(todo)
    progress(done * plan.shard_size, plan.cases, f"{done} of {plan.shards} shards are there")
    task = ShardTask(
        plan=plan,
        checkpoint=checkpoint,
        training_set=training_set,
        store_url=private.url,
        watermark_key=watermark_key,
    )
    for count, _ in enumerate(engine.map(task, todo), start=done + 1):
        progress(min(count * plan.shard_size, plan.cases), plan.cases, f"shard {count} of {plan.shards}")
    receipts = [receipt for index in range(plan.shards) if (receipt := book.read(index)) is not None]
    if missing := plan.shards - len(receipts):
        raise GenerationError(f"{missing} of {plan.shards} shards were not committed: run the stage again")
    empty = empty_case_set(plan, checkpoint, training_set)
    made = replace(empty, shards=tuple(receipt.shard for receipt in receipts))
    if not plan.copy_share:
        return made
    digest = _keep_filter_report(plan, empty, receipts, private)
    return replace(made, parents=(*made.parents, digest))


def _keep_filter_report(
    plan: SamplePlan, empty: CaseSet, receipts: Sequence[Receipt], private: ObjectStore
) -> str:
    """Put what the copy filter removed on record; the digest of its report."""
    report = CopyFilterReport(
        dataset=plan.dataset,
        plan=digest_of(plan),
        training_set=plan.training_set,
        share=plan.copy_share,
        judged=plan.cases,
        draws=sum(receipt.removed_draws for receipt in receipts),
        kept=sum(receipt.kept_suspect for receipt in receipts),
        removed=replace(
            empty, shards=tuple(receipt.removed for receipt in receipts if receipt.removed is not None)
        ),
    )
    digest = digest_of(report)
    commit_blob(private, keys.record(CopyFilterReport.__name__, digest), to_json(report))
    return digest


def empty_case_set(plan: SamplePlan, checkpoint: Checkpoint, training_set: TrainingSet) -> CaseSet:
    """The synthetic CaseSet of a plan before any shard is drawn."""
    return CaseSet(
        dataset=checkpoint.dataset,
        origin="synthetic",
        channels=tuple(scale.channel for scale in training_set.scales),
        modalities=tuple(scale.modality for scale in training_set.scales),
        units=tuple(scale.unit for scale in training_set.scales),
        labels=training_set.labels,
        columns=training_set.columns,
        shards=(),
        parents=(digest_of(plan),),
    )

"""Create-only proof that a shard was committed; the manifest is built from receipts, never from a listing."""

import json
from dataclasses import asdict, dataclass
from typing import Any

from synthdata.errors import GenerationError, MissingObjectError
from synthdata.records import SamplePlan, ShardRef, digest_of
from synthdata.storage import ObjectStore, keys


@dataclass(frozen=True, kw_only=True, slots=True)
class Receipt:
    """One committed shard."""

    shard: ShardRef
    rejected: dict[str, int]
    kept_failing: int
    removed: ShardRef | None = None  # first draws that the copy filter removed
    removed_draws: int = 0
    kept_suspect: int = 0


class ReceiptBook:
    """Receipts of one plan."""

    def __init__(self, private: ObjectStore, dataset: str, plan_digest: str) -> None:
        self.private, self.dataset, self.plan = private, dataset, plan_digest

    def write(self, index: int, receipt: Receipt) -> bool:
        """Write once; False where another worker was first (its shard counts)."""
        data = json.dumps(asdict(receipt), sort_keys=True).encode()
        return self.private.create(keys.receipt(self.dataset, self.plan, index), data)

    def read(self, index: int) -> Receipt | None:
        """The receipt of one shard, or None while it is still to do."""
        key = keys.receipt(self.dataset, self.plan, index)
        try:
            document: dict[str, Any] = json.loads(self.private.read(key))
        except MissingObjectError:
            return None
        except ValueError:
            raise GenerationError(f"receipt {key} is not JSON: delete it and run again") from None
        shard, removed = document.pop("shard"), document.pop("removed")
        return Receipt(
            shard=ShardRef(**shard), removed=None if removed is None else ShardRef(**removed), **document
        )


def rejections(private: ObjectStore, plan: SamplePlan) -> dict[str, int]:
    """Draws thrown away by the quality control of generation, by reason, over all shards of a plan."""
    total: dict[str, int] = {}
    book = ReceiptBook(private, plan.dataset, digest_of(plan))
    for index in range(plan.shards):
        receipt = book.read(index)
        if receipt is None:
            continue
        counts = receipt.rejected | {"kept_failing": receipt.kept_failing}
        for reason, count in counts.items():
            total[reason] = total.get(reason, 0) + count
    return total

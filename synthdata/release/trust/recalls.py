"""Withdrawn versions: a signed list which every client reads before it hands out a release."""

from dataclasses import dataclass

from synthdata.records.codec import Record


@dataclass(frozen=True, kw_only=True, slots=True)
class Recall(Record):
    """One version which must not be used any more."""

    dataset: str
    version: str
    reason: str  # a sentence for those who hold a copy
    date: str  # ISO 8601


@dataclass(frozen=True, kw_only=True, slots=True)
class RecallList(Record):
    """All recalls of one release store."""

    recalls: tuple[Recall, ...] = ()

    def reason(self, dataset: str, version: str) -> str | None:
        """Why a version was withdrawn; None where it was not."""
        found = (item.reason for item in self.recalls if (item.dataset, item.version) == (dataset, version))
        return next(found, None)

    def adding(self, recall: Recall) -> "RecallList":
        """This list and one more; a version is recalled once, with its first reason."""
        if self.reason(recall.dataset, recall.version) is not None:
            return self
        ordered = sorted((*self.recalls, recall), key=lambda item: (item.dataset, item.version))
        return RecallList(recalls=tuple(ordered))

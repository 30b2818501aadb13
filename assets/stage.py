"""One stage of one dataset: its name in the graph, and the one way in which every asset does its work."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypedDict, TypeVar

import dagster as dg

from assets.memo import keep, recall, stage_key
from assets.sections import code_version, sections_digest
from assets.watching import Watcher
from synthdata.errors import StoreError, SynthDataError
from synthdata.progress import Progress
from synthdata.records import Record, digest_of
from synthdata.spec import DatasetSpec
from synthdata.storage import ObjectStore
from synthdata.storage.disk import disk_sentence

R = TypeVar("R", bound=Record)
STOPPED = "stopped by the operator; run it again to go on"
Metadata = Mapping[str, dg.MetadataValue | str | int | float | bool]


class AssetOptions(TypedDict):
    """Arguments of `dg.asset` which every stage sets."""

    key: dg.AssetKey
    description: str
    group_name: str
    kinds: set[str]
    owners: list[str]
    code_version: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """A stage of the graph; `group` is its place in the chain and the first part of its name."""

    spec: DatasetSpec
    group: str
    name: str
    kinds: tuple[str, ...] = ()

    @property
    def key(self) -> dg.AssetKey:
        """Such as `phantom-head/model/checkpoint`."""
        prefix = "source" if self.group == "sources" else self.group
        return dg.AssetKey([self.spec.name, prefix, self.name])

    @property
    def code_version(self) -> str:
        """Changes with the code that the stage runs."""
        return code_version(self.group)

    def options(self, description: str) -> AssetOptions:
        """What the UI shows of the stage; arguments of `dg.asset`."""
        return {
            "key": self.key,
            "description": description,
            "group_name": self.group,
            "kinds": set(self.kinds),
            "owners": [self.spec.owner],
            "code_version": self.code_version,
        }

    def spec_for(self, description: str) -> dg.AssetSpec:
        """The same as an `AssetSpec`, for a step which makes several assets."""
        options = self.options(description)
        return dg.AssetSpec(
            self.key,
            description=description,
            group_name=self.group,
            kinds=options["kinds"],
            owners=options["owners"],
            code_version=self.code_version,
        )

    def remember(
        self, private: ObjectStore, kind: type[R], parents: tuple[Record, ...], make: Callable[[], R]
    ) -> tuple[R, bool]:
        """Do the work, unless it was done on the same inputs; says whether it was there already."""
        found = self.recall(private, kind, parents)
        if found is not None:
            return found, True
        made = make()
        self.keep(private, made, parents)
        return made, False

    def recall(self, private: ObjectStore, kind: type[R], parents: tuple[Record, ...]) -> R | None:
        """What the stage made of the same inputs before, or None."""
        return recall(private, self.key.to_user_string(), self.stage_key(*parents), kind)

    def keep(self, private: ObjectStore, record: Record, parents: tuple[Record, ...]) -> None:
        """Remember what the stage made of these inputs."""
        keep(private, self.key.to_user_string(), self.stage_key(*parents), record)

    def result(self, record: R, metadata: Metadata, *, was_there: bool = False) -> dg.MaterializeResult[R]:
        """Hand over a record; its digest is the data version, so nothing downstream runs when it is the same."""
        digest = digest_of(record)
        return dg.MaterializeResult(
            asset_key=self.key,
            value=record,
            metadata={**metadata, "digest": digest, "work_was_done_before": was_there},
            data_version=dg.DataVersion(digest),
        )

    def stage_key(self, *parents: Record) -> str:
        """Digest of all that the stage depends on."""
        return stage_key(
            sections=sections_digest(self.spec, self.group),
            code=self.code_version,
            parents=tuple(digest_of(parent) for parent in parents),
        )


@contextmanager
def working(context: dg.AssetExecutionContext, watcher: Watcher, asset: dg.AssetKey) -> Iterator[Progress]:
    """Show progress, and decide which failures are worth another try.

    A stage that refuses its input would refuse it again, and an operator who stops a run means it: both fail for
    good. A store that did not answer, or a process that was killed, is tried again by the asset's retry policy.
    """
    try:
        with watcher.watch(context, asset) as progress:
            yield progress
    except StoreError as error:
        raise dg.Failure(f"{type(error).__name__}: {error}") from error
    except SynthDataError as error:
        raise dg.Failure(f"{type(error).__name__}: {error}", allow_retries=False) from error
    except (dg.DagsterExecutionInterruptedError, KeyboardInterrupt) as error:
        raise dg.Failure(STOPPED, allow_retries=False) from error
    except OSError as error:  # without its cause: a path of scans may hold a name
        sentence = disk_sentence(f"a file of {asset.to_user_string()}", error)
        raise dg.Failure(sentence, allow_retries=False) from None
    except Exception as error:  # a fault of ours or of a library: another try would meet it again
        raise dg.Failure(
            f"{type(error).__name__} in {asset.to_user_string()}", allow_retries=False
        ) from error

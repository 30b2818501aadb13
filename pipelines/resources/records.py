"""Records between assets: canonical JSON in the private store, never pickle."""

import json
from typing import Any, TypeVar

import dagster as dg
from pydantic import Field, PrivateAttr

from assets.memo import read_record, write_record
from synthdata.errors import RecordError
from synthdata.records import Record
from synthdata.storage import ObjectStore, keys, open_store

R = TypeVar("R", bound=Record)


class RecordIOManager(dg.ConfigurableIOManager):
    """Keeps each record under its digest, and a pointer from the asset to its newest record."""

    url: str = Field(description="Address of the private store.")
    _opened: ObjectStore | None = PrivateAttr(default=None)

    @property
    def private(self) -> ObjectStore:
        """The private store."""
        if self._opened is None:
            self._opened = open_store(self.url, private=True)
        return self._opened

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Write the record, then the pointer."""
        asset = context.asset_key.to_user_string()
        if not isinstance(obj, Record):
            raise RecordError(
                f"{asset} gave a {type(obj).__name__}, expected a record: arrays go to the store"
            )
        digest = write_record(self.private, obj)
        pointer = {"kind": type(obj).__name__, "digest": digest}
        self.private.write(keys.latest(asset), json.dumps(pointer).encode())

    def load_input(self, context: dg.InputContext) -> Record:
        """Read the newest record of an asset, as the kind that the input is annotated with."""
        kind = context.dagster_type.typing_type
        asset = context.asset_key.to_user_string()
        if not (isinstance(kind, type) and issubclass(kind, Record)):
            raise RecordError(f"the input from {asset} is not annotated with a record: annotate it")
        found: Record = latest_record(self.private, asset, kind)
        return found


def latest_record(private: ObjectStore, asset: str, kind: type[R]) -> R:
    """Newest record of an asset. Raises MissingObjectError, IntegrityError or RecordError."""
    pointer = json.loads(private.read(keys.latest(asset)))
    if pointer["kind"] != kind.__name__:
        raise RecordError(
            f"{asset} holds a {pointer['kind']}, expected a {kind.__name__}: materialise it again"
        )
    return read_record(private, kind, pointer["digest"])

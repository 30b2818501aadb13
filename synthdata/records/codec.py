"""Records to canonical JSON and back; a record is named by the SHA-256 of its canonical bytes.

Canonical: UTF-8, keys sorted, no white space, no NaN or infinity, floats as Python's shortest repr. Every
document carries `"record": "<class>/<version>"`; a field that a reader does not know is refused, so a change of
fields is a new version.
"""

import dataclasses
import hashlib
import json
import math
import types
from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from synthdata.errors import RecordError


class Record:
    """Base of the records: a frozen dataclass with a version."""

    __slots__ = ()
    VERSION: ClassVar[int] = 1


R = TypeVar("R", bound=Record)
T = TypeVar("T")


def to_json(record: Record) -> bytes:
    """Canonical bytes of a record. Raises RecordError for NaN, infinity or a value of another type than its field."""
    checked = _build(type(record), _plain(record), type(record).__name__)  # 1 in a float field becomes 1.0
    document = {"record": _tag(type(record)), **_plain(checked)}
    return json.dumps(
        document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def digest_of(record: Record) -> str:
    """Hex SHA-256 of the canonical bytes."""
    return hashlib.sha256(to_json(record)).hexdigest()


def from_json(kind: type[R], data: bytes) -> R:
    """Read a record of one kind. Raises RecordError for another kind, version, field or type."""
    try:
        document = plain_json(data)
    except ValueError:
        raise RecordError(f"{kind.__name__} is not JSON: the file was cut or is no record") from None
    tag = document.pop("record", None) if isinstance(document, dict) else None
    if tag != _tag(kind):
        raise RecordError(
            f"record is {tag!r}, expected {_tag(kind)!r}: materialise it again with this version"
        )
    record: R = _build(kind, document, kind.__name__)
    return record


def plain_json(data: bytes) -> Any:
    """JSON that every reader reads alike: UTF-8, no name twice, finite numbers, whole characters, bounded depth.

    Raises:
        ValueError: It is not.
    """
    try:
        value = json.loads(
            data.decode(),  # strictly: of bytes, json takes UTF-16 and UTF-32, too, and half a character
            object_pairs_hook=_without_doubles,
            parse_float=_finite,
            parse_constant=_finite,
        )
        if b"\\ud" in data.lower():  # half a character would break whoever prints it
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("too deep") from None
    return value


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name twice")
    return found


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("no finite number")
    return number


def _tag(kind: type[Record]) -> str:
    return f"{kind.__name__}/{kind.VERSION}"


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise RecordError(
            f"a number is {value}, expected a finite one: a stage which failed must look failed"
        )
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise RecordError(f"a value is a {type(value).__name__}, expected what JSON can hold")


def _build(kind: Any, value: Any, where: str) -> Any:  # noqa: PLR0911 - one return per kind of annotation
    origin, arguments = get_origin(kind), get_args(kind)
    if dataclasses.is_dataclass(kind):
        return _build_dataclass(kind, value, where)
    if origin in {Union, types.UnionType}:
        return _build_union(arguments, value, where)
    if origin is Literal:
        return _require(value in arguments, value, where, f"one of {arguments}")
    if origin is tuple:
        return _build_tuple(arguments, value, where)
    if origin is not None and issubclass(origin, Mapping):
        _require(isinstance(value, dict), value, where, "an object")
        return {key: _build(arguments[1], item, f"{where}.{key}") for key, item in value.items()}
    if kind is float:
        _require(isinstance(value, int | float) and not isinstance(value, bool), value, where, "a number")
        return float(value)
    if kind in {int, str, bool}:
        fits = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
        return _require(fits, value, where, kind.__name__)
    return _require(kind is types.NoneType and value is None, value, where, "null")


def _build_dataclass(kind: Any, value: Any, where: str) -> Any:
    _require(isinstance(value, dict), value, where, "an object")
    fields = {field.name: field for field in dataclasses.fields(kind)}
    if unknown := sorted(set(value) - set(fields)):
        raise RecordError(f"{where} has unknown fields {unknown}: it was written by another version")
    hints = _hints(kind)
    try:
        return kind(**{name: _build(hints[name], item, f"{where}.{name}") for name, item in value.items()})
    except TypeError:
        missing = sorted(set(fields) - set(value))
        raise RecordError(
            f"{where} lacks fields, among {missing}: it was written by another version"
        ) from None


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _build_union(arguments: tuple[Any, ...], value: Any, where: str) -> Any:
    for kind in sorted(arguments, key=lambda kind: kind is not type(value)):
        try:
            return _build(kind, value, where)
        except RecordError:
            continue
    raise RecordError(f"{where} is a {type(value).__name__}, expected one of {arguments}")


def _build_tuple(arguments: tuple[Any, ...], value: Any, where: str) -> Any:
    _require(isinstance(value, list), value, where, "a list")
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return tuple(_build(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    _require(len(value) == len(arguments), value, where, f"{len(arguments)} items")
    return tuple(
        _build(kind, item, f"{where}[{i}]")
        for i, (kind, item) in enumerate(zip(arguments, value, strict=True))
    )


def _require(fits: bool, value: Any, where: str, want: str) -> Any:  # noqa: FBT001
    if not fits:
        raise RecordError(
            f"{where} is a {type(value).__name__}, expected {want}: the record was changed by hand"
        )
    return value


def build_value(kind: type[T], value: Any) -> T:
    """Plain JSON values to a dataclass which is no record, such as a network's config."""
    built: T = _build(kind, value, kind.__name__)
    return built

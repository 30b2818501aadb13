"""Small dataclasses to JSON and back, fast: a hundred thousand of them take a second or two."""

import dataclasses
import json
import types
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")
FIELDS: dict[type, tuple[str, ...]] = {}
ATOMS = frozenset({types.NoneType, str, int, float, bool})
Read = Callable[[Any], Any]


def to_text(value: Any, leave_out: frozenset[str] = frozenset()) -> str:
    """Compact JSON of a dataclass.

    Args:
        value: Its fields are numbers, texts, truths, None, tuples, frozen sets, mappings or such dataclasses.
        leave_out: Fields of the outermost one which do not travel.

    Raises:
        TypeError: A field is of another kind.
    """
    return json.dumps(_plain(value, leave_out), separators=(",", ":"))


def from_text(kind: Callable[..., T], text: str, **left_out: Any) -> T:
    """The dataclass of such a text, and of the fields that were left out.

    Raises:
        ValueError, TypeError, KeyError: The text was written for another version of the class.
    """
    built: T = _reader(kind)({**json.loads(text), **{name: _Ready(item) for name, item in left_out.items()}})
    return built


@dataclasses.dataclass(frozen=True, slots=True)
class _Ready:
    """A value which needs no reading."""

    value: Any


def _plain(value: Any, leave_out: frozenset[str] = frozenset()) -> Any:
    kind = type(value)
    if kind in ATOMS or (kind is tuple and ATOMS.issuperset(map(type, value))):
        return value
    names = _fields(kind)
    if names:
        return {name: _plain(getattr(value, name)) for name in names if name not in leave_out}
    if isinstance(value, str | int | float | bool):  # of a class of its own
        return value
    if isinstance(value, frozenset | set):
        return sorted(_plain(item) for item in value)
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    raise TypeError(f"a {type(value).__name__} cannot be remembered")


def _fields(kind: type) -> tuple[str, ...]:
    """Names of a dataclass, looked up once; none for other types."""
    if kind not in FIELDS:
        known = dataclasses.fields(kind) if dataclasses.is_dataclass(kind) else ()
        FIELDS[kind] = tuple(field.name for field in known)
    return FIELDS[kind]


@cache
def _reader(kind: Any) -> Read:
    """Function which builds a value of a type from plain JSON."""
    origin, arguments = get_origin(kind), get_args(kind)
    if dataclasses.is_dataclass(kind):
        return _dataclass_reader(kind)
    if origin in {Union, types.UnionType}:
        return _union_reader(arguments)
    if origin is tuple:
        return _tuple_reader(arguments)
    if origin in {frozenset, set, list}:
        item = _reader(arguments[0])
        return lambda value: origin(map(item, value))
    if origin is not None and issubclass(origin, Mapping):
        item = _reader(arguments[1])
        return lambda value: {key: item(one) for key, one in value.items()}
    if origin is Literal or kind in {str, int, float, bool, types.NoneType}:
        return lambda value: value
    raise TypeError(f"a {kind} cannot be remembered")


def _dataclass_reader(kind: Any) -> Read:
    hints = get_type_hints(kind)
    fields = {field.name: hints[field.name] for field in dataclasses.fields(kind)}

    def read(value: Any) -> Any:
        return kind(
            **{
                name: item.value if isinstance(item, _Ready) else _reader(fields[name])(item)
                for name, item in value.items()
            }
        )

    return read


def _union_reader(arguments: tuple[Any, ...]) -> Read:
    some = [item for item in arguments if item is not types.NoneType]
    plain = {str, int, float, bool}
    if set(some) <= plain:
        return lambda value: value
    if len(some) > 1:
        raise TypeError("a choice of several types cannot be remembered")
    item = _reader(some[0])
    return lambda value: None if value is None else item(value)


def _tuple_reader(arguments: tuple[Any, ...]) -> Read:
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        item = _reader(arguments[0])
        return lambda value: tuple(map(item, value))
    items = [_reader(argument) for argument in arguments]
    return lambda value: tuple(item(one) for item, one in zip(items, value, strict=True))

"""Small dataclasses to JSON and back, fast: a hundred thousand of them take a second or two."""

import dataclasses
import json
import types
from collections.abc import Callable, Mapping
from functools import cache, partial
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
    said = json.loads(text)
    return kind(**_fields_read(kind, said), **left_out)


def _plain(value: Any, leave_out: frozenset[str] = frozenset()) -> Any:
    kind = type(value)
    if kind in ATOMS or (kind is tuple and ATOMS.issuperset(map(type, value))):
        return value
    names = _fields(kind)
    if names:
        pairs = ((name, getattr(value, name)) for name in names if name not in leave_out)
        return {name: item if type(item) in ATOMS else _plain(item) for name, item in pairs}
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
        build: Any = kind
        return lambda value: build(**_fields_read(kind, value))
    if origin in {Union, types.UnionType}:
        return _union_reader(arguments)
    if origin is tuple:
        return _tuple_reader(arguments)
    if origin in {frozenset, set, list}:
        item = _reader(arguments[0])
        return origin if item is _as_it_is else lambda value: origin(map(item, value))
    if origin is not None and issubclass(origin, Mapping):
        item = _reader(arguments[1])
        return lambda value: {key: item(one) for key, one in value.items()}
    if origin is Literal or kind in {str, int, float, bool, types.NoneType}:
        return _as_it_is
    raise TypeError(f"a {kind} cannot be remembered")


def _as_it_is(value: Any) -> Any:
    """JSON's own values; most fields are such, and are not touched."""
    return value


def _fields_read(kind: Any, said: dict[str, Any]) -> dict[str, Any]:
    """Fields of a dataclass as JSON gave them, those which JSON does not know built in place."""
    for name, read in _field_readers(kind):
        if name in said:
            said[name] = read(said[name])
    return said


@cache
def _field_readers(kind: Any) -> tuple[tuple[str, Read], ...]:
    """Fields which are not taken as JSON gives them."""
    hints, readers = get_type_hints(kind), list[tuple[str, Read]]()
    for name in _fields(kind):
        try:
            read = _reader(hints[name])
        except TypeError:  # a field that does not travel
            continue
        if read is not _as_it_is:
            readers.append((name, read))
    return tuple(readers)


def _union_reader(arguments: tuple[Any, ...]) -> Read:
    some = [item for item in arguments if item is not types.NoneType]
    plain = {str, int, float, bool}
    if set(some) <= plain:
        return _as_it_is
    if len(some) > 1:
        raise TypeError("a choice of several types cannot be remembered")
    item = _reader(some[0])
    return lambda value: None if value is None else item(value)


def _tuple_reader(arguments: tuple[Any, ...]) -> Read:
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        item = _reader(arguments[0])
        return tuple if item is _as_it_is else lambda value: tuple(map(item, value))
    items = [_reader(argument) for argument in arguments]
    if all(item is _as_it_is for item in items):
        return partial(_tuple_of, len(items))
    return lambda value: tuple(item(one) for item, one in zip(items, value, strict=True))


def _tuple_of(length: int, value: Any) -> tuple[Any, ...]:
    if len(value) != length:
        raise ValueError(f"a tuple has {len(value)} values, expected {length}: it is of another version")
    return tuple(value)

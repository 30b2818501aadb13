"""YAML to frozen dataclasses, strictly, with the line in every error."""

import dataclasses
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml

from synthdata.errors import ConfigError, SpecError
from synthdata.storage.disk import disk_sentence

T = TypeVar("T")
SCALARS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


def bind_file(kind: type[T], path: Path) -> T:
    """Read a YAML file as one dataclass. Raises SpecError."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SpecError(disk_sentence(f"the spec {path.name}", error, "read")) from None
    except UnicodeDecodeError:
        raise SpecError(f"{path.name} is not UTF-8, expected a YAML file: save it as UTF-8") from None
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise SpecError(f"{path.name}:{line}: not YAML ({error.problem}): mend the line") from None
    if node is None:
        raise SpecError(f"{path.name}:1: the file is empty, expected a dataset spec: write one, or remove it")
    bound: T = _Binder(path.name).bind(kind, node, "")
    return bound


class _Binder:
    """Walks the YAML nodes along the type annotations."""

    def __init__(self, name: str) -> None:
        self.name = name

    def bind(self, kind: Any, node: yaml.Node, where: str) -> Any:  # noqa: PLR0911 - one per kind of annotation
        origin, arguments = get_origin(kind), get_args(kind)
        if dataclasses.is_dataclass(kind):
            return self._dataclass(kind, node, where)
        if origin in {Union, types.UnionType}:
            if isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null":
                return None
            return self.bind(next(item for item in arguments if item is not types.NoneType), node, where)
        if origin is Literal:
            value = self.bind(str, node, where)
            if value not in arguments:
                raise self.error(node, where, repr(value), f"one of {', '.join(map(str, arguments))}")
            return value
        if origin is tuple:
            return self._tuple(arguments, node, where)
        if origin is not None and issubclass(origin, Mapping):
            items = self._pairs(node, where)
            return {key: self.bind(arguments[1], item, f"{where}.{key}") for key, (_, item) in items.items()}
        return self._scalar(kind, node, where)

    def error(self, node: yaml.Node, where: str, got: str, want: str) -> SpecError:
        return SpecError(
            f"{self.name}:{node.start_mark.line + 1}: {where or 'the spec'} is {got}, expected {want}: mend it there"
        )

    def _dataclass(self, kind: Any, node: yaml.Node, where: str) -> Any:
        hints = get_type_hints(kind)
        fields = {field.name: field for field in dataclasses.fields(kind)}
        values = {}
        for key, (key_node, item) in self._pairs(node, where).items():
            if key not in fields:
                raise self.error(
                    key_node, where, f"given the unknown key {key!r}", f"one of {', '.join(fields)}"
                )
            values[key] = self.bind(hints[key], item, f"{where}.{key}".lstrip("."))
        needed = [
            name
            for name, field in fields.items()
            if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        ]
        if missing := [name for name in needed if name not in values]:
            raise self.error(node, where, f"without {', '.join(missing)}", "each of them")
        try:
            return kind(**values)
        except ConfigError as error:
            raise SpecError(f"{self.name}:{node.start_mark.line + 1}: {error}; mend it there") from None

    def _pairs(self, node: yaml.Node, where: str) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        if not isinstance(node, yaml.MappingNode):
            raise self.error(node, where, "no mapping", "keys and values")
        pairs: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        for key_node, item in node.value:
            key = str(key_node.value)
            if key in pairs:
                raise self.error(key_node, where, f"given {key!r} twice", "each key once")
            pairs[key] = (key_node, item)
        return pairs

    def _tuple(self, arguments: tuple[Any, ...], node: yaml.Node, where: str) -> tuple[Any, ...]:
        if not isinstance(node, yaml.SequenceNode):
            raise self.error(node, where, "no list", "a list")
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return tuple(self.bind(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(node.value))
        if len(node.value) != len(arguments):
            raise self.error(node, where, f"a list of {len(node.value)}", f"a list of {len(arguments)}")
        pairs = enumerate(zip(arguments, node.value, strict=True))
        return tuple(self.bind(kind, item, f"{where}[{i}]") for i, (kind, item) in pairs)

    def _scalar(self, kind: Any, node: yaml.Node, where: str) -> Any:
        value = yaml.SafeLoader("").construct_object(node) if isinstance(node, yaml.ScalarNode) else None
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if kind is str and node.tag != "tag:yaml.org,2002:null" and isinstance(node, yaml.ScalarNode):
            value = node.value
        if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
            got = repr(node.value) if isinstance(node, yaml.ScalarNode) else "a list or a mapping"
            raise self.error(node, where, got, SCALARS[kind])
        return value

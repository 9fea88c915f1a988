"""Strict reading of YAML into structs and mappings: unknown keys, wrong types and YAML's surprises
(a bare `no` is the boolean false) are all reported at once, each with file, line and the nearest
known key.
"""

from __future__ import annotations

from math import isfinite
from pathlib import Path
from types import UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    NamedTuple,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import msgspec
import yaml

from xharness.errors import CardError, did_you_mean

# libyaml's, where PyYAML was built with it, is some ten times as fast.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
Shape = TypeVar("Shape")


class Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of all card structs: frozen, and unknown keys are errors."""


def read_strict(path: Path, kind: type[Shape]) -> Shape:
    """A YAML file as a struct or mapping. Raises CardError with all complaints, each with file and
    line."""
    return struct(path, compose(path), kind)


def compose(path: Path) -> yaml.Node:
    """The nodes of a YAML file, which know their lines. Raises CardError for another file."""
    try:
        node = yaml.compose(path.read_text(encoding="utf-8"), Loader=_LOADER)
    except OSError as error:
        raise CardError(f"{path} can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise CardError(f"{path} can't be read: {error}") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise CardError(f"{path}:{line}: {error.problem or 'not YAML'}") from error
    except yaml.YAMLError as error:
        raise CardError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if node is None:
        raise CardError(f"{path} is empty")
    return node


def struct(path: Path, node: yaml.Node, kind: type[Shape]) -> Shape:
    """As `read_strict`, from the nodes of the file."""
    check = _Check(path)
    value = check.value(node, kind, "")
    if check.complaints:
        raise CardError("\n".join(check.complaints))
    return msgspec.convert(value, kind)


class _Check:
    """Walks a YAML tree beside the type that it must have; collects what does not fit."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.complaints: list[str] = []
        self.loader = yaml.SafeLoader("")

    def say(self, node: yaml.Node, text: str) -> None:
        self.complaints.append(f"{self.path}:{node.start_mark.line + 1}: {text}")

    def value(self, node: yaml.Node, kind: Any, where: str) -> Any:
        """The node's plain value; `where` names it in complaints."""
        kind = _narrowed(kind, node)
        origin, arguments = get_origin(kind), get_args(kind)
        if origin is Annotated and _is_struct(arguments[1]):
            return self.struct(node, arguments[1], where, whole=False)
        if _is_struct(kind):
            return self.struct(node, kind, where)
        if origin is list:
            if not isinstance(node, yaml.SequenceNode):
                return self.say(node, f"{where} must be a list")
            items = enumerate(node.value)
            return [self.value(item, arguments[0], f"{where}[{i}]") for i, item in items]
        if origin is dict:
            pairs = self.pairs(node, where or "the file", arguments[0])
            below = f"{where}." if where else ""
            return {key: self.value(item, arguments[1], f"{below}{key}") for key, _, item in pairs}
        return self.scalar(node, kind, where)

    def struct(
        self, node: yaml.Node, kind: type[msgspec.Struct], where: str, whole: bool = True
    ) -> Any:
        hints = get_type_hints(kind, include_extras=True)
        fields = {field.name: field for field in msgspec.structs.fields(kind)}
        found = {}
        for key, key_node, value in self.pairs(node, where or "the card"):
            if key in fields:
                found[key] = self.value(value, hints[key], f"{where}.{key}" if where else key)
            else:
                self.say(key_node, f"unknown key {key!r}.{did_you_mean(key, fields)}")
        missing = [f.name for f in fields.values() if f.required and f.name not in found]
        if missing and whole and isinstance(node, yaml.MappingNode):
            keys = ", ".join(repr(name) for name in missing)
            self.say(node, f"{where or 'the card'} lacks {keys}")
        return found

    def pairs(
        self, node: yaml.Node, where: str, kind: Any = str
    ) -> list[tuple[str, yaml.Node, yaml.Node]]:
        if not isinstance(node, yaml.MappingNode):
            self.say(node, f"{where} must be a mapping")
            return []
        found: dict[str, tuple[str, yaml.Node, yaml.Node]] = {}
        for key_node, value in node.value:
            key = self.scalar(key_node, kind, f"a key of {where}")
            if key in found:
                self.say(key_node, f"key {key!r} stands twice")
            if key is not None:
                found[key] = (key, key_node, value)
        return list(found.values())

    def scalar(self, node: yaml.Node, kind: Any, where: str) -> Any:
        if not isinstance(node, yaml.ScalarNode):
            return self.say(node, f"{where} must be {_expected(kind)}")
        try:
            value = self.loader.construct_object(node)
        except (yaml.MarkedYAMLError, ValueError) as error:  # an unknown tag, the 31st of February
            return self.say(node, f"{where}: {getattr(error, 'problem', None) or error}")
        if kind is Any:
            return value
        wanted = _wanted(kind)
        if isinstance(value, bool) and str in wanted.types and bool not in wanted.types:
            return self.say(
                node,
                f"{where} is the boolean {str(value).lower()}; YAML reads a bare {node.value} so. "
                f'Write "{node.value}".',
            )
        if value in wanted.choices or any(
            isinstance(value, t) and not (isinstance(value, bool) and t is not bool)
            for t in wanted.types
        ):
            try:
                msgspec.convert(value, kind)
            except msgspec.ValidationError as error:  # out of bounds
                return self.say(node, f"{where} is {value!r}: {error}")
            if isinstance(value, float) and not isfinite(value):  # JSON has no such number
                return self.say(node, f"{where} is {value!r}, must be finite")
            return value
        hint = did_you_mean(str(value), map(str, wanted.choices)) if wanted.choices else ""
        if float in wanted.types and isinstance(value, str) and _is_number(value):
            hint = " YAML wants a point and a sign, as in 1.0e-5 or 1.0e+5."
        return self.say(node, f"{where} is {value!r}, must be {_expected(kind)}.{hint}")


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _narrowed(kind: Any, node: yaml.Node) -> Any:
    """What is left of a type that leaves a choice, for a node that is a mapping or a list."""
    if isinstance(node, yaml.ScalarNode):
        return kind
    plain = dict[str, Any] if isinstance(node, yaml.MappingNode) else list[Any]
    if kind is Any:
        return plain
    if get_origin(kind) in (Union, UnionType):
        for part in get_args(kind):
            if (dict if _is_struct(part) else get_origin(part)) is get_origin(plain):
                return part
    return kind


class _Wanted(NamedTuple):
    """The plain types and the literal values that a scalar may have."""

    types: tuple[type, ...]
    choices: tuple[Any, ...]


def _wanted(kind: Any) -> _Wanted:
    if kind is float:
        return _Wanted((float, int), ())
    if _is_struct(kind):
        return _Wanted((dict,), ())
    if get_origin(kind) in (dict, list):
        return _Wanted((get_origin(kind),), ())
    if isinstance(kind, type):
        return _Wanted((kind,), ())
    if get_origin(kind) is Literal:
        return _Wanted((), get_args(kind))
    if get_origin(kind) is Annotated:
        return _wanted(get_args(kind)[0])
    parts = [_wanted(part) for part in get_args(kind)]
    return _Wanted(
        tuple(t for part in parts for t in part.types),
        tuple(c for part in parts for c in part.choices),
    )


def _expected(kind: Any) -> str:
    wanted = _wanted(kind)
    names = {
        str: "text",
        int: "a whole number",
        float: "a number",
        bool: "true or false",
        dict: "a mapping",
        list: "a list",
    }
    words = [
        names.get(t, "nothing") for t in wanted.types if not (t is int and float in wanted.types)
    ]
    return " or ".join([*words, *(repr(choice) for choice in wanted.choices)])


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True

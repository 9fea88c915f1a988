"""What a card says as plain values, and the digest that it is identified by."""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Any

import msgspec


def digest(value: Any) -> str:
    """SHA-256 of a struct or plain value as canonical JSON, the identity of cards.

    Fields that have their default value are left out, so that a field that cards gain later
    changes no identity that doesn't use it.
    """
    return hashlib.sha256(msgspec.json.encode(told(value), order="deterministic")).hexdigest()


def told(value: Any) -> Any:
    """A struct or plain value as plain values, without fields that have their default."""
    if isinstance(value, msgspec.Struct):
        defaults = _defaults(type(value))
        values = {name: getattr(value, name) for name in defaults}
        return {n: told(v) for n, v in values.items() if v != defaults[n]}
    if isinstance(value, dict):
        return {key: told(item) for key, item in value.items()}
    if isinstance(value, list):
        return [told(item) for item in value]
    return value


@cache
def _defaults(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """The default value of each field, or `NODEFAULT`, which equals nothing."""
    made = msgspec.NODEFAULT
    return {
        field.name: field.default if field.default_factory is made else field.default_factory()
        for field in msgspec.structs.fields(kind)
    }

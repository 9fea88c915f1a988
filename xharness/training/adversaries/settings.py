"""From a recipe's `adversary` to the object: strict, and complete in the recipe that is kept."""

from __future__ import annotations

from typing import Any

import msgspec

from xharness.cards import Recipe
from xharness.errors import CardError, did_you_mean
from xharness.plugins.registry import Registry
from xharness.plugins.roles import Adversary


def adversary(recipe: Recipe, registry: Registry) -> Adversary:
    """The adversary that the recipe asks for; plain training where it asks for none.

    Raises UnknownName, or CardError for a setting that the method does not have or take.
    """
    given = {"name": "plain"} | recipe.adversary
    name = given.pop("name")
    kind = registry.get("adversary", str(name))
    known = [field.name for field in msgspec.structs.fields(kind)]
    where = f"recipe {recipe.name!r}: adversary {name!r}"
    for key in given:
        if key not in known:
            has = f" It has: {', '.join(known)}." if known else " It has no settings."
            raise CardError(f"{where} has no setting {key!r}.{did_you_mean(key, known)}{has}")
    try:
        return msgspec.convert(given, kind)  # type: ignore[no-any-return]
    except msgspec.ValidationError as error:
        text, _, key = str(error).partition(" - at `$.")
        setting = key.rstrip("`")
        raise CardError(f"{where}: {setting} is {given.get(setting)!r}. {text}.") from error


def completed(recipe: Recipe, registry: Registry) -> Recipe:
    """The recipe with all settings of its adversary, defaults too, so that records tell them and
    a changed default never meets an old checkpoint."""
    if not recipe.adversary:
        return recipe
    made: Any = adversary(recipe, registry)
    settings = {"name": made.name, **msgspec.structs.asdict(made)}
    return msgspec.structs.replace(recipe, adversary=settings)

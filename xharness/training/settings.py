"""From a recipe's `adversary` and `augmentation` to the objects: strict, and complete in the recipe
that is kept."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from xharness.cards import Recipe
from xharness.errors import CardError, did_you_mean
from xharness.plugins.registry import Registry
from xharness.plugins.roles import Adversary, Augmentation

Size = Annotated[float, Meta(ge=0)]
Positive = Annotated[float, Meta(gt=0)]
Share = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=0)]
AtLeastOne = Annotated[int, Meta(ge=1)]


def adversary(recipe: Recipe, registry: Registry) -> Adversary:
    """The adversary that the recipe asks for; plain training where it asks for none.

    Raises UnknownName, or CardError for a setting that the method does not have or take.
    """
    given = recipe.adversary or {"name": "plain"}
    return _part("adversary", given, recipe, registry)  # type: ignore[no-any-return]


def augmentation(recipe: Recipe, registry: Registry) -> Augmentation | None:
    """The augmentation that the recipe asks for, if any. Raises as `adversary` does."""
    given = recipe.augmentation
    return _part("augmentation", given, recipe, registry) if given else None


def completed(recipe: Recipe, registry: Registry) -> Recipe:
    """The recipe with all settings of its parts, defaults too, so that records tell them and a
    changed default never meets an old checkpoint; one that is compute-matched with a length in
    place of the adversary."""
    if recipe.compute_matched:
        cost = adversary(recipe, registry).work.cost
        recipe = msgspec.structs.replace(
            recipe, adversary={}, compute_matched=False, length=recipe.length * cost
        )
    for family in ("adversary", "augmentation"):
        if given := getattr(recipe, family):
            made = _part(family, given, recipe, registry)
            whole = {"name": made.name, **msgspec.structs.asdict(made)}
            recipe = msgspec.structs.replace(recipe, **{family: whole})
    return recipe


def _part(family: str, settings: dict[str, Any], recipe: Recipe, registry: Registry) -> Any:
    where = f"recipe {recipe.name!r}: {family}"
    if "name" not in settings:
        known = ", ".join(registry.names(family))
        raise CardError(f"{where} has no name; it may be: {known}")
    name = str(settings["name"])
    kind = registry.get(family, name)
    known_settings = [field.name for field in msgspec.structs.fields(kind)]
    given = {key: value for key, value in settings.items() if key != "name"}
    for key in given:
        if key not in known_settings:
            near = did_you_mean(key, known_settings)
            has = ", ".join(known_settings) or "none"
            raise CardError(f"{where} {name!r} has no setting {key!r}.{near} It has: {has}.")
    try:
        return msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        text, _, place = str(error).partition(" - at `$.")
        if not place:  # a setting that must be there
            raise CardError(f"{where} {name!r}: {text}") from error
        key = place.rstrip("`").split("[")[0]
        raise CardError(f"{where} {name!r}: {key} is {given[key]!r}. {text}.") from error

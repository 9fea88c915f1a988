"""Cards: the YAML that declares tasks, suites, models and recipes, what a scientist changes."""

from __future__ import annotations

from xharness.cards.catalogue import Catalogue, read_card
from xharness.cards.identity import digest, told
from xharness.cards.model import Intermediate, ModelCard, Profile
from xharness.cards.reading import Strict, read_strict
from xharness.cards.recipe import Lora, Recipe, RecipeCard, Sizes
from xharness.cards.suite import SuiteCard
from xharness.cards.task import Files, Hub, Preprocessing, TaskCard

__all__ = [
    "Catalogue",
    "Files",
    "Hub",
    "Intermediate",
    "Lora",
    "ModelCard",
    "Preprocessing",
    "Profile",
    "Recipe",
    "RecipeCard",
    "Sizes",
    "Strict",
    "SuiteCard",
    "TaskCard",
    "digest",
    "read_card",
    "read_strict",
    "told",
]

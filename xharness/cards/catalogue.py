"""All cards by kind and name: where they are found, and whether what they name is there."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

from xharness.cards.model import ModelCard
from xharness.cards.reading import compose, struct
from xharness.cards.recipe import Recipe, RecipeCard
from xharness.cards.suite import SuiteCard
from xharness.cards.task import TaskCard
from xharness.errors import CardError, UnknownName, did_you_mean

Card = TypeVar("Card", TaskCard, SuiteCard, ModelCard, RecipeCard)
Part = TypeVar("Part")


def read_card(path: Path, kind: type[Card]) -> Card:
    """The card in a file. Raises CardError with all complaints, each with file and line."""
    return _card(path, compose(path), kind)


def _card(path: Path, node: yaml.Node, kind: type[Card]) -> Card:
    card = struct(path, node, kind)
    if card.name != path.stem:
        raise CardError(f"{path}: the card is named {card.name!r}, so the file must be too")
    return card


class Catalogue:
    """All cards by kind and name. Two cards of one kind and name are an error."""

    def __init__(self) -> None:
        self.tasks: dict[str, TaskCard] = {}
        self.suites: dict[str, SuiteCard] = {}
        self.models: dict[str, ModelCard] = {}
        self.recipes: dict[str, RecipeCard] = {}
        self._shelves: dict[type, dict[str, Any]] = {
            TaskCard: self.tasks,
            SuiteCard: self.suites,
            ModelCard: self.models,
            RecipeCard: self.recipes,
        }
        self._paths: dict[tuple[type, str], Path] = {}

    @classmethod
    def load(cls, folders: Iterable[Path]) -> Catalogue:
        """Reads every `*.yaml` below the folders: what a card is, its keys tell. Raises
        CardError with the complaints about all cards in one go."""
        catalogue = cls()
        complaints = []
        # A folder may be named twice or lie below another; paths stay as they were written.
        paths = {p.resolve(): p for folder in folders for p in sorted(folder.rglob("*.yaml"))}
        for path in paths.values():
            try:
                catalogue._add(path)
            except CardError as error:
                complaints.append(str(error))
        if complaints:
            raise CardError("\n".join(complaints))
        catalogue._check_references()
        return catalogue

    def _add(self, path: Path) -> None:
        node = compose(path)
        kind = _kind_of(node)
        card = _card(path, node, kind)
        if card.name in self._shelves[kind]:
            other = self._paths[kind, card.name]
            raise CardError(f"Two cards are named {card.name!r}: {other} and {path}")
        self._shelves[kind][card.name] = card
        self._paths[kind, card.name] = path

    def suite(self, name: str) -> SuiteCard:
        return _look_up("suite", name, self.suites)

    def recipe(self, name: str, task: TaskCard | None, adjust: str | None = None) -> Recipe:
        """The hyper-parameters for training on `task`, or those that all tasks share, with the
        values of recipe `adjust` in place of others. One that changes nothing leaves no trace.
        Raises CardError when they lack some."""
        merged = self._merged(name, task)
        if adjust and (adjusted := {**merged, **self._merged(adjust, task)}) != merged:
            merged, name = adjusted, f"{name}+{adjust}"
        try:
            return msgspec.convert({**merged, "name": name}, Recipe)
        except msgspec.ValidationError as error:
            whose = f" for task {task.name!r}" if task else ""
            raise CardError(f"recipe {name!r}{whose}: {error}") from error

    def _merged(self, name: str, task: TaskCard | None) -> dict[str, Any]:
        """What a recipe and those that it extends say about training on `task`, or on several
        tasks at once."""
        chain = [_look_up("recipe", name, self.recipes)]
        while chain[0].extends is not None:
            chain.insert(0, self.recipes[chain[0].extends])
        merged: dict[str, Any] = {}
        for card in chain:
            merged |= card.defaults
            if task is not None:
                merged |= card.kinds.get(task.kind, {})
                merged |= task.recipes.get(card.name, {})
        return merged

    def model(self, name: str) -> ModelCard:
        """A model by name, or by the path of a card file."""
        if name.endswith((".yaml", ".yml")):
            card = read_card(Path(name), ModelCard)
            if complaints := self._about_model(card, Path(name)):
                raise CardError("\n".join(complaints))
            return card
        return _look_up("model", name, self.models)

    def _check_references(self) -> None:
        """Names in cards must be names of cards."""
        complaints = []
        for card in self.tasks.values():
            named = [*card.train_on, *card.combines]
            complaints += self._unknown(card, "task", named, self.tasks)
            complaints += self._unknown(card, "recipe", card.recipes, self.recipes)
        kinds = {task.kind for task in self.tasks.values()}
        for recipe in self.recipes.values():
            complaints += self._unknown(recipe, "kind of task", recipe.kinds, kinds)
            if recipe.extends is not None:
                # None that builds on this one: a circle would never end.
                known = [n for n in self.recipes if not self._extends(n, recipe.name)]
                complaints += self._unknown(recipe, "recipe to extend", [recipe.extends], known)
        for suite in self.suites.values():
            complaints += self._unknown(suite, "task", suite.tasks, self.tasks)
            within = [*suite.languages, *suite.unofficial, *_flat(suite.groups.values())]
            within += _flat(average.values for average in suite.averages)
            complaints += self._unknown(suite, "task of the suite", within, suite.tasks)
        for model in self.models.values():
            complaints += self._about_model(model, self._paths[ModelCard, model.name])
        if complaints:
            raise CardError("\n".join(complaints))

    def _extends(self, name: str | None, other: str) -> bool:
        """Whether recipe `name` is `other` or builds on it."""
        seen: set[str] = set()
        while name in self.recipes and name not in seen:
            if name == other:
                return True
            seen.add(name)
            name = self.recipes[name].extends
        return False

    def _unknown(
        self, card: Any, what: str, names: Iterable[str], known: Collection[str]
    ) -> list[str]:
        return _complaints(self._paths[type(card), card.name], what, names, known)

    def _about_model(self, card: ModelCard, path: Path) -> list[str]:
        trained_on = [part.task for part in card.intermediate.parts] if card.intermediate else []
        named = [*card.train_on, *_flat(card.train_on.values()), *trained_on]
        named_recipes = [card.recipe, card.adjust.intermediate, card.adjust.target]
        return [
            *_complaints(path, "task", named, self.tasks),
            *_complaints(path, "recipe", [name for name in named_recipes if name], self.recipes),
        ]


def _complaints(path: Path, what: str, names: Iterable[str], known: Collection[str]) -> list[str]:
    return [
        f"{path}: no {what} named {name!r}.{did_you_mean(name, known)}"
        for name in dict.fromkeys(names)
        if name not in known
    ]


def _flat(lists: Iterable[Iterable[str]]) -> list[str]:
    return [name for names in lists for name in names]


def _look_up(what: str, name: str, shelf: dict[str, Part]) -> Part:
    if name not in shelf:
        hint = f"There are: {', '.join(sorted(shelf))}. --include FOLDER adds cards."
        raise UnknownName(what, name, shelf, hint)
    return shelf[name]


def _kind_of(node: yaml.Node) -> type:
    """What a card declares: each kind has a key that the others lack."""
    keys = {k.value for k, _ in node.value} if isinstance(node, yaml.MappingNode) else set()
    for key, kind in (("producer", ModelCard), ("tasks", SuiteCard), ("defaults", RecipeCard)):
        if key in keys:
            return kind
    return TaskCard

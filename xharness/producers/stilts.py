"""Producers `stilts` and `adv-stilts`: intermediate tasks first, then as `standard`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import msgspec

from xharness.cards import Intermediate, ModelCard, TaskCard
from xharness.data.items import Dataset, Query
from xharness.errors import CardError, Refused
from xharness.plugins.roles import Context, Part, Phase
from xharness.producers.lineage import (
    SOURCE_LANGUAGE,
    load_parts,
    number_of_items,
    plan_phase,
    target_phases,
)
from xharness.producers.standard import Standard
from xharness.training.mixture import shares


class Stilts(Standard):
    """Before the phases of `standard` comes one on the card's `intermediate` tasks, a single one or
    a mixture, whose heads are thrown away: the target's head and optimiser are new, also where
    both tasks are the same. Retrieval tasks that train nothing use its encoder as it is.

    A single task is trained with its own recipe; a mixture with what the recipe says for all tasks,
    while batch sizes, lengths of texts and adversaries stay each task's own, and the training is
    as long as its tasks' `length` is in the mean.
    Source: arXiv 2005.13013; nyu-mll/jiant, guides/projects/xstilts.md.
    """

    name = "stilts"

    def lineage(self, card: ModelCard, task: TaskCard, context: Context) -> list[Phase]:
        """Raises CardError when the card's `intermediate` makes no sense, Refused when `task` is
        evaluated on what it trains on."""
        mixture = _checked(card)
        parts = []
        for named in mixture.parts:
            trained_on = context.tasks[named.task]
            languages = tuple(named.languages) or (SOURCE_LANGUAGE,)
            recipe = context.recipe(card, trained_on, "intermediate")
            parts.append(Part(trained_on, recipe, languages, named.split))
        loaded = load_parts(parts, context)
        for part, datasets in zip(parts, loaded, strict=True):
            if any(isinstance(data.items[0], Query) for data in datasets):
                raise CardError(
                    f"model {card.name!r}: {part.task.name!r} can't be an intermediate task: it "
                    "has queries and a pool, but no pairs to train on"
                )
            _refuse_trained_on(card, task, part, datasets, context)
        recipe = parts[0].recipe
        if len(parts) > 1:
            recipe = context.recipe(card, None, "intermediate")
            sizes = [number_of_items(datasets) for datasets in loaded]
            drawn = shares(sizes, mixture)
            parts = [replace(part, share=share) for part, share in zip(parts, drawn, strict=True)]
            # Rounded, since the shares' sum is 1 but for rounding.
            length = round(sum(part.share * part.recipe.length for part in parts), 9)
            recipe = msgspec.structs.replace(recipe, adversary={}, length=length)
        first = plan_phase(card, task, parts, recipe, [], context)
        return target_phases(card, task, [first], context)


class AdvStilts(Stilts):
    """`stilts` with an adversary, which the recipes that the card's `adjust` names bring in: into
    both phases, or into one of them. Everything else is as in `stilts`, and what is the same is
    trained once.
    """

    name = "adv-stilts"

    def lineage(self, card: ModelCard, task: TaskCard, context: Context) -> list[Phase]:
        """Raises as that of `stilts` does, and CardError when no phase is adjusted."""
        if not (card.adjust.intermediate or card.adjust.target):
            raise CardError(
                f"model {card.name!r} names no adversary, which producer {self.name!r} asks for; "
                "write adjust: {intermediate: adversarial, target: adversarial}"
            )
        return super().lineage(card, task, context)


def _checked(card: ModelCard) -> Intermediate:
    mixture = card.intermediate
    if mixture is None or not mixture.tasks:
        raise CardError(
            f"model {card.name!r} names no intermediate task, which producer 'stilts' asks for; "
            "write intermediate: {tasks: [TASK]}, or producer: standard"
        )
    names = [part.task for part in mixture.parts]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise CardError(
            f"model {card.name!r} names the intermediate task {twice[0]!r} twice; its languages "
            "stand in one entry: {task: TASK, languages: [...]}"
        )
    for name, value in (("temperature", mixture.temperature), ("cap", mixture.cap)):
        if value <= 0:
            raise CardError(f"model {card.name!r}: intermediate.{name} is {value}, must be above 0")
    return mixture


def _refuse_trained_on(
    card: ModelCard, task: TaskCard, part: Part, datasets: Sequence[Dataset], context: Context
) -> None:
    """Raises Refused when the model is trained on `task` in another language than the target phase
    is, so that its scores would not be those of zero-shot transfer, or when a split is evaluated
    that it is trained on, in whatever language: the languages of a task hold the same items, or may
    share a file."""
    if all(data.task != task.name for data in datasets):
        return
    if seen := [code for code in part.languages if code != card.source_language]:
        raise Refused(
            f"model {card.name!r} is trained on {task.name} in {', '.join(seen)}, so it is not "
            "evaluated on that task: its scores would not be those of zero-shot transfer"
        )
    for language in task.languages:
        evaluated = context.evaluated(task, language)
        if evaluated and evaluated.split == part.split:
            raise Refused(
                f"model {card.name!r} is trained on {task.name} {part.split} in "
                f"{', '.join(part.languages)}, so it is not evaluated on that split"
            )

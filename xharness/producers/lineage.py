"""The phases behind a model, planned: what each trains on, and the address that comes of it."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from xharness.cards import ModelCard, Recipe, TaskCard, digest
from xharness.data.items import Dataset
from xharness.errors import CardError, MissingData
from xharness.plugins.roles import Context, Part, Phase
from xharness.training.streams import stream

# Part of every address: raise it when training makes something else of the same inputs, other than
# by rounding and by what dropout draws.
TRAINING_VERSION = 1
SOURCE_LANGUAGE = "en"
MOST_LABELS = 10
MASKED = "mlm"  # the one kind that is trained on and never evaluated
LABELLED_KINDS = ("classification", "tagging")


def checkpoint_folder(checkpoints: Path, address: str) -> Path:
    """Where the checkpoint with this address lies; half the digest is unique enough."""
    return checkpoints / address[:32]


def load_items(part: Part, split: str, context: Context) -> list[Dataset]:
    """What a part trains on (its own `split`) or is selected on: one dataset for each task that it
    combines and each language. Raises MissingData when one is not there."""
    tasks = [context.tasks[name] for name in part.task.combines] or [part.task]
    loaded = [context.source.load(t, split, language) for t in tasks for language in part.languages]
    most = part.recipe.max_items
    if split != part.split or most is None or most >= number_of_items(loaded):
        return loaded
    return _drawn(loaded, most, stream(context.seed, "items", part.task.name))


def _drawn(datasets: Sequence[Dataset], number: int, seed: int) -> list[Dataset]:
    """`number` items, each as likely as any other, in their order."""
    places = [(at, i) for at, data in enumerate(datasets) for i in range(len(data.items))]
    chosen = sorted(random.Random(seed).sample(places, number))
    left, there = (Counter(datasets[at].task for at, _ in some) for some in (chosen, places))
    cut = []
    for at, data in enumerate(datasets):
        items = tuple(data.items[i] for place, i in chosen if place == at)
        note = f"drawn: {left[data.task]:,} of {there[data.task]:,} items, by the seed"
        cut.append(replace(data, items=items, notes=(*data.notes, note)))
    return cut


def target_phases(
    card: ModelCard, task: TaskCard, before: Sequence[Phase], context: Context
) -> list[Phase]:
    """`before` and the trainings that the cards name for `task`, one phase each.

    Among these a head is carried on where the next phase asks for the same with the same labels,
    as in the official Social IQa -> COPA chain (google-research/xtreme, scripts/train_xcopa.sh);
    the first one's is new. Raises CardError when the last head does not fit `task`, or there is
    no backbone.
    """
    if card.backbone is None:
        raise CardError(
            f"model {card.name!r} names no backbone, which producer {card.producer!r} asks for; "
            "add it to the card, or --backbone"
        )
    phases = list(before)
    for name in card.train_on.get(task.name, task.train_on):
        trained_on = context.tasks[name]
        recipe = context.recipe(card, trained_on, "target")
        part = Part(trained_on, recipe, (card.source_language,))
        targets = phases[len(before) :]
        keeps_head = bool(targets) and same_head(targets[-1].task, trained_on, context)
        phase = plan_phase(card, task, [part], recipe, phases, context, keeps_head=keeps_head)
        phases.append(phase)
    trained = [phase.task for phase in phases[len(before) :]]
    fits = not phases or (bool(trained) and same_head(trained[-1], task, context))
    if not fits and asked(task, context) != "embed":
        raise CardError(_unfit(card, task, trained))
    return phases


def plan_phase(
    card: ModelCard,
    task: TaskCard,
    parts: Sequence[Part],
    recipe: Recipe,
    before: Sequence[Phase],
    context: Context,
    *,
    keeps_head: bool = False,
) -> Phase:
    """The phase that trains on `parts` after the phases `before`; `task` is what the model is for.

    Raises MissingData that names all parts without training data, CardError when what is trained
    of the backbone differs from the phase before."""
    loaded = load_parts(parts, context)
    same = [(r.freeze_embeddings, r.lora) for r in (recipe, *(p.recipe for p in before))]
    if same.count(same[0]) < len(same):
        names = [*(phase.name for phase in before), *(part.task.name for part in parts)]
        raise CardError(
            f"recipe {recipe.name!r} has the same freeze_embeddings and lora not for all of "
            f"{', '.join(names)}; a checkpoint holds what its phase trains, so they must agree"
        )
    parts = [
        replace(part, task=_with_labels(part, data, context), items=number_of_items(data))
        for part, data in zip(parts, loaded, strict=True)
    ]
    flat = [data for datasets in loaded for data in datasets]
    files = [file for data in flat for file in data.files]
    told = [f"{data.task}: {n}" if len(flat) > 1 else n for data in flat for n in data.notes]
    notes = list(dict.fromkeys(told))  # languages of a task may say the same
    for part in parts:
        if augmentation := context.augmentation(part.recipe):
            files.extend(file for file in augmentation.files() if file not in files)
        if len(parts) > 1 and part.recipe.adversary:
            notes.append(f"{part.task.name}: adversary {part.recipe.adversary['name']}")
        if part.split != "train" or tuple(part.languages) != (SOURCE_LANGUAGE,):
            where = f"{part.split} split, {', '.join(part.languages)}"
            notes.append(f"trained on {part.task.name}, {where}")
    if recipe.select == "dev":
        dev, why = _selection(parts, task, context)
        files += [file for data in dev for file in data.files]
        if why:
            recipe = msgspec.structs.replace(recipe, select="last")
            notes.append(f"last weights taken: {why}")
    identity: dict[str, Any] = {
        "version": TRAINING_VERSION,
        "backbone": context.identify(card),
        "profile": card.profile,
        "recipe": recipe,
        "seed": context.seed,
        "files": [file.sha256 for file in files],
        "before": before[-1].address if before else None,
    }
    if len(parts) == 1:
        identity |= _identity(parts[0])
    else:
        identity["mixture"] = [
            _identity(part) | {"recipe": part.recipe, "share": part.share} for part in parts
        ]
    if before and not keeps_head and _could_keep(before[-1], parts, context):
        identity["head"] = "new"
    address = digest(identity)
    trained = checkpoint_folder(context.checkpoints, address).is_dir()
    return Phase(parts, recipe, context.seed, address, files, notes, trained, keeps_head)


def number_of_items(datasets: Sequence[Dataset]) -> int:
    return sum(len(data.items) for data in datasets)


def describe(phase: Phase) -> dict[str, Any]:
    """The phase as plain values, for a checkpoint's description."""
    facts: dict[str, Any] = {
        "task": phase.name,
        "recipe": msgspec.to_builtins(phase.recipe),
        "seed": phase.seed,
        "address": phase.address,
        "files": [file.path for file in phase.files],
        "notes": list(phase.notes),
    }
    if len(phase.parts) > 1:
        facts["shares"] = {part.task.name: part.share for part in phase.parts}
        facts["recipes"] = {p.task.name: msgspec.to_builtins(p.recipe) for p in phase.parts}
    return facts


def asked(task: TaskCard, context: Context) -> str:
    """What a network is to do on a task: what its evaluator asks, or to find hidden tokens."""
    return MASKED if task.kind == MASKED else context.evaluator(task.kind).asks


def same_head(one: TaskCard, other: TaskCard, context: Context) -> bool:
    """Whether the head that was trained on one task can go on, or be used, on another."""
    if one.labels != other.labels:
        return False
    # Evaluators import heavy libraries; planning seldom needs one.
    return one.kind == other.kind or asked(one, context) == asked(other, context)


def _could_keep(before: Phase, parts: Sequence[Part], context: Context) -> bool:
    single = len(before.parts) == len(parts) == 1
    return single and same_head(before.task, parts[0].task, context)


def _identity(part: Part) -> dict[str, Any]:
    """What of a part decides about the weights; its files stand beside it."""
    facts: dict[str, Any] = {
        "kind": part.task.kind,
        "labels": part.task.labels,
        "preprocessing": part.task.preprocessing,
    }
    # One file may hold several languages. English training data have always gone without saying.
    if tuple(part.languages) != (SOURCE_LANGUAGE,):
        facts["languages"] = list(part.languages)
    if part.split != "train":
        facts["split"] = part.split
    return facts


def load_parts(parts: Sequence[Part], context: Context) -> list[list[Dataset]]:
    """What each part trains on. Raises MissingData that names all parts without training data."""
    loaded, missing = [], {}
    for part in parts:
        try:
            loaded.append(load_items(part, part.split, context))
        except MissingData as error:
            missing[part.task.name] = error
    if missing:
        first = next(iter(missing.values()))
        names = f" ({len(missing)} tasks lack data: {', '.join(missing)})"
        raise MissingData(f"{first}{names if len(missing) > 1 else ''}", first.reason)
    return loaded


def _with_labels(part: Part, datasets: Sequence[Dataset], context: Context) -> TaskCard:
    """The part's card; where it leaves the labels to the data, with those that are there."""
    task = part.task
    if task.labels or task.kind not in LABELLED_KINDS:
        return task
    with suppress(MissingData):
        # The dev split has some that the training data lack, and selecting on it needs them.
        datasets = [*datasets, *load_items(part, "dev", context)]
    labels: set[str] = set()
    for item in (item for data in datasets for item in data.items):
        labels.update(getattr(item, "tags", None) or [getattr(item, "label", None)])
    return msgspec.structs.replace(task, labels=sorted(labels))


def _selection(
    parts: Sequence[Part], task: TaskCard, context: Context
) -> tuple[list[Dataset], str]:
    """What the weights are selected on, or why they can't be."""
    dev: list[Dataset] = []
    for part in parts:
        if part.split == "dev":
            return [], f"the dev split of {part.task.name} is trained on"
        try:
            dev += load_items(part, "dev", context)
        except MissingData:
            whose = f" of {part.task.name}" if len(parts) > 1 else ""
            return [], f"there is no dev split{whose} to select on"
    files = {file.sha256 for data in dev for file in data.files}
    for language in dict.fromkeys(code for part in parts for code in part.languages):
        evaluated = context.evaluated(task, language)
        if evaluated and files & {file.sha256 for file in evaluated.files}:
            return [], "the dev split is evaluated, so it is not selected on"
    return dev, ""


def _unfit(card: ModelCard, task: TaskCard, trained: Sequence[TaskCard]) -> str:
    last = "nothing is trained for it"
    if trained:
        last = f"its last phase is {trained[-1].name!r} ({_head(trained[-1])})"
    return f"model {card.name!r} can't be evaluated on {task.name!r} ({_head(task)}): {last}"


def _head(task: TaskCard) -> str:
    labels = ", ".join(task.labels[:MOST_LABELS])
    more = ", ..." if len(task.labels) > MOST_LABELS else ""
    return f"{task.kind}, labels {labels or 'none'}{more}"

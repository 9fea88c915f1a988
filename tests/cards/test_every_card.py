"""Each card is read, refers to what exists and can be used."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

import xharness
from xharness.builtin import open_registry
from xharness.cards import Catalogue, ModelCard, SuiteCard, TaskCard
from xharness.data.readers import bound_table_reader
from xharness.runs.leaderboard import suite_languages

ROOT = Path(xharness.__file__).parents[1]
FILES = sorted([*ROOT.joinpath("tasks").rglob("*.yaml"), *ROOT.joinpath("models").rglob("*.yaml")])
REGISTRY = open_registry()
CATALOGUE = Catalogue.load(REGISTRY.card_folders())
ADJUSTING = {n for m in CATALOGUE.models.values() for n in msgspec.structs.astuple(m.adjust)}


def test_there_are_as_many_cards_as_files() -> None:
    shelves = (CATALOGUE.tasks, CATALOGUE.suites, CATALOGUE.models, CATALOGUE.recipes)
    assert sum(len(shelf) for shelf in shelves) == len(FILES)


@pytest.mark.parametrize("task", CATALOGUE.tasks.values(), ids=lambda card: card.name)
def test_a_task_has_a_reader_a_metric_an_evaluator_and_whole_recipes(task: TaskCard) -> None:
    if task.kind != "mlm":  # the one kind that is never evaluated
        REGISTRY.get("evaluator", task.kind)
    REGISTRY.get("metric", task.metric)
    assert set(task.score) <= set(task.official)
    assert len(set(task.languages)) == len(task.languages)
    for split, layouts in task.data.items():
        assert layouts, split
        for layout in layouts:
            REGISTRY.get("reader", layout.reader)
    for recipe in CATALOGUE.recipes:
        names = ("small", task, recipe) if recipe in ADJUSTING else (recipe, task)
        assert CATALOGUE.recipe(*names).epochs > 0
    for split, copy in task.hub.items():
        assert split in task.data
        assert bool(copy.refused) != bool(copy.split and copy.reader)
        if not copy.refused:
            assert re.fullmatch("([0-9a-f]{40})?", copy.revision)
            bound_table_reader(task, copy, task.languages[0])
    for name in task.train_on:
        trained_on = CATALOGUE.tasks[name]
        for part in trained_on.combines or [name]:
            assert "train" in CATALOGUE.tasks[part].data
            same = (CATALOGUE.tasks[part].kind, CATALOGUE.tasks[part].labels)
            assert same == (trained_on.kind, trained_on.labels)
    if task.train_on and task.kind not in ("bitext", "ranking"):
        last = CATALOGUE.tasks[task.train_on[-1]]
        assert (last.kind, last.labels) == (task.kind, task.labels)
    for size in task.sizes.values():
        assert isinstance(size, int) or set(size) <= set(task.languages)


@pytest.mark.parametrize("suite", CATALOGUE.suites.values(), ids=lambda card: card.name)
def test_a_suite_groups_its_own_tasks(suite: SuiteCard) -> None:
    grouped = {name for members in suite.groups.values() for name in members}
    assert grouped | set(suite.unofficial) == set(suite.tasks)
    assert not grouped & set(suite.unofficial)
    for average in suite.averages:
        for name, values in average.values.items():
            assert set(values) <= set(CATALOGUE.tasks[name].official)


@pytest.mark.parametrize("model", CATALOGUE.models.values(), ids=lambda card: card.name)
def test_a_model_has_a_producer_and_a_recipe(model: ModelCard) -> None:
    REGISTRY.get("producer", model.producer)
    if model.recipe:
        for adjust in msgspec.structs.astuple(model.adjust):
            CATALOGUE.recipe(model.recipe, None, adjust)


# Cells by task in the official evaluator's table of languages, LAReQA's from its data.
OFFICIAL = {
    "xnli": 15, "xcopa": 11, "udpos": 38, "panx": 48, "xquad": 12, "mlqa": 7, "tydiqa": 9,
    "mewslix": 11, "lareqa": 11, "tatoeba": 41,
}  # fmt: skip


def test_xtreme_r_has_203_cells_in_50_languages() -> None:
    suite = CATALOGUE.suite("xtreme-r")
    languages = {name: suite_languages(suite, CATALOGUE.tasks[name]) for name in suite.tasks}
    assert {name: len(codes) for name, codes in languages.items()} == OFFICIAL
    assert len({code for codes in languages.values() for code in codes}) == 50
    tagged = set(languages["panx"]) ^ set(languages["udpos"])
    assert tagged == {"az", "bn", "gu", "jv", "ka", "ml", "ms", "my", "pa", "qu", "sw", "wo"}

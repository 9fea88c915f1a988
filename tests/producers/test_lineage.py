"""A phase's address: what decides about the weights changes it, and nothing else does."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from xharness.builtin import open_registry
from xharness.cards import Catalogue
from xharness.runner.context import prepare
from xharness.runner.plan import Plan, Request
from xharness.testing.toys import World, make_backbone, make_world

Change = Callable[[World], None]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """With two models: one mixes two tasks and then trains on a third, one begins with one task."""
    monkeypatch.setenv("XHARNESS_CACHE", str(tmp_path / "cache"))
    world = make_world(tmp_path / "world")
    for name, tasks in (("mixed", ["toy-pairs", "toy-spans"]), ("single", ["toy-tags"])):
        card = {
            "name": name, "producer": "stilts", "description": "Toy.", "recipe": "toy-recipe",
            "backbone": str(world.backbone), "intermediate": {"tasks": tasks},
        }  # fmt: skip
        (world.cards / f"models/{name}.yaml").write_text(yaml.safe_dump(card))
    return world


def plan_for(world: World, model: str, **request: Any) -> Plan:
    registry = open_registry()
    catalogue = Catalogue.load([*registry.card_folders(), world.cards])
    asked: dict[str, Any] = {"suite": "toy", "data": str(world.release), "seeds": [42]}
    asked |= {"tasks": ["toy-choices"], "train": "missing"}
    return prepare(Request(models=[model], **(asked | request)), registry, catalogue)


def addresses(world: World, model: str, **request: Any) -> list[str]:
    (job,) = plan_for(world, model, **request).jobs
    assert len(job.lineage) == 2
    return [phase.address for phase in job.lineage]


def card(name: str, **fields: Any) -> Change:
    """Writes fields of a card; None takes one away."""

    def change(world: World) -> None:
        (path,) = world.cards.rglob(f"{name}.yaml")
        whole = yaml.safe_load(path.read_text()) | fields
        path.write_text(yaml.safe_dump({k: v for k, v in whole.items() if v is not None}))

    return change


def same_file(source: str, *copies: str) -> Change:
    """Puts one file in the place of others."""

    def change(world: World) -> None:
        for copy in copies:
            shutil.copy(world.release / source, world.release / copy)

    return change


def other_backbone(world: World) -> None:
    shutil.rmtree(world.backbone)
    make_backbone(world.backbone, seed=1)


def another_sentence(world: World) -> None:
    path = world.release / "toy-tags/train-en.tsv"
    path.write_text(path.read_text() + "\ncat\tNOUN\n\n")


def starts_with(**part: Any) -> Change:
    return card("single", intermediate={"tasks": [{"task": "toy-tags", **part}]})


def mixes(**how: Any) -> Change:
    return card("mixed", intermediate={"tasks": ["toy-pairs", "toy-tags"], **how})


TRAIN, DEV = "toy-tags/train-en.tsv", "toy-tags/dev-en.tsv"
RECIPE = {"learning_rate": 0.003, "epochs": 2, "batch_size": 8, "select": "dev"}


@pytest.mark.parametrize(
    ("model", "before", "changes"),
    [
        ("single", [], [other_backbone]),
        ("single", [], [another_sentence]),
        ("single", [], [card("single", profile={"head": "mean"})]),
        ("single", [], [card("toy-recipe", defaults=RECIPE | {"adversary": {"name": "fgm"}})]),
        ("single", [], [card("toy-tags", labels=["VERB", "NOUN", "DET"])]),
        ("single", [], [card("toy-tags", preprocessing={"max_length": 20})]),
        # One file for several languages or splits is read in another way for each.
        ("single", [same_file(TRAIN, "toy-tags/train-de.tsv")], [starts_with(languages=["de"])]),
        ("single", [same_file(TRAIN, DEV)], [starts_with(split="dev")]),
        (
            "single",
            [same_file(TRAIN, "toy-tags/train-de.tsv"), starts_with(languages=["de", "en"])],
            [starts_with(languages=["en", "de"])],
        ),
        ("mixed", [], [card("mixed", intermediate={"tasks": ["toy-spans", "toy-pairs"]})]),
        # With 48 and 49 items the shares are not quite equal, unless the sampler makes them so.
        ("mixed", [another_sentence, mixes()], [mixes(sampler="uniform")]),
        # The heads' own recipes: one adversary, one batch size.
        ("mixed", [], [card("toy-recipe", kinds={"span": {"adversary": {"name": "r3f"}}})]),
        ("mixed", [], [card("toy-recipe", kinds={"classification": {"batch_size": 4}})]),
    ],
)
def test_what_decides_about_the_weights_changes_this_and_all_later_addresses(
    world: World, model: str, before: list[Change], changes: list[Change]
) -> None:
    for change in before:
        change(world)
    old = addresses(world, model)
    for change in changes:
        change(world)
    new = addresses(world, model)
    assert old[0] != new[0]
    assert old[1] != new[1]


@pytest.mark.parametrize("model", ["single", "mixed"])
def test_another_seed_changes_all_addresses(world: World, model: str) -> None:
    assert not set(addresses(world, model)) & set(addresses(world, model, seeds=[43]))


@pytest.mark.parametrize(
    "change",
    [
        card("single", description="Other words."),
        card("toy-tags", description="Other words.", note="Mind the gap."),
        card("toy-recipe", description="Other words."),
        card("toy-recipe", kinds={"span": {"batch_size": 4}}),  # of a task that isn't trained on
        card("single", intermediate={"tasks": ["toy-tags"], "sampler": "uniform", "cap": 3}),
    ],
)
def test_what_does_not_decide_about_them_changes_no_address(world: World, change: Change) -> None:
    old = addresses(world, "single")
    change(world)
    assert addresses(world, "single") == old
    assert addresses(world, "single", languages=["de"], limit=3) == old

"""What a recipe may say about adversaries and augmentations, and what a run keeps of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

import xharness
from xharness.builtin import open_registry
from xharness.cards import Recipe, digest
from xharness.errors import CardError, DataError, UnknownName
from xharness.testing.toys import make_world
from xharness.training import settings
from xharness.training.adversaries.freelb import FreeLB
from xharness.training.adversaries.plain import Plain

REGISTRY = open_registry()


def recipe(**parts: Any) -> Recipe:
    return Recipe(name="r", learning_rate=1e-3, epochs=1, batch_size=4, **parts)


def test_plain_training_is_what_recipes_ask_for_by_default() -> None:
    assert settings.adversary(recipe(), REGISTRY) == Plain()
    assert settings.adversary(recipe(adversary={"name": "plain"}), REGISTRY) == Plain()
    assert settings.augmentation(recipe(), REGISTRY) is None
    assert digest(settings.completed(recipe(), REGISTRY)) == digest(recipe())


def test_the_kept_recipe_has_all_settings() -> None:
    asked = recipe(adversary={"name": "freelb", "ascents": 2, "radius": 1})
    whole = settings.completed(asked, REGISTRY)
    assert whole.adversary == {
        "name": "freelb", "ascents": 2, "radius": 1.0, "step": 0.1, "start": 0.1,
        "relative": True, "special_tokens": False, "dropout": "sync",
    }  # fmt: skip
    assert settings.adversary(whole, REGISTRY) == FreeLB(ascents=2, radius=1)
    assert settings.completed(whole, REGISTRY) == whole
    said = recipe(adversary={"name": "freelb", "ascents": 2, "radius": 1, "step": 0.1})
    assert digest(settings.completed(said, REGISTRY)) == digest(whole)


# FGM, PGD, FreeLB, SMART, VAT, R3F: how many times plain training, a pass forward counting 1, one
# back to the parameters 2, one back to the perturbation 1.
COSTS: list[tuple[dict[str, Any], float]] = [
    ({}, 1),
    ({"name": "noise"}, 1),
    ({"name": "fgm"}, 2),
    ({"name": "fgm", "clean_weight": 0}, 5 / 3),
    ({"name": "pgd", "ascents": 1}, 5 / 3),
    ({"name": "pgd", "ascents": 3}, 3),
    ({"name": "pgd", "ascents": 3, "clean_weight": 1}, 10 / 3),
    ({"name": "freelb", "ascents": 1}, 2),
    ({"name": "freelb", "ascents": 2}, 3),
    ({"name": "smart", "ascents": 1}, 8 / 3),
    ({"name": "vat", "ascents": 1}, 8 / 3),
    ({"name": "r3f"}, 2),
]


@pytest.mark.parametrize(("given", "cost"), COSTS, ids=str)
def test_compute_matched_training_is_as_much_longer_as_the_adversary_would_cost(
    given: dict[str, Any], cost: float
) -> None:
    whole = settings.completed(recipe(adversary=given, compute_matched=True, length=0.4), REGISTRY)
    assert whole.length == pytest.approx(0.4 * cost)
    assert settings.adversary(whole, REGISTRY) == Plain()
    assert settings.completed(whole, REGISTRY) == whole
    assert msgspec.structs.replace(whole, length=1.0) == recipe()


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"name": "freelp"}, UnknownName, "No adversary named 'freelp'. Did you mean 'freelb'?"),
        ({"radius": 1}, CardError, "'r': adversary has no name; it may be: fgm, freelb,"),
        ({"name": "pgd", "ascent": 2}, CardError,
         "adversary 'pgd' has no setting 'ascent'. Did you mean 'ascents'? It has: relative,"),
        ({"name": "plain", "radius": 2}, CardError, "no setting 'radius'. It has: none."),
        ({"name": "pgd", "ascents": 0}, CardError, "'pgd': ascents is 0. Expected `int` >= 1."),
        ({"name": "fgm", "radius": "big"}, CardError, "radius is 'big'. Expected `float`, got"),
        ({"name": "fgm", "dropout": "off"}, CardError, "dropout is 'off'. Invalid enum value"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_sentence(
    given: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as it:
        settings.adversary(recipe(adversary=given), REGISTRY)
    assert message in str(it.value)


def test_a_setting_that_must_be_there_is_named() -> None:
    with pytest.raises(CardError, match="augmentation 'code-switch': .*`lexicon`"):
        settings.augmentation(recipe(augmentation={"name": "code-switch"}), REGISTRY)


def write_recipe(folder: Path, **parts: Any) -> str:
    card = {
        "name": "robust",
        "description": "Two steps.",
        "defaults": {"learning_rate": 0.003, "epochs": 1, "batch_size": 32, **parts},
    }
    (folder / "robust.yaml").write_text(yaml.safe_dump(card))
    return "robust"


def evaluate(folder: Path, world: Any, name: str, **more: Any) -> dict[str, Any]:
    xharness.evaluate(
        folder / name, models=["toy"], suite="toy", tasks=["toy-tags"], languages=["de"],
        data=str(world.release), include=[world.cards], train="missing", **more,
    )  # fmt: skip
    (cell,) = (folder / name / "cells").rglob("de.json")
    return json.loads(cell.read_text())  # type: ignore[no-any-return]


def test_a_recipe_with_an_adversary_and_an_augmentation_runs_from_card_to_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    monkeypatch.setenv("XHARNESS_CACHE", str(cache))
    world = make_world(tmp_path)
    lexicon = tmp_path / "words.tsv"
    lexicon.write_text("de\tcat\tKatze\nfr\tcat\tchat\nde\tthe\tdie\n")
    plain = evaluate(tmp_path, world, "plain")
    write_recipe(
        world.cards,
        adversary={"name": "freelb"},
        augmentation={"name": "code-switch", "lexicon": str(lexicon), "rate": 0.5},
    )
    robust = evaluate(tmp_path, world, "robust", recipe="robust")
    (phase,), (plain_phase,) = robust["model"]["lineage"], plain["model"]["lineage"]
    assert phase["recipe"]["adversary"]["ascents"] == 1
    assert phase["recipe"]["augmentation"]["copies"] == 1
    assert plain_phase["recipe"]["adversary"] == {}
    assert "words.tsv" in [Path(file["path"]).name for file in phase["files"]]
    assert phase["address"] != plain_phase["address"]
    descriptions = [
        json.loads(path.read_text()) for path in (cache / "checkpoints").glob("*/checkpoint.json")
    ]
    (training,) = (d["training"] for d in descriptions if d["address"] == phase["address"])
    assert training["examples"] > 48
    assert training["forward_passes"] == training["backward_passes"] == 2 * training["steps"]
    assert training["perturbed_sequences"] == training["examples"]
    # Another lexicon, another checkpoint.
    lexicon.write_text("de\tcat\tKater\n")
    again = evaluate(tmp_path, world, "again", recipe="robust")
    assert again["model"]["lineage"][0]["address"] != phase["address"]


def test_a_lexicon_that_is_not_there_is_said_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XHARNESS_CACHE", str(tmp_path / "cache"))
    world = make_world(tmp_path)
    write_recipe(world.cards, augmentation={"name": "code-switch", "lexicon": "no/where.tsv"})
    with pytest.raises(DataError, match=r"no/where\.tsv: can't be read"):
        evaluate(tmp_path, world, "run", recipe="robust")

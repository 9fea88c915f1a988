"""Complaints about cards have file, line and the near miss, and come all at once."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from xharness.cards import Catalogue, Lora, Profile, RecipeCard, TaskCard, digest, read_card
from xharness.errors import CardError, UnknownName

GOOD = """\
name: toy
kind: tagging
description: A toy.
languages: [en, "no"]
metric: seqeval
official: [f1]
score: [f1]
"""


def write(folder: Path, text: str, name: str = "toy.yaml") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def write_world(folder: Path, **changes: str) -> Path:
    """One card of each kind; `changes` replaces whole cards by name."""
    cards = {
        "toy": GOOD + "recipes: {quick: {epochs: 2}}\n",
        "few": "name: few\ndescription: A.\ntasks: [toy]\ngroups: {g: [toy]}\naverages: []\n",
        "plain": "name: plain\nproducer: p\ndescription: A.\nbackbone: b\nrecipe: quick\n",
        "quick": "name: quick\ndescription: A.\ndefaults: {epochs: 1, batch_size: 8, "
        "learning_rate: 0.1}\nkinds: {tagging: {batch_size: 4}}\n",
    } | changes
    for name, text in cards.items():
        write(folder, text, f"{name}.yaml")
    return folder


def refusal(folder: Path) -> str:
    with pytest.raises(CardError) as caught:
        Catalogue.load([folder])
    return str(caught.value)


def complaint(path: Path) -> str:
    with pytest.raises(CardError) as caught:
        read_card(path, TaskCard)
    return str(caught.value)


def test_a_good_card_reads(tmp_path: Path) -> None:
    card = read_card(write(tmp_path, GOOD), TaskCard)
    assert (card.languages, card.split, card.version) == (["en", "no"], "test", 1)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("metric:", "metrc:", ":5: unknown key 'metrc'. Did you mean 'metric'?"),
        (
            '"no"',
            "no",
            ':4: languages[1] is the boolean false; YAML reads a bare no so. Write "no"',
        ),
        ("kind: tagging", "kind: [tagging]", ":2: kind must be text"),
        ("[f1]\nscore", "f1\nscore", ":6: official must be a list"),
        ("metric: seqeval", "metric: [seqeval]", ":5: metric must be text"),
        ("metric: seqeval\n", "", ":1: the card lacks 'metric'"),
        ("score: [f1]", "score: [f1]\nscore: [f1]", ":8: key 'score' stands twice"),
        ("score: [f1]", "score: [f1]\nversion: one", ":8: version is 'one'"),
        ("score: [f1]", "score: [f1", "expected"),
        (
            "score: [f1]",
            "score: [f1]\nrecipes: {small: {precision: fp23}}",
            ":8: recipes.small.precision is 'fp23', must be 'fp32' or 'bf16'. Did you mean 'fp32'?",
        ),
        ("score: [f1]", "score: [f1]\nnote: yes", ":8: note is the boolean true"),
        ("score: [f1]", "score: [f1]\nfallback: off", ":8: fallback is the boolean false"),
        ("score: [f1]", "score: [f1]\nnote: 2020-02-31", ":8: note: day"),
        ("score: [f1]", "score: [f1]\nnote: !new x", "could not determine a constructor"),
        ("score: [f1]", "score: [f1]\nsizes: {test: many}", "a whole number or a mapping"),
        ("score: [f1]", "score: [f1]\nsizes: {test: {no: 3}}", "a key of sizes.test is the bool"),
        (
            "score: [f1]",
            "score: [f1]\ndata:\n  test:\n  - {path: x, reader: y, options: {a: {b: 1, b: 2}}}",
            ":10: key 'b' stands twice",
        ),
        (
            "score: [f1]",
            "score: [f1]\nrecipes:\n  small: {epoch: 2}",
            ":9: unknown key 'epoch'. Did you mean 'epochs'?",
        ),
        (
            "score: [f1]",
            "score: [f1]\nrecipes:\n  small: {learning_rate: 1e-5}",
            ":9: recipes.small.learning_rate is '1e-5', must be a number. YAML wants a point",
        ),
        (
            "score: [f1]",
            "score: [f1]\nrecipes:\n  small: {batch_size: 0}",
            ":9: recipes.small.batch_size is 0: Expected `int` >= 1",
        ),
        (
            "score: [f1]",
            "score: [f1]\nrecipes: {small: {lora: {rank: 4, alpha: 8, dropout: 1.5}}}",
            ":8: recipes.small.lora.dropout is 1.5: Expected `float` <= 1.0",
        ),
        (
            "score: [f1]",
            "score: [f1]\nrecipes:\n  small: {max_grad_norm: .inf}",
            ":9: recipes.small.max_grad_norm is inf, must be finite",
        ),
    ],
)
def test_each_mistake_is_named_with_its_line(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = write(tmp_path, GOOD.replace(old, new))
    assert said in complaint(path)
    assert complaint(path).startswith(str(path))


def test_all_mistakes_come_at_once(tmp_path: Path) -> None:
    text = GOOD.replace("metric:", "metrc:").replace('"no"', "no").replace("tagging", "[]")
    assert len(complaint(write(tmp_path, text)).splitlines()) == 4


def test_the_file_is_named_as_the_card(tmp_path: Path) -> None:
    assert "the card is named 'toy'" in complaint(write(tmp_path, GOOD, "other.yaml"))


def test_two_cards_of_one_name_are_refused_with_both_files(tmp_path: Path) -> None:
    one, two = write(tmp_path, GOOD, "a/toy.yaml"), write(tmp_path, GOOD, "b/toy.yaml")
    with pytest.raises(CardError) as caught:
        Catalogue.load([tmp_path])
    assert str(one.resolve()) in str(caught.value)
    assert str(two.resolve()) in str(caught.value)


def test_cards_of_all_kinds_are_told_apart_and_looked_up(tmp_path: Path) -> None:
    catalogue = Catalogue.load([write_world(tmp_path)])
    assert catalogue.suite("few").tasks == ["toy"]
    assert catalogue.model("plain").recipe == "quick"
    recipe = catalogue.recipe("quick", catalogue.tasks["toy"])
    assert (recipe.name, recipe.epochs, recipe.batch_size) == ("quick", 2, 4)  # task, then kind
    with pytest.raises(UnknownName, match=r"No model named 'plane'\. Did you mean 'plain'\?"):
        catalogue.model("plane")


def test_a_model_may_be_the_path_of_a_card(tmp_path: Path) -> None:
    write_world(tmp_path / "cards")
    text = (tmp_path / "cards/plain.yaml").read_text().replace("name: plain", "name: mine")
    path = write(tmp_path, text, "mine.yaml")
    assert Catalogue.load([tmp_path / "cards"]).model(str(path)).name == "mine"
    with pytest.raises(CardError, match=r"nowhere\.yaml can't be read"):
        Catalogue.load([tmp_path / "cards"]).model(str(tmp_path / "nowhere.yaml"))


def test_a_folder_that_is_named_twice_is_read_once(tmp_path: Path) -> None:
    world = write_world(tmp_path / "cards")
    assert list(Catalogue.load([world, tmp_path, world / ".." / "cards"]).tasks) == ["toy"]


def test_complaints_about_several_cards_come_at_once(tmp_path: Path) -> None:
    folder = write_world(tmp_path, toy=GOOD.replace("metric:", "metrc:"), plain="name: plain\n")
    said = refusal(folder)
    assert "toy.yaml:5: unknown key 'metrc'" in said
    assert "plain.yaml:1: the card lacks" in said


@pytest.mark.parametrize(
    ("card", "old", "new", "said"),
    [
        ("plain", "recipe: quick", "recipe: quik", "no recipe named 'quik'. Did you mean 'quick'?"),
        ("plain", "recipe: quick", "recipe: quick\ntrain_on: {toy: [tox]}", "no task named 'tox'"),
        ("plain", "recipe:", "intermediate: {tasks: [3]}\nrecipe:", "must be text or a mapping"),
        ("toy", "metric:", "train_on: [toyy]\nmetric:", "no task named 'toyy'. Did you mean 'toy'"),
        ("toy", "quick:", "quack:", "no recipe named 'quack'. Did you mean 'quick'?"),
        ("few", "tasks: [toy]", "tasks: [toi]", "few.yaml: no task named 'toi'"),
        ("few", "g: [toy]", "g: [tox]", "few.yaml: no task of the suite named 'tox'"),
        ("quick", "tagging:", "tagginng:", "quick.yaml: no kind of task named 'tagginng'. Did"),
        ("quick", "{batch_size: 4}", "{batchsize: 4}", "Did you mean 'batch_size'?"),
    ],
)
def test_names_in_cards_are_names_of_cards(
    tmp_path: Path, card: str, old: str, new: str, said: str
) -> None:
    path = write_world(tmp_path) / f"{card}.yaml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    assert said in refusal(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe", b"name: \x00", b"- a\n- b\n", b"just text\n"]
)
def test_a_file_that_is_no_card_is_a_complaint_about_the_file(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "toy.yaml"
    path.write_bytes(content)
    assert complaint(path).startswith(str(path))
    assert str(path) in refusal(tmp_path)


def test_a_field_with_its_default_changes_no_identity() -> None:
    class Old(msgspec.Struct):
        name: str
        parts: list[Profile] = []

    class New(msgspec.Struct):
        name: str
        parts: list[Profile] = []
        later: float = 0.5

    assert digest(Old("a", [Profile(layer=3)])) == digest(New("a", [Profile(layer=3)]))
    assert digest(New("a", later=1.0)) != digest(New("a"))
    assert digest({"profile": Profile(layer=3)}) != digest({"profile": Profile()})


def test_a_recipe_changes_what_it_extends(tmp_path: Path) -> None:
    write = lambda name, text: (tmp_path / f"{name}.yaml").write_text(text)  # noqa: E731
    write(
        "base",
        "name: base\ndescription: d\ndefaults: {learning_rate: 0.1, epochs: 2, batch_size: 4}\n"
        "kinds: {tagging: {epochs: 3}}\n",
    )
    write(
        "small",
        "name: small\ndescription: d\nextends: base\n"
        "defaults: {learning_rate: 0.5, lora: {rank: 4, alpha: 8}}\n",
    )
    write(
        "toy",
        "name: toy\nkind: tagging\ndescription: d\nlanguages: [en]\nmetric: m\nofficial: [m]\n"
        "score: [m]\nrecipes: {base: {batch_size: 8}}\n",
    )
    catalogue = Catalogue.load([tmp_path])
    recipe = catalogue.recipe("small", catalogue.tasks["toy"])
    assert (recipe.name, recipe.learning_rate, recipe.epochs, recipe.batch_size) == (
        "small",
        0.5,
        3,
        8,
    )
    assert recipe.lora == Lora(rank=4, alpha=8)
    write(
        "base",
        "name: base\ndescription: d\nextends: small\n"
        "defaults: {learning_rate: 0.1, epochs: 2, batch_size: 4}\n",
    )
    with pytest.raises(CardError, match="no recipe to extend named 'small'"):
        Catalogue.load([tmp_path])


def test_a_mistake_within_a_recipes_lora_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(
        "name: r\ndescription: d\ndefaults:\n  lora: {rank: 4, alpha: 8,\n    droput: 0.1}\n"
    )
    with pytest.raises(CardError, match=r"r\.yaml:5: unknown key 'droput'.*dropout"):
        read_card(path, RecipeCard)

"""Complaints about cards have file, line and the near miss, and come all at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from xharness.cards import Catalogue, TaskCard, read_card
from xharness.errors import CardError

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
        ("kind: tagging", "kind: taging", ":2: kind is 'taging'"),
        ("[f1]\nscore", "f1\nscore", ":6: official must be a list"),
        ("metric: seqeval", "metric: [seqeval]", ":5: metric must be text"),
        ("metric: seqeval\n", "", ":1: the card lacks 'metric'"),
        ("score: [f1]", "score: [f1]\nscore: [f1]", ":8: key 'score' stands twice"),
        ("score: [f1]", "score: [f1]\nversion: one", ":8: version is 'one'"),
        ("score: [f1]", "score: [f1", "expected"),
    ],
)
def test_each_mistake_is_named_with_its_line(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = write(tmp_path, GOOD.replace(old, new))
    assert said in complaint(path)
    assert complaint(path).startswith(str(path))


def test_all_mistakes_come_at_once(tmp_path: Path) -> None:
    text = GOOD.replace("metric:", "metrc:").replace('"no"', "no").replace("tagging", "taging")
    assert len(complaint(write(tmp_path, text)).splitlines()) == 4


def test_the_file_is_named_as_the_card(tmp_path: Path) -> None:
    assert "the card is named 'toy'" in complaint(write(tmp_path, GOOD, "other.yaml"))


def test_two_cards_of_one_name_are_refused_with_both_files(tmp_path: Path) -> None:
    one, two = write(tmp_path, GOOD, "a/toy.yaml"), write(tmp_path, GOOD, "b/toy.yaml")
    with pytest.raises(CardError) as caught:
        Catalogue.load([tmp_path])
    assert str(one.resolve()) in str(caught.value)
    assert str(two.resolve()) in str(caught.value)


def test_a_card_that_names_an_unknown_task_is_refused(tmp_path: Path) -> None:
    write(tmp_path, GOOD + "train_on: [toyy]\n")
    with pytest.raises(CardError, match="no task named 'toyy'. Did you mean 'toy'?"):
        Catalogue.load([tmp_path])

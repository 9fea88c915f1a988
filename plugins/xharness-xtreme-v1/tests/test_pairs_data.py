"""PAWS-X in both of its layouts, through the core's reader."""

from __future__ import annotations

from pathlib import Path

import pytest
import xharness_xtreme_v1

from xharness.builtin import open_registry
from xharness.cards import Catalogue
from xharness.data.evaluation_split import load_for_evaluation
from xharness.data.sources.release import ReleaseFolder
from xharness.errors import STRIPPED, MissingData

REGISTRY = open_registry()
CARD = Catalogue.load(
    [Path(p) for p in {*REGISTRY.card_folders(), *xharness_xtreme_v1.xharness_cards()}]
).tasks["pawsx"]


def source(root: Path) -> ReleaseFolder:
    return ReleaseFolder(root, lambda name: REGISTRY.get("reader", name))


@pytest.mark.parametrize("language", CARD.languages)
def test_prepared_and_released_files_hold_the_same_first_pairs(
    data_root: Path, fixtures_root: Path, language: str
) -> None:
    prepared = load_for_evaluation(source(data_root), CARD, language)
    assert prepared.split == "dev"
    assert "cut: 200 of 2,000 items" in prepared.notes
    released = source(fixtures_root / "pawsx").load(CARD, "dev", language)
    texts = [[(i.first, i.second, i.label) for i in d.items] for d in (prepared, released)]
    assert texts[0][:3] == texts[1][:3]
    assert {item.label for item in prepared.items} == {"0", "1"}


def test_english_training_pairs_are_found_in_the_release(fixtures_root: Path) -> None:
    data = source(fixtures_root / "pawsx").load(CARD, "train", "en")
    assert [item.label for item in data.items] == ["0", "1", "0", "1"]


def test_stripped_labels_are_noticed(fixtures_root: Path) -> None:
    with pytest.raises(MissingData) as caught:
        source(fixtures_root / "stripped").load(CARD, "test", "de")
    assert caught.value.reason == STRIPPED

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from xharness.builtin import open_registry
from xharness.cards import Catalogue
from xharness.errors import DataError, Refused, UnknownName
from xharness.plugins.registry import Registry
from xharness.results.score import score
from xharness.results.submission import write_submission
from xharness.runner.context import open_source
from xharness.runs.folder import RunFolder
from xharness.testing.toys import World


@pytest.fixture(scope="module")
def cards(registry: Registry, toy_world: World) -> Catalogue:
    return Catalogue.load([*registry.card_folders(), toy_world.cards])


def write(run: Path, target: Path, cards: Catalogue, model: str | None = None):  # type: ignore[no-untyped-def]
    registry = open_registry()
    return write_submission(
        RunFolder(run),
        target,
        cards.suite("toy"),
        cards.tasks,
        lambda kind: registry.get("evaluator", kind)(),
        model,
    )


def test_a_submission_scores_as_the_run_did(
    toy_run: Path, toy_world: World, cards: Catalogue, registry: Registry, tmp_path: Path
) -> None:
    target = tmp_path / "submission"
    count, problems = write(toy_run, target, cards)
    assert (count, problems) == (14, [])
    assert (target / "toy-pairs/test-de.tsv").is_file()
    cells = score(
        target,
        open_source(str(toy_world.release), registry),
        cards.suite("toy"),
        cards.tasks,
        lambda kind: registry.get("evaluator", kind)(),
        lambda name: registry.get("metric", name),
        "toy",
    )
    evaluated = {record.id: record for record in RunFolder(toy_run).records()}
    assert len(cells) == len(evaluated) == 14
    for cell in cells:
        other = evaluated[cell.record.id]
        assert cell.record.result == other.result
        assert cell.record.comparable_hash == other.comparable_hash


def test_an_existing_folder_is_not_touched(toy_run: Path, cards: Catalogue, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(Refused, match="exists and is not overwritten"):
        write(toy_run, tmp_path / "there", cards)
    assert not list((tmp_path / "there").iterdir())


def test_what_is_missing_or_changed(toy_run: Path, cards: Catalogue, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(toy_run, run)
    (run / "cells/toy/toy-tags/de.json").unlink()
    count, problems = write(run, tmp_path / "one", cards)
    assert count == 13
    assert problems == ["no predictions, not run, or failed (toy-tags/de)"]
    with pytest.raises(UnknownName, match="No model named 'toi'. Did you mean 'toy'"):
        write(run, tmp_path / "two", cards, "toi")
    changed = run / "predictions/toy/toy-pairs/test-de.tsv"
    changed.write_text(changed.read_text().replace("same", "other", 1))
    with pytest.raises(DataError, match=r"test-de.tsv is not the file that the record of toy/toy"):
        write(run, tmp_path / "three", cards)
    changed.unlink()
    with pytest.raises(DataError, match="is not there, though toy/toy-pairs/de was predicted"):
        write(run, tmp_path / "four", cards)
    assert not any((tmp_path / name).exists() for name in ("two", "three", "four"))

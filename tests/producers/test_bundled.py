"""Checkpoints in the package, made of toys: what is taken when, what is said of broken ones."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

import xharness
from xharness.builtin import open_registry
from xharness.cards import Catalogue
from xharness.cli.main import main
from xharness.producers import bundled
from xharness.records import CellRecord
from xharness.testing.toys import World, make_world

ROOT = Path(xharness.__file__).parents[1]
Run = Callable[..., tuple[int, str, str]]


def script() -> Any:
    """`bench/bundle.py` as a module."""
    spec = importlib.util.spec_from_file_location("bundle", ROOT / "bench" / "bundle.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def made(world: World, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A folder of bundles, collected from a run, and the run."""
    folder = tmp_path_factory.mktemp("bundles")
    run = folder.parent / "whole"
    (folder / bundled.INDEX).write_text("[]")
    collect = script().collect
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XHARNESS_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(bundled, "FOLDER", folder)
        xharness.evaluate(
            run, models=["toy"], suite="toy", tasks=["toy-pairs", "toy-tags", "toy-bitext"],
            data=str(world.release), include=[world.cards], train="missing",
        )  # fmt: skip
        collect([run], str(world.release), [world.cards])
    return folder, run


@pytest.fixture
def package(made: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package's folder of bundles, which tests may break."""
    folder = tmp_path / "package"
    shutil.copytree(made[0], folder)
    monkeypatch.setattr(bundled, "FOLDER", folder)
    return folder


@pytest.fixture
def run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    world: World, package: Path,
) -> Run:  # fmt: skip
    monkeypatch.setenv("XHARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)

    def do(*arguments: str) -> tuple[int, str, str]:
        common = ["-m", "toy", "-s", "toy", "-d", str(world.release), "--include", str(world.cards)]
        with pytest.raises(SystemExit) as ended:
            main(["eval", *common, *arguments])
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return do


def cell(run: Path, name: str) -> CellRecord:
    return msgspec.json.decode((run / f"cells/toy/{name}.json").read_bytes(), type=CellRecord)


def weights(package: Path, task: str) -> Path:
    (one,) = [b for b in bundled.bundles(package) if b.tasks == [task]]
    return package / one.address[:32] / "model.safetensors"


def test_the_index_tells_what_made_each_and_what_it_scores(package: Path) -> None:
    pairs, tags = bundled.bundles(package)
    assert [pairs.tasks, tags.tasks] == [["toy-pairs"], ["toy-tags"]]
    assert pairs.command.startswith("xharness eval --model toy --recipe toy-recipe --tasks ")
    assert pairs.scores["toy-pairs"].languages == 3
    assert {Path(file.path).name for file in pairs.lineage[0].files} == {
        "train-en.tsv",
        "dev-en.tsv",
    }


def test_asked_for_they_give_the_scores_that_their_training_gave(
    run: Run, made: tuple[Path, Path], tmp_path: Path
) -> None:
    code, _, err = run("-t", "toy-pairs,toy-tags,toy-bitext", "--checkpoints", "bundled", "-o", "r")
    assert code == 0, err
    assert "bundled checkpoints for toy-pairs, toy-tags (docs/bundled.md)" in err
    assert "train toy" not in err
    assert not (tmp_path / "cache/checkpoints").exists()
    for name in ("toy-pairs/de", "toy-tags/fr"):
        ours, theirs = cell(tmp_path / "r", name), cell(made[1], name)
        assert ours.result == theirs.result
        assert ours.model.weights_sha256 == theirs.model.weights_sha256
        assert ours.inputs == theirs.inputs  # so the records of one run serve the other
        assert ours.model.lineage[0].notes[0] == "bundled checkpoint"


def test_other_data_than_the_sample_gets_none_unasked(run: Run) -> None:
    code, _, err = run("-t", "toy-pairs", "-o", "r")
    assert code == 2
    assert "No checkpoint for toy-pairs. Train first" in err


@pytest.mark.parametrize("change", ["missing", "changed", "truncated"])
def test_a_broken_one_is_named_before_anything_runs(
    run: Run, package: Path, tmp_path: Path, change: str
) -> None:
    path = weights(package, "toy-tags")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    if change == "missing":
        path.unlink()
    else:
        path.write_bytes(content if change == "changed" else content[:-9])
    code, out, err = run("-t", "toy-pairs,toy-tags", "--checkpoints", "bundled", "-o", "r")
    assert (code, out) == (2, "")
    state = "missing" if change == "missing" else "changed or truncated"
    assert f"the bundled checkpoint of model 'toy' for toy-tags is {state}: {path}" in err
    assert "Traceback" not in err
    assert not (tmp_path / "r").exists()
    assert run("-t", "toy-pairs", "--checkpoints", "bundled", "-o", "r")[0] == 0


def test_an_index_that_does_not_read_is_named(run: Run, package: Path) -> None:
    bundled.bundles.cache_clear()
    (package / bundled.INDEX).unlink()
    code, _, err = run("-t", "toy-pairs", "--checkpoints", "bundled", "-o", "r")
    assert code == 2
    assert "the index of the bundled checkpoints" in err


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        (["-t", "toy-choices"], "toy-choices"),
        (["-t", "toy-pairs", "--recipe", "small"], "toy-pairs"),
        (["-t", "toy-pairs", "--seed", "7"], "toy-pairs"),
    ],
    ids=str,
)
def test_another_task_recipe_or_seed_has_none(run: Run, arguments: list[str], asked: str) -> None:
    code, _, err = run(*arguments, "--checkpoints", "bundled", "-o", "r")
    assert code == 2
    assert f"No checkpoint of model 'toy' for {asked} is bundled" in err
    assert "There are: toy for toy-pairs, toy-tags." in err


def test_another_card_of_the_same_name_or_another_backbone_has_none(
    run: Run, world: World, tmp_path: Path
) -> None:
    from xharness.testing.toys import make_backbone

    card = (world.cards / "models/toy.yaml").read_text()
    own = tmp_path / "toy.yaml"
    own.write_text(card + "train_on: {toy-tags: [toy-tags, toy-tags]}\n")
    for changed in (["-m", str(own)], ["--backbone", str(tmp_path / "other")]):
        make_backbone(tmp_path / "other", seed=5)
        code, _, err = run(*changed, "-t", "toy-tags", "--checkpoints", "bundled", "-o", "r")
        assert code == 2
        assert "is bundled, with this card, backbone, recipe and seed" in err


def test_the_package_has_what_its_index_names_and_little_else() -> None:
    folder = ROOT / "xharness/checkpoints"
    index = json.loads((folder / bundled.INDEX).read_text())
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    named = {f"{one.address[:32]}/{name}" for one in bundled.bundles(folder) for name in one.files}
    assert there == named | {bundled.INDEX}
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    assert max(sizes) < 1 << 20
    assert sum(sizes) < 25 << 20
    cells = [(one["model"], task) for one in index for task in one["tasks"]]
    assert len(cells) == len(set(cells))


CATALOGUE = Catalogue.load(open_registry().card_folders())


@pytest.mark.parametrize("one", bundled.bundles(ROOT / "xharness/checkpoints"),
                         ids=lambda one: f"{one.model}-{one.tasks[0]}")  # fmt: skip
def test_a_bundle_fits_todays_cards(one: bundled.Bundle) -> None:
    one.check(ROOT / "xharness/checkpoints")
    assert one.card == bundled.identity(CATALOGUE.models[one.model])
    folder = ROOT / "xharness/checkpoints" / one.address[:32]
    told = json.loads((folder / "checkpoint.json").read_text())
    assert told["address"] == one.address
    assert told["backbone"]["weights_sha256"] == one.backbone
    last = CATALOGUE.tasks.get(one.lineage[-1].task)
    if last:  # a mixture's heads are not used
        assert told["labels"] == last.labels
    assert set(one.scores) == set(one.tasks)


def test_the_page_is_what_the_script_writes() -> None:
    wanted = script().page(bundled.bundles(ROOT / "xharness/checkpoints"))
    assert (ROOT / "docs/bundled.md").read_text("utf-8") == wanted, "bench/bundle.py --page"

"""Runs to read: scored from the official aggregate cases, or evaluated in a toy world."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

import xharness
from xharness.builtin import open_registry
from xharness.cards import Catalogue
from xharness.plugins.registry import Registry
from xharness.results.score import LabelFolder, ScoredCell, score, write_scored_run
from xharness.runs.folder import RunFolder
from xharness.testing.toys import World, make_world

GOLDEN = Path(__file__).parents[1] / "golden" / "official-metrics"
Files = Mapping[str, str]


def write_files(root: Path, files: Files) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    root.mkdir(exist_ok=True)
    return root


@pytest.fixture(scope="session")
def registry() -> Registry:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XHARNESS_PLUGINS", "")  # what is installed here must not matter
        return open_registry()


@pytest.fixture(scope="session")
def catalogue(registry: Registry) -> Catalogue:
    return Catalogue.load(registry.card_folders())


@pytest.fixture(scope="session")
def official() -> dict[str, Any]:
    """The labels and predictions of the official XTREME-R case."""
    content: dict[str, Any] = json.loads((GOLDEN / "aggregate/xtreme-r.input.json").read_text())
    return content


Scorer = Callable[..., list[ScoredCell]]


@pytest.fixture(scope="session")
def score_files(
    registry: Registry, catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory
) -> Scorer:
    """Writes both sides and scores them; with `run` also into that run folder."""

    def do(
        labels: Files,
        predictions: Files,
        cards: Catalogue = catalogue,
        suite: str = "xtreme-r",
        name: str = "somebody",
        run: Path | None = None,
    ) -> list[ScoredCell]:
        root = tmp_path_factory.mktemp("sides")

        def evaluator(kind: str) -> Any:
            return registry.get("evaluator", kind)()

        cells = score(
            write_files(root / "predictions", predictions),
            LabelFolder(write_files(root / "labels", labels), evaluator),
            cards.suite(suite),
            cards.tasks,
            evaluator,
            lambda metric: registry.get("metric", metric),
            name,
        )
        if run:
            write_scored_run(RunFolder(run), cells, cards.suite(suite), cards.tasks, "labels")
        return cells

    return do


@pytest.fixture(scope="session")
def toy_world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="session")
def toy_run(toy_world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real run of all five toy tasks, one of each kind but ranking."""
    folder = tmp_path_factory.mktemp("runs") / "toy"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XHARNESS_CACHE", str(folder.parent / "cache"))
        xharness.evaluate(
            folder,
            models=["toy"],
            suite="toy",
            data=str(toy_world.release),
            include=[toy_world.cards],
            train="missing",
        )
    return folder

"""The suite gives what the official scorer prints for XTREME v1."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import xharness_xtreme_v1
from xharness_xtreme_v1.evaluator import MiningEvaluator
from xharness_xtreme_v1.metric import PairF1

from xharness.builtin import open_registry
from xharness.cards import Catalogue, Preprocessing
from xharness.records import (
    CELL_SCHEMA,
    CellRecord,
    LanguageRecord,
    ModelRecord,
    Result,
    TaskRecord,
)
from xharness.results.score import LabelFolder, score
from xharness.runs.leaderboard import leaderboard, suite_languages

REGISTRY = open_registry()
CATALOGUE = Catalogue.load(
    [Path(p) for p in {*REGISTRY.card_folders(), *xharness_xtreme_v1.xharness_cards()}]
)
SUITE = CATALOGUE.suite("xtreme")
ADJUSTING = {n for m in CATALOGUE.models.values() for n in msgspec.structs.astuple(m.adjust)}
# Languages by task in the official evaluator's table.
OFFICIAL = {
    "pawsx": 7, "xnli": 15, "panx": 40, "udpos": 33, "bucc2018": 4, "tatoeba": 36, "xquad": 11,
    "mlqa": 7, "tydiqa": 9,
}  # fmt: skip

Sides = tuple[list[Any], list[Any]]


def read_lines(*texts: str) -> Sides:
    first, second = (text.splitlines() for text in texts)
    return first, second


def read_tags(*texts: str) -> Sides:
    first, second = (
        [sentence.split("\n") for sentence in text.rstrip("\n").split("\n\n")] for text in texts
    )
    return first, second


def read_pairs(*texts: str) -> Sides:
    rows = [[tuple(line.strip().split("\t")) for line in text.splitlines()] for text in texts]
    names = sorted({row[0] for side in rows for row in side})
    first, second = ([[row[1:] for row in side if row[0] == n] for n in names] for side in rows)
    return first, second


def read_answers(labels: str, predictions: str) -> Sides:
    answers = json.loads(predictions)
    questions = [
        question
        for article in json.loads(labels)["data"]
        for paragraph in article["paragraphs"]
        for question in paragraph["qas"]
    ]
    gold = [tuple(answer["text"] for answer in q["answers"]) for q in questions]
    return gold, [answers.get(q["id"]) for q in questions]


READ: dict[str, Callable[..., Sides]] = {
    "classification": read_lines, "bitext": read_lines, "tagging": read_tags, "span": read_answers,
    "mining": read_pairs,
}  # fmt: skip


def cell(task: str, language: str, labels: str, predictions: str) -> CellRecord:
    card = CATALOGUE.tasks[task]
    sides = READ[card.kind](labels, predictions)
    metric = PairF1() if card.metric == PairF1.name else REGISTRY.get("metric", card.metric)
    values = metric(*sides, language).values
    score = sum(values[name] for name in card.score) / len(card.score)
    return CellRecord(
        schema=CELL_SCHEMA, id=f"m/{task}/{language}", status="ok", created="",
        model=ModelRecord("m", "p", "", {}, [], "fp32"),
        task=TaskRecord(task, 1, card.kind, "", "test", Preprocessing()),
        language=LanguageRecord(language, "", "", ""), seed=42, limit=None, inputs="",
        result=Result(values, card.score, score, 1, {}),
    )  # fmt: skip


def board(labels: dict[str, str], predictions: dict[str, str]) -> dict[str, Any]:
    """The leaderboard of the cells whose files are on both sides, without our own key."""
    cells = []
    for name, card in ((n, CATALOGUE.tasks[n]) for n in SUITE.tasks):
        for language in suite_languages(SUITE, card):
            path = f"{name}/test-{language}.{card.submission}"
            if path in labels and path in predictions:
                cells.append(cell(name, language, labels[path], predictions[path]))
    whole = leaderboard(SUITE, CATALOGUE.tasks, cells)
    del whole["xharness"]
    return whole


def close(found: Any, expected: Any) -> None:
    """Equal keys in equal order, equal numbers."""
    if isinstance(expected, dict):
        assert list(found) == list(expected)
        for key, value in expected.items():
            close(found[key], value)
    else:
        assert found == pytest.approx(expected, abs=1e-9)


def test_languages_are_those_of_v1() -> None:
    counts = {n: len(suite_languages(SUITE, CATALOGUE.tasks[n])) for n in SUITE.tasks}
    assert counts == OFFICIAL
    codes = {c for n in SUITE.tasks for c in suite_languages(SUITE, CATALOGUE.tasks[n])}
    assert len(codes) == 40
    assert not codes & {"az", "gu", "ht", "lt", "pa", "pl", "qu", "ro", "uk", "wo"}


def test_the_official_leaderboard_with_its_total(golden: Callable[[str], Any]) -> None:
    given = golden("aggregate/xtreme.input.json")
    expected = golden("aggregate/xtreme.expected.json")["seqeval-0.0.12"]
    found = board(given["labels"], given["predictions"])
    assert list(found) == list(expected)
    for key, value in expected.items():
        if isinstance(value, dict):
            assert set(found[key]) == set(value)
            for name in value:
                close(found[key][name], value[name])
        else:
            assert found[key] == pytest.approx(value, abs=1e-9)


Change = Callable[[dict[str, str]], dict[str, str]]


def only(task: str) -> Change:
    return lambda files: {n: t for n, t in files.items() if n.startswith(f"{task}/")}


def without(start: str) -> Change:
    return lambda files: {n: t for n, t in files.items() if not n.startswith(start)}


def same(files: dict[str, str]) -> dict[str, str]:
    return files


def emptied(files: dict[str, str]) -> dict[str, str]:
    return dict.fromkeys(only("mlqa")(files), "{}")


VARIANTS: dict[str, tuple[Change, Change]] = {
    "one-task-only": (only("xnli"), only("xnli")),
    "task-missing-in-predictions": (same, without("panx/")),
    "task-missing-in-labels": (without("panx/"), same),
    "extra-language-file": (same, lambda files: {**files, "xnli/test-xx.tsv": "neutral\n"}),
    "unknown-task-folder": (same, lambda files: {**files, "other/test-en.tsv": "x\n"}),
    "no-common-task": (only("xnli"), only("panx")),
    "qa-empty-predictions": (only("mlqa"), emptied),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_official_variants(golden: Callable[[str], Any], name: str) -> None:
    given = golden("aggregate/xtreme.input.json")
    expected = golden("aggregate/variants.expected.json")[f"xtreme:{name}"]["output_top_level"]
    change_labels, change_predictions = VARIANTS[name]
    found = board(change_labels(given["labels"]), change_predictions(given["predictions"]))
    assert list(found) == list(expected or {})
    for key, value in (expected or {}).items():
        own = {n: found[key][n] for n in value} if isinstance(value, dict) else found[key]
        assert own == pytest.approx(value, abs=1e-9)


@pytest.mark.parametrize("missing", ["xnli/test-sw.tsv"])
def test_a_missing_language_withholds_where_the_official_script_stops(
    golden: Callable[[str], Any], missing: str
) -> None:
    given = golden("aggregate/xtreme.input.json")
    official = golden("aggregate/variants.expected.json")
    assert official["xtreme:one-language-missing-in-predictions"]["exit_status"] == 1
    found = board(given["labels"], without(missing)(given["predictions"]))
    assert "avg_metric" not in found["xnli"]
    assert {"all_task", "classification"}.isdisjoint(found)
    assert {"tagging", "qa", "retrieval"} <= set(found)


def test_an_xtreme_r_submission_scores_on_the_languages_of_v1(
    golden: Callable[[str], Any],
) -> None:
    given = golden("aggregate/xtreme-r.input.json")
    expected = golden("aggregate/variants.expected.json")[
        "xtreme:xtreme-r-submission-scored-as-xtreme"
    ]["output_top_level"]
    found = board(given["labels"], given["predictions"])
    assert list(found) == list(expected)
    for key, value in expected.items():
        own = {n: found[key][n] for n in value} if isinstance(value, dict) else found[key]
        assert own == pytest.approx(value, abs=1e-9)


@pytest.mark.parametrize("name", sorted(set(OFFICIAL)))
def test_each_task_can_be_read_and_recipes_are_whole(name: str) -> None:
    card = CATALOGUE.tasks[name]
    for recipe in CATALOGUE.recipes:
        names = ("small", card, recipe) if recipe in ADJUSTING else (recipe, card)
        assert CATALOGUE.recipe(*names).epochs > 0
    assert set(card.score) <= set(card.official)


def test_groups_are_the_suite_s_tasks() -> None:
    assert SUITE.groups["all_task"] == SUITE.tasks == list(OFFICIAL)


def test_files_are_scored_as_officially_without_a_model(
    golden: Callable[[str], Any], tmp_path: Path
) -> None:
    given = golden("aggregate/xtreme.input.json")
    for side in ("labels", "predictions"):
        for name, text in given[side].items():
            path = tmp_path / side / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode())

    def evaluator(kind: str) -> Any:
        return MiningEvaluator() if kind == "mining" else REGISTRY.get("evaluator", kind)()

    def metric(name: str) -> Any:
        return PairF1() if name == PairF1.name else REGISTRY.get("metric", name)

    labels = LabelFolder(tmp_path / "labels", evaluator)
    sides = (tmp_path / "predictions", labels, SUITE, CATALOGUE.tasks)
    cells = score(*sides, evaluator, metric, "somebody")
    found = leaderboard(SUITE, CATALOGUE.tasks, [cell.record for cell in cells])
    expected = golden("aggregate/xtreme.expected.json")["seqeval-0.0.12"]
    del found["xharness"]
    assert list(found) == list(expected)
    assert found["all_task"] == pytest.approx(expected["all_task"], abs=1e-9)
    for task in SUITE.tasks:
        for value, scores in expected[task].items():
            assert found[task][value] == pytest.approx(scores, abs=1e-9), (task, value)

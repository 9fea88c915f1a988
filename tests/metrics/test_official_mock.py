"""The mock submission that the official repository tests itself with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xharness.metrics.accuracy import Accuracy
from xharness.metrics.answers import mlqa, squad
from xharness.metrics.ranking import MeanAveragePrecision
from xharness.metrics.tagging import SeqEval

Sides = tuple[list[Any], list[Any]]


def read_lines(labels: str, predictions: str) -> Sides:
    return labels.split(), predictions.split()


def read_tags(labels: str, predictions: str) -> Sides:
    first, second = (
        [sentence.split("\n") for sentence in text.rstrip("\n").split("\n\n")]
        for text in (labels, predictions)
    )
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


def read_rankings(labels: str, predictions: str) -> Sides:
    gold, rankings = json.loads(labels), json.loads(predictions)
    return list(gold.values()), [rankings.get(key, []) for key in gold]


Reader = Callable[[str, str], Sides]
TASKS: dict[str, tuple[Any, Reader]] = {
    "mewslix": (MeanAveragePrecision(), read_rankings),
    "mlqa": (mlqa, read_answers),
    "panx": (SeqEval(), read_tags),
    "pawsx": (Accuracy(), read_lines),
    "tatoeba": (Accuracy(), read_lines),
    "tydiqa": (squad, read_answers),
    "udpos": (SeqEval(), read_tags),
    "xnli": (Accuracy(), read_lines),
    "xquad": (squad, read_answers),
}


@pytest.mark.parametrize("task", TASKS)
def test_every_language_scores_as_officially(fixtures_root: Path, task: str) -> None:
    folder = fixtures_root / "official-mock"
    expected = json.loads((folder / "expected.json").read_text("utf-8"))[task]
    metric, read = TASKS[task]
    found: dict[str, dict[str, float]] = {}
    for path in sorted((folder / "labels" / task).iterdir()):
        language = path.stem.removeprefix("test-")
        predictions = folder / "predictions" / task / path.name
        sides = read(path.read_text("utf-8"), predictions.read_text("utf-8"))
        found[language] = metric(*sides, language).values
    assert found.keys() == expected["languages"].keys()
    for language, values in expected["languages"].items():
        own = {key: found[language][key] for key in values}
        assert own == pytest.approx(values, abs=1e-9), language
    for name, average in expected["average"].items():
        own_average = np.mean([values[name.removeprefix("avg_")] for values in found.values()])
        assert own_average == pytest.approx(average, abs=1e-9)


def test_newer_seqeval_gives_the_known_other_average(fixtures_root: Path) -> None:
    folder = fixtures_root / "official-mock"
    newer = []
    for path in sorted((folder / "labels" / "udpos").iterdir()):
        predictions = folder / "predictions" / "udpos" / path.name
        sides = read_tags(path.read_text("utf-8"), predictions.read_text("utf-8"))
        newer.append(SeqEval()(*sides, path.stem).values["f1_seqeval_1.2.2"])
    assert np.mean(newer) == pytest.approx(70.39805810699043, abs=1e-9)

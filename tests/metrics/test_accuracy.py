from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xharness.errors import DataError
from xharness.metrics.accuracy import Accuracy

GOLDEN = Path(__file__).parents[1] / "golden" / "official-metrics"
CASES = json.loads((GOLDEN / "accuracy/cases.json").read_text("utf-8"))
EXPECTED = json.loads((GOLDEN / "accuracy/expected.json").read_text("utf-8"))


def read_values(text: str, as_json: bool) -> list[Any]:
    """One value a line: the line itself, or the label of the JSON object in it."""
    lines = text.removesuffix("\n").split("\n") if text else []
    return [json.loads(line)["label"] if as_json else line.strip() for line in lines]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_official_cases(case: dict[str, Any]) -> None:
    as_json = case["gold_text"].startswith("{")
    expected = EXPECTED[case["id"]]
    if "error" in expected:
        with pytest.raises((DataError, json.JSONDecodeError)):
            score(case, as_json)
    else:
        assert score(case, as_json) == pytest.approx(expected["result"], abs=1e-9)


def score(case: dict[str, Any], as_json: bool) -> dict[str, float]:
    gold, predicted = (read_values(case[side], as_json) for side in ("gold_text", "pred_text"))
    return Accuracy()(gold, predicted, "en").values


def test_per_item_says_which_are_right() -> None:
    scored = Accuracy()(["a", "b", "a"], ["a", "a", "a"], "en")
    assert scored.per_item["correct"].tolist() == [True, False, True]
    assert scored.values["accuracy"] == pytest.approx(100 * 2 / 3)


def test_works_on_indices_of_numpy() -> None:
    predicted = list(np.array([1, 1, 0, 1]))
    assert Accuracy()([1, 0, 1, 1], predicted, "et").values == {"accuracy": 50.0}


def test_nothing_to_score_is_an_error_and_names_the_language() -> None:
    with pytest.raises(DataError, match=r"accuracy \(ht\): 0 predictions for 0 gold values"):
        Accuracy()([], [], "ht")

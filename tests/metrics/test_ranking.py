from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xharness.errors import DataError
from xharness.metrics.ranking import MeanAveragePrecision, average_precision

GOLDEN = Path(__file__).parents[1] / "golden" / "official-metrics"


def load(name: str) -> Any:
    return json.loads((GOLDEN / name).read_text("utf-8"))


@pytest.mark.parametrize("case", load("lareqa/ap_cases.json"), ids=lambda case: case["id"])
def test_official_average_precision(case: dict[str, Any]) -> None:
    expected = load("lareqa/ap_expected.json")[case["id"]]
    if "error" in expected:
        with pytest.raises(DataError):
            average_precision(case["targets"], case["ranking"], case["k"])
    else:
        found = average_precision(case["targets"], case["ranking"], case["k"])
        assert found == pytest.approx(expected["result"], abs=1e-9)


@pytest.mark.parametrize("case", load("lareqa/map_cases.json"), ids=lambda case: case["id"])
def test_official_mean_average_precision(case: dict[str, Any]) -> None:
    # The questions and candidates are those of the pool; how ties fell is given, not asserted.
    pool = load("lareqa/pool_expected.json")
    uids = [candidate["uid"] for candidate in pool["candidates"]]
    targets = [pool["targets"][question.split("_")[0]] for question in pool["questions"]]
    rankings = [[uids[i] for i in row] for row in case["ranking_observed"]]
    for k in (1, 3):
        each = [average_precision(t, r, k) for t, r in zip(targets, rankings, strict=True)]
        assert np.mean(each) == pytest.approx(case["expected"][f"map@{k}"], abs=1e-9)
    scored = MeanAveragePrecision()(targets, rankings, "en")
    assert scored.values["map@20"] == pytest.approx(100 * case["expected"]["map@20"], abs=1e-9)


@pytest.mark.parametrize("case", load("mewslix/cases.json"), ids=lambda case: case["id"])
def test_official_mean_reciprocal_rank(case: dict[str, Any]) -> None:
    """With the official reader's habits: only the first gold id counts and is stripped,
    predictions are looked up by the gold's ids."""
    expected = load("mewslix/expected.json")[case["id"]]
    gold = [tuple(text.strip() for text in ids[:1]) for ids in case["gold"].values()]
    rankings = [case["predictions"].get(key, []) for key in case["gold"]]
    # Without gold the official result is 0, here as everywhere an error.
    if "error" in expected or not gold:
        with pytest.raises(DataError):
            MeanAveragePrecision()(gold, rankings, "en")
        return
    each = [average_precision(g, r, case["k"]) for g, r in zip(gold, rankings, strict=True)]
    assert np.mean(each) == pytest.approx(expected["result"]["mrr"], abs=1e-9)
    if case["k"] == 20:
        values = MeanAveragePrecision()(gold, rankings, "en").values
        assert values == pytest.approx(expected["evaluate_one_task"]["result"], abs=1e-9)


IDS = st.integers(0, 30).map(str)


@given(st.sets(IDS, min_size=1, max_size=25), st.lists(IDS, max_size=30, unique=True))
def test_agrees_with_precision_at_each_hit(targets: set[str], ranking: list[str]) -> None:
    top = ranking[:20]
    precisions = [
        np.mean([other in targets for other in top[: rank + 1]])
        for rank, candidate in enumerate(top)
        if candidate in targets
    ]
    expected = sum(precisions) / min(len(targets), 20)
    assert average_precision(sorted(targets), ranking, 20) == pytest.approx(expected)


@given(IDS, st.lists(IDS, max_size=30))
def test_with_one_target_it_is_the_reciprocal_rank(target: str, ranking: list[str]) -> None:
    expected = 1 / (ranking.index(target) + 1) if target in ranking[:20] else 0
    assert average_precision([target], ranking, 20) == pytest.approx(expected)


def test_per_item_has_the_mean_as_value() -> None:
    scored = MeanAveragePrecision()([("a",), ("b", "c")], [["a"], ["x", "b", "c"]], "en")
    assert scored.per_item["map@20"].tolist() == pytest.approx([100, 100 * (1 / 2 + 2 / 3) / 2])
    assert scored.values["map@20"] == pytest.approx(scored.per_item["map@20"].mean())


@pytest.mark.parametrize(("gold", "rankings"), [([], []), ([("a",)], []), ([()], [["a"]])])
def test_refuses_what_has_no_score(gold: Any, rankings: Any) -> None:
    with pytest.raises(DataError):
        MeanAveragePrecision()(gold, rankings, "en")

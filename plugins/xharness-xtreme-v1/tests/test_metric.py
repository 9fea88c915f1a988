from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from xharness_xtreme_v1.metric import PairF1

from xharness.errors import DataError

GOLDEN = Path(__file__).parent / "golden"
CASES = json.loads((GOLDEN / "bucc/cases.json").read_text("utf-8"))
EXPECTED = json.loads((GOLDEN / "bucc/expected.json").read_text("utf-8"))


def sides(gold: str, predicted: str) -> tuple[list[Any], list[Any]]:
    """Lines of two files as the official script takes them, by their first column."""
    rows = [[tuple(line.strip().split("\t")) for line in text.splitlines()] for text in
            (gold, predicted)]  # fmt: skip
    names = sorted({row[0] for side in rows for row in side})
    first, second = ([[row[1:] for row in side if row[0] == n] for n in names] for side in rows)
    return first, second


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_official_cases(case: dict[str, Any]) -> None:
    gold, predicted = sides(case["gold_text"], case["pred_text"])
    if not case["gold_text"]:  # the official script says 0 for nothing
        with pytest.raises(DataError, match="no gold pair"):
            PairF1()(gold, predicted, "de")
        return
    values = PairF1()(gold, predicted, "de").values
    assert values == pytest.approx(EXPECTED[case["id"]]["result"], abs=1e-9)


def test_the_official_mock_submission(fixtures_root: Path) -> None:
    folder = fixtures_root / "official-mock"
    expected = json.loads((folder / "expected.json").read_text("utf-8"))["bucc2018"]
    for language, values in expected["languages"].items():
        texts = [(folder / s / "bucc2018" / f"test-{language}.tsv").read_text("utf-8") for s in
                 ("labels", "predictions")]  # fmt: skip
        found = PairF1()(*sides(*texts), language).values
        assert {key: found[key] for key in values} == pytest.approx(values, abs=1e-9)


Targets = st.lists(st.lists(st.integers(0, 3), max_size=4), min_size=1, max_size=8)


@given(Targets, st.randoms())
def test_counts_give_the_values_and_order_changes_nothing(gold: Any, random: Any) -> None:
    predicted = random.sample(gold, len(gold))
    if not any(gold):
        return
    scored = PairF1()(gold, predicted, "x")
    n = {key: int(column.sum()) for key, column in scored.per_item.items()}
    assert scored.values["recall"] == pytest.approx(100 * n["n_correct"] / n["n_gold"])
    harmonic = 200 * n["n_correct"] / (n["n_gold"] + n["n_predicted"])
    assert scored.values["f1"] == pytest.approx(harmonic)
    turned = PairF1()(gold[::-1], [p[::-1] * 2 for p in predicted[::-1]], "x")
    assert turned.values == pytest.approx(scored.values)
    assert PairF1()(gold, gold, "x").values["f1"] == 100


def test_sides_of_unequal_length_are_refused() -> None:
    with pytest.raises(DataError, match=r"\(de\): 1 items for 2"):
        PairF1()([["a"], ["b"]], [["a"]], "de")

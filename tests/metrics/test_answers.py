from __future__ import annotations

import json
import re
import string
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xharness.errors import DataError
from xharness.metrics.answers import mlqa, mlqa_normaliser, normalise_squad, squad, word_f1

GOLDEN = Path(__file__).parents[1] / "golden" / "official-metrics"


def load(name: str) -> Any:
    return json.loads((GOLDEN / name).read_text("utf-8"))


def read_answers(case: dict[str, Any]) -> tuple[list[tuple[str, ...]], list[Any]]:
    """Gold answers of a SQuAD file (`data` may be left out) and the predictions for them, None
    where there is none. The official reader also unwraps predictions that have a key `data`."""
    gold, predictions = case["gold"], case["predictions"]
    articles = gold["data"] if isinstance(gold, dict) else gold
    questions = [q for a in articles for p in a["paragraphs"] for q in p["qas"]]
    answers = predictions.get("data", predictions)
    if not isinstance(answers, dict):
        answers = {}
    return (
        [tuple(answer["text"] for answer in q["answers"]) for q in questions],
        [answers.get(q["id"]) for q in questions],
    )


# The official script stops at a null with a traceback; here None says "not answered", and it is
# for the reader of a prediction file to refuse a null.
DIFFERENT = {"null-pred": {"exact_match": 0.0, "f1": 0.0}}


@pytest.mark.parametrize("case", load("squad/cases.json"), ids=lambda case: case["id"])
def test_official_squad_cases(case: dict[str, Any]) -> None:
    check(squad, case, load("squad/expected.json"), "en")


@pytest.mark.parametrize("case", load("mlqa/cases.json"), ids=lambda case: case["id"])
def test_official_mlqa_cases(case: dict[str, Any]) -> None:
    check(mlqa, case, load("mlqa/expected.json"), case["language"])


def check(metric: Any, case: dict[str, Any], expected: dict[str, Any], language: str) -> None:
    gold, predicted = read_answers(case)
    wanted = expected[case["id"]]
    if case["id"] in DIFFERENT:
        assert metric(gold, predicted, language).values == DIFFERENT[case["id"]]
    elif "error" in wanted:
        with pytest.raises(DataError):
            metric(gold, predicted, language)
    else:
        values = metric(gold, predicted, language).values
        assert values == pytest.approx(wanted["result"], abs=1e-9)


def tidy(texts: list[str]) -> list[str]:
    """The texts with blanks as the official scripts leave them; ours don't care for them."""
    return [" ".join(text.split()) for text in texts]


def test_official_normalisation() -> None:
    rows = load("squad/normalize.json")
    found = normalise_squad([row["text"] for row in rows])
    assert tidy(found) == [row["normalized"] for row in rows]
    rows = load("mlqa/normalize.json")
    for language in {row["lang"] for row in rows}:
        texts = {row["text"]: row["normalized"] for row in rows if row["lang"] == language}
        found = mlqa_normaliser(language)(list(texts))
        assert tidy(found) == list(texts.values()), language


def test_official_pairs() -> None:
    for metric, name in ((squad, "squad/pairs.json"), (mlqa, "mlqa/pairs.json")):
        for row in load(name):
            values = metric([(row["gold"],)], [row["prediction"]], row.get("lang", "en")).values
            expected = {"exact_match": 100.0 * row["exact_match"], "f1": 100.0 * row["f1"]}
            assert values == pytest.approx(expected, abs=1e-9), row


WORDS = st.sampled_from(
    [
        "the",
        "a",
        "an",
        "Theory",
        "cat",
        "cat.",
        "x-y",
        "«a»",
        "北京",
        "。",
        "die",
        "الكتاب",
        "là",
        "",
    ]
)
TEXT = st.one_of(st.lists(WORDS, max_size=6).map(" ".join), st.text(max_size=12))


def slow_f1(predicted: str, gold: str) -> float:
    """Bag overlap of the words, written out: each gold word can be used up once."""
    left, right = predicted.split(), gold.split()
    rest, same = list(right), 0
    for word in left:
        if word in rest:
            rest.remove(word)
            same += 1
    if not same:
        return 0.0
    precision, recall = same / len(left), same / len(right)
    return 2 * precision * recall / (precision + recall)


def slow_normalise(text: str) -> str:
    lower = "".join(char for char in text.lower() if char not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", lower).split())


@given(TEXT, TEXT)
def test_word_f1_agrees_with_a_plain_count(left: str, right: str) -> None:
    found = word_f1(left.split(), right.split())
    assert found == pytest.approx(slow_f1(left, right), abs=1e-12)
    assert found == pytest.approx(word_f1(right.split(), left.split()), abs=1e-12)


@given(st.lists(TEXT, min_size=1, max_size=4))
def test_squad_normalisation_agrees_with_a_plain_one(texts: list[str]) -> None:
    assert tidy(normalise_squad(texts)) == [slow_normalise(text) for text in texts]


@given(st.lists(TEXT, min_size=1, max_size=4))
def test_mlqa_deletes_every_punctuation_and_nothing_else_in_hindi(texts: list[str]) -> None:
    def kept(text: str) -> str:
        return "".join(
            char
            for char in text.lower()
            if char not in string.punctuation and unicodedata.category(char)[0] != "P"
        )

    assert tidy(mlqa_normaliser("hi")(texts)) == tidy([kept(text) for text in texts])


@pytest.mark.parametrize("texts", [["a\0b", "the c"], ["\0"], ["ΑΣ", "ΣΑ", "Σ"], ["", ""]])
def test_texts_do_not_touch_each_other(texts: list[str]) -> None:
    # NUL is what joins them; a sigma is lower-cased by what stands beside it.
    assert tidy(normalise_squad(texts)) == [slow_normalise(text) for text in texts]


@given(st.lists(st.tuples(st.lists(TEXT, min_size=1, max_size=3), TEXT), min_size=1, max_size=6))
def test_squad_agrees_with_the_best_over_plain_pairs(items: list[tuple[list[str], str]]) -> None:
    golds, predicted = [tuple(gold) for gold, _ in items], [text for _, text in items]
    scored = squad(golds, predicted, "en")
    pairs = [[(slow_normalise(p), slow_normalise(g)) for g in gold] for gold, p in items]
    assert scored.per_item["f1"].tolist() == pytest.approx(
        [100 * max(slow_f1(*pair) for pair in row) for row in pairs]
    )
    exact = [100.0 * any(p == g for p, g in row) for row in pairs]
    assert scored.per_item["exact_match"].tolist() == exact
    assert scored.values["f1"] == pytest.approx(np.mean(scored.per_item["f1"]))


def test_chinese_characters_are_words_in_mlqa_only() -> None:
    gold, predicted = [("北京大学",)], ["北京"]
    assert mlqa(gold, predicted, "zh").values["f1"] == pytest.approx(200 / 3)
    assert squad(gold, predicted, "zh").values["f1"] == 0
    assert tidy(mlqa_normaliser("zh")(["a北京b c"])) == ["a 北 京 b c"]


def test_unanswered_scores_zero_and_counts() -> None:
    scored = squad([("x",), ("y",)], ["x", None], "en")
    assert scored.values == {"exact_match": 50.0, "f1": 50.0}
    assert scored.per_item["f1"].tolist() == [100.0, 0.0]


def test_language_without_articles_is_refused() -> None:
    with pytest.raises(DataError, match=r"'fr' .* the languages are ar, de, en, es, hi, vi, zh"):
        mlqa([("x",)], ["x"], "fr")


@pytest.mark.parametrize(("gold", "predicted"), [([], []), ([("x",)], ["x", "y"])])
def test_empty_and_unequal_sides_are_refused(gold: Any, predicted: Any) -> None:
    with pytest.raises(DataError, match=r"squad \(ar\): \d answers for \d questions"):
        squad(gold, predicted, "ar")

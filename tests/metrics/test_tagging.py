from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import seqeval.metrics
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities

from xharness.errors import DataError
from xharness.metrics.tagging import (
    SeqEval,
    compare,
    find_chunks,
    join,
    newer_type,
    reference_type,
    span_scores,
    type_codes,
)

GOLDEN = Path(__file__).parents[1] / "golden" / "official-metrics"
CASES = json.loads((GOLDEN / "tagging/cases.json").read_text("utf-8"))
EXPECTED = json.loads((GOLDEN / "tagging/expected.json").read_text("utf-8"))
TYPE_OF = {"seqeval-0.0.12": reference_type, "seqeval-1.2.2": newer_type}
NER = ["O", "B-PER", "I-PER", "E-PER", "S-PER", "B-LOC", "I-LOC", "B", "I", ".", "B-PER-X", "B-X"]
POS = ["NOUN", "SCONJ", "CCONJ", "X", "INTJ", "SYM", "PUNCT", "_", "O", "ADJ", "VERB", "PROPN"]

Tags = list[list[str]]


def read_tags(text: str) -> Tags:
    """Sentences of a file with one tag a line and a blank line between sentences."""
    sentences: Tags = []
    current: list[str] = []
    for line in text.removesuffix("\n").split("\n") if text else []:
        if line.strip():
            current.append(line.strip())
        else:
            sentences.append(current)
            current = []
    return [*sentences, current] if current else sentences


def lengths(sentences: Tags) -> list[int]:
    return [len(sentence) for sentence in sentences]


def chunks(sentences: Tags, version: str) -> list[list[Any]]:
    tags, codes, _ = join(sentences, [])
    found = find_chunks(codes, tags, type_codes(tags, TYPE_OF[version]))
    return [
        [TYPE_OF[version](tags[codes[end]]), int(found.begins[end]), int(end)]
        for end in found.ends.nonzero()[0]
    ]


@pytest.mark.parametrize("version", TYPE_OF)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_official_cases(case: dict[str, Any], version: str) -> None:
    gold, predicted = read_tags(case["gold_text"]), read_tags(case["pred_text"])
    expected = EXPECTED[case["id"]][version]
    if "error" in expected or not gold or lengths(gold) != lengths(predicted):
        # The older seqeval scores files without words and sentences that differ in length; we
        # refuse them, see the next test.
        with pytest.raises(DataError):
            SeqEval()(gold, predicted, "en")
        return
    values = SeqEval()(gold, predicted, "en").values
    result = expected["result"]
    if version == "seqeval-0.0.12":
        assert {key: values[key] for key in result} == pytest.approx(result, abs=1e-9)
    else:
        assert values["f1_seqeval_1.2.2"] == pytest.approx(result["f1"], abs=1e-9)


@pytest.mark.parametrize("version", TYPE_OF)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_official_chunks_and_scores_also_of_what_the_metric_refuses(
    case: dict[str, Any], version: str
) -> None:
    expected = EXPECTED[case["id"]][version]
    gold, predicted = read_tags(case["gold_text"]), read_tags(case["pred_text"])
    for sentences, key in ((gold, "chunks_gold"), (predicted, "chunks_pred")):
        if key in expected:
            assert chunks(sentences, version) == expected[key]
    if "result" in expected:
        tags, left, right = join(gold, predicted)
        scores = span_scores(*compare(left, right, tags, type_codes(tags, TYPE_OF[version])))
        wanted = [expected["result"][key] for key in ("f1", "precision", "recall")]
        assert list(scores) == pytest.approx(wanted, abs=1e-9)


@st.composite
def two_sides(draw: st.DrawFn) -> tuple[Tags, Tags]:
    tag = st.sampled_from(draw(st.sampled_from([NER, POS, NER + POS])))
    sizes = draw(st.lists(st.integers(0, 7), min_size=1, max_size=6).filter(any))
    sides = [[draw(st.lists(tag, min_size=n, max_size=n)) for n in sizes] for _ in range(2)]
    return sides[0], sides[1]


@given(two_sides())
def test_agrees_with_the_installed_seqeval(sides: tuple[Tags, Tags]) -> None:
    gold, predicted = sides
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about tags that are no entity's, and about zeros
        expected = 100 * seqeval.metrics.f1_score(gold, predicted)
        entities = [list(entity) for entity in get_entities(gold)]
    assert SeqEval()(gold, predicted, "en").values["f1_seqeval_1.2.2"] == pytest.approx(
        expected, abs=1e-9
    )
    assert chunks(gold, "seqeval-1.2.2") == entities


@given(two_sides())
def test_counts_of_sentences_add_up_to_the_scores(sides: tuple[Tags, Tags]) -> None:
    scored = SeqEval()(*sides, "en")
    tp, predicted, gold = (int(scored.per_item[key].sum()) for key in ("tp", "predicted", "gold"))
    assert all(len(array) == len(sides[0]) for array in scored.per_item.values())
    assert scored.values["precision"] == pytest.approx(100 * tp / predicted if predicted else 0)
    assert scored.values["recall"] == pytest.approx(100 * tp / gold if gold else 0)
    f1 = 200 * tp / (predicted + gold) if tp else 0
    assert scored.values["f1"] == pytest.approx(f1)
    words = [(g, p) for pair in zip(*sides, strict=True) for g, p in zip(*pair, strict=True)]
    right = sum(g == p for g, p in words)
    assert scored.per_item["tokens"].sum() == len(words)
    assert scored.per_item["correct_tokens"].sum() == right
    assert scored.values["token_accuracy"] == pytest.approx(100 * right / len(words))


@given(two_sides(), st.randoms())
def test_the_order_of_sentences_does_not_matter(sides: tuple[Tags, Tags], random: Any) -> None:
    order = list(range(len(sides[0])))
    random.shuffle(order)
    gold, predicted = ([side[i] for i in order] for side in sides)
    before, after = SeqEval()(*sides, "en"), SeqEval()(gold, predicted, "en")
    # The newer rules are left out: their chunks may run on into the next sentence.
    for key in ("f1", "precision", "recall", "token_accuracy"):
        assert after.values[key] == pytest.approx(before.values[key])


def test_hand_counted_sentence() -> None:
    gold = [["B-PER", "I-PER", "O", "B-LOC"], ["NOUN", "NOUN", "SCONJ", "SCONJ"]]
    predicted = [["B-PER", "I-PER", "O", "B-ORG"], ["NOUN", "NOUN", "SCONJ", "CCONJ"]]
    scored = SeqEval()(gold, predicted, "en")
    # PER is right, LOC/ORG is not; NOUN NOUN is one chunk, SCONJ SCONJ are two (letter S).
    assert scored.per_item["tp"].tolist() == [1, 2]
    assert scored.per_item["predicted"].tolist() == [2, 3]
    assert scored.per_item["gold"].tolist() == [2, 3]
    assert scored.values["f1"] == pytest.approx(60)
    # The newer rules read CCONJ and SCONJ as CONJ, but the S still opens a chunk of its own.
    assert scored.values["token_accuracy"] == pytest.approx(75)


def test_says_which_rules_gave_which_value() -> None:
    variants = SeqEval()([["O"]], [["O"]], "en").variants
    assert variants["f1"] == "seqeval 0.0.12"
    assert variants["f1_seqeval_1.2.2"] == "seqeval 1.2.2"


@pytest.mark.parametrize(
    ("gold", "predicted", "message"),
    [
        ([["O"], ["O", "O"]], [["O"], ["O"]], "sentence 2 has 2 words, but 1 predicted tags"),
        ([["O"]], [["O"], ["O"]], "2 predicted sentences for 1 gold ones"),
        ([[]], [[]], "no words"),
        ([], [], "no words"),
        ([["O", ""]], [["O", "O"]], "empty"),
    ],
)
def test_refuses_what_has_no_score(gold: Tags, predicted: Tags, message: str) -> None:
    with pytest.raises(DataError, match=message):
        SeqEval()(gold, predicted, "th")

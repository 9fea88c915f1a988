from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from xharness_xtreme_v1.evaluator import MiningEvaluator, identified
from xharness_xtreme_v1.items import ForeignSentence
from xharness_xtreme_v1.margin import Pairs, best_threshold
from xharness_xtreme_v1.metric import PairF1

from xharness.cards import TaskCard
from xharness.data.items import Candidate, Dataset
from xharness.errors import DataError, PluginError

CARD = TaskCard(
    name="toy", kind="mining", description="", languages=["de"], metric="pair-f1", official=[],
    score=[],
)  # fmt: skip


class Angles:
    """Embeds a text that ends in a number as the direction of so many degrees."""

    def embed(self, texts: Sequence[str], side: str) -> Any:
        angles = np.radians([float(text.split()[-1]) for text in texts])
        return 3 * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def dataset(sources: dict[str, Any], pool: Sequence[str]) -> Dataset:
    items = tuple(
        ForeignSentence(f"de-{i}", text, targets)
        for i, (text, targets) in enumerate(sources.items())
    )
    candidates = tuple(Candidate(f"en-{i}", text) for i, text in enumerate(pool))
    return Dataset("toy", "test", "de", items, candidates)


def evaluate(data: Dataset) -> Any:
    return MiningEvaluator().evaluate(Angles(), data, CARD, PairF1())


# Two clear translations and one sentence that has none.
SOURCES = {"a 0": ("en-1",), "b 40": (), "c 83": ("en-2",)}
POOL = ["B 41", "A 1", "C 62"]


def test_pairs_with_the_highest_margin_pass_the_threshold() -> None:
    outcome = evaluate(dataset(SOURCES, POOL))
    assert outcome.submission == "de-0\ten-1\nde-2\ten-2\n"
    assert outcome.per_item["predicted"].tolist() == [1, -1, 2]
    values = dict(outcome.values)
    scores = outcome.per_item["score"]
    # Three candidates a side: each neighbourhood is the whole other side.
    cosine = np.cos(np.radians(np.subtract.outer([0, 40, 83], [41, 1, 62])))
    around = (cosine.mean(axis=1)[:, None] + cosine.mean(axis=0)) / 2
    assert scores == pytest.approx((cosine / around)[[0, 1, 2], [1, 0, 2]], abs=1e-6)
    assert values.pop("threshold") == pytest.approx(np.sort(scores)[:2].mean())
    assert values == {"f1": 100, "precision": 100, "recall": 100}
    assert "tuned on test" in outcome.variants["f1"]


def test_the_threshold_comes_from_the_items_to_tune_on() -> None:
    tuning = replace(dataset(SOURCES, POOL), split="dev")
    # On its own items all three pairs are right, so all would pass.
    data = dataset({**SOURCES, "b 40": ("en-0",)}, POOL)
    assert evaluate(data).submission.count("\n") == 3
    outcome = evaluate(replace(data, tuning=tuning))
    assert outcome.submission.count("\n") == 2
    assert outcome.values["threshold"] == evaluate(tuning).values["threshold"]
    assert outcome.values["recall"] == pytest.approx(200 / 3)
    assert "tuned on dev" in outcome.variants["f1"]


def test_sentences_that_occur_twice_are_no_pair() -> None:
    data = dataset(SOURCES, [*POOL, "A 1"])
    assert evaluate(data).submission == "de-2\ten-2\n"
    assert evaluate(data).per_item["predicted"].tolist() == [-1, -1, 2]


def test_official_identification_and_threshold(golden: Callable[[str], Any]) -> None:
    case = golden("retrieval-mining/bucc_eval.json")
    items = [
        ForeignSentence(name, text, ())
        for name, text in zip(case["source_ids"], case["source_sentences"], strict=True)
    ]
    pool = [
        Candidate(name, text)
        for name, text in zip(case["target_ids"], case["target_sentences"], strict=True)
    ]
    texts = [list(dict.fromkeys(side.text for side in both)) for both in (items, pool)]
    best: dict[tuple[int, int], float] = {}
    for line in case["candidates"]:  # mining never gives a pair twice; the official file may
        score, source, target = line.split("\t")
        pair = texts[0].index(source), texts[1].index(target)
        best[pair] = max(best.get(pair, 0.0), float(score))
    order = sorted(best, key=lambda pair: -best[pair])
    columns = [np.array(column) for column in zip(*order, strict=True)]
    pairs = identified(Pairs(*columns, np.array([best[pair] for pair in order])), items, pool)
    names = [
        f"{items[i].id}\t{pool[j].id}" for i, j in zip(pairs.sources, pairs.targets, strict=True)
    ]
    correct = np.array([name in case["gold"] for name in names])
    threshold = best_threshold(pairs.scores, correct, len(case["gold"]))
    assert threshold == pytest.approx(case["expected"]["result"]["best-threshold"], abs=1e-9)
    for floor, expected in (
        (threshold, case["expected_predictions"]),
        (1.25, case["with_fixed_threshold_1_25"]),
    ):
        passed = [n for n, score in zip(names, pairs.scores, strict=True) if score >= floor]
        assert sorted(passed) == sorted(expected)
    gold = [tuple(g.split("\t")[1] for g in case["gold"] if g.startswith(i.id)) for i in items]
    mined = case["expected_predictions"]
    found = [tuple(n.split("\t")[1] for n in mined if n.startswith(i.id)) for i in items]
    values = PairF1()(gold, found, "de").values
    assert values["f1"] == pytest.approx(case["expected"]["result"]["F1"])


def test_what_can_t_be_scored_is_refused() -> None:
    with pytest.raises(DataError, match="no gold pair"):
        evaluate(dataset({"a 0": ()}, POOL))
    with pytest.raises(DataError, match="1 of 1 items have no label"):
        evaluate(dataset({"a 0": None}, POOL))
    with pytest.raises(PluginError, match="has no method 'embed'"):
        MiningEvaluator().evaluate(object(), dataset(SOURCES, POOL), CARD, PairF1())

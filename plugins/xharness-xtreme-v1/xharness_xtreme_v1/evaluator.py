"""Sentences whose translation, if there is one at all, is searched in another corpus."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from xharness.cards import TaskCard
from xharness.data.files import DataFile
from xharness.data.items import Candidate, Dataset
from xharness.evaluators.contract import lacks, scorable
from xharness.evaluators.search import embed_unit
from xharness.plugins.roles import Embedder, Metric, Outcome
from xharness_xtreme_v1.items import ForeignSentence
from xharness_xtreme_v1.margin import NEIGHBOURS, Ints, Pairs, best_threshold, mine


class MiningEvaluator:
    """Predicts the mined pairs whose score reaches the threshold with the best F1 on the items to
    tune on, or on the scored ones where the data set has no others.

    Equal sentences of a side are mined as one. What was mined with a sentence that occurs twice
    is dropped, since its id is not known.
    Submission: `source id TAB candidate id`, highest score first. Values also {"threshold"}; per
    item also {"predicted"}: (N,) row in the pool or -1, and {"score"}: (N,) of the mined pair,
    NaN without one.
    Source: google-research/xtreme third_party/utils_retrieve.py, `bucc_eval`.
    """

    kind = "mining"
    asks = "embed"

    def evaluate(self, model: Any, data: Dataset, task: TaskCard, metric: Metric) -> Outcome:
        """Raises PluginError when `model` can't embed or breaks its contract, DataError when
        there is nothing to mine or no gold pair."""
        if not isinstance(model, Embedder):
            raise lacks(model, self.asks, self.kind)
        items = scorable(data, ForeignSentence)
        mined = _mined(model, items, data.pool)
        if data.tuning is None:
            threshold = _threshold(mined, items, data.pool)
        else:
            known = scorable(data.tuning, ForeignSentence)
            pool = data.tuning.pool
            threshold = _threshold(_mined(model, known, pool), known, pool)
        predicted, score = np.full(len(items), -1), np.full(len(items), np.nan)
        score[mined.sources] = mined.scores
        passes = mined.scores >= threshold
        predicted[mined.sources[passes]] = mined.targets[passes]
        ids = [candidate.id for candidate in data.pool]
        scored = metric(
            [item.targets for item in items],
            [[ids[row]] if row >= 0 else [] for row in predicted],
            data.language,
        )
        kept = zip(mined.sources[passes], mined.targets[passes], strict=True)
        tuned_on = (data.tuning or data).split
        return Outcome(
            {**scored.values, "threshold": threshold},
            {**scored.per_item, "predicted": predicted, "score": score},
            "".join(f"{items[source].id}\t{ids[target]}\n" for source, target in kept),
            {"f1": f"ratio margin, {NEIGHBOURS} neighbours, threshold tuned on {tuned_on}"},
        )

    def gold(self, labels: DataFile, task: TaskCard) -> list[ForeignSentence]:
        """`source id TAB candidate id`, a gold pair a line; only sources with a pair are items."""
        pairs = _pairs(labels)
        return [ForeignSentence(source, "", tuple(sorted(t))) for source, t in pairs.items()]

    def score(
        self, predictions: DataFile, data: Dataset, task: TaskCard, metric: Metric
    ) -> Outcome:
        """As officially, nothing is tuned: each pair of the file counts. Pairs of sources that are
        no items, as there are in a label file's data, are wrong ones and counted with the first
        item."""
        items = scorable(data, ForeignSentence)
        found = _pairs(predictions)
        known = {item.id for item in items}
        gold = [{(item.id, target) for target in item.targets or ()} for item in items]
        mined = [{(item.id, target) for target in found.get(item.id, ())} for item in items]
        mined[0] |= {(s, t) for s, targets in found.items() if s not in known for t in targets}
        scored = metric(gold, mined, data.language)
        text = "".join(f"{source}\t{t}\n" for source, ts in found.items() for t in sorted(ts))
        return Outcome(scored.values, scored.per_item, text)


def _pairs(file: DataFile) -> dict[str, set[str]]:
    pairs: dict[str, set[str]] = {}
    for line in file.lines():
        source, tab, target = line.strip().partition("\t")
        if not tab or "\t" in target:
            raise file.error(f"{line!r} is not two ids with a TAB between them")
        pairs.setdefault(source, set()).add(target)
    return pairs


def identified(pairs: Pairs, items: Sequence[ForeignSentence], pool: Sequence[Candidate]) -> Pairs:
    """Pairs of rows of items and pool, for `pairs` of rows of their distinct texts (in order of
    first occurrence). A text that occurs twice can't be told by its id, so its pairs are dropped.
    """
    sources = _rows([item.text for item in items])[pairs.sources]
    targets = _rows([candidate.text for candidate in pool])[pairs.targets]
    known = (sources >= 0) & (targets >= 0)
    return Pairs(sources[known], targets[known], pairs.scores[known])


def _mined(model: Embedder, items: Sequence[ForeignSentence], pool: Sequence[Candidate]) -> Pairs:
    sources = list(dict.fromkeys(item.text for item in items))
    targets = list(dict.fromkeys(candidate.text for candidate in pool))
    pairs = mine(embed_unit(model, sources, "query"), embed_unit(model, targets, "candidate"))
    return identified(pairs, items, pool)


def _rows(texts: Sequence[str]) -> Ints:
    """The row of each distinct text, -1 when it occurs more than once."""
    rows: dict[str, int] = {}
    for row, text in enumerate(texts):
        rows[text] = -1 if text in rows else row
    return np.array(list(rows.values()))


def _threshold(mined: Pairs, items: Sequence[ForeignSentence], pool: Sequence[Candidate]) -> float:
    gold = [item.targets or () for item in items]
    correct = [pool[t].id in gold[s] for s, t in zip(mined.sources, mined.targets, strict=True)]
    return best_threshold(mined.scores, np.array(correct, bool), sum(map(len, gold)))

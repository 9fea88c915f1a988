"""How much faster chunk F1, answer scores and n-best spans are than the usual loops.

    python bench/metrics.py            prints times, ratios and sizes as JSON
    python bench/metrics.py --check    also exits with 1 when a ratio is below its bar

Both sides work on the same random data and must agree before they are timed. Times are CPU
seconds of the process, the two sides taking turns, the best of nine rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import re
import string
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import numpy as np
from seqeval.metrics import f1_score

from xharness.inference.nbest import best_spans
from xharness.metrics.answers import squad
from xharness.metrics.tagging import SeqEval

ROUNDS = 9  # the fast sides take milliseconds, so that one busy moment spoils a round
BARS = {"seqeval-ner": 10.0, "seqeval-pos": 10.0, "squad": 8.0, "nbest": 5.0}
SENTENCES, TOKENS = 5_000, 74_510
ANSWERS = 10_000
WINDOWS, POSITIONS, N_BEST, MAX_LENGTH = 400, 384, 20, 30

UPOS = ("NOUN", "VERB", "ADJ", "DET", "ADP", "PUNCT", "PRON", "CCONJ", "SCONJ", "X")

Timed = tuple[Callable[[], Any], Callable[[], Any], dict[str, int]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="exit with 1 below a bar")
    check = parser.parse_args().check
    warnings.simplefilter("ignore")  # seqeval's about tags that are no entity's
    results = {
        "seqeval-ner": compare(*chunks([*"OOOOOO", *entity_tags()])),
        "seqeval-pos": compare(*chunks([*UPOS])),
        "squad": compare(*answers()),
        "nbest": compare(*spans()),
    }
    for name, result in results.items():
        result["bar"] = BARS[name]
    low = [name for name, result in results.items() if result["ratio"] < BARS[name]]
    facts = {
        "machine": platform.machine(),
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("numpy", "seqeval")},
    }
    print(json.dumps({"results": results, "below_bar": low, "facts": facts}, indent=2))
    return int(check and bool(low))


def compare(usual: Callable[[], Any], ours: Callable[[], Any], sizes: dict[str, int]) -> Any:
    """Times of both in turns, after they have given the same values."""
    np.testing.assert_allclose(ours(), usual(), rtol=0, atol=1e-9)
    times: dict[str, list[float]] = {"usual": [], "ours": []}
    for _ in range(ROUNDS):
        for name, function in (("usual", usual), ("ours", ours)):
            begun = time.process_time()
            function()
            times[name].append(time.process_time() - begun)
    usual_seconds, our_seconds = min(times["usual"]), min(times["ours"])
    return {
        "usual_cpu_seconds": round(usual_seconds, 5),
        "our_cpu_seconds": round(our_seconds, 5),
        "ratio": round(usual_seconds / our_seconds, 2),
        "sizes": sizes,
    }


def entity_tags() -> list[str]:
    return [f"{letter}-{kind}" for letter in "BI" for kind in ("PER", "ORG", "LOC")]


def chunks(tags: list[str]) -> Timed:
    """seqeval's F1 against our whole metric: both sets of rules, token accuracy, counts per
    sentence. Four of five predicted tags are right."""
    chance = random.Random(1)
    cuts = sorted(chance.sample(range(1, TOKENS), SENTENCES - 1))
    lengths = [end - begin for begin, end in zip([0, *cuts], [*cuts, TOKENS], strict=True)]
    gold = [chance.choices(tags, k=length) for length in lengths]
    predicted = [
        [tag if chance.random() < 0.8 else chance.choice(tags) for tag in sentence]
        for sentence in gold
    ]
    metric = SeqEval()
    return (
        lambda: 100 * f1_score(gold, predicted),
        lambda: metric(gold, predicted, "en").values["f1_seqeval_1.2.2"],
        {"sentences": SENTENCES, "tokens": TOKENS, "tags": len(set(tags))},
    )


def usual_normal(text: str) -> str:
    def without_punctuation(text: str) -> str:
        marks = set(string.punctuation)
        return "".join(char for char in text if char not in marks)

    def without_articles(text: str) -> str:
        return re.sub(r"\b(a|an|the)\b", " ", text)

    def with_single_blanks(text: str) -> str:
        return " ".join(text.split())

    return with_single_blanks(without_articles(without_punctuation(text.lower())))


def usual_exact(predicted: str, gold: str) -> float:
    return float(usual_normal(predicted) == usual_normal(gold))


def usual_f1(predicted: str, gold: str) -> float:
    left, right = usual_normal(predicted).split(), usual_normal(gold).split()
    same = sum((Counter(left) & Counter(right)).values())
    if not same:
        return 0.0
    precision, recall = same / len(left), same / len(right)
    return 2 * precision * recall / (precision + recall)


def answers() -> Timed:
    """The loop in the official form, step by step for each pair, against our metric.
    Of the predictions, three of five are the gold answer, the others share words or none."""
    chance = random.Random(2)
    words = ["".join(chance.choices(string.ascii_lowercase, k=k % 9 + 2)) for k in range(4_000)]
    words += ["the", "The", "a", "of", "1969", "U.S.", "naïve", "Zürich,"] * 50
    gold, predicted = [], []
    for _ in range(ANSWERS):
        answer = chance.choices(words, k=chance.randint(1, 6))
        case = chance.random()
        guess = answer if case < 0.6 else answer[1:] if case < 0.8 else chance.choices(words, k=3)
        gold.append((" ".join(answer),))
        predicted.append(" ".join(guess))

    def usual() -> list[float]:
        exact = f1 = 0.0
        for golds, guess in zip(gold, predicted, strict=True):
            exact += max([usual_exact(guess, text) for text in golds])
            f1 += max([usual_f1(guess, text) for text in golds])
        return [100 * exact / ANSWERS, 100 * f1 / ANSWERS]

    return (
        usual,
        lambda: [*squad(gold, predicted, "en").values.values()],
        {"answers": ANSWERS, "distinct_texts": len({*predicted, *(g for (g,) in gold)})},
    )


def spans() -> Timed:
    """The loop over the best starts and ends of each window against all windows at once; the
    score of the best span must agree."""
    chance = np.random.default_rng(3)
    starts, ends = chance.standard_normal((2, WINDOWS, POSITIONS)).astype(np.float32)
    context = np.zeros((WINDOWS, POSITIONS), bool)
    context[:, 20:-1] = True

    def usual() -> list[float]:
        best = []
        for start_row, end_row, allowed in zip(starts, ends, context, strict=True):
            found = []
            for start in np.argsort(start_row)[::-1][:N_BEST].tolist():
                for end in np.argsort(end_row)[::-1][:N_BEST].tolist():
                    if not (allowed[start] and allowed[end]):
                        continue
                    if end < start or end - start >= MAX_LENGTH:
                        continue
                    found.append((start, end, start_row[start] + end_row[end]))
            found.sort(key=lambda span: span[2], reverse=True)
            best.append(float(found[0][2]) if found else -np.inf)
        return best

    return (
        usual,
        lambda: best_spans(starts, ends, context, context, N_BEST, MAX_LENGTH).score[:, 0],
        {"windows": WINDOWS, "positions": POSITIONS, "n_best": N_BEST},
    )


if __name__ == "__main__":
    sys.exit(main())

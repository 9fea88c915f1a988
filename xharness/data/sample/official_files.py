"""The sample's texts in the formats of the official files.

Each writer returns the content of one file, empty when the language lacks what it needs. Which
file is made how is in `xharness/sample/files.yaml`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from xharness.data.sample.texts import (
    Alternative,
    Asked,
    Texts,
    Word,
    context,
    running_text,
    words,
)

# WikiANN cuts these languages into characters.
_BY_CHARACTER = ("ja", "zh")
_DELETED = str.maketrans("", "", "_\u200c")


class Part(NamedTuple):
    """What a file is made of: a language's texts, the English ones that they translate, and the
    keys of the paragraphs that it takes (empty: all)."""

    language: str
    texts: Texts
    english: Texts
    only: tuple[str, ...] = ()


def pairs(part: Part) -> str:
    """Premise, hypothesis and label in columns."""
    rows = []
    for situation in part.texts.situations.values():
        premise, *hypotheses = situation.sentences
        labels = ("entailment", "neutral", "contradiction")
        rows += [f"{premise}\t{h}\t{label}" for h, label in zip(hypotheses, labels, strict=True)]
    return _lines(rows)


def bank(part: Part) -> str:
    """One sentence a line."""
    return _lines(s for one in part.texts.situations.values() for s in one.sentences)


def english_bank(part: Part) -> str:
    """The English sides of the lines of `bank`."""
    return bank(part._replace(texts=part.english)) if part.texts.situations else ""


def choices(part: Part) -> str:
    """Premise, two choices, question, label; the right choice is first and second by turns."""
    asked = [("cause", one) for one in part.texts.causes.values()]
    asked += [("effect", one) for one in part.texts.effects.values()]
    return _json_lines(_choice(n, question, one) for n, (question, one) in enumerate(asked))


def _choice(number: int, question: str, one: Alternative) -> dict[str, Any]:
    label = number % 2
    first, second = (one.right, one.wrong) if label == 0 else (one.wrong, one.right)
    return {
        "premise": one.premise,
        "choice1": first,
        "choice2": second,
        "question": question,
        "label": label,
        "idx": number,
    }


def social(part: Part) -> str:
    """Context, question, three answers; the right one moves round."""
    rows = []
    for number, one in enumerate(part.texts.social.values()):
        answers = list(one.wrong)
        answers.insert(number % 3, one.right)
        named = dict(zip(("answerA", "answerB", "answerC"), answers, strict=True))
        right = "ABC"[number % 3]
        rows.append({"context": one.context, "question": one.ask, **named, "correct": right})
    return _json_lines(rows)


def parts_of_speech(part: Part) -> str:
    """Word and UPOS tag; blanks inside of words and U+200C are deleted, as officially."""
    sentences = [list(words(one)) for one in part.texts.tagged.values()]
    if not all(word.upos for sentence in sentences for word in sentence):
        return ""
    return "".join(
        _lines(f"{word.form.translate(_DELETED)}\t{word.upos}" for word in sentence) + "\n"
        for sentence in sentences
    )


def entity_tags(part: Part) -> str:
    """`xx:word` and entity tag; blanks inside of words part them."""
    return "".join(
        _lines(
            f"{part.language}:{form}\t{tag}"
            for word in words(one)
            for form, tag in _pieces(word, part.language)
        )
        + "\n"
        for one in part.texts.tagged.values()
    )


def _pieces(word: Word, language: str) -> Iterator[tuple[str, str]]:
    forms = word.form if language in _BY_CHARACTER else word.form.split("_")
    for number, form in enumerate(forms):
        yield form, word.entity.replace("B-", "I-") if number else word.entity


def questions(part: Part) -> str:
    """SQuAD's JSON."""
    return _squad(part, with_sentences=False)


def questions_and_sentences(part: Part) -> str:
    """SQuAD's JSON with the bounds of the sentences (XQuAD-R)."""
    return _squad(part, with_sentences=True)


def _squad(part: Part, with_sentences: bool) -> str:
    articles = []
    for key, paragraph in part.texts.paragraphs.items():
        if part.only and key not in part.only:
            continue
        text, breaks = context(paragraph, part.language)
        asked = [_asked(f"{key}-{n}", q, text) for n, q in enumerate(paragraph.questions, 1)]
        one: dict[str, Any] = {"context": text, "qas": asked}
        if with_sentences:
            one["sentence_breaks"] = breaks
        articles.append({"title": key, "paragraphs": [one]})
    return _json_lines([{"version": "1.1", "data": articles}]) if articles else ""


def _asked(name: str, asked: Asked, text: str) -> dict[str, Any]:
    answer = {"text": asked.answer, "answer_start": text.index(asked.answer)}
    return {"id": name, "question": asked.ask, "answers": [answer]}


def mentions(part: Part) -> str:
    """An article of one sentence for each linked entity (Mewsli-X)."""
    return _json_lines(
        {"context": article, "mentions": [mention]} for article, mention in _linked(part)
    )


def entity_pool(part: Part) -> str:
    """The entities that this language describes."""
    return _json_lines(_entity(part, key) for key in part.texts.entities)


def mentions_with_entities(part: Part) -> str:
    """Pairs of a mention and its entity, for training."""
    return _json_lines(
        {
            "contextual_mention": {"context": article, "mention": mention},
            "entity": _entity(part, mention["entity_id"]),
        }
        for article, mention in _linked(part)
    )


def _linked(part: Part) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    for key, notation in part.texts.tagged.items():
        text, span = running_text(list(words(notation)), part.language)
        if span is None:
            continue
        start, end = span
        name = f"{part.language}-{key}"
        article = {
            "document_title": key,
            "document_id": name,
            "language": part.language,
            "text": text,
            "sentence_spans": [{"start": 0, "end": len(text)}],
        }
        place = {"start": start, "end": end, "text": text[start:end]}
        yield article, {"example_id": name, "mention_span": place, "entity_id": key}


def _entity(part: Part, key: str) -> dict[str, Any]:
    description = part.texts.entities[key]
    return {
        "entity_id": key,
        "title": key,
        "description": description,
        "description_language": part.language,
        "sentence_spans": [{"start": 0, "end": len(description)}],
    }


def _lines(rows: Iterable[str]) -> str:
    return "".join(f"{row}\n" for row in rows)


def _json_lines(rows: Iterable[dict[str, Any]]) -> str:
    return _lines(json.dumps(row, ensure_ascii=False) for row in rows)


FORMATS: dict[str, Callable[[Part], str]] = {
    "pairs": pairs,
    "bank": bank,
    "english-bank": english_bank,
    "choices": choices,
    "social": social,
    "parts-of-speech": parts_of_speech,
    "entity-tags": entity_tags,
    "questions": questions,
    "questions-and-sentences": questions_and_sentences,
    "mentions": mentions,
    "entity-pool": entity_pool,
    "mentions-with-entities": mentions_with_entities,
}

"""Questions on paragraphs in the JSON of SQuAD, 1.1 and 2.0."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from xharness.data.files import DataFile, Records
from xharness.data.items import Answer, Question
from xharness.data.readers.ask import Ask


class GoldAnswer(msgspec.Struct):
    text: str
    answer_start: int


class Asked(msgspec.Struct):
    id: str
    question: str
    answers: list[GoldAnswer] = []
    is_impossible: bool = False


class Paragraph(msgspec.Struct):
    context: str
    qas: list[Asked]
    sentence_breaks: list[tuple[int, int]] = []


class Article(msgspec.Struct):
    paragraphs: list[Paragraph]


class Squad(msgspec.Struct):
    data: list[Article]


def paragraphs(file: DataFile) -> list[Paragraph]:
    """All paragraphs of a file in order."""
    return [p for article in file.json(Squad).data for p in article.paragraphs]


def read(file: DataFile, ask: Ask, *, only: str = "") -> Iterator[Question]:
    """Questions in file order, all gold answers kept, no text stripped: offsets are code points
    of the context as it stands.

    only  take the questions whose id starts so, in files that hold several languages.

    Questions on equal contexts share a cluster; the id is the parallel key. An empty answer is
    a stripped one, unless the question is said to be impossible (SQuAD 2.0). Raises DataError when
    an impossible question has an answer, or when an answer that is trained on is not at its offset
    (as the official preparation does); for evaluation, where only texts count, that is a note.
    """
    return questions(paragraphs(file), file, ask, only)


def questions(found: Iterable[Paragraph], file: Records, ask: Ask, only: str) -> Iterator[Question]:
    """The questions of paragraphs that `file` holds, as `read` has it."""
    clusters: dict[str, str] = {}
    astray: list[str] = []
    for paragraph in found:
        cluster = clusters.setdefault(paragraph.context, str(len(clusters)))
        for asked in paragraph.qas:
            if not asked.id.startswith(only):
                continue
            for answer in asked.answers:
                problem = _astray(answer, paragraph.context)
                if problem and ask.training:
                    raise file.error(f"question {asked.id!r}: {problem}")
                if problem:
                    astray.append(f"question {asked.id!r}: {problem}")
            answers = tuple(Answer(a.text, a.answer_start) for a in asked.answers if a.text)
            impossible = asked.is_impossible
            if impossible and answers:
                raise file.error(f"question {asked.id!r} is impossible and yet has an answer")
            context, key = paragraph.context, asked.id
            yield Question(key, asked.question, context, answers, cluster, key, impossible)
    if astray:
        file.notes.append(f"{len(astray)} answers are not at their offset; first: {astray[0]}")


def _astray(answer: GoldAnswer, context: str) -> str:
    """What is wrong with an answer's offset, or nothing."""
    start = answer.answer_start
    found = context[start : start + len(answer.text)] if start >= 0 else ""
    if found == answer.text:
        return ""
    return f"expected {answer.text!r} at offset {start}, found {found!r}"

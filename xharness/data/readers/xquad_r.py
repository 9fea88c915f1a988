"""XQuAD-R: sentences of all languages as candidates for a question (LAReQA)."""

from __future__ import annotations

from collections.abc import Iterator

from xharness.data.files import DataFile
from xharness.data.items import Candidate, Query
from xharness.data.readers.ask import Ask
from xharness.data.readers.squad import Paragraph, paragraphs


def candidate_text(sentence: str, context: str) -> str:
    """A sentence with its paragraph, joined without a blank as in the official script."""
    return (sentence + context).replace("\n", "")


def read(file: DataFile, ask: Ask) -> Iterator[Query | Candidate]:
    """All sentences as candidates, and the questions with the sentences of this file that hold
    their answer's start; equal sentences of the paragraph count as well. Targets in the other
    languages are found by the question id, the parallel key.

    Raises DataError when a paragraph has no sentences or one lies outside of it.
    Source: google-research/xtreme third_party/utils_lareqa.py.
    """
    for number, paragraph in enumerate(paragraphs(file), 1):
        context = paragraph.context
        if not paragraph.sentence_breaks:
            raise file.error(f"paragraph {number} has no sentence_breaks")
        for start, end in paragraph.sentence_breaks:
            if not 0 <= start <= end <= len(context):
                raise file.error(f"paragraph {number}: sentence [{start}, {end}] is outside of it")
        sentences = [context[start:end] for start, end in paragraph.sentence_breaks]
        names = [f"{ask.language}_{number}_{i}" for i in range(len(sentences))]
        for name, sentence in zip(names, sentences, strict=True):
            yield Candidate(name, candidate_text(sentence, context))
        for asked in paragraph.qas:
            offsets = [answer.answer_start for answer in asked.answers]
            right = {sentences[i] for offset in offsets for i in _holding(paragraph, offset)}
            targets = tuple(n for n, s in zip(names, sentences, strict=True) if s in right)
            question = asked.question.replace("\n", "")
            yield Query(asked.id, question, targets, str(number), asked.id)


def _holding(paragraph: Paragraph, offset: int) -> list[int]:
    breaks = enumerate(paragraph.sentence_breaks)
    return [i for i, (start, end) in breaks if start <= offset < end]

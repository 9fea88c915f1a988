"""Questions and the sentences that answer them, from SQuAD (training pairs of LAReQA)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from xharness.data.files import DataFile
from xharness.data.items import Match
from xharness.data.readers.ask import Ask
from xharness.data.readers.squad import Paragraph, paragraphs
from xharness.data.readers.xquad_r import candidate_text
from xharness.data.sentences import sentence_breaks


def read(file: DataFile, ask: Ask) -> Iterator[Match]:
    """One pair a question: its text, and the sentence in which its first answer starts, together
    with the paragraph. Questions whose answer is in no sentence are left out, as officially.

    Source: google-research/xtreme third_party/processors (LAReQA from SQuAD)."""
    return matches(paragraphs(file))


def matches(found: Iterable[Paragraph]) -> Iterator[Match]:
    """The pairs of paragraphs, as `read` has it."""
    for number, paragraph in enumerate(found):
        context = paragraph.context.replace("\n", " ")
        breaks = sentence_breaks(context)
        for asked in paragraph.qas:
            start = asked.answers[0].answer_start if asked.answers else -1
            sentence = next((context[a:b] for a, b in breaks if a <= start < b), None)
            if sentence is not None:
                text = candidate_text(sentence, context)
                yield Match(asked.id, asked.question, text, str(number), asked.id)

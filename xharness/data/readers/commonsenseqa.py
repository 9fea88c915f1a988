"""Questions and five answers in the JSON lines of CommonsenseQA."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from xharness.data.files import DataFile
from xharness.data.items import Choice
from xharness.data.readers.ask import Ask


class _Answer(msgspec.Struct):
    label: str
    text: str


class _Question(msgspec.Struct):
    stem: str
    choices: list[_Answer]


class _Row(msgspec.Struct):
    id: str
    question: _Question
    answerKey: str = ""


def read(file: DataFile, ask: Ask) -> Iterator[Choice]:
    """The premise is the question itself, the options are the answers in the order of their
    letters; the concept is not used. The test set has no `answerKey`.

    Raises DataError when the right letter is none of the answers'.
    Source: nyu-mll/jiant, jiant/tasks/lib/commonsenseqa.py.
    """
    for row in file.json_lines(_Row):
        answers = sorted(row.question.choices, key=lambda answer: answer.label)
        letters = [answer.label for answer in answers]
        if row.answerKey and row.answerKey not in letters:
            raise file.error(f"answerKey {row.answerKey!r} is none of {', '.join(letters)}")
        label = letters.index(row.answerKey) if row.answerKey else None
        options = tuple(answer.text for answer in answers)
        yield Choice(row.id, row.question.stem, options, label, row.question.stem, row.id)

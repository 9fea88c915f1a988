"""Examination questions on a passage in the JSON of RACE, a file for each passage."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from xharness.data.files import DataFile
from xharness.data.items import Choice
from xharness.data.readers.ask import Ask


class _Passage(msgspec.Struct):
    id: str
    article: str
    questions: list[str]
    options: list[list[str]]
    answers: list[str]


def read(file: DataFile, ask: Ask) -> Iterator[Choice]:
    """The premise is passage, blank and question, an option is an answer, in the order A to D.

    Raises DataError when questions, options and answers differ in number, and for an answer that
    is none of the options'.
    """
    passage = file.json(_Passage)
    if not len(passage.questions) == len(passage.options) == len(passage.answers):
        raise file.error(
            f"{len(passage.questions)} questions, {len(passage.options)} lists of options and "
            f"{len(passage.answers)} answers"
        )
    for number, (question, options, answer) in enumerate(
        zip(passage.questions, passage.options, passage.answers, strict=True), 1
    ):
        letters = "ABCDEFGH"[: len(options)]
        if len(answer) != 1 or answer not in letters:
            raise file.error(f"answer {answer!r} of question {number} is none of {letters}")
        key = f"{passage.id}-{number}"
        premise = f"{passage.article} {question}"
        yield Choice(key, premise, tuple(options), letters.index(answer), passage.id, key)

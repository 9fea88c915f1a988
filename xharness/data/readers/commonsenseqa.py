"""Questions and five answers in the JSON lines or the table of CommonsenseQA."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from xharness.data.files import DataFile, Records
from xharness.data.items import Choice
from xharness.data.readers.ask import Ask
from xharness.data.table import Table


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


class _Listed(msgspec.Struct):
    label: list[str]
    text: list[str]


class _Flat(msgspec.Struct):
    id: str
    question: str
    choices: _Listed
    answerKey: str = ""


def read(file: DataFile, ask: Ask) -> Iterator[Choice]:
    """The premise is the question itself, the options are the answers in the order of their
    letters; the concept is not used. The test set has no `answerKey`.

    Raises DataError when the right letter is none of the answers'.
    Source: nyu-mll/jiant, jiant/tasks/lib/commonsenseqa.py.
    """
    for row in file.json_lines(_Row):
        answers = ((answer.label, answer.text) for answer in row.question.choices)
        yield _choice(row.id, row.question.stem, answers, row.answerKey, file)


def read_table(table: Table, ask: Ask) -> Iterator[Choice]:
    """As `read`; the letters of a question's answers stand in one list, their texts in another."""
    for row in table.json_lines(_Flat):
        if len(row.choices.label) != len(row.choices.text):
            raise table.error(f"{len(row.choices.label)} letters, {len(row.choices.text)} answers")
        answers = zip(row.choices.label, row.choices.text, strict=True)
        yield _choice(row.id, row.question, answers, row.answerKey, table)


def _choice(
    name: str, stem: str, answers: Iterable[tuple[str, str]], right: str, file: Records
) -> Choice:
    ordered = sorted(answers)
    letters, options = [letter for letter, _ in ordered], tuple(text for _, text in ordered)
    if right and right not in letters:
        raise file.error(f"answerKey {right!r} is none of {', '.join(letters)}")
    return Choice(name, stem, options, letters.index(right) if right else None, stem, name)

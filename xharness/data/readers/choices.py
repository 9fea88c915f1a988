"""Multiple-choice questions in JSON lines: COPA and XCOPA, Social IQa."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from xharness.data.files import Records
from xharness.data.items import Choice
from xharness.data.readers.ask import Ask


class _Copa(msgspec.Struct):
    premise: str
    choice1: str
    choice2: str
    question: Literal["cause", "effect"]
    label: int | None = None
    idx: int | str | None = None


class _Siqa(msgspec.Struct):
    context: str
    question: str
    answerA: str
    answerB: str
    answerC: str
    correct: str = ""


def read_copa(file: Records, ask: Ask) -> Iterator[Choice]:
    """Two choices for a cause or an effect; the question stands in English in all languages.

    The parallel key is the published `idx`. A label of -1 or none is a stripped one.
    Source: google-research/xtreme third_party/run_xcopa.py."""
    for number, row in enumerate(file.json_lines(_Copa), ask.first + 1):
        if row.label not in (None, -1, 0, 1):
            raise file.error(f"label {row.label} is neither 0 nor 1")
        label = None if row.label == -1 else row.label
        premise = f"{row.premise} What was the {row.question}?"
        key = str(number if row.idx is None else row.idx)
        yield Choice(str(number), premise, (row.choice1, row.choice2), label, key, key)


def read_siqa(file: Records, ask: Ask, *, labels: str = "") -> Iterator[Choice]:
    """Three answers; the right one is named by the key `correct` (A, B, C) or by the same line
    of the file `labels` beside this one (1, 2, 3), as in the release."""
    beside = file.sibling(labels) if labels else None
    numbers = list(beside.lines()) if beside else None
    count = 0
    for count, row in enumerate(file.json_lines(_Siqa), 1):
        given = row.correct
        if numbers is not None:
            if count > len(numbers):
                raise file.error(f"{beside.path if beside else ''} has only {len(numbers)} lines")
            given = numbers[count - 1].strip()
        if given and given not in ("A", "B", "C", "1", "2", "3"):
            raise file.error(f"label {given!r} is none of A, B, C or 1, 2, 3")
        label = "ABC123".index(given) % 3 if given else None
        options = (row.answerA, row.answerB, row.answerC)
        key = str(ask.first + count)
        yield Choice(key, f"{row.context} {row.question}", options, label, row.context, key)
    if beside and numbers is not None and len(numbers) != count:
        raise file.error(f"{count} questions, but {beside.path} has {len(numbers)} labels")

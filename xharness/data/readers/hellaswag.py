"""Beginnings of a text and four endings, in the JSON lines or the table of HellaSwag."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from xharness.data.files import Records
from xharness.data.items import Choice
from xharness.data.readers.ask import Ask


class _Row(msgspec.Struct):
    ctx_a: str
    ctx_b: str
    endings: list[str]
    label: int | str | None = None


def read(file: Records, ask: Ask) -> Iterator[Choice]:
    """The premise is `ctx_a`, an option is `ctx_b`, a blank and an ending; `activity_label` is not
    used. The label is a number, in some copies as text, and is missing in the test set.

    Raises DataError for a label that is no ending.
    Source: nyu-mll/jiant, jiant/tasks/lib/hellaswag.py.
    """
    for number, row in enumerate(file.json_lines(_Row), ask.first + 1):
        label = None if row.label in (None, "") else str(row.label)
        if label is not None and label not in map(str, range(len(row.endings))):
            raise file.error(f"label {row.label!r} is none of the {len(row.endings)} endings")
        # jiant's options begin with a blank where `ctx_b` is empty; ours don't.
        options = tuple(f"{row.ctx_b} {ending}".strip() for ending in row.endings)
        key = str(number)
        yield Choice(key, row.ctx_a, options, None if label is None else int(label), key, key)

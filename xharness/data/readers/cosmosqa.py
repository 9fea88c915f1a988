"""Questions on blog posts and four answers in the csv of Cosmos QA."""

from __future__ import annotations

import csv
from collections.abc import Iterator

from xharness.data.files import DataFile
from xharness.data.items import Choice
from xharness.data.readers.ask import Ask

_COLUMNS = ("context", "question", "answer0", "answer1", "answer2", "answer3")


def read(file: DataFile, ask: Ask) -> Iterator[Choice]:
    """The premise is context, blank and question, an option is an answer. A row without a label
    is unlabelled. Texts are pre-tokenised ("did n't") and stay so.

    Raises DataError for missing columns, broken quoting and labels other than 0 to 3.
    Source: nyu-mll/jiant, jiant/tasks/lib/cosmosqa.py.
    """
    rows = csv.DictReader((f"{line}\n" for line in file.lines()), strict=True)
    try:
        for number, row in enumerate(rows, ask.first + 1):
            missing = [name for name in _COLUMNS if row.get(name) is None]
            if missing or None in row:
                raise file.error(f"the row does not have the columns {', '.join(_COLUMNS)}")
            given = row.get("label") or ""
            if given not in ("", "0", "1", "2", "3"):
                raise file.error(f"label {given!r} is none of 0, 1, 2, 3")
            context, question, *answers = (row[name] for name in _COLUMNS)
            label = int(given) if given else None
            key = str(number)
            yield Choice(key, f"{context} {question}", tuple(answers), label, context, key)
    except csv.Error as error:
        raise file.error(f"{error}; the file is cut, damaged or no csv") from error

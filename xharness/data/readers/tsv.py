"""Sentence pairs in columns that a TAB parts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import chain

from xharness.data.files import DataFile
from xharness.data.items import Pair
from xharness.data.readers.ask import Ask
from xharness.errors import DataError, did_you_mean

NO_MAJORITY = "-"  # MultiNLI and SNLI: the annotators did not agree
_QUOTED = re.compile(r'"[^"]*(?:""[^"]*)+"')


def read(
    file: DataFile,
    ask: Ask,
    *,
    columns: Mapping[str, int | str],
    where: Mapping[str, int | str] | None = None,
    rename: Mapping[str, str] | None = None,
    drop_short: bool = False,
) -> Iterator[Pair]:
    """Pairs in file order; the row number is the id and, in all languages, the parallel key.

    columns  where `first`, `second` and `label` stand: numbers from 0 in a file without a header,
             names in one with. A row without the label's column is unlabelled.
    where    column `language`: only rows of the asked language count, in their own numbering.
    rename   labels that are spelt otherwise in the file.
    drop_short  rows with fewer columns than the header are left out but counted, and noted: a line
             end within a text has cut them (GLUE's training file of QQP has some).

    Quotes are text, as in all these releases, unless the file is clearly a csv export.
    Rows whose label is `-` are left out but counted.
    Raises DataError for missing columns and unknown labels.

    Source: google-research/xtreme third_party/processors/xnli.py, utils_preprocess.py.
    """
    rows = [line.split("\t") for line in file.lines()]
    while rows and rows[-1] == [""]:
        rows.pop()
    if file.crlf and _is_csv(rows):
        rows = [[_unquote(field) for field in row] for row in rows]
    named = any(isinstance(place, str) for place in columns.values())
    header = rows.pop(0) if named and rows else []
    file.line = 1 if named else 0
    first, second, label = (_index(columns[c], header, file) for c in ("first", "second", "label"))
    language = _index(where["language"], header, file) if where else None
    number, short = ask.first, list[int]()
    for row in rows:
        file.line += 1
        if language is not None and (len(row) <= language or row[language] != ask.language):
            continue
        number += 1
        if drop_short and len(row) < len(header):
            short.append(file.line)
            continue
        if len(row) <= max(first, second):
            raise file.error(f"{len(row)} columns where {max(first, second) + 1} are needed")
        if not named and len(row) > max(first, second, label) + 1:
            raise file.error(
                f"{len(row)} columns where {max(first, second, label) + 1} are expected: "
                "a text holds a TAB or the file has another layout"
            )
        given = row[label].strip() if len(row) > label else ""
        if given == NO_MAJORITY:
            continue
        known = ask.known((rename or {}).get(given, given), file) if given else None
        yield Pair(str(number), row[first], row[second], known, row[first], str(number))
    if short:
        file.notes.append(
            f"left out: {len(short)} rows with fewer columns than the header, the first at line "
            f"{short[0]}"
        )


def _index(place: int | str, header: list[str], file: DataFile) -> int:
    if isinstance(place, int):
        return place
    if place in header:
        return header.index(place)
    near = did_you_mean(place, header)
    raise DataError(f"{file.path}:1: no column {place!r} in the header {header}.{near}")


def _is_csv(rows: list[list[str]]) -> bool:
    """A csv writer quotes a field only if it must, and then doubles each quote in it."""
    held = [field for field in chain.from_iterable(rows) if '"' in field]
    return bool(held) and all(_QUOTED.fullmatch(field) for field in held)


def _unquote(field: str) -> str:
    return field[1:-1].replace('""', '"') if '"' in field else field

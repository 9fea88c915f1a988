"""Sentence pairs in JSON lines: ANLI, and MultiNLI and SNLI in their releases."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from xharness.data.files import DataFile
from xharness.data.items import Pair
from xharness.data.readers.ask import Ask
from xharness.data.readers.tsv import NO_MAJORITY
from xharness.errors import did_you_mean


def read(
    file: DataFile, ask: Ask, *, keys: Mapping[str, str], rename: Mapping[str, str] | None = None
) -> Iterator[Pair]:
    """Pairs in file order, numbered, since the releases' own ids are not always unique.

    keys    where `first`, `second` and `label` stand; a row without the label's is unlabelled.
    rename  labels that are spelt otherwise in the file.

    Rows whose label is `-` are left out but counted. Raises DataError for a missing key, a value
    that is no text and an unknown label.
    """
    for number, row in enumerate(file.json_lines(dict[str, Any]), ask.first + 1):
        first, second = (_text(row, keys[name], file) for name in ("first", "second"))
        given = _text(row, keys["label"], file) if keys["label"] in row else ""
        if given == NO_MAJORITY:
            continue
        label = ask.known((rename or {}).get(given, given), file) if given else None
        yield Pair(str(number), first, second, label, first, str(number))


def _text(row: Mapping[str, Any], key: str, file: DataFile) -> str:
    if key not in row:
        raise file.error(f"no key {key!r} among {', '.join(row)}.{did_you_mean(key, row)}")
    if not isinstance(row[key], str):
        raise file.error(f"{key!r} is {row[key]!r} where a text is expected")
    return str(row[key])

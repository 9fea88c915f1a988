"""Parallel sentences in two files (Tatoeba)."""

from __future__ import annotations

from collections.abc import Iterator

from xharness.data.files import DataFile
from xharness.data.items import Candidate, Query
from xharness.data.readers.ask import Ask

CLEARLY_SORTED = 10  # that many lines in order are no accident


def read(file: DataFile, ask: Ask, *, english: str) -> Iterator[Query | Candidate]:
    """Candidates are the lines of this file, queries those of the file `english` beside it,
    sorted by code point as officially; ids are 0-based numbers of lines, of queries after sorting.

    An English file that is sorted already comes from the official preparation, which loses what
    belongs to what: its queries have no targets.
    Raises DataError when the English file is absent or has not as many lines.

    Source: google-research/xtreme utils_preprocess.py, third_party/evaluate_retrieval.py.
    """
    beside = file.sibling(english)
    if beside is None:
        raise file.error(f"the English side {english!r} is not beside it")
    candidates = [line.strip() for line in file.lines()]
    sentences = [line.strip() for line in beside.lines()]
    if len(candidates) != len(sentences):
        raise file.error(f"{len(candidates)} lines, but {beside.path} has {len(sentences)}")
    order = sorted(range(len(sentences)), key=sentences.__getitem__)
    stripped = len(order) >= CLEARLY_SORTED and order == list(range(len(order)))
    yield from (Candidate(str(n), text) for n, text in enumerate(candidates))
    for n, line in enumerate(order):
        yield Query(str(n), sentences[line], () if stripped else (str(line),))

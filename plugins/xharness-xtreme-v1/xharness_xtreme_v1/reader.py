"""Comparable corpora: two files of sentences with ids, and one of gold pairs of ids."""

from __future__ import annotations

from collections.abc import Iterator

from xharness.data.files import DataFile
from xharness.data.items import Candidate
from xharness.data.readers.ask import Ask
from xharness_xtreme_v1.items import ForeignSentence


def read(
    file: DataFile, ask: Ask, *, english: str, gold: str
) -> Iterator[ForeignSentence | Candidate]:
    """Sources are the lines of this file, candidates those of the file `english` beside it, each
    `id TAB text`; the file `gold` beside it has pairs `source id TAB candidate id`. Without it
    (the official preparation deletes it for the test split) the targets are None.

    Raises DataError when the English file is absent, a line has not two columns, an id stands
    twice, or a gold pair names a sentence that is not there.

    Source: google-research/xtreme scripts/download_data.sh, scripts/run_bucc2018.sh.
    """
    beside = file.sibling(english)
    if beside is None:
        raise file.error(f"the English side {english!r} is not beside it")
    sources, candidates = _sentences(file), _sentences(beside)
    pairs = file.sibling(gold)
    targets: dict[str, list[str]] = {name: [] for name in sources}
    if pairs is not None:
        for source, candidate in _columns(pairs):
            for name, known, where in ((source, sources, file), (candidate, candidates, beside)):
                if name not in known:
                    raise pairs.error(f"{name!r} is no id in {where.path.name}")
            if candidate not in targets[source]:
                targets[source].append(candidate)
    yield from (Candidate(name, text) for name, text in candidates.items())
    for name, text in sources.items():
        yield ForeignSentence(name, text, tuple(targets[name]) if pairs else None)


def _sentences(file: DataFile) -> dict[str, str]:
    sentences: dict[str, str] = {}
    for name, text in _columns(file):
        if name in sentences:
            raise file.error(f"the id {name!r} stands twice")
        sentences[name] = text
    return sentences


def _columns(file: DataFile) -> Iterator[tuple[str, str]]:
    for line in file.lines():
        columns = line.split("\t")
        if len(columns) != 2:
            raise file.error(f"{len(columns)} columns where 2 are needed, an id and a text or id")
        yield columns[0].strip(), columns[1].strip()

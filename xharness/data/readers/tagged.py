"""Words and tags, one word a line."""

from __future__ import annotations

from collections.abc import Iterator

from xharness.data.files import DataFile
from xharness.data.items import Sentence
from xharness.data.readers.ask import Ask


def read(file: DataFile, ask: Ask, *, prefix: bool = False) -> Iterator[Sentence]:
    """Sentences of `word TAB tag`, parted by blank lines; the position is the id, since texts
    repeat. A file without any TAB is a stripped one and gives sentences without tags.

    prefix  words are written `xx:word` (PAN-X): cut at the first colon. As in the official
            preparation a line without exactly one TAB then ends the sentence, and a word without
            a colon is dropped.

    A line that starts with `#` is a word, quotes are text. Raises DataError for a word without
    a tag (or with several) among words with one, and for unknown tags.

    Source: google-research/xtreme utils_preprocess.py.
    """
    number = ask.first
    for words, tags in _sentences(file, ask, prefix):
        number += 1
        if tags and len(tags) != len(words):
            raise file.error("a word without a tag in or before this line, though others have one")
        key = str(number)
        yield Sentence(key, tuple(words), tuple(tags) if tags else None, key, key)


def _sentences(file: DataFile, ask: Ask, prefix: bool) -> Iterator[tuple[list[str], list[str]]]:
    words: list[str] = []
    tags: list[str] = []
    for line in file.lines():
        fields = line.split("\t")
        if len(fields) != 2 and (prefix or not line.strip()):
            if words:
                yield words, tags
            words, tags = [], []
            continue
        if len(fields) > 2:
            raise file.error(f"{len(fields)} columns where a word and its tag are expected")
        word = fields[0]
        if prefix:
            _, colon, word = word.partition(":")
            if not colon:
                continue
        words.append(word)
        if len(fields) == 2 and fields[1].strip():
            tags.append(ask.known(fields[1].strip(), file))
    if words:
        yield words, tags

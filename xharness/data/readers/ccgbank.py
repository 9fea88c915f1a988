"""Words and their supertags from the derivations of CCGbank (files `*.auto`)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from xharness.data.files import DataFile
from xharness.data.items import Sentence
from xharness.data.readers.ask import Ask

_HEADER = "ID="
# A leaf holds category, modified and original part of speech, word, and predicate-argument
# category; categories have brackets but never a blank, a word may be a bracket's name.
_LEAF = re.compile(r"\(<L (.*?)>\)")


def read(file: DataFile, ask: Ask) -> Iterator[Sentence]:
    """Sentences in file order, named by their headers (`ID=wsj_0001.1 ...`); the tag of a word is
    its lexical category.

    Raises DataError for a derivation without header, a header without derivation, a line that is
    neither and a leaf without its five fields.
    Source: format of LDC2005T13, as allenai/allennlp-models reads it (ccgbank.py).
    """
    name = ""
    for line in file.lines():
        if line.startswith(_HEADER):
            if name:
                raise file.error(f"sentence {name!r} has no derivation")
            name = line.removeprefix(_HEADER).split()[0]
        elif line.startswith("(<") and name:
            leaves = [leaf.split(" ") for leaf in _LEAF.findall(line)]
            if not leaves or any(len(leaf) != 5 for leaf in leaves):
                raise file.error("the derivation has a leaf without five fields, or no leaf")
            tags = tuple(ask.known(leaf[0], file) for leaf in leaves)
            yield Sentence(name, tuple(leaf[3] for leaf in leaves), tags, name, name)
            name = ""
        elif line.strip():
            raise file.error(f"expected a header 'ID=...' and then a derivation, found {line!r}")
    if name:
        raise file.error(f"sentence {name!r} has no derivation")

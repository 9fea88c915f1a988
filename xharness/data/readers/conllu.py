"""CoNLL-U, converted as the official preparation does: fused forms stay one word.

The package conllu is not used: it also splits fields at double blanks, which forms may hold.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from xharness.data.files import DataFile
from xharness.data.items import Sentence
from xharness.data.readers.ask import Ask

# Which part of a fused form lends its tag when several stand equally high in the tree.
_PRECEDENCE = {
    "es": "VERB AUX PRON ADP DET",
    "fr": "VERB AUX PRON NOUN ADJ ADV ADP DET PART SCONJ CONJ",
    "it": "VERB AUX ADV PRON ADP DET INTJ",
}
_PRECEDENCE_ELSEWHERE = "VERB NOUN PROPN PRON ADJ NUM ADV INTJ AUX ADP DET PART CCONJ SCONJ X PUNCT"
_DELETED = str.maketrans("", "", " \u200c")
_DEPS = re.compile(r"(\d+):")


@dataclass
class _Tree:
    """Words by id, with the edges that lead up from each, and fused forms by their first id."""

    forms: dict[int, str] = field(default_factory=dict)
    tags: dict[int, str] = field(default_factory=dict)
    heads: dict[int, set[int]] = field(default_factory=dict)
    fused: dict[int, tuple[int, str]] = field(default_factory=dict)

    def ancestors(self, word: int) -> set[int]:
        found: set[int] = set()
        open_ = [word]
        while open_:
            for head in self.heads.get(open_.pop(), set()) - found:
                found.add(head)
                open_.append(head)
        return found - {word}


def read(file: DataFile, ask: Ask) -> Iterator[Sentence]:
    """Sentences with UPOS tags.

    Empty nodes are dropped. A fused form replaces its parts and takes the tag of the one with
    the fewest ancestors over basic and enhanced edges; on a tie a list for the language decides.
    U+200C and blanks are deleted from forms. A sentence of which all forms but at most one are
    `_` (text under licence) is left out.
    Raises DataError where a line has not ten columns, an id or a head is no number, a fused form
    lacks its parts, or a tie has a tag outside the list (the official converter stops there).

    Source: google-research/xtreme scripts/download_data.sh, third_party/ud-conversion-tools,
    utils_preprocess.py.
    """
    number = ask.first
    tree = _Tree()
    for line in file.lines():
        if line.startswith("#"):
            continue
        if line.strip():
            _add(tree, line, file)
            continue
        for sentence in _finish(tree, file, ask, number + 1):
            number += 1
            yield sentence
        tree = _Tree()
    yield from _finish(tree, file, ask, number + 1)


def _add(tree: _Tree, line: str, file: DataFile) -> None:
    columns = line.split("\t")
    if len(columns) != 10:
        raise file.error(f"{len(columns)} columns where CoNLL-U has 10")
    name, form, _, tag, _, _, head, _, enhanced, _ = columns
    if re.fullmatch(r"\d+\.\d+", name):
        return
    span = re.fullmatch(r"(\d+)-(\d+)", name)
    if span:
        start, end = int(span[1]), int(span[2])
        if end < start:
            raise file.error(f"the fused form {name} ends before it starts")
        tree.fused[start] = (end, form)
        return
    if not name.isdecimal() or not (head.isdecimal() or head == "_"):
        raise file.error(f"id {name!r} or head {head!r} is not a number")
    word = int(name)
    if word in tree.forms:
        raise file.error(f"id {name} occurs twice in the sentence")
    tree.forms[word], tree.tags[word] = form, tag
    tree.heads[word] = {int(n) for n in [head] if n != "_"}
    tree.heads[word] |= {int(m[1]) for d in enhanced.split("|") if (m := _DEPS.match(d))}


def _finish(tree: _Tree, file: DataFile, ask: Ask, number: int) -> Iterator[Sentence]:
    words, tags = [], []
    covered = 0
    for word, form in tree.forms.items():
        if word <= covered:
            continue
        if word in tree.fused:
            covered, form = tree.fused.pop(word)
            word = _head(tree, range(word, covered + 1), file, ask.language)
        words.append(form.translate(_DELETED))
        tags.append(ask.known(tree.tags[word], file))
    if tree.fused:
        raise file.error(f"the fused form {next(iter(tree.fused.values()))[1]!r} lacks its parts")
    blanks = words.count("_")
    if words and not (blanks and blanks >= len(words) - 1):
        yield Sentence(str(number), tuple(words), tuple(tags), str(number), str(number))


def _head(tree: _Tree, parts: range, file: DataFile, language: str) -> int:
    """The part of a fused form that survives it."""
    missing = next((part for part in parts if part not in tree.forms), None)
    if missing is not None:
        raise file.error(f"the fused form {parts[0]}-{parts[-1]} lacks part {missing}")
    heights = {part: len(tree.ancestors(part)) for part in parts}
    highest = [part for part in parts if heights[part] == min(heights.values())]
    if len(highest) == 1:
        return highest[0]
    order = _PRECEDENCE.get(language, _PRECEDENCE_ELSEWHERE).split()
    for part in highest:
        if tree.tags[part] not in order:
            raise file.error(
                f"the parts of the fused form {parts[0]}-{parts[-1]} stand equally high, and tag "
                f"{tree.tags[part]!r} is not in the official order for {language!r}"
            )
    return min(highest, key=lambda part: order.index(tree.tags[part]))

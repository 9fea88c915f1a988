"""Changes of an item's texts that carry what is marked in them: answer offsets are computed anew,
tags stay with their words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from xharness.data.items import Answer, Choice, Item, Match, Pair, Query, Question, Sentence
from xharness.errors import PluginError


class Change(NamedTuple):
    """Code points [start, end) of a text become `text`."""

    start: int
    end: int
    text: str


# text, name of the field it stands in -> changes of it that don't overlap, in any order.
Propose = Callable[[str, str], Sequence[Change]]


def changed_text(text: str, changes: Sequence[Change]) -> str:
    """The text after the changes."""
    parts, at = [], 0
    for start, end, new in sorted(changes):
        if start < at:
            raise ValueError(f"changes overlap at code point {start}")
        parts += [text[at:start], new]
        at = end
    return "".join([*parts, text[at:]])


def shifted(position: int, changes: Sequence[Change]) -> int:
    """Where the code point at `position`, inside none of the changes, stands afterwards."""
    return position + sum(len(c.text) - (c.end - c.start) for c in changes if c.end <= position)


def edit(item: Item, propose: Propose) -> Item:
    """The item with its texts changed as proposed; the label is the same.

    Contexts keep every gold answer as it is: changes that touch one, or that stand right beside
    it and could grow together with it, are left out. Words stay one word each: a change that would
    leave one empty or put a blank into it is left out. Of a match only the query changes:
    candidates stay clean. Raises PluginError for other types of items.
    """

    def change(text: str, field: str) -> str:
        return changed_text(text, propose(text, field))

    if isinstance(item, Pair):
        return replace(
            item, first=change(item.first, "first"), second=change(item.second, "second")
        )
    if isinstance(item, Choice):
        options = tuple(change(o, f"options[{i}]") for i, o in enumerate(item.options))
        return replace(item, premise=change(item.premise, "premise"), options=options)
    if isinstance(item, Sentence):
        changed = [(w, change(w, f"words[{i}]")) for i, w in enumerate(item.words)]
        words = tuple(new if is_word(new) else old for old, new in changed)
        return replace(item, words=words)
    if isinstance(item, Question):
        return _question(item, propose, change(item.question, "question"))
    if isinstance(item, Query):
        return replace(item, text=change(item.text, "text"))
    if isinstance(item, Match):
        return replace(item, query=change(item.query, "query"))
    raise PluginError(f"which texts of {type(item).__name__} items may change is not known here")


def is_word(text: str) -> bool:
    """Whether it is one word: not empty, no blank in it."""
    return text.split() == [text]


def _question(item: Question, propose: Propose, question: str) -> Question:
    spans = [(a.start, a.start + len(a.text)) for a in item.answers]
    kept = [
        change
        for change in propose(item.context, "context")
        if all(change.end < start or change.start > end for start, end in spans)
    ]
    context = changed_text(item.context, kept)
    answers = tuple(Answer(a.text, shifted(a.start, kept)) for a in item.answers)
    for answer in answers:
        assert context[answer.start :][: len(answer.text)] == answer.text
    return replace(item, question=question, context=context, answers=answers)

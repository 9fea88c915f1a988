"""Readers of tables: one record a row, as data sets on the Hub have them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby

import msgspec

from xharness.data.items import Match, Pair, Question, Sentence
from xharness.data.readers.ask import Ask
from xharness.data.readers.squad import Asked, GoldAnswer, Paragraph, questions
from xharness.data.readers.squad_sentences import matches
from xharness.data.readers.tsv import NO_MAJORITY
from xharness.data.table import Table


class _Pair(msgspec.Struct):
    first: str
    second: str
    label: str | None = None


class _Words(msgspec.Struct):
    words: list[str]
    tags: list[str] | None = None


class _Answers(msgspec.Struct):
    text: list[str]
    answer_start: list[int]


class _Question(msgspec.Struct):
    id: str
    context: str
    question: str
    answers: _Answers


def read_pairs(
    table: Table,
    ask: Ask,
    *,
    rename: Mapping[str, str] | None = None,
    no_majority: str = NO_MAJORITY,
) -> Iterator[Pair]:
    """Sentence pairs, numbered as `tsv` numbers them.

    rename       labels that are spelt otherwise in the table.
    no_majority  the label of pairs on which annotators did not agree, which are left out but
                 counted; empty where such a pair has none.
    """
    for number, row in enumerate(table.json_lines(_Pair), ask.first + 1):
        given = row.label or ""
        if given == no_majority:
            continue
        label = ask.known((rename or {}).get(given, given), table) if given else None
        yield Pair(str(number), row.first, row.second, label, row.first, str(number))


def read_words(table: Table, ask: Ask) -> Iterator[Sentence]:
    """Sentences, numbered as `tagged` numbers them. Raises DataError where words and tags are
    not as many, and for unknown tags."""
    rows = (row for row in table.json_lines(_Words) if row.words)
    for number, row in enumerate(rows, ask.first + 1):
        if row.tags is not None and len(row.tags) != len(row.words):
            raise table.error(f"{len(row.tags)} tags for {len(row.words)} words")
        tags = tuple(ask.known(tag, table) for tag in row.tags) if row.tags else None
        yield Sentence(str(number), tuple(row.words), tags, str(number), str(number))


def read_squad(
    table: Table, ask: Ask, *, only: str = "", impossible: bool = False
) -> Iterator[Question]:
    """A question a row, with its context; the rest is as in the reader `squad` of files.

    impossible  questions without an answer are impossible ones (SQuAD 2.0), which a row can't say.
    """
    return questions(_paragraphs(table, impossible), table, ask, only)


def read_squad_sentences(table: Table, ask: Ask) -> Iterator[Match]:
    """A question a row, with its context; the rest is as in the reader of files."""
    return matches(_paragraphs(table))


def _paragraphs(table: Table, impossible: bool = False) -> Iterator[Paragraph]:
    """Rows in a row with one context are a paragraph, as they were before they were flattened."""
    for context, rows in groupby(table.json_lines(_Question), key=lambda row: row.context):
        yield Paragraph(context, [_asked(row, table, impossible) for row in rows])


def _asked(row: _Question, table: Table, impossible: bool) -> Asked:
    texts, starts = row.answers.text, row.answers.answer_start
    if len(texts) != len(starts):
        raise table.error(f"{len(texts)} answers with {len(starts)} offsets")
    gold = [GoldAnswer(text, start) for text, start in zip(texts, starts, strict=True)]
    return Asked(row.id, row.question, gold, impossible and not gold)

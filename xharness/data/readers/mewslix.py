"""Mewsli-X: articles with mentions, entities, and pairs of both."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from xharness.data.files import DataFile
from xharness.data.items import Candidate, Match, Query
from xharness.data.readers.ask import Ask


class Piece(msgspec.Struct):
    start: int
    end: int


class MentionSpan(Piece):
    text: str


class Context(msgspec.Struct):
    document_id: str
    language: str
    text: str
    sentence_spans: list[Piece]


class Mention(msgspec.Struct):
    example_id: str
    mention_span: MentionSpan
    entity_id: str


class Entity(msgspec.Struct):
    entity_id: str
    description: str
    sentence_spans: list[Piece]


class ContextualMention(msgspec.Struct):
    context: Context
    mention: Mention


class _Line(msgspec.Struct):
    """An article has `context` and `mentions`, a pair `contextual_mention` and `entity`, an
    entity its own keys."""

    context: Context | None = None
    mentions: list[Mention] = []
    contextual_mention: ContextualMention | None = None
    entity: Entity | None = None
    entity_id: str | None = None
    description: str = ""
    sentence_spans: list[Piece] = []


def read(file: DataFile, ask: Ask) -> Iterator[Query | Match | Candidate]:
    """Queries from articles of the asked language, candidates from entities, matches from pairs.

    Raises DataError for a span that is not as it says, a mention that crosses sentences, and
    texts that are empty: the release leaves them out, its script puts them back.

    Source: google-research/xtreme third_party/utils_mewslix.py; schema in
    google-research/google-research dense_representations_for_entity_retrieval/mel.
    """
    for line in file.json_lines(_Line):
        if line.contextual_mention and line.entity:
            context, mention = line.contextual_mention.context, line.contextual_mention.mention
            if context.language == ask.language:
                query = _checked(file, context, mention)
                candidate = entity_text(line.entity.description, line.entity.sentence_spans)
                yield Match(mention.example_id, query, candidate, context.document_id)
        elif line.context:
            if line.context.language != ask.language:
                continue
            for mention in line.mentions:
                targets = (mention.entity_id,) if mention.entity_id else ()
                text = _checked(file, line.context, mention)
                yield Query(mention.example_id, text, targets, line.context.document_id)
        elif line.entity_id is not None:
            yield Candidate(line.entity_id, entity_text(line.description, line.sentence_spans))
        else:
            raise file.error("neither an article with mentions, nor an entity, nor a pair")


def mention_text(context: Context, mention: Mention) -> str | None:
    """The query text: the mention, and its sentence in which braces mark it; None when no
    sentence holds the whole mention."""
    span = mention.mention_span
    for sentence in context.sentence_spans:
        if sentence.start <= span.start and span.end <= sentence.end:
            left = _round(context.text[sentence.start : span.start])
            right = _round(context.text[span.end : sentence.end])
            return _clean(f"{span.text}: {left} {{ {span.text} }} {right}")
    return None


def entity_text(description: str, sentences: list[Piece]) -> str:
    """The candidate text: the sentences of the description; the title is not part of it."""
    return _clean(" ".join(description[s.start : s.end] for s in sentences))


def _round(text: str) -> str:
    """Braces round a piece of text become brackets: only the mention is marked by braces."""
    return re.sub(r"\{([^{}]*)\}", r"(\1)", text)


def _clean(text: str) -> str:
    # Official: double blanks are replaced once from the left, so four blanks become two.
    return re.sub(r"[\r\n]", " ", text).replace("  ", " ").strip()


def _checked(file: DataFile, context: Context, mention: Mention) -> str:
    span = mention.mention_span
    if not context.text:
        raise file.error(
            f"the text of {context.document_id!r} is empty, as in the released files without "
            "texts; put the texts back with the release's own script get-mewsli-x.sh"
        )
    found = context.text[span.start : span.end] if 0 <= span.start < span.end else ""
    if not found or found != span.text:
        raise file.error(
            f"mention {mention.example_id!r}: expected {span.text!r} at [{span.start}, "
            f"{span.end}], found {found!r}"
        )
    text = mention_text(context, mention)
    if text is None:
        raise file.error(f"mention {mention.example_id!r} is in no single sentence")
    return text

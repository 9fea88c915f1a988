"""The bundled sample's source: one YAML file a language, aligned by key, and what is read off it.

`docs/sample.md` describes the format.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import yaml

from xharness.cards import Strict, read_strict
from xharness.errors import DataError

FOLDER = Path(__file__).parents[2] / "sample"
ENGLISH = "en"
UNSPACED = ("ja", "my", "th", "zh")  # written without blanks between words
_SENTENCES_TOUCH = ("ja", "zh")
_TOKEN = re.compile(r"([^\s/\[\]]+)(?:/([A-Z]+))?(\])?")
_OPENING = re.compile(r"\[(LOC|ORG|PER)(\*?)")
_NO_BLANK_BEFORE = re.compile(r"[-.,:;?!…)»”’'%،؛؟۔।॥。，、！？：；]")
_NO_BLANK_AFTER = re.compile(r".*[(«„“¿¡'’]")


class Situation(Strict, frozen=True):
    """A premise, and a hypothesis for each label."""

    premise: str
    entailment: str
    neutral: str
    contradiction: str

    @property
    def sentences(self) -> tuple[str, str, str, str]:
        return self.premise, self.entailment, self.neutral, self.contradiction


class Alternative(Strict, frozen=True):
    """A premise, its cause (or effect), and what is not its cause (or effect)."""

    premise: str
    right: str
    wrong: str


class Asked(Strict, frozen=True):
    """A question; the answer occurs once in the paragraph, letter by letter."""

    ask: str
    answer: str


class Paragraph(Strict, frozen=True):
    sentences: list[str]
    questions: list[Asked]


class Social(Strict, frozen=True):
    """A question about people, its answer and two that are not."""

    context: str
    ask: str
    right: str
    wrong: list[str]


class Texts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The parts of a file; a language has those that its tasks need.

    tagged    sentences in the notation that `words` reads; the key is the entity that is linked.
    entities  descriptions of entities for the pool, in this language.
    """

    situations: dict[str, Situation] = {}
    causes: dict[str, Alternative] = {}
    effects: dict[str, Alternative] = {}
    paragraphs: dict[str, Paragraph] = {}
    tagged: dict[str, str] = {}
    entities: dict[str, str] = {}
    social: dict[str, Social] = {}


class Word(NamedTuple):
    """A word as it is written, its UPOS tag (empty where the language has none), its entity tag,
    and whether it belongs to the linked entity. `_` in a form is a blank inside of a word."""

    form: str
    upos: str
    entity: str
    linked: bool


def read_texts(path: Path) -> Texts:
    """The texts of a file. Raises CardError, with file and line, when it does not read."""
    try:
        return msgspec.yaml.decode(path.read_bytes(), type=Texts)
    except (msgspec.DecodeError, yaml.YAMLError, UnicodeDecodeError):
        return read_strict(path, Texts)  # slower, and knows lines


def words(notation: str) -> Iterator[Word]:
    """Reads `[PER* Marie/PROPN Curie/PROPN] studied/VERB ./PUNCT`: blanks part the words, a slash
    the UPOS tag (all words have one or none), brackets hold an entity, `*` marks the linked one.

    Raises DataError where the notation is not kept."""
    entity, linked, inside = "O", False, False
    for token in notation.split():
        opening = _OPENING.fullmatch(token)
        if opening:
            if entity != "O":
                raise DataError(f"{token} opens inside of another entity: {notation}")
            entity, linked, inside = opening[1], bool(opening[2]), False
            continue
        match = _TOKEN.fullmatch(token)
        if match is None:
            raise DataError(f"{token!r} is not a word, word/TAG or [TYPE: {notation}")
        tag = entity if entity == "O" else f"{'I' if inside else 'B'}-{entity}"
        yield Word(match[1], match[2] or "", tag, linked)
        inside = True
        if match[3]:
            if entity == "O":
                raise DataError(f"{token!r} closes what was not opened: {notation}")
            entity, linked = "O", False
    if entity != "O":
        raise DataError(f"an entity is not closed: {notation}")


def running_text(tagged: Sequence[Word], language: str) -> tuple[str, tuple[int, int] | None]:
    """The sentence as it is written, and where the linked entity stands in it (start, end)."""
    text, span = "", None
    for word in tagged:
        form = word.form.replace("_", " ")
        touch = _NO_BLANK_BEFORE.match(form) or _NO_BLANK_AFTER.fullmatch(text)
        if text and not touch and language not in UNSPACED:
            text += " "
        if word.linked:
            span = (span[0] if span else len(text), len(text) + len(form))
        text += form
    return text, span


def context(paragraph: Paragraph, language: str) -> tuple[str, list[tuple[int, int]]]:
    """The paragraph's text, and its sentences as (start, end) in code points."""
    between = "" if language in _SENTENCES_TOUCH else " "
    text, breaks = "", []
    for sentence in paragraph.sentences:
        start = len(text + between) if text else 0
        text = f"{text}{between}{sentence}" if text else sentence
        breaks.append((start, len(text)))
    return text, breaks

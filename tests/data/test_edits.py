"""Texts change, what is marked in them stays right; any text, any change."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xharness.data.edits import Change, changed_text, edit, is_word, shifted
from xharness.data.items import Answer, Candidate, Choice, Match, Pair, Query, Question, Sentence
from xharness.data.words import clusters, words
from xharness.errors import PluginError

SAMPLES = [
    "Don't worry, the naïve chef isn’t well-known!", "Быстрая лиса прыгает.",
    "我们今天去学校上课。",
    "日本語のテキストです", "ภาษาไทยเป็นภาษาที่สวยงาม", "한국어는 아름다운 언어입니다",
    "हिन्दी भाषा बहुत सुन्दर है।", "می‌خواهم کتاب بخوانم", "הילדים הולכים לבית הספר", "தமிழ் மொழி அழகானது",
    "ကျွန်တော် မြန်မာစာ ဖတ်သည်", "ქართული ენა", "cafe\u0301 no\u0308el", "👨‍👩‍👧 family 🇩🇪", "",
]  # fmt: skip
TEXTS = st.one_of(st.sampled_from(SAMPLES), st.text(max_size=40))


@st.composite
def marked(draw: st.DrawFn) -> tuple[str, list[tuple[int, int]], list[Change]]:
    """A text, answers in it, and changes that don't overlap one another."""
    text = draw(TEXTS)
    bounds = st.integers(0, len(text))
    answers = [sorted((draw(bounds), draw(bounds))) for _ in range(draw(st.integers(1, 3)))]
    cuts = sorted({draw(bounds) for _ in range(draw(st.integers(0, 8)))})
    pairs = zip(cuts[::2], cuts[1::2], strict=False)
    changes = [Change(start, end, draw(st.text(max_size=5))) for start, end in pairs]
    return text, [(a, b) for a, b in answers], changes


@given(marked())
def test_answers_stay_where_they_are_marked(
    case: tuple[str, list[tuple[int, int]], list[Change]],
) -> None:
    text, spans, changes = case
    item = Question("1", "q", text, tuple(Answer(text[a:b], a) for a, b in spans))
    out = edit(item, lambda _text, field: changes if field == "context" else [])
    assert isinstance(out, Question)
    assert [a.text for a in out.answers] == [a.text for a in item.answers]
    for answer in out.answers:
        assert out.context[answer.start :].startswith(answer.text)
    untouched = [c for c in changes if all(c.end < a or c.start > b for a, b in spans)]
    assert out.context == changed_text(text, untouched)


@given(marked())
def test_changes_are_where_they_say(case: tuple[str, list[tuple[int, int]], list[Change]]) -> None:
    text, _, changes = case
    out = changed_text(text, random.Random(0).sample(changes, len(changes)))
    kept = [p for p in range(len(text)) if all(not c.start <= p < c.end for c in changes)]
    assert [out[shifted(p, changes)] for p in kept] == [text[p] for p in kept]


def test_changes_that_overlap_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="overlap at code point 2"):
        changed_text("abcdef", [Change(0, 3, "x"), Change(2, 4, "y")])


def test_items_of_an_unknown_type_are_said_not_passed_over() -> None:
    with pytest.raises(PluginError, match="texts of Candidate items"):
        edit(Candidate("1", "a"), shout)  # type: ignore[arg-type]


def shout(text: str, field: str) -> list[Change]:
    return [Change(0, len(text), f"{field}!")]


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (Pair("1", "a", "b", "yes", "c", "p"), Pair("1", "first!", "second!", "yes", "c", "p")),
        (Choice("1", "a", ("b", "c"), 1),
         Choice("1", "premise!", ("options[0]!", "options[1]!"), 1)),
        (Sentence("1", ("a", "b"), ("X", "Y")),
         Sentence("1", ("words[0]!", "words[1]!"), ("X", "Y"))),
        (Query("1", "a", ("t",)), Query("1", "text!", ("t",))),
        (Match("1", "a", "b"), Match("1", "query!", "b")),
        (Question("1", "a", "b", ()), Question("1", "question!", "context!", ())),
    ],
    ids=lambda item: type(item).__name__,
)  # fmt: skip
def test_each_field_of_an_item_is_asked_about_by_name(item: object, expected: object) -> None:
    assert edit(item, shout) == expected  # type: ignore[arg-type]


@given(st.lists(st.text(min_size=1, max_size=6).filter(is_word), min_size=1), st.text(max_size=3))
def test_words_stay_one_word_each(tokens: list[str], new: str) -> None:
    item = Sentence("1", tuple(tokens), tuple("T" for _ in tokens))
    out = edit(item, lambda text, _field: [Change(0, len(text), new)])
    assert isinstance(out, Sentence)
    assert len(out.words) == len(tokens)
    assert out.tags == item.tags
    assert all(is_word(word) for word in out.words)
    assert out.words == (tuple(tokens) if not is_word(new) else (new,) * len(tokens))


@given(TEXTS)
def test_words_lie_in_order_and_hold_no_blank(text: str) -> None:
    spans = words(text)
    assert all(a < b for a, b in spans)
    assert all(one[1] <= two[0] for one, two in pairwise(spans))
    assert all(is_word(text[a:b]) for a, b in spans)
    assert "".join(clusters(text)) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (SAMPLES[0], "Don't worry the naïve chef isn’t well known"),
        (SAMPLES[2], "我们今天 去学校上 课"),
        (SAMPLES[7], "می‌خواهم کتاب بخوانم"),
        ("'tis rock 'n' roll", "tis rock n roll"),
        (SAMPLES[12], "cafe\u0301 no\u0308el"),
        ("Café 7 x2", "Café 7 x2"),
    ],
)
def test_words_in_several_scripts(text: str, expected: str) -> None:
    assert " ".join(text[a:b] for a, b in words(text)) == expected

"""Preprocessing as the official scripts do it."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from xharness.cards import Preprocessing
from xharness.inference.backbone import Backbone
from xharness.inference.features import (
    Window,
    answer_target,
    encode_pairs,
    encode_questions,
    encode_sentences,
    keep_windows,
)

CONTEXT = "the red cat sees a blue dog . the old house eats a bird"
QUESTION = "what was the cat ?"


@pytest.fixture
def windows(load: Callable[..., Backbone]) -> list[Window]:
    return encode_questions(
        load().tokenizer, [QUESTION], [CONTEXT], Preprocessing(max_question_length=6), 14, 3
    )


def test_a_long_sentence_is_cut_between_words(load: Callable[..., Backbone]) -> None:
    tokenizer = load().tokenizer
    words = ["the", "cat", "unheard-of", "sees", "a", "dog", "house"]
    # unheard-of gives three tokens (un-known, hyphen, un-known): room is 6 - 2 specials = 4.
    pieces = encode_sentences(tokenizer, [words, [], ["dog"]], 6)
    assert [(p.sentence, len(p.positions), len(p.encoded.ids)) for p in pieces] == [
        (0, 2, 4),
        (0, 2, 6),
        (0, 3, 5),
        (2, 1, 3),
    ]
    cls, sep = tokenizer.cls_token_id, tokenizer.sep_token_id
    for piece in pieces:
        assert (piece.encoded.ids[0], piece.encoded.ids[-1]) == (cls, sep)
    assert pieces[1].positions == (1, 4)


def test_a_word_longer_than_a_piece_is_the_unknown_token(load: Callable[..., Backbone]) -> None:
    tokenizer = load().tokenizer
    (piece,) = encode_sentences(tokenizer, [["a-b-c-d", ""]], 5)
    assert piece.encoded.ids[1:-1] == [tokenizer.unk_token_id] * 2


def test_pairs_lose_tokens_of_the_longer_text(load: Callable[..., Backbone]) -> None:
    tokenizer = load().tokenizer
    (pair,) = encode_pairs(tokenizer, [("the cat", "a dog sees the red house")], 9)
    text = tokenizer.convert_ids_to_tokens(pair.ids)
    assert text == ["[CLS]", "the", "cat", "[SEP]", "a", "dog", "sees", "the", "[SEP]"]
    assert pair.types == [0, 0, 0, 0, 1, 1, 1, 1, 1]


def test_a_pair_may_lose_its_beginning(load: Callable[..., Backbone]) -> None:
    tokenizer = load().tokenizer
    pair = ("the cat sees the red house", "a dog")
    (ended,) = encode_pairs(tokenizer, [pair], 8)
    (started,) = encode_pairs(tokenizer, [pair], 8, "start")
    assert tokenizer.decode(ended.ids) == "[CLS] the cat sees [SEP] a dog [SEP]"
    assert tokenizer.decode(started.ids) == "[CLS] the red house [SEP] a dog [SEP]"
    assert encode_pairs(tokenizer, [pair], 8) == [ended]  # the tokenizer is as it was


def test_windows_overlap_and_show_the_context_as_it_stands(windows: list[Window]) -> None:
    assert len(windows) > 1
    for window in windows:
        assert len(window.encoded.ids) <= 14
        shown = [CONTEXT[start:end] for start, end in window.offsets]
        assert shown == CONTEXT[window.offsets[0][0] : window.offsets[-1][1]].split()
    assert windows[1].offsets[0] == windows[0].offsets[3]  # three tokens further


def test_each_token_has_its_widest_context_in_exactly_one_window(windows: list[Window]) -> None:
    count: dict[tuple[int, int], int] = {}
    for window in windows:
        for offset, best in zip(window.offsets, window.max_context, strict=True):
            count[offset] = count.get(offset, 0) + best
    assert set(count.values()) == {1}
    assert len(count) == len(CONTEXT.split())


def test_an_answer_is_a_target_only_where_it_is_wholly_shown(windows: list[Window]) -> None:
    start = CONTEXT.index("blue dog")
    targets = [answer_target(window, start, start + len("blue dog")) for window in windows]
    for window, target in zip(windows, targets, strict=True):
        whole = window.offsets[0][0] <= start and start + 8 <= window.offsets[-1][1]
        assert (target is not None) == whole
        if target is not None:
            first, last = (window.offsets[p - window.first] for p in target)
            assert CONTEXT[first[0] : last[1]] == "blue dog"
    assert any(targets)


def test_windows_without_the_answer_are_kept_by_share() -> None:
    targets: list[tuple[int, int] | None] = [(1, 2), *[None] * 1000]
    assert keep_windows(targets, 0.0, random.Random(0)) == [True, *[False] * 1000]
    assert all(keep_windows(targets, 1.0, random.Random(0)))
    assert 250 < sum(keep_windows(targets, 0.3, random.Random(0))) < 350

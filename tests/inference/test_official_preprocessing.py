"""Features against the official scripts: a stored case, and their loops written out again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from xharness.cards import Preprocessing
from xharness.errors import Refused
from xharness.inference.features import Window, encode_pairs, encode_questions, encode_sentences

GOLDEN = Path(__file__).parents[1] / "golden/official-metrics"

Make = Callable[[str], PreTrainedTokenizerFast]


def wordpiece(vocabulary: list[str]) -> PreTrainedTokenizerFast:
    """The cased BERT tokenizer that the stored case was made with."""
    ids = {piece: i for i, piece in enumerate(vocabulary)}
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", ids["[CLS]"]), ("[SEP]", ids["[SEP]"])],
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]")


def blocks(text: str) -> list[list[str]]:
    """Lines between blank lines."""
    return [block.split("\n") for block in text.strip("\n").split("\n\n")]


@pytest.mark.parametrize("task", ["panx", "udpos"])
def test_long_sentences_are_cut_where_the_official_script_cuts(task: str) -> None:
    case = json.loads((GOLDEN / "preprocess/split_long_sentences.json").read_text("utf-8"))
    tokenizer = wordpiece(case["vocabulary"])
    given = [[line.split("\t")[0] for line in block] for block in blocks(case["train_input"])]
    expected = case["expected"][task]["train"]
    pieces = encode_sentences(tokenizer, given, case["max_len"])
    numbers = [sorted({int(number) for number in block}) for block in blocks(expected["idx"])]
    assert [[piece.sentence] for piece in pieces] == numbers
    for piece, block in zip(pieces, blocks(expected["text"]), strict=True):
        ids: list[int] = []
        firsts = []
        for line in block:
            word = line.split("\t")[0]
            plain = [tokenizer.unk_token_id]
            if word != "[UNK]":
                plain = tokenizer(word, add_special_tokens=False)["input_ids"]
            firsts.append(1 + len(ids))
            ids += plain
        assert piece.encoded.ids[1:-1] == ids
        assert list(piece.positions) == firsts
        assert len(piece.encoded.ids) <= case["max_len"]


def test_sentences_in_xlm_rs_vocabulary_leave_three_places(make_tokenizer: Make) -> None:
    words = ["the", "cat"] * 10  # one token each
    for architecture, room in (("bert", 6), ("xlm-roberta", 5)):
        pieces = encode_sentences(make_tokenizer(architecture), [words], 8)
        assert max(len(piece.positions) for piece in pieces) == room


def test_each_family_frames_pairs_its_own_way(make_tokenizer: Make) -> None:
    pair = [("the cat", "sat")]
    (bert,) = encode_pairs(make_tokenizer("bert"), pair, 16)
    (xlmr,) = encode_pairs(make_tokenizer("xlm-roberta"), pair, 16)
    (distil,) = encode_pairs(make_tokenizer("distilbert"), pair, 16)
    names = make_tokenizer("bert").convert_ids_to_tokens(bert.ids)
    assert names == ["[CLS]", "the", "cat", "[SEP]", "sat", "[SEP]"]
    assert bert.types == [0, 0, 0, 0, 1, 1]
    names = make_tokenizer("xlm-roberta").convert_ids_to_tokens(xlmr.ids)
    assert names == ["<s>", "▁the", "▁cat", "</s>", "</s>", "▁sat", "</s>"]
    assert xlmr.types is None
    assert distil == (bert.ids, None)


@pytest.mark.parametrize("architecture", ["bert", "xlm-roberta", "distilbert"])
def test_a_window_with_all_of_the_context_is_the_pair(
    architecture: str, make_tokenizer: Make
) -> None:
    tokenizer = make_tokenizer(architecture)
    question, context = "the cat", "sat the mat abc"
    (window,) = encode_questions(tokenizer, [question], [context], Preprocessing(), 40, 10)
    (pair,) = encode_pairs(tokenizer, [(question, context)], 40)
    assert window.encoded == pair
    assert window.max_context == (True,) * len(window.offsets)


def test_types_of_windows_are_those_of_the_tokenizers_own_template(make_tokenizer: Make) -> None:
    # XLM-R's template gives all zeros also where the tokenizer lists types among its outputs.
    tokenizer = make_tokenizer("xlm-roberta")
    tokenizer.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    (window,) = encode_questions(tokenizer, ["the cat"], ["sat"], Preprocessing(), 40, 10)
    assert window.encoded == encode_pairs(tokenizer, [("the cat", "sat")], 40)[0]
    assert window.encoded.types == [0] * 7


def test_offsets_count_code_points(make_tokenizer: Make) -> None:
    context = "𝔸𝔹 the 😀 cat é sat"
    for architecture in ("bert", "xlm-roberta"):
        tokenizer = make_tokenizer(architecture)
        (window,) = encode_questions(tokenizer, ["mat"], [context], Preprocessing(), 40, 10)
        shown = [context[start:end].strip() for start, end in window.offsets]
        assert {"the", "cat", "sat"} <= set(shown)


def test_questions_lose_their_end(make_tokenizer: Make) -> None:
    preprocessing = Preprocessing(max_question_length=3)
    tokenizer = make_tokenizer("bert")
    asked = "the cat sat the mat"
    (window,) = encode_questions(tokenizer, [asked], ["mat"], preprocessing, 16, 4)
    names = tokenizer.convert_ids_to_tokens(window.encoded.ids)
    assert names == ["[CLS]", "the", "cat", "sat", "[SEP]", "mat", "[SEP]"]


def test_windows_without_room_are_refused(make_tokenizer: Make) -> None:
    tokenizer = make_tokenizer("bert")
    with pytest.raises(Refused, match="no room for context"):
        encode_questions(tokenizer, ["the cat sat"], ["mat " * 9], Preprocessing(), 6, 4)


def by_loop(tokens: int, room: int, stride: int) -> list[tuple[int, int, list[bool]]]:
    """Start, length and max-context flags of each window, token by token as run_squad.py does."""
    spans = []
    start = 0
    while start < tokens:
        length = tokens - start
        if length > room:
            length = room
        spans.append((start, length))
        if start + length == tokens:
            break
        start += min(length, stride)

    def is_widest(current: int, position: int) -> bool:
        best_score, best_index = None, None
        for index, (start, length) in enumerate(spans):
            end = start + length - 1
            if position < start or position > end:
                continue
            left, right = position - start, end - position
            score = min(left, right) + 0.01 * length
            if best_score is None or score > best_score:
                best_score, best_index = score, index
        return current == best_index

    return [
        (start, length, [is_widest(i, start + at) for at in range(length)])
        for i, (start, length) in enumerate(spans)
    ]


@given(st.integers(1, 60), st.integers(6, 20), st.integers(1, 25))
@example(600, 384, 128)  # long windows, where a window's own length outweighs its context
@example(451, 300, 128)
@settings(max_examples=150, deadline=None)
def test_windows_are_those_of_the_official_loop(tokens: int, length: int, stride: int) -> None:
    tokenizer = wordpiece(["[CLS]", "[SEP]", "[UNK]", "a", "b"])
    context = " ".join("ab"[i % 2] for i in range(tokens))
    windows: list[Window] = encode_questions(
        tokenizer, ["a"], [context], Preprocessing(), length, stride
    )
    expected: list[Any] = by_loop(tokens, room=length - 4, stride=stride)
    assert len(windows) == len(expected)
    for window, (start, shown, widest) in zip(windows, expected, strict=True):
        # each token is one letter and a blank
        assert window.offsets == tuple((2 * i, 2 * i + 1) for i in range(start, start + shown))
        assert list(window.max_context) == widest
        assert window.first == 3

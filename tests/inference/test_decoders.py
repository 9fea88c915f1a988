from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel

from xharness.cards import Profile
from xharness.errors import Refused
from xharness.inference.backbone import Backbone
from xharness.inference.features import encode_pairs, encode_questions, encode_sentences
from xharness.inference.network import Network
from xharness.inference.packing import Encoded, can_pack, encode, is_causal
from xharness.inference.predictor import predictor

LENGTHS = [7, 3, 12, 3, 1, 7, 20, 5]
DECODERS = ["llama", "bloom"]  # rotary positions with shared key heads, and ALiBi

MakeModule = Callable[..., PreTrainedModel]
MakeBackbone = Callable[..., Backbone]


def sequences() -> list[Encoded]:
    chance = np.random.default_rng(1)
    return [Encoded(chance.integers(5, 250, length).tolist()) for length in LENGTHS]


@pytest.mark.parametrize("layer", [-1, 0, 1])
@pytest.mark.parametrize("architecture", DECODERS)
def test_together_equals_one_by_one(architecture: str, layer: int, make_module: MakeModule) -> None:
    ours, theirs = make_module(architecture), make_module(architecture)
    packed = can_pack(ours)
    assert packed == (architecture == "llama")
    with torch.inference_mode():
        hidden = encode(ours, sequences(), packed=packed, layer=layer)
        for i, sequence in enumerate(sequences()):
            shown = theirs(input_ids=torch.tensor([sequence.ids]), output_hidden_states=True)
            expected = shown.hidden_states[layer][0]
            assert expected.std() > 0.1
            torch.testing.assert_close(hidden.of(i), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("architecture", "causal"),
    [("llama", True), ("bloom", True), ("bert", False), ("deberta-v2", False)],
)
def test_decoders_are_found_out_by_trying(
    architecture: str, causal: bool, make_module: MakeModule
) -> None:
    assert is_causal(make_module(architecture)) == causal


def test_attention_to_a_window_of_neighbours_is_not_packed(make_module: MakeModule) -> None:
    assert not can_pack(make_module("modernbert"))


def test_full_attention_lets_the_first_token_see_the_last(make_backbone: MakeBackbone) -> None:
    backbone = make_backbone("llama", Profile(attention="full"))
    assert not backbone.causal
    with torch.inference_mode():
        one, other, alone = (
            encode(backbone.module, texts, packed=True).states[:1]
            for texts in (
                [Encoded([9, 8, 7])],
                [Encoded([9, 8, 6])],
                [Encoded([9, 8, 7]), Encoded([5, 6, 8, 9])],
            )
        )
    assert (one - other).abs().max() > 1e-3
    torch.testing.assert_close(one, alone)


def test_full_attention_is_refused_where_the_models_code_fixes_it(
    make_backbone: MakeBackbone,
) -> None:
    with pytest.raises(Refused, match="can't have the attention 'full'"):
        make_backbone("bloom", Profile(attention="full"))
    with pytest.raises(Refused, match="can't have the attention 'causal'"):
        make_backbone("bert", Profile(attention="causal"))


@pytest.mark.parametrize("profile", [Profile(pooling="cls"), Profile(head="cls")])
def test_a_decoders_first_token_represents_nothing(
    profile: Profile, make_backbone: MakeBackbone
) -> None:
    with pytest.raises(Refused, match="first token sees nothing but itself"):
        make_backbone("llama", profile)


@pytest.mark.parametrize("architecture", DECODERS)
def test_texts_end_with_the_end_token_and_pairs_are_told_apart(
    architecture: str, make_backbone: MakeBackbone
) -> None:
    tokenizer = make_backbone(architecture).tokenizer
    plain = [tokenizer(t, add_special_tokens=False)["input_ids"] for t in ("abc", "de")]
    (pair,) = encode_pairs(tokenizer, [("abc", "de")], 16)
    assert pair.ids == [*plain[0], 0, *plain[1], 0]
    (cut,) = encode_pairs(tokenizer, [("abcdefgh", "de")], 7)
    assert cut.ids == [*plain[0], 0, *plain[1], 0]


def test_a_decoder_without_an_end_token_is_refused(
    make_folder: Callable[..., Any], make_backbone: MakeBackbone, tmp_path: Any
) -> None:
    from transformers import AutoTokenizer

    from xharness.inference.features import end_texts

    tokenizer = AutoTokenizer.from_pretrained(make_folder("llama"))
    tokenizer.eos_token = None
    with pytest.raises(Refused, match="no end-of-sequence token"):
        end_texts(tokenizer)


def test_a_words_last_subword_stands_for_it(make_backbone: MakeBackbone) -> None:
    tokenizer = make_backbone("llama").tokenizer
    # " cat" is the pieces " c" and "at", " bad" its four bytes.
    first = encode_sentences(tokenizer, [["cat", "bad"]], 32)
    last = encode_sentences(tokenizer, [["cat", "bad"]], 32, last_subword=True)
    assert first[0].positions == (0, 2)
    assert last[0].positions == (1, 5)
    assert first[0].encoded == last[0].encoded


def test_answers_offsets_are_whole_characters_though_tokens_are_bytes(
    make_backbone: MakeBackbone, make_card: Callable[..., Any]
) -> None:
    tokenizer = make_backbone("llama").tokenizer
    context = "กข cat ค"
    preprocessing = make_card("span", max_length=64).preprocessing
    (window,) = encode_questions(tokenizer, ["a"], [context], preprocessing, 64, 16)
    assert {context[a:b].strip() for a, b in window.offsets} == {*"กขค", "c", "at", ""}
    question = tokenizer("a", add_special_tokens=False)["input_ids"]
    assert window.encoded.ids[: window.first] == [*question, 0]  # it comes before the context


@pytest.mark.parametrize("architecture", DECODERS)
@pytest.mark.parametrize("head", ["last", "mean"])
def test_pair_logits_do_not_depend_on_what_else_is_asked(
    architecture: str, head: str, make_backbone: MakeBackbone, make_card: Callable[..., Any]
) -> None:
    backbone = make_backbone(architecture, Profile(head=head))  # type: ignore[arg-type]
    card = make_card("classification", "a b c")
    pairs = [("abc", "de"), ("a", "b"), ("abcdefgh", "hgfedcba")]

    def ask(pairs: list[tuple[str, str]]) -> Any:
        return predictor(Network(backbone, card, "classify", seed=1), card, "classify").classify(
            pairs
        )

    together = ask(pairs)
    assert np.ptp(together, axis=0).min() > 1e-3  # texts are told apart
    for i, pair in enumerate(pairs):
        np.testing.assert_allclose(ask([pair])[0], together[i], atol=1e-5)

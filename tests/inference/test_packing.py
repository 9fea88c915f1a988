from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedModel

from xharness.inference.packing import (
    Encoded,
    Hidden,
    Run,
    batches,
    can_pack,
    encode,
    packed_attention,
    position_offset,
)

PACKABLE = ["bert", "xlm-roberta", "roberta", "electra", "distilbert"]
ARCHITECTURES = [*PACKABLE, "deberta-v2"]
TYPED = ["bert", "electra"]
LENGTHS = [7, 3, 12, 3, 1, 7, 20, 5]

Make = Callable[..., PreTrainedModel]


def sequences(types: bool = False) -> list[Encoded]:
    """Of several lengths, some equal, none in order; no id is a padding id (0 or 1)."""
    chance = np.random.default_rng(1)
    made = []
    for length in LENGTHS:
        second = int(chance.integers(0, length))
        kinds = [0] * (length - second) + [1] * second
        made.append(Encoded(chance.integers(5, 40, length).tolist(), kinds if types else None))
    return made


def alone(module: PreTrainedModel, sequence: Encoded, layer: int = -1) -> torch.Tensor:
    """What transformers itself gives for one sequence, with its plainest attention."""
    inputs = {"input_ids": torch.tensor([sequence.ids])}
    if sequence.types is not None:
        inputs["token_type_ids"] = torch.tensor([sequence.types])
    inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    states: torch.Tensor = module(**inputs, output_hidden_states=True).hidden_states[layer][0]
    return states


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_what_can_be_packed(architecture: str, make_module: Make) -> None:
    assert can_pack(make_module(architecture)) == (architecture in PACKABLE)


@pytest.mark.parametrize("layer", [-1, 0, 1, 2])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_together_equals_one_by_one(architecture: str, layer: int, make_module: Make) -> None:
    ours, theirs = make_module(architecture), make_module(architecture)
    theirs.set_attn_implementation("eager")
    packed = can_pack(ours)
    shown = sequences(types=architecture in TYPED)
    with torch.inference_mode():
        hidden = encode(ours, shown, packed=packed, layer=layer)
        for i, sequence in enumerate(shown):
            expected = alone(theirs, sequence, layer)
            assert expected.std() > 0.1
            torch.testing.assert_close(hidden.of(i), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("architecture", ["bert", "deberta-v2"])
def test_padding_ids_within_a_text_are_words_like_others(
    architecture: str, make_module: Make
) -> None:
    ours, theirs = make_module(architecture), make_module(architecture)
    pad = ours.config.pad_token_id
    shown = [Encoded([9, pad, 8, pad]), Encoded([7, 6, 9, 9, 9, 9])]
    with torch.inference_mode():
        hidden = encode(ours, shown, packed=can_pack(ours))
        torch.testing.assert_close(hidden.of(0), alone(theirs, shown[0]), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("architecture", "offset"),
    [("bert", 0), ("distilbert", 0), ("xlm-roberta", 2), ("roberta", 2)],
)
def test_positions_start_where_the_architecture_starts(
    architecture: str, offset: int, make_module: Make
) -> None:
    assert position_offset(make_module(architecture)) == offset


@pytest.mark.parametrize("architecture", ["bert", "xlm-roberta", "deberta-v2"])
def test_gradients_equal_those_of_one_by_one(architecture: str, make_module: Make) -> None:
    ours, theirs = make_module(architecture), make_module(architecture)
    packed = can_pack(ours)
    shown = sequences()
    weights = [torch.linspace(-1, 1, len(s.ids))[:, None] for s in shown]
    hidden = encode(ours, shown, packed=packed)
    torch.stack([(w * hidden.of(i)).sin().sum() for i, w in enumerate(weights)]).sum().backward()
    for sequence, weight in zip(shown, weights, strict=True):
        (weight * alone(theirs, sequence)).sin().sum().backward()
    expected = {name: p.grad for name, p in theirs.named_parameters() if p.grad is not None}
    got = {name: p.grad for name, p in ours.named_parameters() if p.grad is not None}
    assert got.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(got[name], gradient, atol=1e-3, rtol=1e-3)


def test_attention_dropout_acts_in_training_only(make_module: Make) -> None:
    module = make_module("bert", attention_probs_dropout_prob=0.5, hidden_dropout_prob=0.0)
    assert can_pack(module)
    shown = sequences()
    module.train()
    one, two = (encode(module, shown, packed=True).states for _ in range(2))
    assert not torch.allclose(one, two, atol=1e-3)
    module.eval()
    one, two = (encode(module, shown, packed=True).states for _ in range(2))
    torch.testing.assert_close(one, two)


def test_dropout_takes_its_share_of_the_weights_and_scales_the_others() -> None:
    runs, heads, share = [Run(0, 3, 5), Run(15, 2, 16)], 4, 0.3
    query, key = torch.randn(2, 1, heads, 47, 16).unbind()
    # The values are the unit vectors, so that the result is the weights.
    value = torch.cat([torch.eye(16)[:5].repeat(3, 1), torch.eye(16).repeat(2, 1)])
    value = value.expand(1, heads, -1, -1)
    module = torch.nn.Module()
    exact, _ = packed_attention(module, query, key, value, None, runs=runs)
    torch.manual_seed(0)
    draws = [
        packed_attention(module, query, key, value, None, dropout=share, runs=runs)[0]
        for _ in range(400)
    ]
    dropped = torch.stack(draws)
    there = dropped != 0
    scaled = (exact / (1 - share)).expand_as(dropped)
    torch.testing.assert_close(dropped[there], scaled[there], atol=1e-4, rtol=1e-4)
    kept = there.float().mean(0)[exact != 0]  # of each weight, in 400 draws
    assert kept.numel() == heads * (3 * 5 * 5 + 2 * 16 * 16)
    assert (kept - (1 - share)).abs().max() < 5 * (share * (1 - share) / 400) ** 0.5
    assert abs(kept.mean() - (1 - share)) < 5 * (share * (1 - share) / 400 / kept.numel()) ** 0.5
    torch.manual_seed(0)
    again, _ = packed_attention(module, query, key, value, None, dropout=share, runs=runs)
    assert torch.equal(again, draws[0])


def test_bf16_weights_give_nearly_the_same_vectors(make_module: Make) -> None:
    module = make_module("bert", initializer_range=0.05)
    assert can_pack(module)
    with torch.inference_mode():
        exact = encode(module, sequences(), packed=True).mean()
        rough = encode(module.bfloat16(), sequences(), packed=True).mean()
    assert rough.dtype is torch.float32
    assert torch.cosine_similarity(exact, rough).min() > 0.999


def test_packed_rows_hold_no_token_but_the_texts(make_module: Make) -> None:
    module = make_module("xlm-roberta")
    assert can_pack(module)
    rows = []
    module.get_input_embeddings().register_forward_hook(
        lambda _module, inputs, _output: rows.append(inputs[0].shape)
    )
    encode(module, sequences(), packed=True)
    assert rows == [(1, sum(LENGTHS))]


def test_pooling_takes_each_text_by_itself() -> None:
    states = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0], [30.0, 40.0]])
    hidden = Hidden(states, starts=[2, 0, 1], lengths=[3, 1, 1])
    assert hidden.mean().tolist() == [[14.0, 18.0], [1.0, 2.0], [3.0, 4.0]]
    assert hidden.first().tolist() == [[5.0, 6.0], [1.0, 2.0], [3.0, 4.0]]
    assert hidden.of(0).tolist() == states[2:].tolist()


@given(st.lists(st.integers(1, 50)), st.integers(1, 100), st.booleans())
def test_batches_share_out_all_texts_within_the_budget(
    lengths: list[int], budget: int, padded: bool
) -> None:
    groups = list(batches(lengths, budget, padded))
    order: list[Any] = [i for group in groups for i in group]
    assert sorted(order) == list(range(len(lengths)))
    assert [lengths[i] for i in order] == sorted(lengths)
    for group in groups:
        longest = max(lengths[i] for i in group)
        size = longest * len(group) if padded else sum(lengths[i] for i in group)
        assert size <= budget or len(group) == 1
    for one, two in itertools.pairwise(groups):
        joined = [*one, two[0]]
        size = lengths[two[0]] * len(joined) if padded else sum(lengths[i] for i in joined)
        assert size > budget  # nothing more would have fitted

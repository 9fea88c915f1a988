"""Masked language modelling: what is hidden, what is predicted, with which weights."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
import torch

from xharness.cards import Recipe
from xharness.data.items import Text
from xharness.errors import Refused
from xharness.inference.masking import mask_tokens
from xharness.inference.network import Network
from xharness.inference.packing import Encoded

Make = Callable[..., Network]


@pytest.fixture
def network(make_network: Make) -> Network:
    network = make_network("mlm")
    network.backbone.tokenizer.mask_token = "[MASK]"
    return network


def test_shares_of_what_is_hidden_and_how(network: Network) -> None:
    tokenizer = network.backbone.tokenizer
    special = set(tokenizer.all_special_ids)
    (the,) = tokenizer("the", add_special_tokens=False)["input_ids"]
    sequence = Encoded([2, *[the] * 20_000, 3])
    masked, targets = mask_tokens(tokenizer, sequence, random.Random(0))
    assert len(targets) / 20_000 == pytest.approx(0.15, abs=0.01)
    assert {token for _, token in targets} == {the}
    changed = {i for i, (a, b) in enumerate(zip(sequence.ids, masked.ids, strict=True)) if a != b}
    assert changed <= {position for position, _ in targets}
    kinds = Counter(
        "mask" if masked.ids[p] == tokenizer.mask_token_id else "same" if masked.ids[p] == the
        else "random" for p, _ in targets
    )  # fmt: skip
    # A random token is the mask or the word itself now and then.
    assert kinds["mask"] / len(targets) == pytest.approx(0.8 + 0.1 / len(tokenizer), abs=0.03)
    assert kinds["same"] / len(targets) == pytest.approx(0.1 + 0.1 / len(tokenizer), abs=0.03)
    assert {masked.ids[p] for p, _ in targets} & special > {tokenizer.mask_token_id}
    assert (masked.ids[0], masked.ids[-1]) == (2, 3)


def test_texts_with_nothing_hidden_are_left_out_and_the_loss_is_finite(
    network: Network, recipe: Recipe
) -> None:
    items = [Text(str(i), "the cat") for i in range(200)]
    examples = network.examples(items, recipe, random.Random(0))
    # Of two tokens none is hidden with probability 0.85 ** 2 = 0.7225.
    assert len(examples) == pytest.approx(200 * 0.2775, abs=25)
    assert all(example.units == len(example.target) > 0 for example in examples)
    assert torch.isfinite(network(examples).loss)
    special = network.examples([Text("1", "")], recipe, random.Random(0))
    assert special == []


def test_the_loss_is_over_the_hidden_tokens_with_the_word_embeddings(
    network: Network, recipe: Recipe
) -> None:
    items = [Text(str(i), "the cat sat abc the mat cat") for i in range(6)]
    examples = network.examples(items, recipe, random.Random(1))
    losses = []
    words = network.module.get_input_embeddings().weight.detach().numpy()
    bias = network.head.bias.detach().numpy()  # type: ignore[union-attr, operator]
    for example in examples:
        states = network.hidden(example.sequences).states
        turned = network.head.norm(  # type: ignore[operator]
            torch.nn.functional.gelu(network.head.dense(states))  # type: ignore[operator]
        )
        logits = turned.detach().numpy() @ words.T + bias
        shares = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
        losses += [-shares[position, token] for position, token in example.target]
    assert network(examples).loss.item() == pytest.approx(float(np.mean(losses)), abs=1e-4)
    network(examples).loss.backward()
    assert network.module.get_input_embeddings().weight.grad is not None
    names = [name for name, _ in network.named_parameters() if name.startswith("head.")]
    assert not any("shared" in name for name in names)


@pytest.mark.parametrize(("architecture", "why"), [("llama", "no later tokens"), ("bert", "mask")])
def test_backbones_that_cannot_are_refused(
    make_network: Make, recipe: Recipe, architecture: str, why: str
) -> None:
    network = make_network("mlm", architecture=architecture)
    network.backbone.tokenizer.mask_token = None if why == "mask" else "the"
    with pytest.raises(Refused, match=why):
        network.examples([Text("1", "the cat")], recipe, random.Random(0))

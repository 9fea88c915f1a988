"""The tiny random networks of the inference tests, and adversaries run on them."""

from __future__ import annotations

import importlib.util
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from xharness.cards import Recipe
from xharness.data.items import Answer, Choice, Match, Pair, Question, Sentence
from xharness.inference.network import Example, Network
from xharness.training.forward import Forward

_spec = importlib.util.spec_from_file_location(
    "inference_conftest", Path(__file__).parents[1] / "inference" / "conftest.py"
)
assert _spec is not None
assert _spec.loader is not None
_fixtures = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_fixtures)
make_module = _fixtures.make_module
make_tokenizer = _fixtures.make_tokenizer
make_folder = _fixtures.make_folder
make_backbone = _fixtures.make_backbone
make_card = _fixtures.make_card
make_network = _fixtures.make_network
recipe = _fixtures.recipe

# kind -> labels, and items of unequal lengths
ITEMS: dict[str, tuple[str, Any]] = {
    "classification": (
        "yes no maybe",  # with two labels all directions of change are one
        [
            Pair("1", "the cat sat", "the mat", "no"),
            Pair("2", "abc", "abc def", "yes"),
            Pair("3", "the", "cat", "no"),
        ],
    ),
    "choice": (
        "",
        [
            Choice("1", "the cat", ("sat", "the mat"), 1),
            Choice("2", "abc def", ("cat cat cat", "a"), 0),
        ],
    ),
    "tagging": (
        "D N V",
        [
            Sentence("1", ("the", "abcdef", "cat"), ("D", "N", "N")),
            Sentence("2", ("sat",), ("V",)),
        ],
    ),
    "span": (
        "",
        [
            Question("1", "cat", "the cat sat", (Answer("cat", 4),)),
            Question("2", "the mat", "abc the mat", (Answer("the mat", 4),)),
        ],
    ),
    "ranking": (
        "",
        [Match("1", "the cat", "cat the"), Match("2", "abc", "cba def"), Match("3", "sat", "a")],
    ),
}


@pytest.fixture
def prepare(
    make_network: Callable[..., Network], recipe: Recipe
) -> Callable[..., tuple[Network, list[Example]]]:
    """Makes a network of a kind (without dropout) and examples for it. A new head's logits are near
    0, so that all predictions are the same; here they differ, and so do gradients and divergences.
    """

    def make(kind: str = "classification", **options: Any) -> tuple[Network, list[Example]]:
        labels, items = ITEMS[kind]
        network = make_network(kind, labels, **options)
        if kind != "ranking":
            with torch.no_grad():
                for parameter in network.head.parameters():
                    parameter *= 20
        return network, network.examples(items, recipe, random.Random(0))

    return make


@pytest.fixture
def gradients(recipe: Recipe) -> Callable[..., Any]:
    """Runs an adversary on micro-batches: its loss, all gradients by name, and the tally."""

    def run(
        network: Network, adversary: Any, *micro_batches: list[Example], seed: int = 3
    ) -> tuple[float, dict[str, Any], dict[str, float]]:
        network.zero_grad(set_to_none=True)
        forward = Forward(network, recipe)
        forward.random = random.Random(seed)
        units = sum(e.units for batch in micro_batches for e in batch)
        loss = sum(
            adversary.accumulate(batch, forward, sum(e.units for e in batch) / units)
            for batch in micro_batches
        )
        grads = {n: p.grad.clone() for n, p in network.named_parameters() if p.grad is not None}
        network.zero_grad(set_to_none=True)
        return loss, grads, forward.tally

    return run

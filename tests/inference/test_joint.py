"""Several heads on one backbone: each trains its own, all train the backbone."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
import torch

from xharness.cards import Lora, Recipe, TaskCard
from xharness.data.items import Pair, Sentence
from xharness.inference import checkpoint
from xharness.inference.backbone import Backbone
from xharness.inference.joint import Joint
from xharness.inference.network import Example, Network

PAIRS = [Pair("1", "the cat sat", "the mat", "no"), Pair("2", "abc", "abc def", "yes")]
SENTENCES = [Sentence("1", ("the", "abcdef", "cat"), ("D", "N", "N"))]


@pytest.fixture
def parts(
    make_backbone: Callable[..., Backbone], make_card: Callable[..., TaskCard]
) -> list[Network]:
    backbone = make_backbone("bert")
    cards = {
        "classify": make_card("classification", "yes no"),
        "tag": make_card("tagging", "D N V"),
    }
    return [Network(backbone, card, asks, seed=1).eval() for asks, card in cards.items()]


def examples(parts: list[Network], recipe: Recipe) -> list[list[Example]]:
    made = [
        network.examples(items, recipe, random.Random(0))
        for network, items in zip(parts, (PAIRS, SENTENCES), strict=True)
    ]
    return [[replace(e, task=number) for e in group] for number, group in enumerate(made)]


def test_the_loss_is_that_of_the_examples_own_head(parts: list[Network], recipe: Recipe) -> None:
    joint = Joint(parts)
    pairs, sentences = examples(parts, recipe)
    assert torch.equal(joint(pairs).loss, parts[0](pairs).loss)
    assert torch.equal(joint(sentences).loss, parts[1](sentences).loss)
    joint(sentences).loss.backward()
    moved = {name for name, p in joint.named_parameters() if p.grad is not None}
    assert {name.split(".")[0] for name in moved} == {"module", "head"}
    assert not any(name.startswith("head.0.") for name in moved)


def test_parameters_are_the_backbone_s_once_and_all_heads(
    parts: list[Network], recipe: Recipe
) -> None:
    names = [name for name, _ in Joint(parts).named_parameters()]
    shared = [name for name, _ in parts[0].named_parameters() if name.startswith("module.")]
    assert [name for name in names if name.startswith("module.")] == shared
    assert len([n for n in names if n.startswith(("head.0.", "head.1."))]) == len(names) - len(
        shared
    )
    rates = msgspec.structs.replace(recipe, head_rate_factor=5.0)
    groups = Joint(parts).parameter_groups(rates)
    heads = {id(p) for n, p in Joint(parts).named_parameters() if n.startswith("head.")}
    for group in groups:
        assert {id(p) in heads for p in group["params"]} == {group["lr"] == pytest.approx(5e-3)}


def test_the_encoder_of_a_joint_checkpoint_goes_under_any_head(
    parts: list[Network], make_card: Callable[..., TaskCard], tmp_path: Path
) -> None:
    with torch.no_grad():
        for parameter in parts[0].module.parameters():
            parameter.add_(0.5)
    checkpoint.save(tmp_path / "joint", Joint(parts), {})
    learnt = {n: p.clone() for n, p in parts[0].named_parameters() if n.startswith("module.")}
    with torch.no_grad():
        for parameter in parts[0].module.parameters():
            parameter.zero_()
    network = Network(parts[0].backbone, make_card("span"), "extract", seed=9)
    head = {n: p.clone() for n, p in network.named_parameters() if n.startswith("head.")}
    facts = checkpoint.load(tmp_path / "joint", network, head=False)
    assert [part["kind"] for part in facts["parts"]] == ["classification", "tagging"]
    after = dict(network.named_parameters())
    assert all(torch.equal(after[name], value) for name, value in {**learnt, **head}.items())


def test_low_rank_updates_are_shared_too(
    make_backbone: Callable[..., Backbone], make_card: Callable[..., TaskCard], recipe: Recipe
) -> None:
    backbone = make_backbone("bert")
    lora = Lora(rank=2, alpha=4)
    first = Network(backbone, make_card("classification", "yes no"), "classify", seed=0, lora=lora)
    joint = Joint([first, Network(backbone, make_card("tagging", "D N V"), "tag", seed=1)])
    trained = [name for name, p in joint.named_parameters() if p.requires_grad]
    assert all("lora" in name or name.startswith("head.") for name in trained)
    assert joint.lora == first.lora
    assert any("lora" in name for name in trained)

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest
import torch

from xharness.cards import Recipe
from xharness.data.items import Answer, Choice, Match, Pair, Question, Sentence
from xharness.errors import DataError
from xharness.inference.network import Network
from xharness.inference.predictor import predictor

Make = Callable[..., Network]

PAIRS = [
    Pair("1", "the cat sat", "the mat", "no"),
    Pair("2", "abc", "abc def", "yes"),
    Pair("3", "the", "cat", "no"),
]
CHOICES = [
    Choice("1", "the cat", ("sat", "the mat"), 1),
    Choice("2", "abc def", ("cat cat cat", "a"), 0),
]
SENTENCES = [
    Sentence("1", ("the", "abcdef", "cat"), ("D", "N", "N")),
    Sentence("2", ("sat",), ("V",)),
]
QUESTIONS = [
    Question("1", "cat", "the cat sat", (Answer("cat", 4),)),
    Question("2", "the mat", "abc the mat", (Answer("the mat", 4), Answer("abc", 0))),
]
MATCHES = [Match("1", "the cat", "cat the"), Match("2", "abc", "cba def"), Match("3", "sat", "a")]


def log_softmax(logits: Any, axis: int) -> Any:
    return logits - np.logaddexp.reduce(logits, axis=axis, keepdims=True)


def make_examples(network: Network, items: Any, recipe: Recipe, seed: int = 0) -> Any:
    return network.examples(items, recipe, random.Random(seed))


def test_loss_of_pairs_is_the_cross_entropy_of_the_logits(
    make_network: Make, recipe: Recipe
) -> None:
    network = make_network("classification", "yes no")
    logits = predictor(network, network.task, network.asks).classify(
        [(p.first, p.second) for p in PAIRS]
    )
    expected = -log_softmax(logits, axis=1)[[0, 1, 2], [1, 0, 1]].mean()
    loss = network(make_examples(network, PAIRS, recipe)).loss
    assert loss.item() == pytest.approx(expected, abs=1e-5)


def test_loss_of_choices_is_over_the_options(make_network: Make, recipe: Recipe) -> None:
    network = make_network("choice")
    scores = predictor(network, network.task, network.asks).choose(
        [c.premise for c in CHOICES], [c.options for c in CHOICES]
    )
    expected = -log_softmax(scores, axis=1)[[0, 1], [1, 0]].mean()
    loss = network(make_examples(network, CHOICES, recipe)).loss
    assert loss.item() == pytest.approx(expected, abs=1e-5)


def test_loss_of_sentences_is_the_mean_over_words(make_network: Make, recipe: Recipe) -> None:
    network = make_network("tagging", "D N V")
    logits = np.concatenate(
        predictor(network, network.task, network.asks).tag([s.words for s in SENTENCES])
    )
    expected = -log_softmax(logits, axis=1)[range(4), [0, 1, 1, 2]].mean()
    examples = make_examples(network, SENTENCES, recipe)
    assert [example.units for example in examples] == [3, 1]
    assert network(examples).loss.item() == pytest.approx(expected, abs=1e-5)


def test_impossible_questions_point_at_the_first_token_in_every_window(
    make_network: Make, recipe: Recipe
) -> None:
    network = make_network("span", max_length=10, doc_stride=2)
    asked = Question("1", "cat", "the cat sat the mat cat sat", (), impossible=True)
    none = msgspec.structs.replace(recipe, empty_windows=0.0)
    examples = make_examples(network, [asked], none)
    assert len(examples) > 1  # though windows without the answer are not trained on
    assert {example.target for example in examples} == {(0, 0)}
    answered = dataclasses.replace(asked, answers=(Answer("the", 0),), impossible=False)
    assert len(make_examples(network, [answered], none)) < len(examples)


def test_loss_of_questions_is_the_mean_of_start_and_end(make_network: Make, recipe: Recipe) -> None:
    network = make_network("span")
    examples = make_examples(network, QUESTIONS, recipe)
    # [CLS] cat [SEP] the CAT sat [SEP]; [CLS] the mat [SEP] a ##b ##c THE MAT [SEP]
    assert [example.target for example in examples] == [(4, 4), (7, 8)]
    losses = []
    for example in examples:
        (sequence,) = example.sequences
        logits = network.head(network.hidden([sequence]).states).detach().numpy()
        log_shares = log_softmax(logits, axis=0)
        losses.append(-(log_shares[example.target[0], 0] + log_shares[example.target[1], 1]) / 2)
    assert network(examples).loss.item() == pytest.approx(np.mean(losses), abs=1e-5)


def test_loss_of_matches_has_the_batch_as_negatives(make_network: Make, recipe: Recipe) -> None:
    network = make_network("ranking")
    model = predictor(network, network.task, network.asks)
    queries = model.embed([m.query for m in MATCHES], "query")
    candidates = model.embed([m.candidate for m in MATCHES], "candidate")
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    candidates /= np.linalg.norm(candidates, axis=1, keepdims=True)
    expected = -np.diag(log_softmax(100 * queries @ candidates.T, axis=1)).mean()
    loss = network(make_examples(network, MATCHES, recipe)).loss
    assert loss.item() == pytest.approx(expected, abs=1e-3)
    assert not network.batchable


@pytest.mark.parametrize(
    ("kind", "labels", "items"),
    [
        ("classification", "yes no", PAIRS),
        ("choice", "", CHOICES),
        ("tagging", "D N V", SENTENCES),
        ("span", "", QUESTIONS),
    ],
)
def test_parts_of_a_batch_weighed_by_units_give_the_loss_of_the_batch(
    kind: str, labels: str, items: Any, make_network: Make, recipe: Recipe
) -> None:
    network = make_network(kind, labels)
    examples = make_examples(network, items, recipe)
    parts = [examples[:1], examples[1:]]
    units = [sum(example.units for example in part) for part in parts]
    weighed = sum(network(p).loss * n for p, n in zip(parts, units, strict=True)) / sum(units)
    assert network.batchable
    torch.testing.assert_close(weighed, network(examples).loss)


def test_long_sentences_give_several_examples_with_all_tags(
    make_network: Make, recipe: Recipe
) -> None:
    network = make_network("tagging", "D N V")
    tags = random.Random(0).choices("DNV", k=50)
    long = Sentence("1", ("the",) * 50, tuple(tags))
    examples = make_examples(network, [long], msgspec.structs.replace(recipe, max_length=12))
    assert [example.units for example in examples] == [10] * 5
    assert all(example.tokens == 12 for example in examples)
    assert [network.task.labels[tag] for e in examples for _, tag in e.target] == tags


@pytest.mark.parametrize(("share", "kept"), [(0.0, 0), (1.0, 1)])
def test_windows_without_the_answer_point_at_their_first_token(
    share: float, kept: int, make_network: Make, recipe: Recipe
) -> None:
    network = make_network("span")
    context = "the cat " * 20 + "mat"
    item = Question("1", "sat", context, (Answer("mat", context.index("mat")),))
    shape = {"max_length": 20, "doc_stride": 10, "empty_windows": share}
    examples = make_examples(network, [item], msgspec.structs.replace(recipe, **shape))
    targets = [example.target for example in examples]
    # 41 tokens of context in windows of 16, ten apart: four windows, the last with the answer.
    assert targets == [(0, 0)] * 3 * kept + [(13, 13)]


def test_examples_take_the_first_answer(make_network: Make, recipe: Recipe) -> None:
    network = make_network("span")
    flipped = dataclasses.replace(QUESTIONS[1], answers=QUESTIONS[1].answers[::-1])
    (example,) = make_examples(network, [flipped], recipe)
    assert example.target == (4, 6)  # abc


@pytest.mark.parametrize(
    ("kind", "item"),
    [
        ("classification", Pair("7", "a", "b", "perhaps")),
        ("tagging", Sentence("7", ("a",), ("perhaps",))),
    ],
)
def test_a_label_that_the_card_lacks_is_named(
    kind: str, item: Any, make_network: Make, recipe: Recipe
) -> None:
    network = make_network(kind, "yes no")
    with pytest.raises(DataError, match="item '7' has the label 'perhaps'; the card has yes, no"):
        make_examples(network, [item], recipe)


@pytest.mark.parametrize("architecture", ["bert", "xlm-roberta", "distilbert", "deberta-v2"])
def test_frozen_embeddings_are_not_trained(architecture: str, make_network: Make) -> None:
    network = make_network(
        "tagging", "D N V", architecture=architecture, freeze_embeddings=True
    ).train()
    still = {name for name, p in network.named_parameters() if not p.requires_grad}
    assert still == {n for n, _ in network.named_parameters() if n.startswith("module.embeddings.")}
    assert "module.embeddings.word_embeddings.weight" in still


def test_groups_hold_each_trained_parameter_once_and_spare_biases_and_norms(
    make_network: Make, recipe: Recipe
) -> None:
    network = make_network("classification", "yes no", freeze_embeddings=True)
    recipe = msgspec.structs.replace(recipe, weight_decay=0.1, head_rate_factor=5.0)
    groups = network.parameter_groups(recipe)
    settings = {id(p): (g["lr"], g["weight_decay"]) for g in groups for p in g["params"]}
    trained = {name: p for name, p in network.named_parameters() if p.requires_grad}
    assert len(settings) == len(trained) == sum(len(g["params"]) for g in groups)
    for name, parameter in trained.items():
        rate = 5e-3 if name.startswith("head.") else 1e-3
        decay = 0.0 if name.endswith("bias") or "LayerNorm" in name else 0.1
        assert settings[id(parameter)] == (pytest.approx(rate), decay), name


def test_training_learns_three_pairs_by_heart(make_network: Make, recipe: Recipe) -> None:
    network = make_network("classification", "yes no")
    examples = make_examples(network, PAIRS, recipe)
    recipe = msgspec.structs.replace(recipe, learning_rate=3e-3, head_rate_factor=5.0)
    optimiser = torch.optim.AdamW(network.parameter_groups(recipe))
    assert network(examples).loss.item() > 0.5
    for _ in range(20):
        optimiser.zero_grad()
        network(examples).loss.backward()
        optimiser.step()
    assert network(examples).loss.item() < 0.1

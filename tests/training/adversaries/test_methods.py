"""What must hold of every method, on every head."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor

from xharness.builtin import xharness_adversaries
from xharness.inference.network import Network
from xharness.training.adversaries.fgm import FGM
from xharness.training.adversaries.freelb import FreeLB
from xharness.training.adversaries.noise import Noise
from xharness.training.adversaries.pgd import PGD
from xharness.training.adversaries.plain import Plain
from xharness.training.adversaries.r3f import R3F
from xharness.training.adversaries.smart import SMART
from xharness.training.adversaries.vat import VAT
from xharness.training.forward import Forward

Make = Callable[..., Any]
METHODS: Any = list(xharness_adversaries())
KINDS = ["classification", "choice", "tagging", "span", "ranking"]
FULL = pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)


def close(one: dict[str, Tensor], other: dict[str, Tensor], tolerance: float = 1e-4) -> None:
    assert one.keys() == other.keys()
    for name in one:
        torch.testing.assert_close(one[name], other[name], atol=tolerance, rtol=1e-3, msg=name)


def same_bits(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


@contextmanager
def watched(monkeypatch: pytest.MonkeyPatch, network: Network) -> Iterator[dict[str, int]]:
    """Counts what really happens: passes of the backbone, backward calls of torch."""
    counts = {"forward": 0, "parameters": 0, "perturbation": 0}
    backward, gradient = Tensor.backward, torch.autograd.grad

    def count_backward(self: Tensor, *args: Any, **more: Any) -> None:
        counts["parameters"] += 1
        backward(self, *args, **more)

    def count_gradient(*args: Any, **more: Any) -> Any:
        counts["perturbation"] += 1
        return gradient(*args, **more)

    def count_forward(*_: Any) -> None:
        counts["forward"] += 1

    handle = network.module.register_forward_hook(count_forward)
    with monkeypatch.context() as patch:
        patch.setattr(Tensor, "backward", count_backward)
        patch.setattr(torch.autograd, "grad", count_gradient)
        yield counts
    handle.remove()


@pytest.mark.parametrize(
    ("adversary", "forward", "parameters", "perturbation"),
    [
        (Plain(), 1, 1, 0),
        (Noise(), 1, 1, 0),
        (Noise(passes=3), 3, 3, 0),
        (FGM(), 2, 2, 0),
        (FGM(clean_weight=0), 2, 1, 1),
        (PGD(ascents=1), 2, 1, 1),
        (PGD(ascents=3), 4, 1, 3),
        (PGD(ascents=3, clean_weight=1), 4, 2, 2),
        (PGD(ascents=3, clean_weight=1, start=0.1), 5, 2, 3),
        (FreeLB(ascents=0), 1, 1, 0),
        (FreeLB(ascents=1), 2, 2, 0),
        (FreeLB(ascents=2), 3, 3, 0),
        (SMART(ascents=1), 3, 1, 1),
        (SMART(ascents=2), 4, 1, 2),
        (VAT(ascents=1), 3, 1, 1),
        (R3F(), 2, 1, 0),
    ],
    ids=str,
)
def test_passes_are_as_many_as_the_method_needs(
    adversary: Any, forward: int, parameters: int, perturbation: int,
    prepare: Make, gradients: Make, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    network, examples = prepare()
    with watched(monkeypatch, network) as counts:
        _, _, tally = gradients(network, adversary, examples)
    wanted = {"forward": forward, "parameters": parameters, "perturbation": perturbation}
    assert counts == wanted
    assert tally["forward_passes"] == forward
    assert tally["backward_passes"] == parameters
    assert tally.get("perturbation_gradients", 0) == perturbation
    # Of the clean and the perturbed graph of these, both are gone back through in one call.
    both = parameters + isinstance(adversary, (SMART, VAT, R3F))
    assert adversary.work == (forward, both, perturbation)


@FULL
@pytest.mark.parametrize("kind", KINDS)
def test_every_method_trains_every_head(
    method: Any, kind: str, prepare: Make, gradients: Make
) -> None:
    network, examples = prepare(kind)
    loss, grads, _ = gradients(network, method(), examples)
    _, plain, _ = gradients(network, Plain(), examples)
    assert loss > 0
    assert grads.keys() == plain.keys()
    assert all(torch.isfinite(gradient).all() for gradient in grads.values())
    assert same_bits(grads, plain) == (method is Plain)


@FULL
@pytest.mark.parametrize("kind", KINDS)
def test_packing_changes_nothing(method: Any, kind: str, prepare: Make, gradients: Make) -> None:
    network, examples = prepare(kind, architecture="xlm-roberta")
    assert network.backbone.packed
    packed_loss, packed, _ = gradients(network, method(), examples)
    network.backbone = dataclasses.replace(network.backbone, packed=False)
    padded_loss, padded, _ = gradients(network, method(), examples)
    assert padded_loss == pytest.approx(packed_loss, abs=1e-4)
    close(packed, padded, 1e-3)


@FULL
@pytest.mark.parametrize("kind", KINDS[:-1])
def test_where_a_batch_is_cut_changes_nothing(
    method: Any, kind: str, prepare: Make, gradients: Make
) -> None:
    network, examples = prepare(kind)
    whole_loss, whole, _ = gradients(network, method(), examples)
    cut_loss, cut, _ = gradients(network, method(), examples[:1], examples[1:])
    assert cut_loss == pytest.approx(whole_loss, abs=1e-4)
    close(whole, cut, 1e-3)


@pytest.mark.parametrize(
    "architecture", ["electra", "distilbert", "deberta-v2", "llama", "bloom", "modernbert"]
)
def test_other_architectures_are_attacked_too(
    architecture: str, prepare: Make, gradients: Make
) -> None:
    network, examples = prepare("tagging", architecture=architecture)
    for adversary in (FreeLB(start=0), VAT()):
        loss, grads, tally = gradients(network, adversary, examples)
        assert loss > 0
        assert all(torch.isfinite(gradient).all() for gradient in grads.values())
        assert tally["perturbation_norms"] > 0


@pytest.mark.parametrize(
    "adversary",
    [
        FreeLB(ascents=0, start=0),
        FGM(radius=0, clean_weight=0),
        PGD(step=0),
        Noise(radius=0),
    ],
    ids=lambda a: a.name,
)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("training", [False, True])
def test_without_a_perturbation_gradients_are_plain_ones_bit_for_bit(
    adversary: Any, kind: str, training: bool, prepare: Make, gradients: Make
) -> None:
    network, examples = prepare(kind)
    network.train(training)
    torch.manual_seed(5)
    plain_loss, plain, _ = gradients(network, Plain(), examples)
    torch.manual_seed(5)
    loss, grads, _ = gradients(network, adversary, examples)
    assert loss == plain_loss
    assert same_bits(grads, plain)


@pytest.mark.parametrize(
    ("adversary", "terms"),
    [
        (FGM(radius=0), 2),
        (R3F(radius=0), 1),
        (PGD(step=0, clean_weight=1), 2),
        (FreeLB(step=0, start=0, ascents=2), 1),
    ],
)
def test_at_radius_zero_the_loss_is_the_clean_one_times_the_terms(
    adversary: Any, terms: int, prepare: Make, gradients: Make
) -> None:
    network, examples = prepare()
    plain_loss, plain, _ = gradients(network, Plain(), examples)
    loss, grads, _ = gradients(network, adversary, examples)
    assert loss == pytest.approx(terms * plain_loss, rel=1e-5)
    close(grads, {name: terms * gradient for name, gradient in plain.items()}, 1e-5)


@contextmanager
def spied(network: Network, batch: Any) -> Iterator[list[Tensor]]:
    """Collects the perturbation (T, E) of each pass, as the embedding module lets it out."""
    seen: list[Tensor] = []
    inner = network.forward

    def forward(examples: Any, edit: Any = None) -> Any:
        if edit is not None:
            width = network.module.get_input_embeddings().weight.shape[1]
            tokens = sum(example.tokens for example in batch)
            seen.append(edit(torch.zeros(tokens, width)).detach())
        return inner(examples, edit)

    network.forward = forward  # type: ignore[method-assign]
    yield seen
    network.forward = inner  # type: ignore[method-assign]


L2 = [FGM(), PGD(), PGD(start=0.3), FreeLB(ascents=3, radius=0.15), VAT(), Noise(shape="sphere")]


@pytest.mark.parametrize("adversary", L2, ids=str)
@pytest.mark.parametrize("kind", ["classification", "choice", "ranking"])
def test_the_ball_holds_for_each_sequence_and_special_tokens_stay(
    adversary: Any, kind: str, prepare: Make, gradients: Make, recipe: Any
) -> None:
    network, examples = prepare(kind)
    with spied(network, examples) as seen:
        gradients(network, adversary, examples)
    limit = adversary.radius * Forward(network, recipe).token_norm
    sequences = sorted((s for e in examples for s in e.sequences), key=lambda s: len(s.ids))
    last = []
    for number, delta in enumerate(seen):
        rows = delta.split([len(s.ids) for s in sequences])
        for sequence, part in zip(sequences, rows, strict=True):
            special = [i for i, token in enumerate(sequence.ids) if token in network.special_ids]
            assert len(special) >= 2
            assert part[special].abs().max() == 0
            assert part.norm() <= limit * 1.0001
            if number == len(seen) - 1:
                last.append(float(part.norm()) / limit)
    # What trains last is a real perturbation of each sequence, not of the batch as a whole.
    assert min(last) > 0.3


@pytest.mark.parametrize("adversary", [SMART(), SMART(ascents=3), R3F()], ids=str)
def test_coordinates_stay_in_their_interval(
    adversary: Any, prepare: Make, gradients: Make, recipe: Any
) -> None:
    # The released code of SMART divides by the largest coordinate, which then is about 1.
    network, examples = prepare("tagging")
    with spied(network, examples) as seen:
        gradients(network, adversary, examples)
    width = network.module.config.hidden_size
    limit = adversary.radius * Forward(network, recipe).token_norm / width**0.5
    assert 0.5 * limit < seen[-1].abs().max() <= limit * 1.0001


def test_gaussian_noise_has_the_standard_deviation_of_a_coordinate_s_size(
    prepare: Make, gradients: Make, recipe: Any
) -> None:
    network, examples = prepare()
    with spied(network, examples) as seen:
        gradients(network, Noise(radius=0.2), examples)
    moved = seen[-1][seen[-1].abs().sum(dim=1) > 0]
    usual = Forward(network, recipe).token_norm / network.module.config.hidden_size**0.5
    assert moved.std().item() == pytest.approx(0.2 * usual, rel=0.15)


def test_special_tokens_are_perturbed_where_asked(prepare: Make, gradients: Make) -> None:
    network, examples = prepare()
    with spied(network, examples) as seen:
        gradients(network, FGM(special_tokens=True), examples)
    assert seen[-1].abs().sum(dim=1).min() > 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "adversary", [FGM(clean_weight=0, radius=0.05), PGD(step=0.02, radius=0.05)]
)
def test_the_loss_rises_and_more_than_by_chance(
    adversary: Any, kind: str, prepare: Make, gradients: Make
) -> None:
    network, examples = prepare(kind)
    clean, _, _ = gradients(network, Plain(), examples)
    worst, _, _ = gradients(network, adversary, examples)
    by_chance = [
        gradients(network, Noise(shape="sphere", radius=0.05), examples, seed=seed)[0]
        for seed in range(10)
    ]
    assert worst > clean
    assert worst > max(by_chance)


@pytest.mark.parametrize("kind", KINDS)
def test_vat_finds_a_direction_that_changes_predictions_more_than_chance(
    kind: str, prepare: Make, recipe: Any
) -> None:
    network, examples = prepare(kind)
    forward = Forward(network, recipe)
    ball = forward.ball(examples, VAT())
    clean = ball.at().detach()

    def change(direction: Tensor) -> float:
        near = ball.at(ball.ascend(ball.zeros(), direction, 0.02))
        return float(clean.divergence(near).detach())

    direction = ball.normal()
    for _ in range(3):
        delta = ball.ascend(ball.zeros(), direction, 0.02).requires_grad_()
        direction = forward.gradient(clean.divergence(ball.at(delta)), delta)
    assert change(direction) > max(change(ball.normal(draw)) for draw in range(1, 9))


@FULL
def test_the_same_seed_gives_the_same_bits_another_seed_other_noise(
    method: Any, prepare: Make, gradients: Make
) -> None:
    network, examples = prepare()
    _, one, _ = gradients(network, method(), examples, seed=1)
    _, again, _ = gradients(network, method(), examples, seed=1)
    _, other, _ = gradients(network, method(), examples, seed=2)
    assert same_bits(one, again)
    deterministic = method in (Plain, FGM, PGD)
    assert same_bits(one, other) == deterministic


def test_inner_gradients_leave_those_of_parameters_alone(prepare: Make, recipe: Any) -> None:
    network, examples = prepare()
    forward = Forward(network, recipe)
    ball = forward.ball(examples, PGD())
    delta = ball.zeros().requires_grad_()
    forward.gradient(ball.at(delta).loss, delta)
    assert all(parameter.grad is None for parameter in network.parameters())


def test_frozen_embeddings_are_perturbed_all_the_same(prepare: Make, gradients: Make) -> None:
    free, examples = prepare(seed=4)
    frozen, _ = prepare(seed=4, freeze_embeddings=True)
    _, expected, _ = gradients(free, FreeLB(), examples)
    _, grads, _ = gradients(frozen, FreeLB(), examples)
    assert 0 < len(grads) < len(expected)
    close(grads, {name: expected[name] for name in grads}, 1e-5)


def test_r3f_sends_no_gradient_into_the_embeddings_on_the_noisy_side(
    prepare: Make, recipe: Any
) -> None:
    network, examples = prepare()
    ball = Forward(network, recipe).ball(examples, R3F())
    word = network.module.get_input_embeddings().weight
    for detached in (False, True):
        network.zero_grad(set_to_none=True)
        ball.at(ball.uniform() * 0.01, detached=detached).loss.backward()
        assert (word.grad is None) == detached
        assert network.head.out.weight.grad is not None


def test_a_text_of_special_tokens_alone_and_a_single_example_are_no_trouble(
    prepare: Make, gradients: Make
) -> None:
    network, examples = prepare()
    sequence = examples[0].sequences[0]
    special = sequence._replace(ids=[2, 3], types=[0, 0])
    bare = dataclasses.replace(examples[0], sequences=(special,))
    for method in METHODS:
        for batch in ([bare], [bare, examples[1]], [examples[2]]):
            loss, grads, _ = gradients(network, method(), batch)
            assert 0 < loss < 100
            assert all(torch.isfinite(gradient).all() for gradient in grads.values())


def test_an_example_is_attacked_the_same_in_any_company(prepare: Make, recipe: Any) -> None:
    # An attack on the embedding matrix, as often seen, shares one norm among all examples.
    network, examples = prepare()

    def worst(batch: Any) -> Tensor:
        forward = Forward(network, recipe)
        ball = forward.ball(batch, FGM())
        delta = ball.zeros().requires_grad_()
        gradient = forward.gradient(ball.at(delta).loss, delta)
        moved = ball.ascend(ball.zeros(), gradient, 0.3)
        return moved[ball.owner == 0]  # the shortest lies first

    shortest = min(examples, key=lambda e: e.tokens)
    torch.testing.assert_close(worst([shortest]), worst(examples), atol=1e-5, rtol=1e-3)

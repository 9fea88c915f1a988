"""The geometry of perturbations, in numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import torch
from torch import Tensor, nn
from transformers import AutoModel, Qwen2Config

from xharness.cards import Recipe
from xharness.errors import Refused
from xharness.inference.network import Network
from xharness.inference.packing import Encoded, encode
from xharness.training.adversaries.fgm import FGM
from xharness.training.adversaries.freelb import FreeLB
from xharness.training.adversaries.r3f import R3F
from xharness.training.adversaries.smart import SMART
from xharness.training.ball import Ball
from xharness.training.forward import Forward

Make = Callable[..., Any]
Prepare = Callable[..., tuple[Network, list[Any]]]


@pytest.fixture
def ball(prepare: Prepare, recipe: Recipe) -> Ball:
    network, examples = prepare()
    return Forward(network, recipe).ball(examples, FGM(relative=False))


@pytest.mark.parametrize("architecture", ["bert", "xlm-roberta", "electra", "distilbert"])
@pytest.mark.parametrize("packed", [True, False])
def test_an_edit_that_changes_nothing_changes_no_bit(
    architecture: str, packed: bool, make_module: Make
) -> None:
    module = make_module(architecture)
    if packed:
        module.set_attn_implementation("xharness_packed")
    sequences = [Encoded([5, 6, 7, 8, 9]), Encoded([7, 8]), Encoded([9, 9, 5])]
    plain = encode(module, sequences, packed=packed).states
    assert torch.equal(plain, encode(module, sequences, packed=packed, edit=lambda e: e).states)
    assert torch.equal(plain, encode(module, sequences, packed=packed, edit=lambda e: e + 0).states)
    assert not torch.allclose(
        plain, encode(module, sequences, packed=packed, edit=lambda e: e + 1.0).states
    )
    # The hook is gone.
    assert torch.equal(plain, encode(module, sequences, packed=packed).states)


@pytest.mark.parametrize("packed", [True, False])
def test_rows_of_an_edit_are_the_tokens_and_act_before_positions_and_norm(
    packed: bool, make_module: Make
) -> None:
    module = make_module("xlm-roberta")
    sequences = [Encoded([5, 6, 7, 8, 9]), Encoded([7, 8]), Encoded([9, 9, 5])]
    delta = torch.randn(10, 32, generator=torch.Generator().manual_seed(0))
    alone = []
    # In the order of the row: shortest first. Position ids are given, as inputs_embeds loses them.
    for sequence, part in zip(
        [sequences[i] for i in (1, 2, 0)], delta.split([2, 3, 5]), strict=True
    ):
        word = module.get_input_embeddings()(torch.tensor([sequence.ids]))
        positions = torch.arange(len(sequence.ids))[None] + 2
        out = module(inputs_embeds=word + part, position_ids=positions)
        alone.append(out.last_hidden_state[0])
    if packed:
        module.set_attn_implementation("xharness_packed")
    together = encode(module, sequences, packed=packed, edit=lambda e: e + delta)
    torch.testing.assert_close(together.states, torch.cat(alone), atol=2e-5, rtol=1e-4)
    assert [int(s) for s in together.starts] == [5, 0, 2]


def test_decoders_are_perturbed_through_the_same_hook() -> None:
    torch.manual_seed(0)
    shape: dict[str, Any] = {"vocab_size": 40, "hidden_size": 32, "num_hidden_layers": 2}
    shape |= {"num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 48}
    module = AutoModel.from_config(Qwen2Config(**shape)).eval()
    sequences = [Encoded([5, 6, 7, 8, 9]), Encoded([7, 8])]
    delta = torch.randn(7, 32)
    together = encode(module, sequences, packed=False, edit=lambda e: e + delta)
    for sequence, part, i in ((sequences[1], delta[:2], 1), (sequences[0], delta[2:], 0)):
        word = module.get_input_embeddings()(torch.tensor([sequence.ids]))
        alone = module(inputs_embeds=word + part).last_hidden_state[0]
        torch.testing.assert_close(together.of(i), alone, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("scale", [1e-25, 1e-8, 1.0, 1e8, 1e30])
def test_a_step_has_its_length_whatever_the_scale_of_the_gradient(ball: Ball, scale: float) -> None:
    gradient = ball.normal()
    step = ball.ascend(ball.zeros(), gradient * scale, 0.25)
    torch.testing.assert_close(ball.norms(step), torch.full((3,), 0.25))
    torch.testing.assert_close(step, ball.ascend(ball.zeros(), gradient, 0.25))


def test_the_gradient_of_one_sequence_does_not_shorten_the_step_of_another(ball: Ball) -> None:
    gradient = ball.normal()
    factors = torch.tensor([1e-6, 1.0, 1e6])
    uneven = ball.ascend(ball.zeros(), gradient * ball.spread(factors), 0.25)
    torch.testing.assert_close(uneven, ball.ascend(ball.zeros(), gradient, 0.25))


def test_projection_is_onto_the_sphere_from_outside_and_nothing_from_inside(ball: Ball) -> None:
    start = ball.ascend(ball.zeros(), ball.normal(), 1.0)
    outside = ball.ascend(start, start, 0.5, 1.2)
    torch.testing.assert_close(outside, start * 1.2)
    inside = ball.ascend(start, start, 0.1, 1.2)
    torch.testing.assert_close(inside, start * 1.1)
    unlimited = ball.ascend(start, start, 0.5, 0.0)
    torch.testing.assert_close(unlimited, start * 1.5)
    assert ball.forward.facts()["clipped_share"] == pytest.approx(0.5)


def test_a_sequence_without_gradient_stays_where_it_is(ball: Ball) -> None:
    # The released PGD and FreeAT divide by the norm as it is: 0/0.
    start = ball.ascend(ball.zeros(), ball.normal(), 1.0)
    gradient = ball.normal(1) * ball.spread(torch.tensor([1.0, 0.0, 1.0]))
    for move in (ball.ascend, ball.ascend_coordinates):
        moved = move(start, gradient, 0.1, 5.0)
        still = ball.owner == 1
        assert torch.equal(moved[still], start[still])
        assert (moved[~still] - start[~still]).norm() > 0.1


@pytest.mark.parametrize("poison", [float("nan"), float("inf"), -float("inf")])
def test_a_gradient_that_is_not_finite_falls_back_to_clean_and_is_counted(
    ball: Ball, poison: float
) -> None:
    start = ball.ascend(ball.zeros(), ball.normal(), 1.0)
    gradient = ball.normal(1)
    token = int((ball.owner == 2).nonzero()[1])
    gradient[token, 3] = poison
    for move in (ball.ascend, ball.ascend_coordinates):
        moved = move(start, gradient, 0.1, 5.0)
        clean = ball.owner == 2
        assert moved[clean].abs().max() == 0
        assert torch.isfinite(moved).all()
        assert (moved[~clean] - start[~clean]).norm() > 0.1
    assert ball.forward.tally["non_finite_attacks"] == 2


def test_a_random_start_has_0577_of_its_size(prepare: Prepare, recipe: Recipe) -> None:
    network, examples = prepare(max_length=30)
    forward = Forward(network, recipe)
    norms = []
    for seed in range(40):
        forward.random.seed(seed)
        made = forward.ball(examples, FreeLB(relative=False))
        norms.append(made.norms(made.start(2.0)))
    assert torch.stack(norms).mean().item() == pytest.approx(2 / 3**0.5, rel=0.02)


def test_relative_sizes_count_embedding_norms(prepare: Prepare, recipe: Recipe) -> None:
    network, examples = prepare()
    forward = Forward(network, recipe)
    word = network.module.get_input_embeddings().weight
    mean = float(word.detach().norm(dim=1).mean())
    assert forward.token_norm == pytest.approx(mean, rel=1e-5)
    relative, plain = forward.ball(examples, FGM()), forward.ball(examples, FGM(relative=False))
    assert relative.length(0.3) == pytest.approx(0.3 * mean)
    assert relative.coordinate(0.3) == pytest.approx(0.3 * mean / 32**0.5)
    assert plain.length(0.3) == plain.coordinate(0.3) == 0.3
    with torch.no_grad():
        word *= 7
    scaled = Forward(network, recipe).ball(examples, FGM())
    assert scaled.length(0.3) == pytest.approx(7 * relative.length(0.3))


def test_noise_belongs_to_its_sequence_not_to_its_place_in_the_batch(
    prepare: Prepare, recipe: Recipe
) -> None:
    network, examples = prepare()
    forward = Forward(network, recipe)
    forward.random.seed(1)
    whole = forward.ball(examples, FGM())
    forward.random.seed(1)
    parts = [forward.ball([example], FGM()) for example in examples]
    shortest_first = sorted(range(3), key=lambda i: examples[i].tokens)
    for noise in ("normal", "uniform"):
        together = getattr(whole, noise)()
        assert torch.equal(
            together, torch.cat([getattr(parts[i], noise)() for i in shortest_first])
        )
        assert not torch.equal(together, getattr(whole, noise)(1))


@pytest.mark.parametrize(("dropout", "same"), [("sync", True), ("resample", False)])
def test_sync_means_the_same_dropout_in_all_passes_of_a_micro_batch(
    dropout: Any, same: bool, prepare: Prepare, recipe: Recipe
) -> None:
    network, examples = prepare()
    network.train()
    made = Forward(network, recipe).ball(examples, FGM(dropout=dropout))
    first = made.at().logits
    assert torch.equal(first, made.at(made.zeros()).logits) == same
    # The next micro-batch goes on where one pass would have left the generator.
    other = Forward(network, recipe).ball(examples, FGM(dropout=dropout))
    assert not torch.equal(first, other.at().logits)


def test_equal_predictions_have_no_divergence_and_no_gradient(
    prepare: Prepare, recipe: Recipe
) -> None:
    # Hence SMART and VAT start from noise; FGM, PGD and FreeLB need none.
    for kind in ("classification", "span"):
        network, examples = prepare(kind)
        forward = Forward(network, recipe)
        made = forward.ball(examples, SMART())
        delta = made.zeros().requires_grad_()
        clean, near = made.at().detach(), made.at(delta)
        divergence = clean.divergence(near)
        assert divergence.item() == pytest.approx(0, abs=1e-6)
        assert forward.gradient(divergence, delta).abs().max() < 1e-5
    with pytest.raises(msgspec.ValidationError, match="> 0"):
        msgspec.convert({"start": 0}, SMART)


@pytest.mark.parametrize("kind", ["classification", "choice", "tagging", "span", "ranking"])
def test_divergence_is_that_of_torch_and_never_negative(
    kind: str, prepare: Prepare, recipe: Recipe
) -> None:
    # The released SMART's `stable_kl` is no divergence: it can be negative.
    network, examples = prepare(kind)
    made = Forward(network, recipe).ball(examples, R3F())
    one, other = made.at(), made.at(made.normal() * 0.3)
    p, q = one.logits.double().softmax(1), other.logits.double().softmax(1)
    rows = torch.distributions.kl_divergence(
        torch.distributions.Categorical(p), torch.distributions.Categorical(q.clamp(min=1e-300))
    )
    assert one.divergence(other).item() == pytest.approx(rows.mean().item(), rel=1e-3, abs=1e-6)
    assert rows.min() >= -1e-12
    assert one.divergence(other).item() > 0


@pytest.mark.parametrize(
    ("method", "precision", "message"),
    [
        (FGM(radius=1e-5), "bf16", "moves a word embedding by 1e-05 of its norm, and bf16"),
        (FGM(radius=1e-9), "fp32", "and fp32 resolves 1.2e-07; make it larger"),
        (R3F(radius=1e-5, relative=False), "bf16", "adversary 'r3f': a size of 1e-05 moves"),
    ],
)  # fmt: skip
def test_a_size_below_what_the_precision_resolves_is_refused(
    method: Any, precision: Any, message: str, prepare: Prepare, recipe: Recipe
) -> None:
    network, examples = prepare()
    recipe = msgspec.structs.replace(recipe, precision=precision)
    with pytest.raises(Refused, match=message):
        method.accumulate(examples, Forward(network, recipe), 1.0)
    fine = msgspec.structs.replace(method, radius=0.1)
    fine.accumulate(examples, Forward(network, recipe), 1.0)


class Overflow(torch.autograd.Function):
    """The identity whose gradient of the first row is not a number."""

    @staticmethod
    def forward(_context: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(_context: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        gradient = gradient.clone()
        gradient[0] = float("nan")
        return gradient


def test_an_attack_that_overflows_trains_on_the_clean_input(
    prepare: Prepare, recipe: Recipe
) -> None:
    network, examples = prepare()
    head = network.head

    class Overflowing(nn.Module):
        def forward(self, hidden: Any) -> Tensor:
            return Overflow.apply(head(hidden))  # type: ignore[no-any-return, no-untyped-call]

    forward = Forward(network, recipe)
    made = forward.ball(examples, FGM())
    network.head = Overflowing()
    delta = made.zeros().requires_grad_()
    gradient = forward.gradient(made.at(delta).loss, delta)
    network.head = head
    worst = made.ascend(made.zeros(), gradient, 0.3)
    clean, perturbed = made.at(), made.at(worst)
    torch.testing.assert_close(perturbed.logits[0], clean.logits[0])
    assert not torch.allclose(perturbed.logits[1:], clean.logits[1:], atol=1e-4)
    assert forward.facts()["non_finite_attacks"] == 1

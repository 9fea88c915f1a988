"""Each method's loss and gradients, against its formula written out again.

Here pairs are padded to the longest, changed through `inputs_embeds`, and all is torch's own:
divergences of its distributions, norms over the rows of a batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical, kl_divergence
from torch.nn.functional import cross_entropy

from xharness.cards import Recipe
from xharness.inference.network import Example, Network
from xharness.inference.packing import layout
from xharness.training.adversaries.fgm import FGM
from xharness.training.adversaries.freelb import FreeLB
from xharness.training.adversaries.noise import Noise
from xharness.training.adversaries.perturbing import Perturbing
from xharness.training.adversaries.pgd import PGD
from xharness.training.adversaries.r3f import R3F
from xharness.training.adversaries.smart import SMART
from xharness.training.adversaries.vat import VAT
from xharness.training.forward import Forward

WIDTH = 32


class Textbook:
    """One batch of pairs (N, L); `noise` are the unit draws that the method gets, too."""

    def __init__(
        self, network: Network, batch: list[Example], noise: Callable[..., Tensor]
    ) -> None:
        self.network = network
        sequences = [example.sequences[0] for example in batch]
        longest = max(len(s.ids) for s in sequences)
        self.ids = torch.tensor([s.ids + [0] * (longest - len(s.ids)) for s in sequences])
        types = [(s.types or []) + [0] * (longest - len(s.ids)) for s in sequences]
        self.types = torch.tensor(types)
        self.real = (torch.arange(longest) < torch.tensor([[len(s.ids)] for s in sequences])).long()
        special = torch.isin(self.ids, torch.tensor([2, 3]))
        self.mask = (self.real * ~special)[:, :, None].float()
        self.targets = torch.tensor([example.target for example in batch])
        self.still = torch.zeros(*self.ids.shape, WIDTH)
        self._draw, self._order = noise, layout(sequences).order

    def logits(self, delta: Tensor, detached: bool = False) -> Tensor:
        word = self.network.module.get_input_embeddings()(self.ids)
        states = self.network.module(
            inputs_embeds=(word.detach() if detached else word) + delta,
            token_type_ids=self.types,
            attention_mask=self.real,
        ).last_hidden_state
        head: Any = self.network.head
        logits: Tensor = head.out(torch.tanh(head.dense(states[:, 0])))
        return logits

    def loss(self, delta: Tensor) -> Tensor:
        return cross_entropy(self.logits(delta), self.targets)

    def gradient(self, objective: Callable[[Tensor], Tensor], delta: Tensor) -> Tensor:
        delta = delta.detach().requires_grad_()
        return torch.autograd.grad(objective(delta), delta)[0] * self.mask

    def climb(self, delta: Tensor, size: float, radius: float) -> Tensor:
        """One step up the loss, and back into the ball of `radius`."""
        moved = delta + sized(self.gradient(self.loss, delta), size)
        return moved * (radius / by_row(moved)).clamp(max=1) if radius else moved

    def noise(self, shape: str, *draw: int) -> Tensor:
        out = self.still.clone()
        lengths = self.real.sum(dim=1)[self._order].tolist()
        rows = self._draw(shape, *draw).split(lengths)
        for i, row in zip(self._order, rows, strict=True):
            out[i, : len(row)] = row
        return out

    def start(self, size: float) -> Tensor:
        """mask * U(-1, 1) * size / sqrt(L H), L counting the tokens that may move."""
        coordinates = self.mask.sum(dim=1, keepdim=True) * WIDTH
        return self.noise("uniform") * size / coordinates.sqrt()


def by_row(x: Tensor) -> Tensor:
    return x.flatten(1).norm(dim=1)[:, None, None]


def sized(x: Tensor, size: float) -> Tensor:
    return size * x / by_row(x)


def kl(p: Tensor, q: Tensor) -> Tensor:
    return kl_divergence(Categorical(logits=p), Categorical(logits=q)).mean()


def fgm(book: Textbook, method: FGM) -> Tensor:
    worst = sized(book.gradient(book.loss, book.still), method.radius)
    return method.clean_weight * book.loss(book.still) + method.weight * book.loss(worst)


def pgd(book: Textbook, method: PGD) -> Tensor:
    delta = book.start(method.start)
    for _ in range(method.ascents):
        delta = book.climb(delta, method.step, method.radius)
    return method.clean_weight * book.loss(book.still) + book.loss(delta)


def freelb(book: Textbook, method: FreeLB) -> Tensor:
    deltas = [book.start(method.start)]
    for _ in range(method.ascents):
        deltas.append(book.climb(deltas[-1], method.step, method.radius))
    return torch.stack([book.loss(delta) for delta in deltas]).mean()


def smart(book: Textbook, method: SMART) -> Tensor:
    clean = book.logits(book.still)
    p = clean.detach()

    def change(delta: Tensor) -> Tensor:
        q = book.logits(delta)
        return kl(p, q) + kl(q, p)

    delta = book.noise("normal") * method.start
    for _ in range(method.ascents):
        gradient = book.gradient(change, delta)
        largest = gradient.abs().flatten(1).amax(dim=1)[:, None, None]
        moved = delta + method.step * gradient / largest
        delta = moved.clamp(-method.radius, method.radius)
    q = book.logits(delta)
    smoothness = kl(p, q) + kl(q.detach(), clean)
    return cross_entropy(clean, book.targets) + method.weight * smoothness


def r3f(book: Textbook, method: R3F) -> Tensor:
    p = book.logits(book.still)
    q = book.logits(book.noise("uniform") * method.radius, detached=True)
    return cross_entropy(p, book.targets) + method.weight * (kl(p, q) + kl(q, p))


def vat(book: Textbook, method: VAT) -> Tensor:
    clean = book.logits(book.still)
    direction = book.noise("normal")
    for _ in range(method.ascents):
        direction = book.gradient(
            lambda delta: kl(clean.detach(), book.logits(delta)), sized(direction, method.probe)
        )
    change = kl(clean.detach(), book.logits(sized(direction, method.radius)))
    return cross_entropy(clean, book.targets) + method.weight * change


def noise(book: Textbook, method: Noise) -> Tensor:
    draws = [book.noise("normal", number) for number in range(method.passes)]
    if method.shape == "sphere":
        return torch.stack([book.loss(sized(z, method.radius)) for z in draws]).mean()
    return torch.stack([book.loss(z * method.radius) for z in draws]).mean()


# Sizes and weights that make each term and each factor count.
CASES: list[tuple[Callable[..., Tensor], Perturbing]] = [
    (fgm, FGM(relative=False, radius=0.5)),
    (fgm, FGM(relative=False, radius=0.5, clean_weight=0.3, weight=2)),
    (fgm, FGM(relative=False, radius=0.5, clean_weight=0, weight=0.4)),
    (pgd, PGD(relative=False, ascents=3, step=0.4, radius=0.6)),
    (pgd, PGD(relative=False, ascents=2, step=0.4, radius=0, start=0.8)),
    (pgd, PGD(relative=False, ascents=2, step=0.4, radius=0.6, clean_weight=0.3)),
    (pgd, PGD(relative=False, ascents=2, step=0.4, radius=0.6, clean_weight=0.3, start=0.8)),
    (freelb, FreeLB(relative=False, ascents=2, step=0.4, radius=0.6, start=0)),
    (freelb, FreeLB(relative=False, ascents=3, step=0.4, radius=0.6, start=0.8)),
    (smart, SMART(relative=False, ascents=1, step=0.2, radius=0.3, start=0.1, weight=3)),
    (smart, SMART(relative=False, ascents=2, step=0.5, radius=0.9, start=0.6, weight=0.5)),
    (r3f, R3F(relative=False, radius=0.3, weight=3)),
    (vat, VAT(relative=False, ascents=1, probe=0.8, radius=0.7, weight=3)),
    (vat, VAT(relative=False, ascents=2, probe=0.8, radius=0.7, weight=0.5)),
    (noise, Noise(relative=False, radius=0.1)),
    (noise, Noise(relative=False, radius=0.8, shape="sphere", passes=3)),
]


@pytest.mark.parametrize(("formula", "method"), CASES, ids=[str(method) for _, method in CASES])
def test_loss_and_gradients_are_those_of_the_formula(
    formula: Callable[..., Tensor],
    method: Any,
    prepare: Callable[..., tuple[Network, list[Example]]],
    gradients: Callable[..., Any],
    recipe: Recipe,
) -> None:
    network, examples = prepare(seed=2)
    loss, grads, _ = gradients(network, method, examples, seed=3)

    forward = Forward(network, recipe)
    forward.random.seed(3)
    ball = forward.ball(examples, method)
    book = Textbook(network, examples, lambda shape, *draw: getattr(ball, shape)(*draw))
    expected = formula(book, method)
    expected.backward()

    assert loss == pytest.approx(expected.item(), rel=1e-4)
    assert grads.keys() == {n for n, p in network.named_parameters() if p.grad is not None}
    for name, parameter in network.named_parameters():
        if name in grads:
            torch.testing.assert_close(
                grads[name], parameter.grad, atol=1e-4, rtol=1e-3, msg=lambda m, n=name: f"{n}: {m}"
            )

"""Where perturbations live: the word embeddings of one micro-batch, and balls around them.

A perturbation is a tensor (T, E): T the tokens of all sequences end to end, in the order of
`Hidden.states`, so that padding has no place in it; E the width of the word embeddings. Rows of
special tokens are 0 unless the method perturbs them too. Norms are taken per sequence (an option
of a choice and a query of a match are sequences of their own), in fp32.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from xharness.errors import Refused
from xharness.inference.network import Example, Outputs
from xharness.inference.packing import layout
from xharness.training.adversaries.perturbing import Perturbing

if TYPE_CHECKING:
    from xharness.training.forward import Forward

TINY = torch.finfo(torch.float32).tiny


class Ball:
    """Perturbations of one micro-batch. Sizes are in the units of the method's settings."""

    def __init__(self, forward: Forward, batch: Sequence[Example], method: Perturbing) -> None:
        self.forward = forward
        self.batch = batch
        self.method = method
        network = forward.network
        table = network.module.get_input_embeddings().weight
        self.device, self.width = table.device, table.shape[1]
        sequences = [s for example in batch for s in example.sequences]
        seeds = forward.noise_seeds(batch)
        order, _ = layout(sequences)
        self.seeds = [seeds[i] for i in order]
        self.lengths = [len(sequences[i].ids) for i in order]
        sizes = torch.tensor(self.lengths, device=self.device)
        self.owner = torch.repeat_interleave(torch.arange(len(order), device=self.device), sizes)
        ids = torch.tensor([token for i in order for token in sequences[i].ids])
        special = torch.isin(ids, torch.tensor(sorted(network.special_ids), dtype=torch.long))
        free = torch.ones_like(special) if method.special_tokens else ~special
        self.mask = free.float()[:, None].to(self.device)  # (T, 1)
        self.dropout = _random_state(self.device)

    def at(self, delta: Tensor | None = None, *, detached: bool = False) -> Outputs:
        """A pass at the embeddings plus `delta`.

        With the method's dropout `sync` all passes of the micro-batch have the same dropout
        masks. `detached` keeps the gradient out of the word embeddings' weights. A pass whose
        `delta` asks for no gradient ends an ascent, so its norm is counted.
        """
        if self.method.dropout == "sync":
            _set_random_state(self.device, self.dropout)
        if delta is None:
            return self.forward(self.batch)
        if not delta.requires_grad:
            self.forward.count("perturbed_sequences", len(self.lengths))
            self.forward.count("perturbation_norms", float(self.norms(delta).sum()))
        return self.forward(self.batch, lambda e: (e.detach() if detached else e) + delta)

    def zeros(self) -> Tensor:
        """(T, E)"""
        return torch.zeros(len(self.owner), self.width, device=self.device)

    def uniform(self, draw: int = 0) -> Tensor:
        """(T, E) from U(-1, 1), masked; each `draw` is other noise."""
        return self._noise(draw, lambda rows, generator: rows.uniform_(-1, 1, generator=generator))

    def normal(self, draw: int = 0) -> Tensor:
        """(T, E) from N(0, 1), masked; each `draw` is other noise."""
        return self._noise(draw, lambda rows, generator: rows.normal_(generator=generator))

    def start(self, size: float) -> Tensor:
        """U(-1, 1) * size / sqrt(coordinates): a random start whose norm is about 0.577 `size`
        (Zhu et al. 2020, algorithm 1)."""
        coordinates = self.sums(self.mask).clamp(min=1) * self.width
        return self.uniform() * self.spread(self.length(size) * coordinates.rsqrt())

    def ascend(
        self, delta: Tensor, gradient: Tensor | None, step: float, radius: float = 0.0
    ) -> Tensor:
        """From `delta` one step of length `step` along the gradient, then back into the ball of
        `radius` (0: no limit); L2 per sequence.

        A sequence with gradient 0 stays where it is; one whose gradient is not finite goes back to
        its clean embeddings and is counted.
        """
        scaled, finite = self._scaled(gradient)
        direction = scaled / self.spread(self.norms(scaled).clamp(min=TINY))
        moved = (delta.detach() + self.length(step) * direction) * self.spread(finite)
        if not radius:
            return moved
        limit, norms = self.length(radius), self.norms(moved)
        self._count_clipped(norms > limit)
        return moved * self.spread(limit / norms.clamp(min=limit))

    def ascend_coordinates(
        self, delta: Tensor, gradient: Tensor, step: float, radius: float
    ) -> Tensor:
        """As `ascend` in the L-infinity norm: the largest coordinate of a sequence moves by `step`,
        then each is clamped to +-`radius`."""
        scaled, finite = self._scaled(gradient)
        moved = (delta.detach() + self.coordinate(step) * scaled) * self.spread(finite)
        limit = self.coordinate(radius)
        self._count_clipped(self.largest(moved) > limit)
        return moved.clamp(-limit, limit)

    def length(self, size: float) -> float:
        """An L2 length in absolute units; a relative one counts mean token norms."""
        norm = self.forward.token_norm
        absolute = size * norm if self.method.relative else size
        self._check_resolved(size, absolute / norm)
        return absolute

    def coordinate(self, size: float) -> float:
        """One coordinate's size in absolute units; a relative one counts the coordinates that a
        token of mean norm would have if all were equal."""
        usual = self.forward.token_norm / self.width**0.5
        absolute = size * usual if self.method.relative else size
        self._check_resolved(size, absolute / usual)
        return absolute

    def norms(self, x: Tensor) -> Tensor:
        """(N,) L2 norm of each sequence."""
        return self.sums(x.detach().float().square().sum(dim=1, keepdim=True)).sqrt()

    def largest(self, x: Tensor) -> Tensor:
        """(N,) largest absolute coordinate of each sequence; not finite if any is not."""
        by_token = x.detach().float().abs().amax(dim=1)
        zeros = torch.zeros(len(self.lengths), device=self.device)
        return zeros.scatter_reduce(0, self.owner, by_token, "amax")

    def sums(self, x: Tensor) -> Tensor:
        """(T, 1) -> (N,) sums over each sequence's tokens."""
        return torch.zeros(len(self.lengths), device=self.device).index_add(0, self.owner, x[:, 0])

    def spread(self, values: Tensor) -> Tensor:
        """(N,) -> (T, 1): each sequence's value at all its tokens."""
        return values[self.owner][:, None]

    def _scaled(self, gradient: Tensor | None) -> tuple[Tensor, Tensor]:
        """The masked gradient over each sequence's largest coordinate (squares of small gradients
        would vanish), 0 where it is not finite; and (N,) 1 where it is finite, else 0."""
        assert gradient is not None, "the perturbation had no part in the loss"
        gradient = gradient.detach().float() * self.mask
        largest = self.largest(gradient)
        finite = torch.isfinite(largest)
        if not bool(finite.all()):
            self.forward.count("non_finite_attacks", int((~finite).sum()))
        scaled = gradient / self.spread(largest.clamp(min=TINY))
        return torch.where(self.spread(finite), scaled, 0.0), finite.float()

    def _count_clipped(self, clipped: Tensor) -> None:
        self.forward.count("ascents", len(clipped))
        self.forward.count("clipped_ascents", int(clipped.sum()))

    def _check_resolved(self, size: float, share: float) -> None:
        """`share`: the size over the mean token norm, if all of it falls on one token."""
        finest = torch.finfo(self.forward.dtype).eps
        if 0 < share < finest:
            precision = "bf16" if self.forward.dtype is torch.bfloat16 else "fp32"
            raise Refused(
                f"adversary {self.method.name!r}: a size of {size:g} moves a word embedding by "
                f"{share:.2g} of its norm, and {precision} resolves {finest:.2g}; make it larger"
                + ("" if precision == "fp32" else " or set precision: fp32")
            )

    def _noise(self, draw: int, fill: Callable[[Tensor, torch.Generator], object]) -> Tensor:
        generator = torch.Generator(self.device)
        noise = self.zeros()
        for seed, rows in zip(self.seeds, noise.split(self.lengths), strict=True):
            fill(rows, generator.manual_seed(seed + draw))
        return noise * self.mask


def _random_state(device: torch.device) -> Tensor:
    if device.type == "cpu":
        return torch.get_rng_state()
    return torch.get_device_module(device).get_rng_state(device)  # type: ignore[no-any-return]


def _set_random_state(device: torch.device, state: Tensor) -> None:
    if device.type == "cpu":
        torch.set_rng_state(state)
    else:
        torch.get_device_module(device).set_rng_state(state, device)

"""Faster fp32 linear layers for inference on CPUs where torch's own path leaves speed unused.

On AMD CPUs `F.linear` goes through MKL, which stays far below what oneDNN reaches there. The
operator used here is private to torch (inductor emits it), so it is checked against the public
path and timed beside it once in each process, and used only where it is clearly faster. It has no
gradient: the layers are switched for the length of a `with` block only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

ROWS, WIDTH, OUTPUTS = 1024, 384, 1536
LARGEST_DIFFERENCE = 1e-4  # of sums over 384 products of standard normals
CLEARLY_FASTER = 1.5


@cache
def gemm() -> str:
    """`onednn` where that path works here and is clearly faster, else `torch`."""
    if not torch.backends.mkldnn.is_available():
        return "torch"
    generator = torch.Generator().manual_seed(0)
    x, w = (torch.randn(rows, WIDTH, generator=generator) for rows in (ROWS, OUTPUTS))
    b = torch.randn(OUTPUTS, generator=generator)
    try:
        with torch.inference_mode():
            differs = (_onednn(x, w, b) - linear(x, w, b)).abs().max()
            ours, theirs = _seconds(lambda: _onednn(x, w, b)), _seconds(lambda: linear(x, w, b))
    except (RuntimeError, AttributeError, TypeError):  # another torch, another operator
        return "torch"
    return "onednn" if differs < LARGEST_DIFFERENCE and theirs > CLEARLY_FASTER * ours else "torch"


@contextmanager
def fast_linears(module: nn.Module) -> Iterator[None]:
    """Within the block the fp32 linear layers of a module on the CPU take the faster path."""
    switched: list[nn.Linear] = []
    if gemm() == "onednn":
        for part in module.modules():
            if type(part) is nn.Linear and part.weight.dtype is torch.float32 and not _off(part):
                part.forward = _forward_of(part)  # type: ignore[method-assign,assignment]
                switched.append(part)
    try:
        yield
    finally:
        for part in switched:
            del part.forward


def _off(part: nn.Linear) -> bool:
    return part.weight.device.type != "cpu" or "forward" in vars(part)


def _forward_of(part: nn.Linear) -> Callable[[Tensor], Tensor]:
    weight, bias = part.weight, part.bias
    return lambda x: _onednn(x, weight, bias)


def _onednn(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")  # type: ignore[no-any-return]


def _seconds(call: Callable[[], object], rounds: int = 5) -> float:
    best = float("inf")
    for _ in range(rounds):
        begun = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - begun)
    return best

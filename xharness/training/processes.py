"""Several processes that train one model together, started by `torchrun` or `accelerate launch`.

Each takes a share of every batch, gradients are added up before the optimiser's step, and all do
the same step: weights stay the same everywhere. With one process nothing here does anything.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from filelock import FileLock

T = TypeVar("T")


def join() -> None:
    """Joins the processes that the launcher started, if it started several: gloo on CPUs, NCCL on
    GPUs, of which each process takes its own. They part at exit: the threads of a group that is
    left standing then abort the process now and then."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not dist.is_initialized():
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
        atexit.register(dist.destroy_process_group)


def count() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def number() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def is_first() -> bool:
    """Whether this is the process that writes: checkpoints, states, what a user sees."""
    return number() == 0


def share(batch: Sequence[T], *, whole: bool) -> tuple[Sequence[T], Sequence[T]]:
    """What of a batch comes before this process's share, and the share, which may be empty; a batch
    that must stay `whole` is the first process's."""
    if whole and not is_first():
        return batch, []
    if whole:
        return [], batch
    start, end = (len(batch) * n // count() for n in (number(), number() + 1))
    return batch[:start], batch[start:end]


def everyones(value: T) -> list[T]:
    """What each process gives."""
    if count() == 1:
        return [value]
    values: list[Any] = [None] * count()
    dist.all_gather_object(values, value)
    return values


def add_gradients(parameters: Iterable[torch.nn.Parameter]) -> None:
    """Adds up the gradients of all processes; one that nobody has stays None."""
    if count() == 1:
        return
    parameters = list(parameters)
    there = torch.tensor([float(p.grad is not None) for p in parameters])
    there = there.to(parameters[0].device)
    dist.all_reduce(there)
    for parameter, having in zip(parameters, there.tolist(), strict=True):
        if having:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            dist.all_reduce(parameter.grad)


def first_says(value: T) -> T:
    """The first process's value."""
    return everyones(value)[0]


def wait_for_all() -> None:
    everyones(None)


@contextmanager
def first_locks(path: Path) -> Iterator[None]:
    """Holds a file lock, in the first process, for all of them."""
    join()
    if not is_first():
        yield
        return
    with FileLock(path):
        yield

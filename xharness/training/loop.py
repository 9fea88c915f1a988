"""The one training loop, in the order of the algorithm.

Every random choice has a stream of its own, seeded by what it decides about (head, data order,
dropout of step N), so that changing one leaves the others as they were and a run that was
killed goes on exactly as if it had not been.
"""

from __future__ import annotations

import ctypes
import json
import math
import os
import random
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from xharness.cards import Recipe
from xharness.errors import DataError, XharnessError
from xharness.inference import checkpoint
from xharness.inference.joint import Joint
from xharness.inference.network import Example, Network
from xharness.inference.packing import PACK_TOKENS
from xharness.plugins.roles import Adversary, Part
from xharness.training import processes
from xharness.training.adversaries.by_task import ByTask
from xharness.training.forward import Forward
from xharness.training.mixture import Feed
from xharness.training.streams import stream

SECONDS_BETWEEN_STATES = 60.0


def rate_factor(step: int, steps: int, warmup: float) -> float:
    """Share of the peak learning rate at `step` (0-based): linear warm-up, then linear decay to
    0. `warmup` below 1 is a share of `steps`, else a number of steps; one as long as the whole
    training or longer never gets to decay, as in the official scripts."""
    warm = warmup if warmup >= 1 else math.ceil(warmup * steps)
    if step < warm:
        return step / warm
    return max(0.0, (steps - step) / max(1.0, steps - warm))


def micro_batches(batch: Sequence[Example], budget: int) -> Iterator[list[Example]]:
    """Cuts a batch into passes of at most `budget` tokens (or one example)."""
    passed: list[Example] = []
    for example in batch:
        if passed and sum(e.tokens for e in passed) + example.tokens > budget:
            yield passed
            passed = []
        passed.append(example)
    if passed:
        yield passed


def train(
    network: Network | Joint,
    examples: Sequence[Example],
    recipe: Recipe,
    *,
    adversary: Adversary | ByTask,
    seed: int,
    state: Path,
    on_step: Callable[[int, int, float], None],
    dev_score: Callable[[], float] | None = None,
    parts: Sequence[Part] = (),
) -> dict[str, Any]:
    """Trains `network` in place and returns what is worth recording about it.

    adversary  makes gradients of each micro-batch; plain training is one.
    parts      the tasks of a mixture, of which each step draws one; empty means one task.
    dev_score  called between steps when the recipe selects on dev; higher is better, the first
               of equals wins.
    state      file that is rewritten about once a minute; a training that finds it goes on from
               there. It stays, until there is a checkpoint.
    on_step    called after each step with its number (from 1), the number of steps and the loss.

    Where several processes train together, each goes through its share of each batch.

    Raises XharnessError when there is no example, the loss or its gradient is not finite (no weight
    is changed then), the state can't be written, or processes don't see the same one; DataError
    when it is damaged.
    """
    tasks = [(part.recipe.batch_size, part.share) for part in parts] or [(recipe.batch_size, 1.0)]
    feed = Feed(examples, tasks, seed)
    groups = network.parameter_groups(recipe)
    peaks = [group["lr"] for group in groups]
    parameters = [p for group in groups for p in group["params"]]
    optimizer = torch.optim.AdamW(groups, eps=recipe.adam_epsilon, fused=True)
    device = parameters[0].device.type
    per_epoch = feed.steps_per_epoch
    steps = math.ceil(per_epoch * recipe.epochs * recipe.length)
    look_every = recipe.select_every or per_epoch
    selecting = recipe.select == "dev" and dev_score is not None
    forward = Forward(network, recipe)
    _ = forward.token_norm  # before the weights change
    step, best_score, best, tally = _restore(state, network, optimizer)
    if len(set(processes.everyones(step))) > 1:
        raise XharnessError(
            f"the processes see not the same {state}; $XHARNESS_CACHE must be on a shared disk"
        )
    forward.tally = tally if processes.is_first() else {}
    me = [processes.number()] if processes.number() else []
    saved_at = time.monotonic()

    while step < steps:
        for batch in feed.rest_of_epoch(step):
            units = sum(example.units for example in batch)
            for group, peak in zip(groups, peaks, strict=True):
                group["lr"] = peak * rate_factor(step, steps, recipe.warmup)
            network.train()
            torch.manual_seed(stream(seed, "dropout", step, *me))
            forward.random = random.Random(stream(seed, "attack", step))
            optimizer.zero_grad(set_to_none=True)
            loss = 0.0
            budget = PACK_TOKENS[device] if network.batchable else 2**62
            before, mine = processes.share(batch, whole=not network.batchable)
            forward.noise_seeds(before)
            for passed in micro_batches(mine, budget):
                # Passes differ in units, so each counts by its share of them.
                share = sum(example.units for example in passed) / max(1, units)
                loss += adversary.accumulate(passed, forward, share)
            losses, tallies = zip(*processes.everyones((loss, forward.tally)), strict=True)
            loss = sum(losses)
            processes.add_gradients(parameters)
            norm = float(torch.nn.utils.clip_grad_norm_(parameters, recipe.max_grad_norm))
            for what, value in (("loss", loss), ("gradient's norm", norm)):
                if not math.isfinite(value):
                    raise XharnessError(
                        f"the {what} is {value} at step {step + 1} of {steps}; "
                        f"a lower learning rate than {recipe.learning_rate} may help"
                    )
            optimizer.step()
            step += 1
            on_step(step, steps, loss)
            if selecting and (step % look_every == 0 or step == steps):
                network.eval()
                score = dev_score() if dev_score else 0.0
                if score > best_score:
                    best_score, best = score, _trainable(network)
            if time.monotonic() - saved_at > SECONDS_BETWEEN_STATES and step < steps:
                if processes.is_first():
                    _save(state, network, optimizer, step, best_score, best, added(tallies))
                _give_memory_back()
                saved_at = time.monotonic()
            if step == steps:
                break

    if best:
        _put(network, best)
    network.eval()
    forward.tally = added(processes.everyones(forward.tally))
    facts: dict[str, Any] = {
        "steps": steps,
        **forward.facts(),
        **({"dev_score": best_score} if best else {}),
    }
    if skipped := facts.get("non_finite_attacks"):
        warnings.warn(
            f"{skipped} attacks had a gradient that is not finite and were replaced by the clean "
            "input; smaller sizes or precision: fp32 may help",
            stacklevel=2,
        )
    if parts:
        drawn = feed.drawn(steps)
        facts["drawn"] = [drawn[task] for task in range(len(parts))]
    return facts


def _give_memory_back() -> None:
    """Micro-batches differ in size, so the C library keeps what they freed in pieces that few fit
    into: a long training would come to hold twice what it needs."""
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):
        trim(0)


def added(tallies: Iterable[dict[str, float]]) -> dict[str, float]:
    """The sum of the processes' tallies."""
    whole: dict[str, float] = {}
    for tally in tallies:
        for name, value in tally.items():
            whole[name] = whole.get(name, 0) + value
    return whole


def _trainable(network: Network | Joint) -> dict[str, torch.Tensor]:
    return {
        name: parameter.detach().clone()
        for name, parameter in network.named_parameters()
        if parameter.requires_grad
    }


def _put(network: Network | Joint, weights: dict[str, torch.Tensor]) -> None:
    parameters = dict(network.named_parameters())
    with torch.no_grad():
        for name, value in weights.items():
            parameters[name].copy_(value)


def _save(
    state: Path,
    network: Network | Joint,
    optimizer: torch.optim.Optimizer,
    step: int,
    best_score: float,
    best: dict[str, torch.Tensor],
    tally: dict[str, float],
) -> None:
    tensors = {f"best/{name}": value for name, value in best.items()}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            tensors[f"weight/{name}"] = parameter.detach()
            for key, value in optimizer.state[parameter].items():
                tensors[f"{key}/{name}"] = value
    whole = state.with_suffix(".tmp")
    facts = {"step": step, "best_score": best_score if best else None, "tally": tally}
    kept = f"; the same command goes on from {state}" if state.is_file() else ""
    with checkpoint.written(whole, kept):
        save_file(tensors, whole, {"facts": json.dumps(facts)})
        with whole.open("rb") as file:
            os.fsync(file.fileno())
        whole.replace(state)


def _restore(
    state: Path, network: Network | Joint, optimizer: torch.optim.Optimizer
) -> tuple[int, float, dict[str, torch.Tensor], dict[str, float]]:
    if not state.is_file():
        return 0, -math.inf, {}, {}
    device = next(network.parameters()).device
    try:
        with safe_open(state, framework="pt", device=str(device)) as file:
            facts = json.loads(file.metadata()["facts"])
            stored = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dict
    except SafetensorError as error:
        raise DataError(
            f"{state}, from which the training would go on, is damaged ({error}); delete it, and "
            "the training begins anew"
        ) from error
    parts: dict[str, dict[str, torch.Tensor]] = {}
    for key, value in stored.items():
        part, name = key.split("/", 1)
        parts.setdefault(part, {})[name] = value
    _put(network, parts.pop("weight"))
    best = parts.pop("best", {})
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            # A parameter that never had a gradient has no moments.
            optimizer.state[parameter] = {k: v[name] for k, v in parts.items() if name in v}
    score = facts["best_score"]
    return facts["step"], -math.inf if score is None else score, best, facts.get("tally", {})

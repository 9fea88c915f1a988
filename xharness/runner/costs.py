"""What trainings cost, told before any of them is begun: steps, passes, memory."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from xharness.cards import Catalogue, ModelCard, Recipe, Sizes
from xharness.plugins.roles import Context, Passes, Phase
from xharness.runner.plan import Plan, counted

FLOAT = 4  # bytes; weights, gradients and AdamW's two moments are kept in fp32
# Bytes that a layer keeps for going back, by token and unit of width, in 16 bits and without the
# attention weights, which are not kept (Korthikanti et al. 2022, section 4.1: 34).
KEPT = 34
TOKENS = 2048  # of one pass on a CPU (inference.packing, which needs torch)
MOST_TOKENS = 32768  # of one pass on a GPU


class Cost(NamedTuple):
    """Of one phase, or of several: optimiser steps, passes as in `Passes`, and the number of plain
    steps that would cost as much."""

    steps: float = 0
    forward: float = 0
    backward: float = 0
    gradients: float = 0

    @property
    def plain_steps(self) -> float:
        return Passes(self.forward, self.backward, self.gradients).cost


def costs(plan: Plan, catalogue: Catalogue) -> str:
    """A table of the plan's trainings, then what each model costs with all phases behind it, also
    those that are trained already or that other models have too, but for bundled ones. Examples are
    taken to be as many as items, so long texts, which are cut into several, make it somewhat more.
    Empty when nothing is behind the models."""
    known = {name: size for card in catalogue.recipes.values() for name, size in card.sizes.items()}
    lines, spent = [], []
    if plan.trainings():
        heads = f"{'steps':>9} {'forward':>9} {'back':>9} {'x plain':>8} {'memory':>8}"
        lines.append(f"{heads}  training, about")
    for job, lineage in plan.trainings():
        phase, sizes = lineage[-1], known.get(_repository(job.card))
        spent.append(phase_cost(phase, job.context))
        memory = f"{memory_of(phase.recipe, sizes) / 1e9:.1f} GB" if sizes else "unknown"
        after = f" after {lineage[-2].name}" if len(lineage) > 1 else ""
        lines.append(_row(spent[-1], memory, f"{phase.name}{after}, seed {phase.seed}"))
    if len(spent) > 1:
        lines.append(_row(total(spent), "", "all of them"))
    if any(_repository(job.card) in known for job, _ in plan.trainings()):
        lines.append(
            f"memory is for passes of {TOKENS:,} tokens, as on CPUs; a GPU's hold a whole batch of "
            f"up to {MOST_TOKENS:,}"
        )
    for model in dict.fromkeys(job.card.name for job in plan.jobs):
        jobs = [job for job in plan.jobs if job.card.name == model and not job.bundled]
        phases = {phase.address: (phase, job.context) for job in jobs for phase in job.lineage}
        if not phases:
            continue
        whole = total(phase_cost(phase, context) for phase, context in phases.values())
        count = counted(len(phases), "phase")
        lines.append(f"{model}: {count}, as much as {whole.plain_steps:,.0f} plain steps")
    for card, context in {job.card.backbone: (job.card, job.context) for job in plan.jobs}.values():
        if card.backbone and _repository(card) not in known:
            lines.append(f"memory unknown: no recipe has the sizes of {card.backbone}")
        if card.backbone and "weights_sha256" not in context.identify(card):
            lines.append(f"{card.backbone} is not here and would be downloaded")
    return "\n".join(lines)


def _row(cost: Cost, memory: str, what: str) -> str:
    back = cost.backward + cost.gradients
    ratio = cost.plain_steps / max(1, cost.steps)
    numbers = f"{cost.steps:9,.0f} {cost.forward:9,.0f} {back:9,.0f} {ratio:8.2f}"
    return f"{numbers} {memory:>8}  {what}"


def _repository(card: ModelCard) -> str:
    """The name of the card's backbone without its revision."""
    return str(card.backbone).partition("@")[0]


def phase_cost(phase: Phase, context: Context) -> Cost:
    """The steps of a phase and its passes; those of a mixture in the mean over its tasks."""
    per_epoch = 0
    for part in phase.parts:
        copies = part.recipe.augmentation.get("copies", 0)
        per_epoch += math.ceil(part.items * (1 + copies) / part.recipe.batch_size)
    steps = math.ceil(per_epoch * phase.recipe.epochs * phase.recipe.length)
    work = [(part.share, context.adversary(part.recipe).work) for part in phase.parts]
    return Cost(
        steps,
        steps * sum(share * passes.forward for share, passes in work),
        steps * sum(share * passes.backward for share, passes in work),
        steps * sum(share * passes.gradients for share, passes in work),
    )


def total(several: Iterable[Cost]) -> Cost:
    return Cost(*(sum(values) for values in zip(Cost(), *several, strict=True)))


def memory_of(recipe: Recipe, sizes: Sizes) -> int:
    """Bytes for weights, gradients, AdamW's moments, and what one pass of a full micro-batch keeps
    for going back."""
    trained = sizes.parameters - (sizes.embeddings if recipe.freeze_embeddings else 0)
    if recipe.lora:  # two matrices beside each of a layer's six: 4 of width by width, 2 by 4 widths
        trained = 18 * recipe.lora.rank * sizes.width * sizes.layers
    kept = KEPT * (2 if recipe.precision == "fp32" else 1)
    passing = kept * sizes.layers * sizes.width * TOKENS
    return FLOAT * (sizes.parameters + 3 * trained) + passing

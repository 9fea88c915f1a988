"""Progress on stderr: a live line with rate and end in sight, or plain lines without a terminal.

It listens to the run's events like any plugin.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from xharness.plugins.hookspecs import hookimpl
from xharness.plugins.registry import Registry
from xharness.plugins.roles import Phase
from xharness.records import CellRecord
from xharness.runner.plan import Job, Plan

SECONDS_BETWEEN_HEARTBEATS = 60.0
# What is left is estimated from that long: cells differ, and the first of a model waits for it.
SECONDS_OF_SPEED = 600.0


@contextmanager
def reporting(registry: Registry, plan: Plan) -> Iterator[None]:
    """Shows progress while the block runs."""
    terminal = sys.stderr.isatty() and not os.environ.get("CI")
    reporter = LiveProgress(plan) if terminal else PlainProgress(plan)
    with reporter.showing():
        registry.manager.register(reporter)
        try:
            yield
        finally:
            registry.manager.unregister(reporter)


def outcome(record: CellRecord) -> str:
    """A finished cell in one line."""
    if record.result is not None:
        return f"{record.id}  {record.result.score:.1f}"
    why = record.reason or (record.failure.message if record.failure else "")
    return f"{record.id}  {record.status}: {why}"


class PlainProgress:
    """A line for each finished cell, and one a minute while a model is trained."""

    def __init__(self, plan: Plan) -> None:
        self.pending = sum(len(job.pending) for job in plan.jobs)
        self.finished = 0
        self.training: tuple[str, int, float] = ("", 0, 0.0)  # address, first step seen, when
        self.spoke = time.monotonic()

    @contextmanager
    def showing(self) -> Iterator[None]:
        yield

    @hookimpl
    def xharness_training_step(self, phase: Phase, step: int, steps: int, loss: float) -> None:
        now = time.monotonic()
        begins = self.training[0] != phase.address
        if begins:
            self.training = (phase.address, step, now)
        if begins or step == steps or now - self.spoke > SECONDS_BETWEEN_HEARTBEATS:
            self.spoke = now
            _, first, since = self.training  # a training that goes on doesn't begin at step 1
            left = (now - since) / max(1, step - first) * (steps - step)
            end = f", {left:.0f} s left" if first < step < steps else ""
            click.echo(
                f"training {phase.name}: step {step} of {steps}, loss {loss:.3f}{end}",
                err=True,
            )

    @hookimpl
    def xharness_cell_finished(self, record: CellRecord) -> None:
        if record.status == "skipped":  # the plan has named them
            return
        self.finished += 1
        click.echo(f"[{self.finished}/{self.pending}] {outcome(record)}", err=True)


class LiveProgress:
    """Two live bars: the cells, and the training that is under way."""

    def __init__(self, plan: Plan) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            ProgressColumn,
            Task,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )
        from rich.text import Text

        class Rate(ProgressColumn):
            """How many in a minute."""

            def render(self, task: Task) -> Text:
                return Text(f"{60 * task.speed:.0f}/min" if task.speed else "")

        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            Rate(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
            speed_estimate_period=SECONDS_OF_SPEED,
        )
        pending = sum(len(job.pending) for job in plan.jobs)
        self.cells = self.progress.add_task("loading", total=pending)
        self.training: Any = None

    @contextmanager
    def showing(self) -> Iterator[None]:
        with self.progress:
            yield

    @hookimpl
    def xharness_job_started(self, job: Job) -> None:
        self.progress.update(self.cells, description=f"{job.card.name} {job.task.name}")

    @hookimpl
    def xharness_training_step(self, phase: Phase, step: int, steps: int, loss: float) -> None:
        text = f"  training {phase.name}, loss {loss:.3f}"
        if self.training is None:
            self.training = self.progress.add_task(text, total=steps)
        self.progress.update(self.training, total=steps, completed=step, description=text)
        if step == steps:
            self.progress.remove_task(self.training)
            self.training = None

    @hookimpl
    def xharness_cell_finished(self, record: CellRecord) -> None:
        if record.status == "skipped":
            return
        self.progress.advance(self.cells)
        if record.status == "failed":
            self.progress.console.print(outcome(record), markup=False)

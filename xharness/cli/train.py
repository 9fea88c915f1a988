"""`xharness train`: the trainings that models need, and nothing else."""

from __future__ import annotations

import os
from typing import Any

import click

from xharness.cli.options import open_request, processes, request_options
from xharness.errors import XharnessError


@click.command()
@request_options
@click.option("--dry-run", is_flag=True, help="Show the plan and its costs, and stop.")
def command(dry_run: bool, **options: Any) -> None:
    """Train what models need for the tasks of a suite; `eval` finds the checkpoints.

    A training that was interrupted goes on where its last saved state is. Several processes or
    machines train together when torchrun or accelerate launch starts them.
    """
    from xharness.cli.progress import reporting
    from xharness.runner.context import prepare
    from xharness.runner.costs import costs
    from xharness.runner.plan import counted
    from xharness.runner.run import train

    request, registry, catalogue = open_request(train="missing", checkpoints="trained", **options)
    plan = prepare(request, registry, catalogue, download=not dry_run)
    if processes() > 1 and os.environ.get("RANK") != "0":  # the first one tells what is done
        train(plan, registry)
        return
    click.echo(plan.describe(), err=True)
    if dry_run:
        click.echo(costs(plan, catalogue) or "nothing to train", err=True)
        return
    if not any(job.pending for job in plan.jobs):
        raise XharnessError("there is nothing to train for: the plan has no cell that can be run")
    with reporting(registry, plan):
        count = train(plan, registry)
    done = f"trained {counted(count, 'phase')}"
    click.echo(done if count else "nothing to train: every checkpoint exists")

"""`xharness eval`: say what will be done, do it, show the table."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xharness.cli.options import open_request, processes, request_options
from xharness.errors import XharnessError
from xharness.records import NOT_BENCHMARK, SAMPLE

if TYPE_CHECKING:
    from xharness.cards import Catalogue
    from xharness.runner.plan import Request

REAL = "--data FOLDER with its files; docs/benchmark-data.md says where they are."


@click.command()
@request_options
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path, file_okay=False),
    help="Run folder.  [default: runs/SUITE-MODELS, then sample, split and limit where given]",
)
@click.option(
    "--train",
    type=click.Choice(["never", "missing"]),
    help="Whether models without a checkpoint are trained.  "
    "[default: missing on the bundled sample, else never]",
)
@click.option(
    "--checkpoints",
    type=click.Choice(["bundled", "trained"]),
    help="Take those that come with xharness, or those that it trained here.  "
    "[default: bundled on the bundled sample where there are some, else trained]",
)
@click.option("--dry-run", is_flag=True, help="Show the plan and its costs, and stop.")
@click.option("--allow-missing", is_flag=True, help="Exit 0 although cells lack data.")
@click.option("--json", "as_json", is_flag=True, help="Print the table as JSON.")
def command(
    output: Path | None, dry_run: bool, allow_missing: bool, as_json: bool, **options: Any
) -> None:
    """Evaluate models on the tasks and languages of a suite.

    Finished cells stay in the run folder: the same command again does only what is missing.
    """
    from xharness.cli.progress import reporting
    from xharness.results.table import heading, task_table
    from xharness.runner.context import prepare
    from xharness.runner.costs import costs
    from xharness.runner.run import exit_code, run
    from xharness.runs.folder import RunFolder

    if processes() > 1:
        raise XharnessError(
            "eval runs in one process; train with the launcher (xharness train), then evaluate"
        )
    request, registry, catalogue = open_request(**options)
    folder = RunFolder(output or Path("runs") / _folder_name(request, catalogue))
    plan = prepare(request, registry, catalogue, folder, download=not dry_run)
    click.echo(plan.describe(), err=True)
    if dry_run:
        click.echo(costs(plan, catalogue) or "nothing to train", err=True)
        return
    plan.require_checkpoints()
    with folder.locked(), reporting(registry, plan):
        for _ in run(plan, folder, registry):
            pass
    wanted = {cell.id for cell in plan.cells}
    records = [record for record in folder.records() if record.id in wanted]
    table = task_table(heading(request.suite, request.data), plan.suite, plan.tasks, records)
    click.echo(table.json() if as_json else table.text())
    click.echo(
        f"Results: {folder.path}/leaderboard.json. "
        f"By language: xharness show {folder.path} --by language{_includes(options['include'])}",
        err=True,
    )
    if plan.on_sample:
        click.echo(f"This was the {NOT_BENCHMARK}. The real benchmark: {REAL}", err=True)
    sys.exit(exit_code(records, allow_missing))


def _folder_name(request: Request, catalogue: Catalogue) -> str:
    names = [request.suite, *(catalogue.model(model).name for model in request.models)]
    if request.data == SAMPLE:
        names.append(SAMPLE)
    if request.split:
        names.append(request.split)
    if request.limit:
        names.append(f"limit-{request.limit:g}")
    return "-".join(names)


def _includes(folders: Sequence[Path]) -> str:
    """The options without which the next command doesn't know the same cards."""
    return "".join(f" --include {shlex.quote(str(folder))}" for folder in folders)

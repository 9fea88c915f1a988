"""`xharness submission`: the official submission folder of a run."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from xharness.cli.options import include_option, open_catalogue

MOST_PROBLEMS = 10


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--model", "-m", help="Which model, where RUN has several.")
@include_option
def command(run: Path, folder: Path, model: str | None, include: tuple[Path, ...]) -> None:
    """Write the predictions of RUN into the new FOLDER, as the benchmark wants them submitted.

    The exit code is 1 when languages are missing or the data are not the whole test sets.
    """
    from xharness.results.submission import write_submission
    from xharness.runs.folder import RunFolder

    runs = RunFolder(run)
    record = runs.read_run()
    registry, catalogue = open_catalogue(include)
    count, problems = write_submission(
        runs,
        folder,
        catalogue.suite(record.suite),
        catalogue.tasks,
        lambda kind: registry.get("evaluator", kind)(),
        model,
    )
    for problem in problems[:MOST_PROBLEMS]:
        click.echo(problem, err=True)
    if len(problems) > MOST_PROBLEMS:
        click.echo(f"... and {len(problems) - MOST_PROBLEMS} more", err=True)
    click.echo(f"{count} files in {folder}. Score them: xharness score {folder}")
    sys.exit(int(bool(problems)))

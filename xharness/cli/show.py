"""`xharness show`: the tables of a run folder."""

from __future__ import annotations

from pathlib import Path

import click

from xharness.cli.options import format_option, include_option, open_catalogue


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--by",
    type=click.Choice(["task", "language", "family", "script", "resources"]),
    default="task",
    show_default=True,
    help="What the rows are.",
)
@format_option("text", "markdown", "csv", "json")
@include_option
def command(run: Path, by: str, form: str, include: tuple[Path, ...]) -> None:
    """Show the results in the run folder RUN."""
    from xharness.results.table import grouped_table, heading, task_table
    from xharness.runs.folder import RunFolder

    record, records = RunFolder(run).read_results()
    _, catalogue = open_catalogue(include)
    suite = catalogue.suite(record.suite)
    title = heading(record.suite, str(record.request.get("data", "unknown data")))
    if by == "task":
        table = task_table(title, suite, catalogue.tasks, records)
    else:
        table = grouped_table(title, by, suite, records)
    click.echo(table.render(form))

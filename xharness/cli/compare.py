"""`xharness compare`: models side by side, on what is comparable."""

from __future__ import annotations

from pathlib import Path

import click

from xharness.cli.options import format_option, include_option, open_catalogue


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--published", is_flag=True, help="Add figures from papers, marked as such.")
@format_option("text", "markdown", "json")
@include_option
def command(runs: tuple[Path, ...], published: bool, form: str, include: tuple[Path, ...]) -> None:
    """Compare the models in the run folders RUNS; the first is the reference.

    Cells are compared where all models measured the same items by the same rules; where none
    did, the first difference is named and the exit code is 4.
    """
    from xharness.results.columns import columns_of
    from xharness.results.compare import compare, tables
    from xharness.results.published import published_table
    from xharness.results.table import render_all
    from xharness.runs.folder import RunFolder

    folders = [RunFolder(run) for run in runs]
    columns = columns_of(folders)
    _, catalogue = open_catalogue(include)
    suite = catalogue.suite(folders[0].read_run().suite)
    comparison = compare(columns, suite)
    shown = tables(comparison)
    if published:
        shown.append(published_table(catalogue.tasks, list(comparison.groups("task"))))
    click.echo(render_all(shown, form))

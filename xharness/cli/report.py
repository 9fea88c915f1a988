"""`xharness report`: runs as one page."""

from __future__ import annotations

from pathlib import Path

import click

from xharness.cli.options import include_option, open_catalogue

SUFFIXES = (".html", ".md")


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--output",
    "-o",
    default="report.html",
    show_default=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file to write: .html, or .md for the tables alone.",
)
@click.option("--data", "-d", help="Release folder, to show texts of missed items.")
@click.option("--published", is_flag=True, help="Add figures from papers, marked as such.")
@click.option("--force", is_flag=True, help="Overwrite the file.")
@include_option
def command(
    runs: tuple[Path, ...],
    output: Path,
    data: str | None,
    published: bool,
    force: bool,
    include: tuple[Path, ...],
) -> None:
    """Write the results in the run folders RUNS into one page that needs nothing else."""
    from xharness.errors import XharnessError
    from xharness.results.columns import columns_of
    from xharness.results.report import make_report
    from xharness.runner.context import open_source
    from xharness.runs.folder import RunFolder, check_new, write_whole

    if output.suffix not in SUFFIXES:
        raise XharnessError(f"--output {str(output)!r} must end in {' or '.join(SUFFIXES)}")
    check_new(output, force)
    folders = [RunFolder(run) for run in runs]
    columns = columns_of(folders)
    registry, catalogue = open_catalogue(include)
    suite = catalogue.suite(folders[0].read_run().suite)
    source = open_source(data, registry) if data else None
    report = make_report(columns, suite, catalogue.tasks, source, published)
    text = report.html() if output.suffix == ".html" else report.markdown()
    write_whole(output, text.encode())
    click.echo(f"{output} ({len(text) / 1e6:.1f} MB)")

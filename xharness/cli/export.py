"""`xharness export`: a run in another program's format."""

from __future__ import annotations

from pathlib import Path

import click

DEFAULTS = {"eee": "eee", "csv": "cells.csv", "junit": "junit.xml"}


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--to",
    "form",
    type=click.Choice(list(DEFAULTS)),
    required=True,
    help="eee: Every Eval Ever, a folder; csv: all cells; junit: JUnit XML.",
)
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    help="What to write.  [default: eee, cells.csv or junit.xml]",
)
@click.option("--force", is_flag=True, help="Overwrite files.")
def command(run: Path, form: str, output: Path | None, force: bool) -> None:
    """Write the results in the run folder RUN in another program's format."""
    from xharness.errors import Refused
    from xharness.results.exports import to_csv, to_eee, to_junit
    from xharness.runs.folder import RunFolder, check_new, write_whole

    record, records = RunFolder(run).read_results()
    target = output or Path(DEFAULTS[form])
    if form == "eee":
        files = {target / name: text for name, text in to_eee(record, records).items()}
        if not files:
            raise Refused(f"no cell of {run} has a score, so Every Eval Ever takes nothing of it")
    else:
        files = {target: to_csv(records) if form == "csv" else to_junit(record, records)}
    for path in files:
        check_new(path, force)
    for path, text in files.items():
        write_whole(path, text.encode())
        click.echo(path)

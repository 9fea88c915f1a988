"""`xharness baseline`: what runs are judged against."""

from __future__ import annotations

from pathlib import Path

import click


@click.group()
def command() -> None:
    """Make what `xharness gate` judges runs against."""


@command.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--output", "-o", required=True, type=click.Path(path_type=Path), help="File, BASE.json."
)
@click.option("--reason", default="", help="Why this is the new reference; kept in the file.")
@click.option("--model", help="Which model, where runs hold several.")
@click.option("--force", is_flag=True, help="Replace a baseline that is there.")
def create(
    runs: tuple[Path, ...], output: Path, reason: str, model: str | None, force: bool
) -> None:
    """Make a baseline from run folders, which may hold several seeds of one model.

    Writes BASE.json, meant for git, and BASE.npz beside it with the outcome of each item.
    """
    from xharness.results.baseline import write_baseline
    from xharness.results.measurements import read_side
    from xharness.runs.folder import RunFolder

    path = output if output.suffix == ".json" else output.with_name(f"{output.name}.json")
    side = read_side([RunFolder(run) for run in runs], model)
    baseline = write_baseline(path, side, reason, force)
    seeds = ", ".join(map(str, baseline.seeds))
    click.echo(f"{path}: {len(side.cells)} cells of {baseline.model}, seeds {seeds}")
    click.echo(f"{path.with_suffix('.npz')}: their per-item outcomes; keep both together")
    skipped = [str(key) for key, _ in side.bad]
    if skipped:
        shown = ", ".join(skipped[:5])
        click.echo(f"{len(skipped)} cells without data are not in it, so not missed: {shown}")
    if len(baseline.seeds) == 1:
        click.echo("One seed judges the same weights only; retrained ones need three, better five.")

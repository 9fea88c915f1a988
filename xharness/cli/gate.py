"""`xharness gate`: did a run get worse than its baseline?"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from xharness.cli.options import format_option
from xharness.errors import NotComparable, NothingSelected, Refused


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--baseline",
    "-b",
    required=True,
    type=click.Path(path_type=Path),
    help="What `xharness baseline create` wrote.",
)
@click.option("--junit", type=click.Path(path_type=Path), help="Write JUnit XML to this file.")
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    help="Write the verdict to this file.  [default: RUN/gate.json]",
)
@click.option("--allow-missing", is_flag=True, help="Judge a run that lacks cells.")
@click.option("--seed-sd", type=float, help="Points by which seeds move a score, for few seeds.")
@click.option("--github", is_flag=True, envvar="GITHUB_ACTIONS", help="Print annotations.")
@click.option("--force", is_flag=True, help="Replace files that are there.")
@format_option("text", "markdown", "json")
def command(
    run: Path,
    baseline: Path,
    junit: Path | None,
    output: Path | None,
    allow_missing: bool,
    seed_sd: float | None,
    github: bool,
    force: bool,
    form: str,
) -> None:
    """Judge the run folder RUN against a baseline.

    Exit code 0: nothing regressed; 1: something did, or cells failed; 4: the two did not measure
    the same; 5: they have no cell in common, or none that can be judged. Settings:
    [tool.xharness.gate] in pyproject.toml.
    """
    from xharness.results import verdict_views as views
    from xharness.results.gate import gate
    from xharness.results.policy import read_policy
    from xharness.results.verdict import write_verdict
    from xharness.runs.folder import check_new, json_bytes, write_whole

    target = output or run / "gate.json"
    if junit:
        check_new(junit, force)
        if junit.resolve() == target.resolve():
            raise Refused(f"--junit and --output both name {junit}; name two files")
    policy = read_policy(Path("pyproject.toml"), allow_missing=allow_missing, seed_sd=seed_sd)
    try:
        verdict = gate(baseline, run, policy)
    except (NotComparable, NothingSelected) as refused:
        if junit:
            write_whole(junit, views.junit_of_refusal(str(refused)))
        if github:
            click.echo(views.annotation("error", "refused", str(refused)), err=form == "json")
        raise
    write_verdict(target, verdict, force)
    if junit:
        write_whole(junit, views.junit(verdict))
    if form == "json":
        click.echo(json_bytes(verdict).decode(), nl=False)
    else:
        click.echo("\n\n".join(table.render(form) for table in views.tables(verdict)))
    if github:
        for line in views.workflow_commands(verdict):
            click.echo(line, err=form == "json")  # so that the JSON stays one
        if os.environ.get("GITHUB_STEP_SUMMARY"):
            with Path(os.environ["GITHUB_STEP_SUMMARY"]).open("a", encoding="utf-8") as file:
                file.write(views.summary(verdict))
    sys.exit(verdict.exit_code)

"""The command `xharness`: the group, and the one place where errors end.

A command's file is imported only when the command is called, so `--help` stays quick.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import tempfile
import traceback
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import NoReturn

import click

from xharness import __version__
from xharness.errors import XharnessError, did_you_mean

# Command -> its line in --help; the file of the same name has the command itself.
COMMANDS = {
    "eval": "Evaluate models on the tasks and languages of a suite.",
    "train": "Train what models need for the tasks of a suite.",
    "show": "Show the results in a run folder.",
    "compare": "Compare models, run by run, on what is comparable.",
    "report": "Write the results of runs into one HTML page.",
    "export": "Write the results of a run in somebody else's format.",
    "baseline": "Make what the gate judges runs against.",
    "gate": "Judge whether a run got worse than its baseline.",
    "score": "Score a folder of predictions, without a model.",
    "submission": "Write the official submission folder from a run.",
    "list": "List tasks, models, recipes, suites or languages.",
    "data": "Look at a release folder.",
    "schema": "Print the JSON Schema of what is written.",
    "plugins": "List the plugins, and why one is left out.",
}
INTERRUPTED, TERMINATED, INTERNAL = 130, 143, 3
# A path that was named can't be used, or the disk is full; other errors may be bugs of ours.
UNUSABLE = {
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT),
    *(errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP),
}


class LazyGroup(click.Group):
    """Imports a command when it is asked for; names near misses; takes `--batch_size` too."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = import_module(f"xharness.cli.{name}").command
        _take_underscores(command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            ctx.fail(f"No command named {args[0]!r}.{did_you_mean(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _take_underscores(command: click.Command) -> None:
    """`--batch_size` means `--batch-size`, as users of other harnesses type it."""
    command.context_settings.setdefault(
        "token_normalize_func",
        lambda token: token.replace("_", "-") if len(token) > 1 else token,
    )


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="xharness")
def xharness() -> None:
    """Evaluate cross-lingual transfer on XTREME-R: ten tasks, 50 languages.

    Start with: xharness eval --model standard --suite xtreme-r
    """


def main(arguments: list[str] | None = None) -> NoReturn:
    """Runs the command line and exits: 0 done, 1 cells failed or lack data, 2 wrong use, 3 our
    bug, 4 nothing is comparable, 5 nothing selected, 130 Ctrl-C, 143 terminated."""
    signal.signal(signal.SIGTERM, _terminate)
    _quiet_libraries()
    try:
        _demand_values(sys.argv[1:] if arguments is None else arguments)
        # click hands back the code of an `Exit`, and what a command returns otherwise.
        ended = xharness.main(
            arguments, prog_name="xharness", standalone_mode=False, auto_envvar_prefix="XHARNESS"
        )
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except XharnessError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted. Finished cells stay; the same command goes on.", err=True)
        sys.exit(INTERRUPTED)
    except Exception as error:  # noqa: BLE001 - the one edge: a bug of ours, said in one line
        if isinstance(error, OSError) and error.errno in UNUSABLE:
            path = error.filename2 or error.filename
            click.echo(f"Error: {f'{path}: ' if path else ''}{error.strerror}", err=True)
            sys.exit(XharnessError.exit_code)
        click.echo(
            f"Internal error: {type(error).__name__}: {error}\n"
            f"This is a bug of xharness; the traceback is in {_report()}",
            err=True,
        )
        sys.exit(INTERNAL)
    sys.exit(ended if isinstance(ended, int) else 0)


def _demand_values(arguments: list[str]) -> None:
    """Raises XharnessError for an empty argument: `--tasks "$TASKS"` without that variable would
    mean all tasks, and `--data "$DATA"` the bundled sample."""
    for before, argument in zip(["xharness", *arguments], arguments, strict=False):
        option, equals, value = argument.partition("=")
        if not argument or (option.startswith("--") and equals and not value):
            raise XharnessError(
                f"an empty argument follows {option or before!r}; is a variable not "
                "set? Who wants the default leaves the option out"
            )


def _quiet_libraries() -> None:
    """Keeps the libraries' own bars, retries and advice off the screen; they look when they are
    imported. Who sets the variables hears them again."""
    for name in ("TRANSFORMERS_VERBOSITY", "DATASETS_VERBOSITY", "HF_HUB_VERBOSITY"):
        os.environ.setdefault(name, "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")


def _terminate(_number: int, _frame: FrameType | None) -> None:
    click.echo("Terminated. Finished cells stay; the same command goes on.", err=True)
    sys.exit(TERMINATED)


def _report() -> Path:
    handle, name = tempfile.mkstemp(prefix="xharness-error-", suffix=".txt")
    with os.fdopen(handle, "w") as file:
        traceback.print_exc(file=file)
    return Path(name)

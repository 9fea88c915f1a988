"""Options that several commands share, and what they open."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from xharness.data.snapshot import go_offline
from xharness.errors import XharnessError
from xharness.records import DEFAULT_SEED

if TYPE_CHECKING:
    from xharness.cards import Catalogue
    from xharness.plugins.registry import Registry
    from xharness.runner.plan import Request

F = TypeVar("F", bound=Callable[..., Any])

include_option = click.option(
    "--include",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder with more cards; repeatable.",
)


def format_option(*forms: str, help: str | None = None) -> Callable[[F], F]:
    """`--format`, the first form as the default; the command gets it as `form`."""
    return click.option(
        "--format",
        "form",
        type=click.Choice(forms),
        default=forms[0],
        show_default=True,
        help=help,
    )


data_option = click.option(
    "--data",
    "-d",
    help="Release folder, sample (the bundled one) or hub.  [default: $XHARNESS_DATA, else sample]",
)


def _offline(_context: click.Context, _option: click.Parameter, given: bool) -> None:
    if given:
        go_offline()


offline_option = click.option(
    "--offline",
    is_flag=True,
    envvar="XHARNESS_OFFLINE",
    expose_value=False,
    callback=_offline,
    help="Use no network, only what is in the local caches.",
)


def request_options(command: F) -> F:
    """The options that say what is to be evaluated or trained."""
    listed = "repeat or use commas; * and ? match"
    for option in reversed(
        [
            click.option("--model", "-m", "models", multiple=True, default=("standard",),
                         show_default=True, help="Model name or card file; repeat or use commas."),
            click.option("--suite", "-s", default="xtreme-r", show_default=True, help="Suite."),
            click.option("--tasks", "-t", multiple=True, help=f"Only these tasks; {listed}."),
            click.option("--languages", "-l", multiple=True,
                         help=f"Only these languages; {listed}."),
            data_option,
            click.option("--split", help="Split to evaluate.  [default: the task's]"),
            click.option("--limit", "-L", help="First N items a language, or a share below 1."),
            click.option("--seed", "seeds", multiple=True, type=int, default=(DEFAULT_SEED,),
                         show_default=True, help="Training seed; repeatable."),
            click.option("--backbone", help="Hugging Face id, which may end in @REVISION, or "
                         "folder, in place of the card's."),
            click.option("--recipe", help="Recipe, in place of the card's."),
            click.option("--device", default="auto", show_default=True, help="cpu, cuda, cuda:1."),
            click.option("--dtype", type=click.Choice(["fp32", "bf16"]), default="fp32",
                         show_default=True, help="Precision of inference."),
            click.option("--batch-size", "-b", default="auto", show_default=True,
                         help="Tokens of one forward pass, or auto."),
            offline_option,
            include_option,
        ]
    ):  # fmt: skip
        command = option(command)
    return command


def open_catalogue(include: tuple[Path, ...]) -> tuple[Registry, Catalogue]:
    """The plugins, and the cards that they, we and `--include` have."""
    from xharness.builtin import open_registry
    from xharness.cards import Catalogue

    registry = open_registry()
    return registry, Catalogue.load([*registry.card_folders(), *include])


def open_request(
    *,
    models: tuple[str, ...],
    tasks: tuple[str, ...],
    languages: tuple[str, ...],
    data: str | None,
    limit: str | None,
    batch_size: str,
    include: tuple[Path, ...],
    seeds: tuple[int, ...],
    **others: Any,
) -> tuple[Request, Registry, Catalogue]:
    """The request that the options mean, and what it is resolved with."""
    from xharness.runner.context import data_name
    from xharness.runner.plan import Request

    registry, catalogue = open_catalogue(include)
    request = Request(
        models=split_commas(models),
        tasks=split_commas(tasks),
        languages=split_commas(languages),
        data=data_name(data),
        limit=_limit(limit),
        batch_tokens=_batch_tokens(batch_size),
        seeds=list(dict.fromkeys(seeds)),
        **others,
    )
    return request, registry, catalogue


def processes() -> int:
    """How many processes a launcher, `torchrun` say, started together with this one."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def split_commas(values: tuple[str, ...]) -> list[str]:
    """`("a,b", "c")` -> `["a", "b", "c"]`, each once. Raises XharnessError when there is text
    without a name: no name at all means everything."""
    names = list(dict.fromkeys(n.strip() for v in values for n in v.split(",") if n.strip()))
    if values and not names:
        raise XharnessError(f"{','.join(values)!r} names nothing; without the option all are taken")
    return names


def _limit(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < math.inf or (value >= 1 and value != int(value)):
        raise XharnessError(f"--limit {text!r} is neither a count (100) nor a share (0.1)")
    return value


def _batch_tokens(text: str) -> int | None:
    if text == "auto":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise XharnessError(f"--batch-size {text!r} is neither 'auto' nor a number of tokens")
    return int(text)

"""The few errors a user can meet; everything else is a bug and keeps its traceback.

Each message is complete: what was wanted, what is in the way, what is near, what to do.
`cli/main.py` is the one place that catches them.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class XharnessError(Exception):
    """A mistake that one sentence explains; ends the program with `exit_code`."""

    exit_code = 2


class CardError(XharnessError):
    """A card does not read: file, line and key are in the message."""


class UnknownName(XharnessError):
    """No task, model, suite or other part has this name."""

    def __init__(self, what: str, name: str, known: Iterable[str], hint: str = "") -> None:
        known = sorted(known)
        text = f"No {what} named {name!r}.{did_you_mean(name, known)}"
        super().__init__(f"{text} {hint}" if hint else text)


class DataError(XharnessError):
    """A release folder or file is not as its format says: path, line, expected, found."""


ABSENT, STRIPPED = "no file", "labels are stripped"


class MissingData(DataError):
    """What a cell needs is not in the source; the cell is skipped, not failed.

    `reason` is the short form, `ABSENT` or `STRIPPED`."""

    def __init__(self, message: str, reason: str = ABSENT) -> None:
        super().__init__(message)
        self.reason = reason


class AmbiguousData(DataError):
    """A task, split and language is in a release folder more than once."""


class PluginError(XharnessError):
    """Two parts share a name, or a part breaks its contract."""


class MissingExtra(XharnessError):
    """A library is needed; the message holds the install line."""


class Refused(XharnessError):
    """Valid, but senseless or unsafe here; the reason is in the message."""


class NothingSelected(XharnessError):
    """What was asked for holds no cell at all."""

    exit_code = 5


class NotComparable(XharnessError):
    """Two results measure different things; the message names the first difference."""

    exit_code = 4


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A sentence with the nearest known name, preceded by a blank, or nothing."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" Did you mean {near[0]!r}?" if near else ""

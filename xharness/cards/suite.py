"""What a suite card may say."""

from __future__ import annotations

from xharness.cards.reading import Strict


class Average(Strict, frozen=True):
    """A total of ours: the plain mean over all tasks of the suite. `values` replaces the
    score of a task by the mean of other values of it; `rule` says it in words."""

    name: str
    rule: str
    values: dict[str, list[str]] = {}


class SuiteCard(Strict, frozen=True):
    """Tasks with groups and averages.

    languages    task -> languages, where they differ from the task card's.
    groups       official group -> its tasks.
    unofficial   tasks that the official scorer can't read; they stand under our key only.
    """

    name: str
    description: str
    tasks: list[str]
    groups: dict[str, list[str]]
    averages: list[Average]
    languages: dict[str, list[str]] = {}
    unofficial: list[str] = []

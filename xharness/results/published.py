"""Figures from papers to hold results against; never part of them.

`published.json` has the figures that were read in a paper or its repository, each with where. No
two papers measure quite the same way, and none of these are measured by this program, so nothing
is subtracted from them and no significance is claimed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

import msgspec

from xharness.cards import TaskCard
from xharness.results.table import Table

AVERAGE = "avg"


class Origin(msgspec.Struct, frozen=True):
    """Where a figure was read, and what is to be known about it."""

    paper: str
    table: str
    evidence: str
    note: str = ""


class Figure(NamedTuple):
    """`source` is an index into the sources; `language` may be `avg`; `value` is percent."""

    source: int
    system: str
    task: str
    metric: str
    language: str
    value: float


class Published(msgspec.Struct, frozen=True):
    about: str
    sources: list[Origin]
    rows: list[Figure]


@cache
def published() -> Published:
    """All figures."""
    path = Path(__file__).with_name("published.json")
    return msgspec.json.decode(path.read_bytes(), type=Published)


def published_table(tasks: Mapping[str, TaskCard], shown: Collection[str]) -> Table:
    """One row a system and source, one column a task of `shown`: the means over languages of the
    values that make the task's score, each named where it is only part of the score."""
    data = published()
    cells: dict[tuple[int, str], dict[str, list[str]]] = {}
    for figure in data.rows:
        task = tasks.get(figure.task)
        if task is None or figure.task not in shown or figure.language != AVERAGE:
            continue
        if figure.metric not in task.score:
            continue
        named = f"{figure.value:.1f}" + (f" {figure.metric}" if len(task.score) > 1 else "")
        row = cells.setdefault((figure.source, figure.system), {})
        row.setdefault(figure.task, []).append(named)
    used = sorted({source for source, _ in cells})
    number = {source: i for i, source in enumerate(used, 1)}
    rows = [
        [f"{system} [{number[source]}]", *(", ".join(row.get(name, [])) for name in shown)]
        for (source, system), row in sorted(cells.items())
    ]
    origins = [(number[source], data.sources[source]) for source in used]
    remarks = ["published, not measured here: other code, and often other languages and data"]
    remarks += [
        f"[{n}] {o.paper}, {o.table} ({o.evidence})" + (f". {o.note}" if o.note else "")
        for n, o in origins
    ]
    return Table("Published figures, not measured here", ["system", *shown], rows, remarks)

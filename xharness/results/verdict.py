"""What the gate says, as it is written down: judgements, and what changed."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from xharness.errors import Refused
from xharness.results.policy import GatePolicy
from xharness.runs.folder import json_bytes, write_whole

GATE_SCHEMA = "xharness.gate/1"
ABSENT = "not run"


Level = Literal["suite", "task", "language", "cell"]
Mode = Literal["same weights", "retrained"]


class Judgement(msgspec.Struct, frozen=True):
    """What is known about one score: of a cell, or a mean of cells.

    name        TASK/LANG, TASK, LANG or the suite's name.
    change      new - old in points, with its standard error and one-sided 95 % bounds.
    p           that it did not drop by more than the floor, adjusted for all of its level.
    detectable  the smallest drop that would be found in four of five runs.
    drifted     likely changed for the worse, if a twentieth of such marks may be wrong.
    reason      why nothing could be said, or what rule decided.
    """

    level: Level
    name: str
    mode: Mode
    verdict: Literal["identical", "improved", "held", "inconclusive", "regressed"]
    old: float
    new: float
    change: float
    error: float | None = None
    lower: float | None = None
    upper: float | None = None
    p: float | None = None
    detectable: float | None = None
    drifted: bool = False
    reason: str = ""


class ItemChange(msgspec.Struct, frozen=True):
    """An item that came out otherwise; `points` is its part in the change of its cell."""

    language: str
    item: str
    old: float
    new: float
    points: float


class TaskChange(msgspec.Struct, frozen=True):
    """How much of a task changed: shares of items in percent, and the items that moved most.

    churn    outcomes that differ.
    answers  predictions that differ, whether or not the outcome does.
    """

    churn: float
    answers: float
    items: list[ItemChange]


class BadCell(msgspec.Struct, frozen=True):
    """A cell that the baseline has and the run has not; `status` is `failed`, `skipped` or
    `not run`."""

    cell: str
    status: str
    reason: str


class Verdict(msgspec.Struct, frozen=True):
    """What the gate found; everything that it prints and writes is made of this.

    unjudged  cells that only the run has.
    """

    schema: str
    verdict: Literal["identical", "passed", "inconclusive", "failed"]
    exit_code: int
    created: str
    baseline: str
    baseline_sha256: str
    run: str
    model: str
    seeds: dict[str, list[int]]
    policy: GatePolicy
    judgements: list[Judgement]
    tasks: dict[str, TaskChange]
    missing: list[BadCell]
    unjudged: list[str]
    notes: list[str]


class _Head(msgspec.Struct):
    schema: str


def write_verdict(path: Path, verdict: Verdict, force: bool) -> None:
    """Writes a verdict; an earlier one is replaced, since it can be had again. Raises Refused for
    any other file that is there, unless `force`."""
    if path.exists() and not force:
        try:
            earlier = msgspec.json.decode(path.read_bytes(), type=_Head).schema
        except (msgspec.MsgspecError, UnicodeDecodeError):
            earlier = ""
        if earlier != GATE_SCHEMA:
            raise Refused(f"{path} exists and is no verdict; --force replaces it")
    write_whole(path, json_bytes(verdict))

"""From cell records to the leaderboard's JSON: the official structure and one key of ours.

Source of the official rules: google-research/xtreme evaluate.py at 838c13b. `avg_<value>` is
the plain mean over a task's languages, `avg_metric` the mean of the task's scores (EM and F1
for question answering), a group the plain mean of its tasks. An average with a missing member
is withheld. The official script can't print a total for XTREME-R in any case, and has no reader
for LAReQA: both stand under the key `xharness` only, and the totals are ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from xharness.cards import SuiteCard, TaskCard
from xharness.records import (
    DEFAULT_SEED,
    LEADERBOARD_SCHEMA,
    NOT_BENCHMARK,
    SAMPLE,
    CellRecord,
    OwnBoard,
    Total,
)


def model_key(record: CellRecord) -> str:
    """A leaderboard is about one model and one training seed."""
    seed = "" if record.seed == DEFAULT_SEED else f"#{record.seed}"
    return f"{record.model.name}{seed}"


def comparability(records: Iterable[CellRecord]) -> dict[str, str]:
    """What was evaluated on (`data`), and whose scores they may be compared with
    (`comparable_with`)."""
    sources = sorted({record.data.source for record in records if record.data})
    if SAMPLE in sources:
        return {"data": NOT_BENCHMARK, "comparable_with": "runs on the bundled sample alone"}
    same = "cells whose `comparable_hash` is the same; `notes` says what makes others differ"
    return {"data": ", ".join(sources), "comparable_with": same}


def suite_languages(suite: SuiteCard, task: TaskCard) -> list[str]:
    """The languages of a task in a suite."""
    return suite.languages.get(task.name, task.languages)


def task_table(task: TaskCard, languages: Sequence[str], cells: Iterable[CellRecord]) -> Any:
    """The official object of one task: values by language, and averages where all are there."""
    results = {cell.language.code: cell.result for cell in cells if cell.result is not None}
    there = [language for language in languages if language in results]
    table: dict[str, Any] = {
        value: {language: results[language].values[value] for language in there}
        for value in task.official
    }
    if there and len(there) == len(languages):
        for value in task.official:
            table[f"avg_{value}"] = _mean(table[value].values())
        table["avg_metric"] = _mean(table[f"avg_{value}"] for value in task.score)
    return table


def leaderboard(
    suite: SuiteCard, tasks: Mapping[str, TaskCard], records: Sequence[CellRecord]
) -> dict[str, Any]:
    """The leaderboard of one model and seed; see the module's docstring."""
    tables: dict[str, Any] = {}
    missing: dict[str, str] = {}
    for name in suite.tasks:
        task = tasks[name]
        languages = suite_languages(suite, task)
        cells = {r.language.code: r for r in records if r.task.name == name}
        tables[name] = task_table(task, languages, cells.values())
        for language in languages:
            cell = cells.get(language)
            if cell is None or cell.status != "ok":
                missing[f"{name}/{language}"] = _why(cell)
    complete = {name: t["avg_metric"] for name, t in tables.items() if "avg_metric" in t}
    official: dict[str, Any] = {}
    for group, members in suite.groups.items():
        if all(member in complete for member in members):
            official[group] = _mean(complete[member] for member in members)
    official |= {n: t for n, t in tables.items() if n not in suite.unofficial and any(t.values())}
    own = OwnBoard(
        schema=LEADERBOARD_SCHEMA,
        suite=suite.name,
        model=model_key(records[0]) if records else None,
        totals={
            average.name: Total(
                _total(suite, tables, average.values),
                f"xharness's own, not an official total: {average.rule}",
            )
            for average in suite.averages
        },
        unofficial={name: tables[name] for name in suite.unofficial if name in tables},
        missing=missing,
        notes=_notes(records),
        comparable={r.id: r.comparable_hash for r in records if r.comparable_hash},
        **comparability(records),
    )
    return official | {"xharness": msgspec.to_builtins(own)}


def _total(
    suite: SuiteCard, tables: Mapping[str, Any], values: Mapping[str, Sequence[str]]
) -> float | None:
    if not all("avg_metric" in tables[name] for name in suite.tasks):
        return None
    return _mean(
        _mean(tables[name][f"avg_{value}"] for value in values[name])
        if name in values
        else tables[name]["avg_metric"]
        for name in suite.tasks
    )


def _notes(records: Iterable[CellRecord]) -> dict[str, list[str]]:
    """What qualifies the scores, and the cells that it holds for."""
    notes: dict[str, list[str]] = {}
    for record in records:
        said = [*(record.data.notes if record.data else [])]
        said += [f"{p.task}: {note}" for p in record.model.lineage for note in p.notes]
        for note in dict.fromkeys(said):
            notes.setdefault(note, []).append(f"{record.task.name}/{record.language.code}")
    return notes


def _why(cell: CellRecord | None) -> str:
    if cell is None:
        return "not run"
    return cell.reason or (cell.failure.message if cell.failure else cell.status)


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return sum(listed) / len(listed)

"""Tables of a run: tasks by models, or by language, family or script."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from xharness.cards import SuiteCard, TaskCard
from xharness.data.languages import LANGUAGES
from xharness.records import NOT_BENCHMARK, SAMPLE, CellRecord
from xharness.runs.leaderboard import comparability, leaderboard, model_key, suite_languages

GROUPINGS: Mapping[str, Callable[[CellRecord], str]] = {
    "language": lambda record: record.language.code,
    "family": lambda record: record.language.family,
    "script": lambda record: record.language.script,
    "resources": lambda record: _resources(record.language.code),
}


def _resources(code: str) -> str:
    known = LANGUAGES.get(code)
    return f"class {known.resources}" if known else ""


_IS_NUMBER = re.compile(r"[+-]?[\d,]*\.?\d+($| [\[(*])|[-?]?$|withheld$")


@dataclass(frozen=True)
class Table:
    """A title, column heads, rows of text (the first column names the row) and remarks; `facts`
    join them in JSON."""

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    remarks: Sequence[str] = ()
    facts: Mapping[str, str] = field(default_factory=dict)

    def numbers(self) -> list[bool]:
        """For each column, whether it holds numbers alone, or what stands for one: those are set to
        the right."""
        columns = [[row[i] for row in self.rows] for i in range(len(self.heads))]
        return [bool(column) and all(map(_IS_NUMBER.match, column)) for column in columns]

    def render(self, form: str) -> str:
        """As `text`, `markdown`, `csv` or `json`."""
        rendered: str = getattr(self, form)()
        return rendered

    def markdown(self) -> str:
        lines = [f"**{self.title}**", "", _markdown_row(self.heads)]
        lines.append(f"|{'|'.join('---:' if right else '---' for right in self.numbers())}|")
        lines += [_markdown_row(row) for row in self.rows]
        return "\n".join([*lines, "", *(f"- {remark}" for remark in self.remarks)]).rstrip()

    def csv(self) -> str:
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(self.heads)
        writer.writerows(self.rows)
        return buffer.getvalue().rstrip("\n")

    def json(self) -> str:
        return _indented(self.plain())

    def plain(self) -> dict[str, object]:
        """The table as plain values."""
        rows = [dict(zip(self.heads, row, strict=True)) for row in self.rows]
        return {"title": self.title, **self.facts, "rows": rows, "remarks": list(self.remarks)}

    def text(self) -> str:
        """Aligned columns without lines, for pipes and logs."""
        cells = [self.heads, *self.rows]
        widths = [max(len(row[i]) for row in cells) for i in range(len(self.heads))]
        lines, numbers = [self.title], self.numbers()
        for row in cells:
            padded = (
                cell.rjust(width) if right else cell.ljust(width)
                for cell, width, right in zip(row, widths, numbers, strict=True)
            )
            lines.append("  ".join(padded).rstrip())
        return "\n".join([*lines, *self.remarks])


def render_all(tables: Sequence[Table], form: str) -> str:
    """Several tables as `text` or `markdown`, or as one JSON list."""
    if form == "json":
        return _indented([table.plain() for table in tables])
    return "\n\n".join(table.render(form) for table in tables)


def heading(suite: str, data: str) -> str:
    """`data` is what was evaluated on, as `--data` names it."""
    return f"{suite} on {NOT_BENCHMARK if data == SAMPLE else data}"


def task_table(
    title: str, suite: SuiteCard, tasks: Mapping[str, TaskCard], records: Sequence[CellRecord]
) -> Table:
    """The `model_table` of the models and seeds in `records`."""
    return model_table(title, suite, tasks, _by_model(records))


def model_table(
    title: str,
    suite: SuiteCard,
    tasks: Mapping[str, TaskCard],
    models: Mapping[str, Sequence[CellRecord]],
) -> Table:
    """One row a task, one column a model; below, the suite's totals where they are whole.

    A mean over some of a task's languages only is marked with their number: it is not the
    task's score."""
    records = [record for cells in models.values() for record in cells]
    boards = {name: leaderboard(suite, tasks, cells) for name, cells in models.items()}
    rows = []
    for name in suite.tasks:
        if not any(record.task.name == name for record in records):
            continue
        task = tasks[name]
        languages = suite_languages(suite, task)
        cells = [_task_cell(task, languages, models[model]) for model in models]
        rows.append([name, "+".join(task.score), *cells])
    for group, members in suite.groups.items():
        if set(members) == set(suite.tasks):  # the official total, where the suite has one
            found = [boards[model].get(group) for model in models]
            rows.append([group, "official", *map(_total, found)])
    for average in suite.averages:
        totals = [boards[m]["xharness"]["totals"][average.name]["value"] for m in models]
        rows.append([average.name, "ours", *map(_total, totals)])
    heads = ["task", "score", *models]
    return Table(title, heads, rows, remarks(records), comparability(records))


def grouped_table(title: str, by: str, suite: SuiteCard, records: Sequence[CellRecord]) -> Table:
    """One row a language, family or script, one column a task (and model, if there are several);
    means over the cells that are there."""
    key = GROUPINGS[by]
    models = _by_model(records)
    names = [n for n in suite.tasks if any(r.task.name == n for r in records)]
    columns = [(m, n) for m in models for n in names]
    scores: dict[tuple[str, str, str], list[float]] = {}
    for record in records:
        if record.result:
            where = (key(record), model_key(record), record.task.name)
            scores.setdefault(where, []).append(record.result.score)
    rows = []
    for group in sorted({group for group, _, _ in scores}):
        found = [scores.get((group, *column)) for column in columns]
        means = [_number(sum(those) / len(those)) if those else "" for those in found]
        rows.append([group or "unknown", *means])
    heads = [name if len(models) == 1 else f"{model}:{name}" for model, name in columns]
    return Table(title, [by, *heads], rows, remarks(records), comparability(records))


def remarks(records: Sequence[CellRecord]) -> list[str]:
    """What a reader must know: failed and skipped cells, stand-ins, cut data; each once."""
    found: dict[str, list[str]] = {}
    skipped: dict[str, str] = {}
    for record in records:
        where = record.task.name
        if record.status != "ok":
            why = record.reason or (record.failure.message if record.failure else "")
            if record.status == "skipped":  # each language's reason names its own files
                why = skipped.setdefault(where, why)
            found.setdefault(f"{record.status}: {why}", []).append(
                f"{where}/{record.language.code}"
            )
            continue
        if record.data and record.data.source == SAMPLE:  # the title says what these scores are
            for note in (n for n in record.data.notes if n != NOT_BENCHMARK):
                found.setdefault(note, []).append(f"{where}/{record.language.code}")
            continue
        for phase in record.model.lineage:
            for note in phase.notes:
                found.setdefault(f"trained on {phase.task}: {note}", []).append(where)
        for note in record.data.notes if record.data else []:
            kind = note.split(":")[0]
            text = "cut data: these are not benchmark scores" if kind == "cut" else note
            found.setdefault(text, []).append(
                where if kind == "cut" else f"{where}/{record.language.code}"
            )
    return [f"{text} ({some(list(dict.fromkeys(w)))})" for text, w in found.items()]


def _by_model(records: Sequence[CellRecord]) -> dict[str, list[CellRecord]]:
    models: dict[str, list[CellRecord]] = {}
    for record in records:
        models.setdefault(model_key(record), []).append(record)
    return models


def _task_cell(task: TaskCard, languages: Sequence[str], records: Sequence[CellRecord]) -> str:
    scores = [r.result.score for r in records if r.result and r.task.name == task.name]
    if not scores:
        return "-"
    mean = _number(sum(scores) / len(scores))
    return mean if len(scores) == len(languages) else f"{mean} ({len(scores)}/{len(languages)})"


def _markdown_row(cells: Sequence[str]) -> str:
    plain = (" ".join(cell.split()).replace("|", "\\|") for cell in cells)
    return "| " + " | ".join(plain) + " |"


def _indented(value: object) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def _total(value: float | None) -> str:
    return "withheld" if value is None else _number(value)


def _number(value: float) -> str:
    return f"{value:.1f}"


def some(names: Sequence[str], most: int = 6) -> str:
    """The first of them, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more

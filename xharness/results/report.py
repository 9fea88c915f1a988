"""One HTML page about runs: tables that sort and filter, charts, provenance, all in one file.

Nothing is requested from outside: scripts and data are on the page, and its content security
policy forbids the rest. The charts are drawn by Vega-Lite, whose scripts vl-convert brings along.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from xharness import __version__
from xharness.cards import SuiteCard, TaskCard
from xharness.errors import MissingExtra, NotComparable
from xharness.plugins.roles import Source
from xharness.records import NOT_BENCHMARK, Interval
from xharness.results import charts
from xharness.results.columns import Column, models_of
from xharness.results.compare import (
    Comparison,
    compare,
    gap_table,
    mean_table,
    over_tasks,
    remarks,
    significance_table,
    with_interval,
    worst_table,
)
from xharness.results.measurements import Key
from xharness.results.published import published_table
from xharness.results.table import Table, model_table
from xharness.results.worst_items import worst_items_table
from xharness.runs.leaderboard import comparability

_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline' 'unsafe-eval'; "
    "img-src data:"
)


_INTERVAL = re.compile(r"(\[.*\])")


@dataclass(frozen=True)
class Report:
    """What a report says, before it is a page: the tasks that have scores, the models, what can be
    compared of them, and tables by section."""

    title: str
    tasks: Sequence[str]
    columns: Sequence[Column]
    comparison: Comparison | None
    sections: Mapping[str, Sequence[Table]]

    def markdown(self) -> str:
        parts = [f"# {self.title}"]
        for name, tables in self.sections.items():
            parts += [f"## {name}", *(table.markdown() for table in tables)]
        return "\n\n".join(parts) + "\n"

    def html(self) -> str:
        """The page. Raises MissingExtra when the library with the charts' scripts is absent."""
        specs = _charts(self.tasks, self.columns, self.comparison)
        body = [_section(name, tables, specs) for name, tables in self.sections.items()]
        links = "".join(
            f'<li><a href="#{_id(name)}">{html.escape(name)}</a></li>' for name in self.sections
        )
        here = Path(__file__)
        scripts = [_chart_scripts(), here.with_name("report.js").read_text("utf-8")]
        return "".join(
            [
                '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n',
                f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n',
                '<meta name="viewport" content="width=device-width, initial-scale=1">\n',
                f"<title>{html.escape(self.title)}</title>\n",
                f"<style>\n{here.with_name('report.css').read_text('utf-8')}</style>\n",
                f"</head>\n<body>\n<header><h1>{html.escape(self.title)}</h1>\n",
                f'<p class="muted">xharness {__version__}. Scores are percent, higher is better; ',
                "in brackets are 95 % intervals; * differs beyond chance. Tables sort ",
                "by their heads.</p></header>\n",
                f'<nav aria-label="Sections"><ul>{links}</ul></nav>\n<main>\n',
                *body,
                '</main>\n<script type="application/json" id="charts">',
                _script_json({id: spec for id, (_, spec) in specs.items()}),
                "</script>\n",
                *(f'<script type="module">{_inline(script)}</script>\n' for script in scripts),
                "</body>\n</html>\n",
            ]
        )


def make_report(
    columns: Sequence[Column],
    suite: SuiteCard,
    tasks: Mapping[str, TaskCard],
    source: Source | None = None,
    published: bool = False,
) -> Report:
    """The report of models; with a `source` it shows the texts of items, with `published` also
    figures from papers."""
    models = {column.label: column.records for column in columns}
    scored = {task for column in columns for task, _ in column.cells}
    shown = [task for task in suite.tasks if task in scored]
    facts = comparability(record for cells in models.values() for record in cells)
    sample = f": {NOT_BENCHMARK}" if facts["data"] == NOT_BENCHMARK else ""
    title = f"{suite.name}, by task{sample}"
    sections = {"Leaderboard": [model_table(title, suite, tasks, models)]}
    comparison = None
    try:
        comparison = compare(columns, suite)
    except NotComparable as refused:
        sections["Comparison"] = [Table("Nothing is comparable", ["why"], [[str(refused)]])]
    if comparison:
        sections["Tasks"] = [mean_table(comparison, "task"), gap_table(comparison)]
        sections["Languages"] = [mean_table(comparison, "language"), worst_table(comparison)]
        sections["Families"] = [mean_table(comparison, "family")]
        sections["Scripts"] = [mean_table(comparison, "script")]
        sections["Resources"] = [mean_table(comparison, "resources")]
        notes = [[note] for note in remarks(comparison)]
        basis = Table("What the comparison rests on", ["remark"], notes)
        tests = [significance_table(comparison)] if len(columns) > 1 else []
        sections["Comparison"] = [*tests, basis]
    sections["Cells"] = [cell_table(columns)]
    if source:
        sections["Items"] = [worst_items_table(columns, tasks, source)]
    if published:
        sections["Published"] = [published_table(tasks, shown)]
    sections["Cost"] = [cost_table(columns)]
    sections["Provenance"] = [provenance_table(columns)]
    return Report(f"{suite.name}: {', '.join(models)}", shown, columns, comparison, sections)


def cell_table(columns: Sequence[Column]) -> Table:
    """Every cell of every model, also those without a score."""
    rows = []
    for column in columns:
        for record in column.records:
            result = record.result
            why = record.reason or (record.failure.message if record.failure else "")
            rows.append(
                [
                    column.label,
                    record.task.name,
                    record.language.code,
                    record.language.name,
                    record.language.family,
                    record.language.script,
                    with_interval(result.score, result.interval, 2) if result else "-",
                    f"{result.n_items:,}" if result else "-",
                    record.status + (f": {why}" if why else ""),
                ]
            )
    heads = ["model", "task", "code", "language", "family", "script", "score", "items", "state"]
    return Table("All cells", heads, rows)


def cost_table(columns: Sequence[Column]) -> Table:
    """Seconds as the records have them: making the model once for each task (training included
    where it happened in that run), and evaluating."""
    rows = []
    for column in columns:
        done = [record for record in column.records if record.result]
        evaluating = sum(_seconds(r.timing.get("evaluate_seconds")) for r in done)
        making = {r.task.name: _seconds(r.timing.get("model_seconds")) for r in done}
        items = sum(r.result.n_items for r in done if r.result)
        backbone = column.records[0].model.backbone
        parameters = backbone.get("parameters")
        rows.append(
            [
                column.label,
                f"{parameters:,}" if isinstance(parameters, int) else "-",
                f"{sum(making.values()):.0f}",
                f"{evaluating:.0f}",
                f"{items:,}",
                f"{items / evaluating:.1f}" if evaluating else "-",
            ]
        )
    heads = ["model", "parameters", "s making models", "s evaluating", "items", "items per s"]
    return Table("Cost, on the machines named under provenance", heads, rows)


def provenance_table(columns: Sequence[Column]) -> Table:
    """Where each model's results come from."""
    facts: dict[str, list[str]] = {}
    for column in columns:
        run, model = column.run.read_run(), column.records[0].model
        trained = dict.fromkeys(
            f"{phase.task} ({phase.recipe.name}, seed {phase.seed})"
            for record in column.records
            for phase in record.model.lineage
        )
        plugins = (f"{p['distribution']} {p['version']}" for p in run.plugins)
        said = {
            "run": str(column.run.path),
            "data": str(run.request.get("data", "-")),
            "started": run.started,
            "producer": model.producer,
            "backbone": str(model.backbone.get("id", "-")),
            "weights": str(model.backbone.get("weights_sha256", "-")),
            "trained on": ", ".join(trained) or "-",
            "precision": model.dtype,
            "machine": ", ".join(f"{key} {value}" for key, value in run.machine.items()) or "-",
            "versions": ", ".join(f"{key} {value}" for key, value in run.versions.items()),
            "plugins": ", ".join(plugins) or "-",
        }
        for name, value in said.items():
            facts.setdefault(name, []).append(value)
    rows = [[name, *values] for name, values in facts.items()]
    return Table("Where the results come from", ["", *(c.label for c in columns)], rows)


def _seconds(value: float | str | None) -> float:
    return value if isinstance(value, (int, float)) else 0.0


Specs = dict[str, tuple[str, charts.Spec]]  # id -> section, chart


def _charts(
    tasks: Sequence[str], columns: Sequence[Column], comparison: Comparison | None
) -> Specs:
    models = models_of(columns)
    names = [model.label for model in models]
    specs: Specs = {}
    for task in tasks:
        rows = [
            {"model": model.label, "language": key.language, "score": model.score(key)}
            for model in models
            for key in model.columns[0].cells
            if key.task == task and all(key in column.cells for column in model.columns)
        ]
        about = f"Scores on {task} by language and model; the table of all cells has the numbers."
        specs[f"chart-{len(specs)}"] = ("Tasks", charts.heat_map(about, rows, names) | {
            "title": task
        })  # fmt: skip
    for section, by in (("Families", "family"), ("Scripts", "script"), ("Resources", "resources")):
        if comparison:
            rows = [
                _point(comparison, number, group, keys)
                for group, keys in comparison.groups(by).items()
                for number in range(len(models))
            ]
            about = (
                f"Mean scores by {by} and model, with 95 % intervals; the table below has the "
                "numbers."
            )
            specs[f"chart-{len(specs)}"] = (section, charts.dot_plot(about, by, rows, names))
    return specs


def _point(
    comparison: Comparison, number: int, group: str, keys: Sequence[Key]
) -> dict[str, object]:
    weights, model = over_tasks(keys), comparison.models[number]
    point = {"group": group, "model": model.label, "score": model.weighted(weights)}
    found = comparison.evidence.interval(number, weights)
    bounds = {"lower": found.lower, "upper": found.upper} if isinstance(found, Interval) else {}
    return {**point, **bounds}


def _section(name: str, tables: Iterable[Table], specs: Specs) -> str:
    figures = "".join(
        f'<figure><div id="{id}" role="img" aria-label="{html.escape(spec["description"])}"></div>'
        "</figure>\n"
        for id, (section, spec) in specs.items()
        if section == name
    )
    shown = f'<div class="charts">\n{figures}</div>\n' if figures else ""
    parts = [_table(table, f"{_id(name)}-{number}") for number, table in enumerate(tables, 1)]
    return (
        f'<section id="{_id(name)}" aria-labelledby="{_id(name)}-head">\n'
        f'<h2 id="{_id(name)}-head">{html.escape(name)}</h2>\n{shown}{"".join(parts)}</section>\n'
    )


def _table(table: Table, id: str) -> str:
    kinds = [' class="number"' if is_number else "" for is_number in table.numbers()]
    heads = "".join(
        f'<th scope="col"{kind}><button type="button">{_breakable(head)}</button></th>'
        for head, kind in zip(table.heads, kinds, strict=True)
    )
    rows = "".join(f"<tr>{''.join(map(_cell, row, kinds))}</tr>\n" for row in table.rows)
    said = "".join(f"<li>{html.escape(remark)}</li>" for remark in table.remarks)
    title = html.escape(table.title)
    filter = ""
    if len(table.rows) > 20:
        filter = (
            f'<p><label class="filter">Filter <input type="search" data-filters="{id}" '
            f'placeholder="sw, Latin ..."></label> <span class="muted" id="{id}-count" '
            'role="status"></span></p>\n'
        )
    return (
        f'<h3 id="{id}-title">{title}</h3>\n{filter}'
        f'<div class="scroll" tabindex="0" role="region" aria-labelledby="{id}-title">'
        f'<table id="{id}" aria-labelledby="{id}-title">\n<thead><tr>{heads}</tr></thead>\n'
        f"<tbody>\n{rows}</tbody>\n</table></div>\n"
        + (f'<ul class="muted">{said}</ul>\n' if said else "")
    )


def _breakable(text: str) -> str:
    """The text as HTML that can go on in a second line after the run in a model's name."""
    return html.escape(text).replace(":", ":<wbr>")


def _cell(text: str, kind: str) -> str:
    if not kind and len(text) > 30:
        kind = ' class="words"'
    shown = _breakable(text)
    if "number" in kind:
        shown = _INTERVAL.sub(r'<span class="muted">\1</span>', shown)
    return f"<td{kind}>{shown}</td>"


def _chart_scripts() -> str:
    try:
        from vl_convert import javascript_bundle
    except ImportError as error:
        raise MissingExtra(
            'The page\'s charts need vl-convert: pip install "vl-convert-python". '
            "A report that ends in .md needs nothing."
        ) from error
    scripts: str = javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return scripts


def _inline(script: str) -> str:
    """A script that can stand in a page: nothing in it may end the element early."""
    return script.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _script_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False).replace("<", "\\u003c")


def _id(name: str) -> str:
    return name.lower().replace(" ", "-")

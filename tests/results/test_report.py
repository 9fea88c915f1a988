from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest
import vl_convert

from xharness.builtin import open_registry
from xharness.cards import Catalogue
from xharness.results.columns import Column, columns_of
from xharness.results.report import Report, cost_table, make_report
from xharness.results.worst_items import item_points, worst_items_table
from xharness.runner.context import open_source
from xharness.runs.folder import RunFolder
from xharness.testing.toys import World

BROWSER = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)


class Page(HTMLParser):
    """What a page's elements are, and what they refer to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.refers: list[str] = []
        self.links: list[str] = []
        self.rows: dict[str, list[list[str]]] = {}
        self.table = ""
        self.buttons = 0
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.ids += [given["id"]] if "id" in given else []
        self.refers += given.get("aria-labelledby", "").split()
        self.links += [given[name] for name in ("src", "href", "action") if name in given]
        self.buttons += tag == "button"
        if tag == "table":
            self.table = given["id"]
            self.rows[self.table] = []
        elif tag == "tr":
            self.rows[self.table].append([])
        elif tag in ("td", "th"):
            self.rows[self.table][-1].append("")
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if {"td", "th"} & set(self.open):
            self.rows[self.table][-1][-1] += data


@pytest.fixture(scope="module")
def columns(
    official: dict[str, Any], score_files: Callable[..., Any], tmp_path_factory: Any
) -> list[Column]:
    root = tmp_path_factory.mktemp("runs")
    labels, predictions = official["labels"], official["predictions"]
    worse = {n: t for n, t in predictions.items() if n != "xnli/test-sw.tsv"}
    worse["xcopa/test-et.jsonl"] = '{"label": 0}\n' * 5
    score_files(labels, predictions, name="first", run=root / "first")
    score_files(labels, worse, name="</script><b>second", run=root / "second")
    return columns_of([RunFolder(root / "first"), RunFolder(root / "second")])


@pytest.fixture(scope="module")
def report(columns: list[Column], catalogue: Catalogue) -> Report:
    return make_report(columns, catalogue.suite("xtreme-r"), catalogue.tasks, published=True)


@pytest.fixture(scope="module")
def page(report: Report) -> str:
    return report.html()


def specs(page: str) -> dict[str, Any]:
    found = re.search(r'id="charts">(.*?)</script>', page, re.S)
    assert found
    charts: dict[str, Any] = json.loads(found.group(1))
    return charts


def test_the_page_refers_to_nothing_outside(page: str) -> None:
    read = Page(page)
    assert read.links
    assert all(link.startswith("#") for link in read.links)
    assert {link[1:] for link in read.links} <= set(read.ids)
    assert "default-src 'none'" in page
    styles = re.findall(r"<style>(.*?)</style>", page, re.S)
    assert not re.search(r"url\(|@import", "".join(styles))


def test_ids_are_unique_and_labels_lead_somewhere(page: str) -> None:
    read = Page(page)
    assert len(read.ids) == len(set(read.ids))
    assert set(read.refers) <= set(read.ids)
    heads = sum(len(rows[0]) for rows in read.rows.values())
    assert read.buttons == heads  # each head sorts by keyboard too


def test_names_are_text_and_not_html(page: str) -> None:
    assert "<b>second" not in page
    read = Page(page)
    assert any("</script><b>second" in row for rows in read.rows.values() for row in rows)
    assert page.count("</script>") == 3  # charts, the library, ours


def test_all_cells_are_in_the_table(page: str, columns: list[Column]) -> None:
    head, *rows = Page(page).rows["cells-1"]
    assert head[:3] == ["model", "task", "code"]
    assert len(rows) == sum(len(column.records) for column in columns) == 2 * 192
    score = next(row[6] for row in rows if row[:3] == ["first", "xnli", "sw"])
    assert score == "83.33 [35.88, 99.58]"  # Clopper and Pearson's for 5 of 6
    state = next(row[8] for row in rows if row[0] != "first" and row[1:3] == ["xnli", "sw"])
    assert state.startswith("skipped: no prediction file")


def test_charts_hold_the_scores_and_are_drawn(page: str, columns: list[Column]) -> None:
    charts = specs(page)
    assert len(charts) == 9 + 3
    first = next(iter(charts.values()))
    rows = first["data"]["values"]
    assert len(rows) == 15 + 14
    assert {"model": "first", "language": "zh", "score": 100.0} in rows
    for chart in charts.values():
        drawn = vl_convert.vegalite_to_svg(chart)
        assert "currentColor" in drawn  # texts follow the page's light or dark
        assert f'aria-label="{chart["description"]}"' in page
    # Officially bg, de, ur, vi and zh are all right, for both models.
    assert vl_convert.vegalite_to_svg(first).count(">100.0</text>") == 5 + 5


def test_markdown_has_the_same_tables(report: Report) -> None:
    text = report.markdown()
    assert text.count("\n## ") == len(report.sections)
    rows = [line for line in text.splitlines() if line.startswith("| xnli |")]
    assert re.sub(r" +", " ", rows[0]).startswith("| xnli | accuracy | 78.9 | ")
    for line in text.splitlines():  # a pipe in a cell would shift all after it
        if line.startswith("|---"):
            width = line.count("|")
        elif line.startswith("| first |"):
            assert len(re.findall(r"(?<!\\)\|", line)) == width


def test_runs_that_are_not_comparable_have_a_page_that_says_so(
    columns: list[Column], catalogue: Catalogue
) -> None:
    first, _ = columns
    apart = [msgspec.structs.replace(r, measured={"split": r.id}) for r in first.records]
    both = [first, Column("other", first.run, apart)]
    report = make_report(both, catalogue.suite("xtreme-r"), catalogue.tasks)
    assert "will not compare first, other" in report.sections["Comparison"][0].rows[0][0]
    assert "Tasks" not in report.sections


def test_missed_items_have_their_texts(toy_run: Path, toy_world: World) -> None:
    registry = open_registry()
    cards = Catalogue.load([*registry.card_folders(), toy_world.cards])
    columns = columns_of([RunFolder(toy_run)])
    source = open_source(str(toy_world.release), registry)
    table = worst_items_table(columns, cards.tasks, source)
    assert not table.remarks
    assert {row[1] for row in table.rows} == set(cards.suite("toy").tasks)
    (column,) = columns
    for _, task, language, item, points, texts, gold, predicted in table.rows:
        record = column.cells[task, language]
        data = source.load(cards.tasks[task], "test", language)
        position = [one.id for one in data.items].index(item)
        score = item_points(column.run.read_items(record), cards.tasks[task])[position]
        assert points == f"{score:.0f}"
        assert texts
        assert (score == 100) == (gold == predicted or task == "toy-choices") or task != "toy-pairs"


def test_points_of_items_make_the_score(toy_run: Path, toy_world: World) -> None:
    cards = Catalogue.load([*open_registry().card_folders(), toy_world.cards])
    (column,) = columns_of([RunFolder(toy_run)])
    for (task, _), record in column.cells.items():
        if cards.tasks[task].kind == "tagging":  # counts are summed before F1 is taken
            continue
        points = item_points(column.run.read_items(record), cards.tasks[task])
        assert record.result
        assert sum(points) / len(points) == pytest.approx(record.result.score)


def test_cost_counts_a_model_once_a_task(toy_run: Path) -> None:
    (column,) = columns_of([RunFolder(toy_run)])
    (row,) = cost_table([column]).rows
    making = {r.task.name: float(r.timing["model_seconds"]) for r in column.records}
    assert row[2] == f"{sum(making.values()):.0f}"
    assert len(making) == 5


# What a reader does with the table of all cells, by the same events as mouse and keyboard send.
READER = """
<script type="module">
const table = document.getElementById("cells-1");
const shown = () => [...table.tBodies[0].rows].filter((row) => !row.hidden);
const outside = [];
document.addEventListener("securitypolicyviolation", (event) => outside.push(event.blockedURI));
const click = (column) => table.tHead.rows[0].cells[column].querySelector("button").click();
const scores = () => shown().map((row) => parseFloat(row.cells[6].textContent))
  .filter((value) => !Number.isNaN(value));
click(6);
const up = scores();
click(6);
const down = scores();
const filter = document.querySelector('input[data-filters="cells-1"]');
filter.value = "sw";
filter.dispatchEvent(new Event("input"));
const languages = [...new Set(shown().map((row) => row.cells[2].textContent))];
await new Promise((resolve) => setTimeout(resolve, 1500));
document.body.dataset.seen = JSON.stringify({
  up: up.every((value, i) => !i || up[i - 1] <= value),
  down: down.every((value, i) => !i || down[i - 1] >= value),
  count: [up.length, down.length],
  languages,
  charts: document.querySelectorAll("figure svg").length,
  wide: document.documentElement.scrollWidth <= document.documentElement.clientWidth,
  requests: performance.getEntriesByType("resource").map((entry) => entry.name),
  outside,
});
</script>
"""


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="needs Chromium")
@pytest.mark.parametrize("width", [360, 800, 1400])
def test_a_browser_sorts_filters_and_asks_nobody(page: str, tmp_path: Path, width: int) -> None:
    path = tmp_path / "report.html"
    head, _, tail = page.rpartition("</body>")  # the charts' scripts hold the word, too
    path.write_text(f"{head}{READER}</body>{tail}", "utf-8")
    done = subprocess.run(
        [
            str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},900",
            "--virtual-time-budget=10000", "--dump-dom", path.as_uri(),
        ],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    found = re.search(r'data-seen="([^"]*)"', done.stdout)
    assert found, done.stderr[-2000:]
    seen = json.loads(found.group(1).replace("&quot;", '"'))
    assert seen == {
        "up": True, "down": True, "count": [383, 383], "languages": ["sw"], "charts": 12,
        "wide": True, "requests": [], "outside": [],
    }  # fmt: skip

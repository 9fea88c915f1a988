from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xharness.cards import Catalogue, Preprocessing
from xharness.errors import DataError, NotComparable, Refused
from xharness.results.compare import (
    Column,
    columns_of,
    compare,
    first_difference,
    gap_table,
    mean_table,
    remarks,
    worst_table,
)
from xharness.results.published import published, published_table
from xharness.runs.folder import RunFolder

Files = dict[str, str]


@pytest.fixture(scope="module")
def runs(
    official: dict[str, Any], score_files: Callable[..., Any], tmp_path_factory: Any
) -> dict[str, RunFolder]:
    """The official case, one that says 0 to every choice, one with another gold label, and one
    with fewer languages."""
    root = tmp_path_factory.mktemp("runs")
    labels, predictions = official["labels"], official["predictions"]
    zeros = {
        name: '{"label": 0}\n' * 5 if name.startswith("xcopa/") else text
        for name, text in predictions.items()
    }
    name = "xnli/test-en.tsv"
    regraded = labels | {name: "".join(reversed(labels[name].splitlines(keepends=True)))}
    few = {n: t for n, t in predictions.items() if n.startswith("xnli/") and n != name}
    score_files(labels, predictions, name="one", run=root / "one")
    score_files(labels, zeros, name="zeros", run=root / "zeros")
    score_files(regraded, predictions, name="regraded", run=root / "regraded")
    score_files(labels, few, name="few", run=root / "few")
    return {path.name: RunFolder(path) for path in root.iterdir()}


def column(run: RunFolder) -> Column:
    (only,) = columns_of([run])
    return only


def test_means_and_differences_by_hand(runs: dict[str, RunFolder], catalogue: Catalogue) -> None:
    columns = columns_of([runs["one"], runs["zeros"]])
    comparison = compare(columns, catalogue.suite("xtreme-r"))
    assert len(comparison.keys) == 192
    table = mean_table(comparison, "task")
    assert table.heads == ["task", "cells", "one", "zeros", "zeros - one"]
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows["xnli"] == ["15", "78.9", "78.9", "+0.0"]  # the official figure
    gold = [
        json.loads(line)["label"]
        for key in comparison.keys
        if key[0] == "xcopa"
        for line in _labels(runs, key[1])
    ]
    zeros = 100 * gold.count(0) / len(gold)  # 5 items a language, so the plain share
    assert rows["xcopa"] == ["11", "80.0", f"{zeros:.1f}", f"{zeros - 80.0:+.1f}"]
    # Haitian and Quechua: one has a choice task alone, the other also named entities.
    languages = {row[0]: row for row in mean_table(comparison, "language").rows}
    assert languages["ht"][1] == "1"
    panx, xcopa = (columns[0].score((task, "qu")) for task in ("panx", "xcopa"))
    assert languages["qu"][2] == f"{(panx + xcopa) / 2:.1f}"


def _labels(runs: dict[str, RunFolder], language: str) -> list[str]:
    """What the official labels say, out of what the run predicted and got right."""
    run = runs["one"]
    record = run.read_cell(f"one/xcopa/{language}")
    assert record is not None
    items = run.read_items(record)
    right = [int(p) if c else 1 - int(p) for p, c in zip(items["predicted"], items["correct"])]  # noqa: B905
    return [json.dumps({"label": label}) for label in right]


def test_the_transfer_gap_is_english_minus_the_mean_of_the_others(
    runs: dict[str, RunFolder], catalogue: Catalogue
) -> None:
    one = column(runs["one"])
    table = gap_table(compare([one], catalogue.suite("xtreme-r")))
    rows = {row[0]: row[1:] for row in table.rows}
    assert "xcopa" not in rows  # it has no English
    others = [one.score(key) for key in one.cells if key[0] == "xnli" and key[1] != "en"]
    gap = one.score(("xnli", "en")) - sum(others) / 14
    assert rows["xnli"] == ["14", f"{gap:.1f}"]


def test_the_worst_languages_are_held_against_their_tasks(
    runs: dict[str, RunFolder], catalogue: Catalogue
) -> None:
    few = column(runs["few"])
    rows = worst_table(compare([few], catalogue.suite("xtreme-r"))).rows
    scores = {language: few.score((task, language)) for task, language in few.cells}
    mean = sum(scores.values()) / 14
    lowest = min(scores, key=lambda language: (scores[language], language))
    assert rows[0][1].split()[0] == lowest
    assert rows[0][2] == f"{scores[lowest] - mean:+.1f}"


def test_cells_that_measured_something_else_are_left_out_and_named(
    runs: dict[str, RunFolder], catalogue: Catalogue
) -> None:
    suite = catalogue.suite("xtreme-r")
    comparison = compare(columns_of([runs["one"], runs["regraded"]]), suite)
    assert list(comparison.refused) == ["xnli/en"]
    assert comparison.refused["xnli/en"].startswith("gold_sha256 ")
    assert len(comparison.keys) == 191
    said = remarks(comparison)
    assert said[0].startswith("not comparable, left out: xnli/en: gold_sha256 ")
    partial = compare(columns_of([runs["one"], runs["few"]]), suite)
    assert (len(partial.keys), partial.partial) == (14, 178)


def test_nothing_comparable_is_refused_with_the_first_difference(
    runs: dict[str, RunFolder], catalogue: Catalogue
) -> None:
    one, few = column(runs["one"]), column(runs["few"])
    suite = catalogue.suite("xtreme-r")
    other = [
        msgspec.structs.replace(r, comparable_hash=f"0{r.comparable_hash}") for r in few.records
    ]
    with pytest.raises(NotComparable, match="the metric, the labels or the version") as refused:
        compare([one, Column("few", few.run, other)], suite)
    assert refused.value.exit_code == 4
    apart = Column("few", few.run, [r for r in few.records if r.task.name == "xnli"])
    rest = Column("one", one.run, [r for r in one.records if r.task.name != "xnli"])
    with pytest.raises(NotComparable, match="they have no cell in common"):
        compare([rest, apart], suite)


def test_the_first_difference_names_the_field(runs: dict[str, RunFolder]) -> None:
    record = next(r for r in column(runs["few"]).records if r.result)
    task = msgspec.structs.replace(record.task, preprocessing=Preprocessing(max_length=96))
    other = msgspec.structs.replace(record, task=task, comparable_hash="x")
    assert first_difference(record, other) == "preprocessing max_length 128 against 96"
    assert first_difference(record, record) is None
    split = msgspec.structs.replace(record.task, split="dev")
    other = msgspec.structs.replace(record, task=split, comparable_hash="x")
    assert first_difference(record, other) == "split test against dev"


def test_models_of_one_name_are_told_apart(runs: dict[str, RunFolder], tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(runs["few"].path, copy)
    labels = [c.label for c in columns_of([runs["few"], RunFolder(copy), runs["one"]])]
    assert labels == ["few:few", "copy:few", "one"]
    twin = tmp_path / "deeper" / "copy"
    shutil.copytree(copy, twin)
    labels = [c.label for c in columns_of([RunFolder(copy), RunFolder(twin)])]
    assert labels == [f"{copy}:few", f"{twin}:few"]
    with pytest.raises(Refused, match="is named twice"):
        columns_of([RunFolder(copy), RunFolder(tmp_path / "deeper" / ".." / "copy")])


def test_an_empty_run_is_said(runs: dict[str, RunFolder], tmp_path: Path) -> None:
    shutil.copy(runs["few"].path / "run.json", tmp_path / "run.json")
    with pytest.raises(DataError, match="has no cell records"):
        columns_of([RunFolder(tmp_path)])


@given(st.permutations(["one", "zeros", "few"]))
def test_the_order_of_columns_changes_no_mean(
    runs: dict[str, RunFolder], catalogue: Catalogue, order: list[str]
) -> None:
    comparison = compare(columns_of([runs[name] for name in order]), catalogue.suite("xtreme-r"))
    table = mean_table(comparison, "family")
    first = {row[0]: row[table.heads.index("one")] for row in table.rows}
    assert len(comparison.keys) == 14
    assert first["Turkic"] == "66.7"  # Turkish alone, 4 of 6


def test_published_figures_have_sources_and_are_marked(catalogue: Catalogue) -> None:
    data = published()
    assert {row.source for row in data.rows} == set(range(len(data.sources)))
    assert all(0 <= row.value <= 100 for row in data.rows)
    assert not [o for o in data.sources if "memory" in o.evidence]
    table = published_table(catalogue.tasks, ["xnli", "xquad"])
    assert table.remarks[0].startswith("published, not measured here")
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows["mGTE-MLM-8192 [1]"] == ["73.4", "74.8 f1"]
    assert rows["XLM-R Base [2]"] == ["", "58.0 exact_match"]
    assert table.remarks[1].startswith("[1] mGTE (Zhang et al. 2024")
    assert published_table(catalogue.tasks, []).rows == []

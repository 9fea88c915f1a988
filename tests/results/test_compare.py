from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xharness.cards import Catalogue
from xharness.errors import DataError, NotComparable, Refused
from xharness.results.columns import Column, columns_of, models_of
from xharness.results.compare import (
    compare,
    first_difference,
    gap_table,
    mean_table,
    remarks,
    significance_table,
    tables,
    worst_table,
)
from xharness.results.measurements import Key
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


def plain(row: list[str]) -> list[str]:
    """A row without intervals and marks."""
    return [re.sub(r" \[.*", "", cell) for cell in row]


def test_means_and_differences_by_hand(runs: dict[str, RunFolder], catalogue: Catalogue) -> None:
    columns = columns_of([runs["one"], runs["zeros"]])
    comparison = compare(columns, catalogue.suite("xtreme-r"))
    assert len(comparison.keys) == 192
    table = mean_table(comparison, "task")
    assert table.heads == ["task", "cells", "one", "zeros", "zeros - one"]
    rows = {row[0]: plain(row[1:]) for row in table.rows}
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
    languages = {row[0]: plain(row) for row in mean_table(comparison, "language").rows}
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
    rows = {row[0]: plain(row[1:]) for row in table.rows}
    assert "xcopa" not in rows  # it has no English
    others = [one.score(key) for key in one.cells if key[0] == "xnli" and key[1] != "en"]
    gap = one.score(("xnli", "en")) - sum(others) / 14
    assert rows["xnli"] == ["15", f"{gap:.1f}"]


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
    assert all(row[2].startswith("-") for row in rows)


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
        msgspec.structs.replace(r, comparable_hash=f"0{r.comparable_hash}", measured={})
        for r in few.records
    ]
    with pytest.raises(NotComparable, match="comparable_hash, of which an older record") as refused:
        compare([one, Column("few", few.run, other)], suite)
    assert refused.value.exit_code == 4
    apart = Column("few", few.run, [r for r in few.records if r.task.name == "xnli"])
    rest = Column("one", one.run, [r for r in one.records if r.task.name != "xnli"])
    with pytest.raises(NotComparable, match="they have no cell in common"):
        compare([rest, apart], suite)


def test_the_first_difference_is_the_one_that_the_gate_names(runs: dict[str, RunFolder]) -> None:
    record = next(r for r in column(runs["few"]).records if r.result)

    def but(**changes: Any) -> str | None:
        measured = {**record.measured, **changes}
        other = msgspec.structs.replace(record, measured=measured, comparable_hash="x")
        return first_difference(record, other)

    assert first_difference(record, record) is None
    assert but(preprocessing={"max_length": 96}) == "preprocessing max_length none against 96"
    assert but(split="dev") == "split test against dev"
    assert record.result
    other = msgspec.structs.replace(record.result, variants={"accuracy": "mine"})
    assert first_difference(record, msgspec.structs.replace(record, result=other)) == (
        "variants accuracy none against mine"
    )


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
    first = {row[0]: plain(row)[table.heads.index("one")] for row in table.rows}
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


@pytest.fixture(scope="module")
def apart(score_files: Callable[..., Any], tmp_path_factory: Any) -> list[Column]:
    """Two models on 100 pairs in three languages; the second lost 30 in Swahili and won 3."""
    root = tmp_path_factory.mktemp("apart")
    labels = {f"xnli/test-{la}.tsv": "neutral\n" * 100 for la in ("en", "sw", "th")}
    first = dict.fromkeys(labels, "neutral\n" * 80 + "entailment\n" * 20)
    second = {
        **first,
        "xnli/test-sw.tsv": ("entailment\n" * 30 + "neutral\n" * 53 + "entailment\n" * 17),
    }
    for name, predictions in (("first", first), ("second", second)):
        score_files(labels, predictions, name=name, run=root / name)
    return columns_of([RunFolder(root / "first"), RunFolder(root / "second")])


def test_what_differs_beyond_chance_is_marked(apart: list[Column], catalogue: Catalogue) -> None:
    comparison = compare(apart, catalogue.suite("xtreme-r"))
    rows = {row[0]: row[1:] for row in mean_table(comparison, "language").rows}
    # Wilson's bounds of 80 and of 53 in 100.
    assert rows["sw"][1:3] == ["80.0 [71.1, 86.7]", "53.0 [43.3, 62.5]"]
    # t(99) times the standard error of 30 losses and 3 gains in 100.
    assert rows["sw"][3] == "-27.0 [-37.1, -16.9] *"
    assert rows["th"][3] == "+0.0"
    (row,) = significance_table(comparison).rows
    assert row == ["second", "xnli", "3", "0", "1: sw", "0", "1"]
    assert any("* differs from the first model" in said for said in remarks(comparison))


def test_equal_models_differ_nowhere(apart: list[Column], catalogue: Catalogue) -> None:
    first, _ = apart
    twin = Column("twin", first.run, first.records)
    comparison = compare([first, twin], catalogue.suite("xtreme-r"))
    shown = [cell for table in tables(comparison) for row in table.rows for cell in row]
    assert not [cell for cell in shown if cell.endswith("*")]
    assert significance_table(comparison).rows == [["twin", "xnli", "3", "0", "0", "0", "0"]]


def test_records_of_an_older_version_are_compared_without_tests(
    apart: list[Column], catalogue: Catalogue
) -> None:
    old = []
    for column in apart:
        records = [
            msgspec.structs.replace(
                r, result=msgspec.structs.replace(r.result, ratio=None), measured={}
            )
            for r in column.records
            if r.result
        ]
        old.append(Column(column.label, column.run, records))
    comparison = compare(old, catalogue.suite("xtreme-r"))
    rows = {row[0]: row for row in mean_table(comparison, "language").rows}
    assert rows["sw"] == ["sw", "1", "80.0", "53.0", "-27.0"]
    assert "3 cells without intervals and tests: an older version wrote" in remarks(comparison)[-2]


def of_seed(seed: int, column: Column) -> Column:
    records = [msgspec.structs.replace(r, seed=seed) for r in column.records]
    return Column(f"{column.label}#{seed}", column.run, records)


def test_seeds_of_one_model_are_one_model(apart: list[Column], catalogue: Catalogue) -> None:
    first, second = apart
    seeds = [first, of_seed(1, first), of_seed(2, first), second]
    comparison = compare(seeds, catalogue.suite("xtreme-r"))
    assert [model.label for model in comparison.models] == ["first (3 seeds)", "second"]
    rows = {row[0]: row for row in mean_table(comparison, "language").rows}
    assert rows["sw"][2].startswith("80.0 [")
    # 1.96 times the root of 33: seeds that agree add nothing to the error that tests take, which is
    # about no change and so a little larger than the one of a single seed's interval.
    assert rows["sw"][4] == "-27.0 [-38.3, -15.7] *"
    assert any("over seeds as well as items: first (3 seeds)" in r for r in remarks(comparison))


def test_what_differs_by_more_than_the_seed_stays_apart(apart: list[Column]) -> None:
    first, second = apart
    otherwise = [
        msgspec.structs.replace(r, seed=1, model=msgspec.structs.replace(r.model, dtype="float16"))
        for r in first.records
    ]
    columns = [first, first, Column("half", first.run, otherwise), of_seed(1, second)]
    assert [[c.label for c in m.columns] for m in models_of(columns)] == [
        ["first"],
        ["first"],
        ["half"],
        ["second#1"],
    ]


def test_a_mean_over_seeds_is_that_of_their_scores(apart: list[Column]) -> None:
    first, second = apart
    renamed = [
        msgspec.structs.replace(r, seed=1, model=first.records[0].model) for r in second.records
    ]
    (model,) = models_of([first, Column("first#1", second.run, renamed)])
    assert model.score(Key("xnli", "sw")) == pytest.approx((80.0 + 53.0) / 2)
    assert model.weighted({Key("xnli", "sw"): 1.0, Key("xnli", "en"): -1.0}) == pytest.approx(-13.5)

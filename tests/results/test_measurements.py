"""What a real run's records and per-item files tell, for every kind of task but ranking."""

from __future__ import annotations

from pathlib import Path

import pytest

from xharness.cards import digest
from xharness.records import Interval
from xharness.results.measurements import first_difference, read_side
from xharness.runs.folder import RunFolder
from xharness.statistics.interval import interval
from xharness.statistics.ratio import number, terms_of


def test_the_interval_follows_from_the_record_and_its_items(toy_run: Path) -> None:
    run = RunFolder(toy_run)
    methods = set()
    for record in run.records():
        result = record.result
        assert result is not None
        assert result.ratio is not None
        assert result.n_scored == result.n_items
        items = run.read_items(record)
        terms = terms_of(result.ratio, items, result.n_items)
        assert terms.ratio() == pytest.approx(result.score, abs=1e-9)
        found = interval(terms, number(items["cluster"]))
        assert found == (result.interval or result.no_interval)
        if isinstance(found, Interval):
            assert found.lower <= result.score <= found.upper
            methods.add(found.method)
    assert methods == {"clopper-pearson"}  # 20 items a language: others have too few


def test_what_was_measured_is_told_and_has_the_digest(toy_run: Path) -> None:
    for record in RunFolder(toy_run).records():
        assert record.comparable_hash == digest(record.measured)
        assert len(record.model.weights_sha256 or "") == 64


def test_tasks_have_their_own_weights_and_languages_share_them(toy_run: Path) -> None:
    side = read_side([RunFolder(toy_run)])
    weights: dict[str, set[str | None]] = {}
    for key, by_seed in side.cells.items():
        weights.setdefault(key.task, set()).add(by_seed[42].weights)
    assert all(len(found) == 1 for found in weights.values())
    assert len({next(iter(found)) for found in weights.values()}) == len(weights) == 5


def test_the_first_difference_is_named_in_words() -> None:
    one = {"version": 1, "preprocessing": {"max_length": 48}, "gold": "a" * 64}
    assert first_difference(one, dict(one)) is None
    other = {**one, "preprocessing": {"max_length": 64}}
    assert first_difference(one, other) == "preprocessing max_length 48 against 64"
    assert first_difference(one, {**one, "gold": "b" * 64}) == (
        "gold_sha256 aaaaaaaa... against bbbbbbbb..."
    )
    assert first_difference(one, {**one, "tuning": "x"}) == "tuning none against x"

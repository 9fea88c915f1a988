"""What a real run's records and per-item files tell, for every kind of task but ranking."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from xharness.cards import digest
from xharness.errors import DataError
from xharness.records import Interval
from xharness.results.measurements import first_difference, read_side
from xharness.runs.folder import RunFolder, npz_bytes, read_npz
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


def test_outcomes_are_read_as_numpy_reads_them(toy_run: Path, tmp_path: Path) -> None:
    columns_first = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    kinds = {"f": columns_first, "u": np.array(["", "é"]), "s": np.array("x"), "none": np.zeros(0)}
    (tmp_path / "odd.npz").write_bytes(npz_bytes(kinds))
    for path in [*toy_run.rglob("*.npz"), tmp_path / "odd.npz"]:
        ours = read_npz(path, path.read_bytes())
        theirs = dict(np.load(path))
        assert ours.keys() == theirs.keys()
        for name, array in theirs.items():
            np.testing.assert_array_equal(ours[name], array, strict=True)
    (tmp_path / "code.npz").write_bytes(npz_bytes({"o": np.array([{}, None])}))
    with pytest.raises(DataError, match="no npz file of plain arrays"):
        read_npz(tmp_path / "code.npz", (tmp_path / "code.npz").read_bytes())


def test_the_first_difference_is_named_in_words() -> None:
    one = {"version": 1, "preprocessing": {"max_length": 48}, "gold": "a" * 64}
    assert first_difference(one, dict(one)) is None
    other = {**one, "preprocessing": {"max_length": 64}}
    assert first_difference(one, other) == "preprocessing max_length 48 against 64"
    assert first_difference(one, {**one, "gold": "b" * 64}) == (
        "gold_sha256 aaaaaaaa... against bbbbbbbb..."
    )
    assert first_difference(one, {**one, "tuning": "x"}) == "tuning none against x"

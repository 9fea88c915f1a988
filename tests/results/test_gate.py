"""The gate on run folders of chosen outcomes: real metrics and records, no model."""

from __future__ import annotations

import hashlib
import json
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr, ndtri
from scipy.stats import binomtest

from xharness.cards import Recipe, TaskCard, digest
from xharness.cli.main import main
from xharness.data.items import Dataset, Pair, Sentence
from xharness.data.measured import measured
from xharness.errors import CardError, DataError, NotComparable, NothingSelected, Refused
from xharness.evaluators.recording import (
    data_record,
    item_keys,
    language_record,
    result_record,
    task_record,
)
from xharness.metrics.accuracy import Accuracy
from xharness.metrics.tagging import SeqEval
from xharness.plugins.roles import Outcome
from xharness.records import (
    CELL_SCHEMA,
    RUN_SCHEMA,
    CellRecord,
    Failure,
    ModelRecord,
    PhaseRecord,
    RunRecord,
)
from xharness.results import verdict_views as views
from xharness.results.baseline import read_baseline, write_baseline
from xharness.results.gate import gate, seed_scores
from xharness.results.judging import CellChange, hypotheses_of, judge_items, judge_seeds
from xharness.results.measurements import Key, read_side
from xharness.results.policy import GatePolicy, read_policy
from xharness.results.verdict import Judgement, Verdict
from xharness.runs.folder import RunFolder, cell_id, json_bytes, npz_bytes

PAIRS = TaskCard(
    name="pairs", kind="classification", description="", languages=["en", "de"],
    metric="accuracy", official=["accuracy"], score=["accuracy"], labels=["no", "yes"],
)  # fmt: skip
TAGS = TaskCard(
    name="tags", kind="tagging", description="", languages=["en", "de"], metric="seqeval",
    official=["f1"], score=["f1"], labels=["A", "B"],
)  # fmt: skip
Wrong = Callable[[str, str, int], bool]  # task, language, row -> whether that item is missed


def write_run(
    folder: Path,
    wrong: Wrong,
    *,
    seed: int = 42,
    weights: str | None = "w" * 64,
    rows: int = 200,
    tasks: Mapping[str, TaskCard] | None = None,
    languages: tuple[str, ...] = ("en", "de"),
    gold: str = "yes",
    failed: tuple[str, ...] = (),
    order: int = 1,
) -> Path:
    """A run of both tasks; `failed` names cells as TASK/LANG, `order` -1 turns files around."""
    run = RunFolder(folder)
    run.write_run(RunRecord(RUN_SCHEMA, "toy", {"data": "none"}, "", {"xharness": "0"}, {}))
    for task in (tasks or {"pairs": PAIRS, "tags": TAGS}).values():
        for language in languages:
            missed = [wrong(task.name, language, row) for row in range(rows)]
            make = _pairs if task.kind == "classification" else _tags
            data, outcome, metric = make(task, language, missed, gold)
            keys = {**item_keys(data), **outcome.per_item}
            outcome = replace(outcome, per_item={n: a[::order] for n, a in keys.items()})
            what = measured(task, data)
            bad = f"{task.name}/{language}" in failed
            record = CellRecord(
                schema=CELL_SCHEMA,
                id=cell_id("toy", task.name, language, seed),
                status="failed" if bad else "ok",
                created="",
                model=ModelRecord("toy", "made-up", "", {}, [], "fp32", None, weights),
                task=task_record(task, data),
                language=language_record(language),
                seed=seed,
                limit=None,
                inputs="",
                comparable_hash=digest(what),
                measured=what,
                data=data_record("none", data, what),
                result=None if bad else result_record(task, data, outcome, metric),
                failure=Failure("ValueError", "it broke", "") if bad else None,
            )
            run.write_cell(record, None if bad else outcome.per_item)
    return folder


def _pairs(task: TaskCard, language: str, missed: list[bool], gold: str) -> Any:
    items = tuple(
        Pair(str(row), "", "", gold if row == 0 else "yes", parallel=str(row))
        for row in range(len(missed))
    )
    metric = Accuracy()
    answers = ["no" if miss else item.label for item, miss in zip(items, missed, strict=True)]
    scored = metric([item.label for item in items], answers, language)
    outcome = Outcome(scored.values, scored.per_item, "", scored.variants)
    return Dataset(task.name, "test", language, items), outcome, metric


def _tags(task: TaskCard, language: str, missed: list[bool], _gold: str) -> Any:
    words, tags = ("w", "w", "w"), ("A", "B", "A")
    items = tuple(Sentence(str(row), words, tags) for row in range(len(missed)))
    metric = SeqEval()
    scored = metric(
        [tags] * len(items), [("A", "A", "A") if miss else tags for miss in missed], language
    )
    outcome = Outcome(scored.values, scored.per_item, "", scored.variants)
    return Dataset(task.name, "test", language, items), outcome, metric


def rarely(task: str, language: str, row: int) -> bool:
    return row % 5 == 0


def after(*lost: tuple[str, str, int]) -> Wrong:
    """As `rarely`, and the first N right items of these tasks and languages are lost too."""

    def wrong(task: str, language: str, row: int) -> bool:
        limits = [n for t, la, n in lost if t == task and la in (language, "*")]
        return rarely(task, language, row) or any(row < n * 5 / 4 for n in limits)

    return wrong


def base(folder: Path, *runs: Path, reason: str = "first") -> Path:
    path = folder / "base.json"
    write_baseline(path, read_side([RunFolder(run) for run in runs]), reason)
    return path


@pytest.fixture
def baseline(tmp_path: Path) -> Path:
    return base(tmp_path, write_run(tmp_path / "old", rarely))


def found(verdict: Verdict, name: str, level: str = "cell") -> Judgement:
    return next(j for j in verdict.judgements if (j.name, j.level) == (name, level))


def test_the_same_outcomes_are_identical(baseline: Path, tmp_path: Path) -> None:
    verdict = gate(baseline, write_run(tmp_path / "new", rarely), GatePolicy())
    assert (verdict.verdict, verdict.exit_code) == ("identical", 0)
    assert {j.verdict for j in verdict.judgements} == {"identical"}
    assert all(change.churn == change.answers == 0 for change in verdict.tasks.values())
    # Suite, two tasks, two languages, four cells.
    assert len(verdict.judgements) == 9


def test_the_order_of_items_in_a_file_means_nothing(baseline: Path, tmp_path: Path) -> None:
    turned = write_run(tmp_path / "new", rarely, order=-1)
    assert gate(baseline, turned, GatePolicy()).verdict == "identical"


def test_ten_losses_in_a_cell_are_ten_heads(baseline: Path, tmp_path: Path) -> None:
    run = write_run(tmp_path / "new", after(("pairs", "de", 10)), tasks={"pairs": PAIRS})
    policy = GatePolicy(floor=0.0, allow_missing=True)
    one = found(gate(baseline, run, policy), "pairs/de")
    assert one.change == pytest.approx(-5.0)
    assert (one.old, one.new) == pytest.approx((80.0, 75.0))
    # Holm over two cells, the other unchanged; 10 heads of 10.
    assert one.p == pytest.approx(2 * 2.0**-10)
    assert one.verdict == "regressed"


def test_a_loss_fails_on_all_levels_and_names_its_items(baseline: Path, tmp_path: Path) -> None:
    run = write_run(tmp_path / "new", after(("pairs", "*", 20)))
    verdict = gate(baseline, run, GatePolicy())
    assert (verdict.verdict, verdict.exit_code) == ("failed", 1)
    levels = (("cell", "pairs/de"), ("task", "pairs"), ("suite", "toy"))
    assert {found(verdict, name, level).verdict for level, name in levels} == {"regressed"}
    assert found(verdict, "tags/en").verdict == "identical"
    change = verdict.tasks["pairs"]
    assert change.churn == pytest.approx(10.0)
    assert {(item.old, item.new, item.points) for item in change.items} == {(100, 0, -0.5)}
    assert {item.item for item in change.items} <= {str(row) for row in range(25)}


def test_swapping_the_sides_turns_a_loss_into_a_gain(tmp_path: Path) -> None:
    runs = {
        "old": write_run(tmp_path / "old", rarely),
        "new": write_run(tmp_path / "new", after(("tags", "de", 30))),
    }
    (tmp_path / "other").mkdir()
    down = gate(base(tmp_path, runs["old"]), runs["new"], GatePolicy())
    up = gate(base(tmp_path / "other", runs["new"]), runs["old"], GatePolicy())
    for one, other in zip(down.judgements, up.judgements, strict=True):
        assert one.change == pytest.approx(-other.change)
        assert one.error == pytest.approx(other.error)
    assert found(down, "tags/de").verdict == "regressed"
    assert (found(up, "tags/de").verdict, up.exit_code) == ("improved", 0)


def cell_changes(parts: np.ndarray[Any, Any], languages: int) -> dict[Key, CellChange]:
    one = CellChange(80.0, 80.0 + float(parts.sum()), parts, bool(parts.any()))
    return {Key("pairs", f"l{i}"): one for i in range(languages)}


def test_copies_of_a_language_add_no_evidence() -> None:
    parts = np.random.default_rng(0).choice([-0.1, 0.0, 0.1], 300, p=[0.12, 0.8, 0.08])
    p = []
    for languages in (1, 7):
        cells = cell_changes(parts, languages)
        judged = judge_items(hypotheses_of("s", list(cells)), cells, GatePolicy(floor=0.0), 0.05)
        p.append([j.p for j in judged if j.level == "task"])
    assert p[0] == pytest.approx(p[1])
    losses, gains = int((parts < 0).sum()), int((parts > 0).sum())
    assert p[0] == [pytest.approx(binomtest(gains, losses + gains, alternative="less").pvalue)]


def test_where_little_is_known_the_detectable_drop_says_how_little(tmp_path: Path) -> None:
    def few(task: str, language: str, row: int) -> bool:
        return row % 7 == 0

    path = base(tmp_path, write_run(tmp_path / "old", rarely, rows=60))
    verdict = gate(path, write_run(tmp_path / "new", few, rows=60), GatePolicy())
    one = found(verdict, "pairs/en")
    assert (one.verdict, verdict.verdict) == ("inconclusive", "inconclusive")
    assert verdict.exit_code == 0
    assert one.error is not None
    # Floor + (z of alpha / 4 levels / 4 cells + z of 80 %) standard errors.
    assert one.detectable == pytest.approx(0.1 + (2.7344 + 0.8416) * one.error, abs=1e-3)
    strict = gate(path, tmp_path / "new", GatePolicy(inconclusive="fail"))
    assert strict.exit_code == 1


def test_a_hard_limit_needs_evidence_too(tmp_path: Path) -> None:
    path = base(tmp_path, write_run(tmp_path / "old", rarely, rows=40))
    run = write_run(tmp_path / "new", after(("pairs", "de", 4)), rows=40)
    lenient = GatePolicy(alpha=1e-9, hard_limit=5.0, hard_limit_errors=1.0)
    assert found(gate(path, run, lenient), "pairs/de").reason == "hard limit of 5 points"
    cautious = msgspec.structs.replace(lenient, hard_limit_errors=3.0)
    assert found(gate(path, run, cautious), "pairs/de").verdict == "inconclusive"


def seeds(folder: Path, name: str, lost: Mapping[int, int]) -> list[Path]:
    return [
        write_run(folder / f"{name}{s}", after(("*", "*", 0), ("pairs", "*", n), ("tags", "*", n)),
                  seed=s, weights=f"{name}{s}")
        for s, n in lost.items()
    ]  # fmt: skip


def merged(folder: Path, runs: list[Path]) -> Path:
    """The cells of several runs in one folder."""
    target = RunFolder(folder)
    target.write_run(RunFolder(runs[0]).read_run())
    for run in map(RunFolder, runs):
        for record in run.records():
            target.write_cell(record, run.read_items(record))
    return folder


def test_retrained_models_are_judged_over_seeds(tmp_path: Path) -> None:
    path = base(tmp_path, *seeds(tmp_path, "old", {1: 8, 2: 10, 3: 12, 4: 9, 5: 11}))
    same = gate(path, merged(tmp_path / "a", seeds(tmp_path, "n", {1: 9, 2: 11})), GatePolicy())
    assert {j.mode for j in same.judgements} == {"retrained"}
    assert same.exit_code == 0
    worse = gate(path, merged(tmp_path / "b", seeds(tmp_path, "m", {1: 29, 2: 31})), GatePolicy())
    assert (worse.verdict, worse.exit_code) == ("failed", 1)
    # Means over seeds: 10 and 30 of 200 items.
    assert found(worse, "pairs", "task").change == pytest.approx(-10.0, abs=0.3)


def test_too_few_seeds_are_not_judged_unless_their_spread_is_declared(tmp_path: Path) -> None:
    path = base(tmp_path, *seeds(tmp_path, "old", {1: 8}))
    run = merged(tmp_path / "a", seeds(tmp_path, "n", {2: 60}))
    unknown = gate(path, run, GatePolicy())
    assert (unknown.verdict, unknown.exit_code) == ("inconclusive", 0)
    assert unknown.judgements[0].p is None
    assert "2 seeds in all" in unknown.notes[0]
    assert gate(path, run, GatePolicy(seed_sd=0.5)).verdict == "failed"


def test_seeds_know_no_hard_limit() -> None:
    keys = [Key("t", "l")]
    old, new = np.array([[71.0], [69.0]]), np.array([[62.0]])  # 8 points are 4.6 standard errors
    judged = judge_seeds(
        hypotheses_of("s", keys), keys, old, new, np.zeros(1), GatePolicy(hard_limit=5.0), 0.0125
    )
    assert {j.verdict for j in judged} == {"inconclusive"}
    assert judged[-1].p == pytest.approx(1 / 2 - np.arctan(8 / np.sqrt(3)) / np.pi)  # Cauchy's


def test_items_that_differ_between_seeds_are_noise_by_hand(tmp_path: Path) -> None:
    runs = [RunFolder(run) for run in seeds(tmp_path, "old", {1: 8, 2: 10})]
    one, other = read_side(runs).cells[Key("pairs", "en")].values()
    new = next(iter(read_side(runs[:1]).cells[Key("pairs", "en")].values()))
    _, noise = seed_scores({Key("pairs", "en"): [(one, new), (other, new)]})
    assert noise == pytest.approx([2 * 0.5**2 / 2])  # two of 200 items, half of the difference


def test_seeds_that_agree_still_need_a_drop_above_the_floor() -> None:
    keys = [Key("t", "l")]
    old, new = np.full((2, 1), 70.0), np.full((1, 1), 69.95)
    for floor, expected in ((0.1, "held"), (0.01, "regressed")):
        policy = GatePolicy(floor=floor)
        judged = judge_seeds(hypotheses_of("s", keys), keys, old, new, np.zeros(1), policy, 0.0125)
        assert {j.verdict for j in judged} == {expected}


def test_one_retrained_language_makes_its_task_retrained(baseline: Path, tmp_path: Path) -> None:
    same = write_run(tmp_path / "en", rarely, languages=("en",))
    other = write_run(tmp_path / "de", rarely, languages=("de",), weights="x" * 64)
    verdict = gate(baseline, merged(tmp_path / "new", [same, other]), GatePolicy())
    assert {j.mode for j in verdict.judgements} == {"retrained"}


def test_seeds_are_corrected_for_the_number_of_cells() -> None:
    keys = [Key("t", f"l{i}") for i in range(4)]
    old, new = np.full((1, 4), 70.0), np.array([[67.0, 70.0, 70.0, 70.0]])
    policy = GatePolicy(seed_sd=1.0)
    judged = judge_seeds(hypotheses_of("s", keys), keys, old, new, np.zeros(4), policy, 0.0125)
    assert next(j.p for j in judged if j.name == "t/l0") == pytest.approx(4 * ndtr(-3 / np.sqrt(2)))


def test_the_spread_of_seeds_is_shrunk_toward_what_is_expected_by_hand() -> None:
    keys = [Key("a", "l"), Key("b", "l")]
    old, new = np.array([[70.0, 50.0], [72.0, 54.0]]), np.array([[71.0, 52.0]])
    # One degree of freedom: variances 2 and 8, of the mean of both (60, 63) 4.5.
    for noise, task_prior in ((1.0, 5.0), (9.0, 9.0)):  # no less than what items give
        judged = judge_seeds(
            hypotheses_of("s", keys), keys, old, new, np.full(2, noise), GatePolicy(), 0.0125
        )
        error = {(j.level, j.name): j.error for j in judged}
        expected = [(4 * task_prior + own) / 5 * 1.5 for own in (2.0, 8.0)]
        assert [error["task", name] for name in "ab"] == pytest.approx(np.sqrt(expected))
        # Tasks that are trained apart give their mean half their variance.
        suite = (4 * task_prior / 2 + 4.5) / 5 * 1.5
        assert error["suite", "s"] == pytest.approx(np.sqrt(suite))


def test_each_seed_is_paired_with_its_own_weights(tmp_path: Path) -> None:
    path = base(tmp_path, *seeds(tmp_path, "old", {1: 8, 2: 60}))
    again = merged(tmp_path / "a", seeds(tmp_path, "old", {2: 60}))
    verdict = gate(path, again, GatePolicy())
    assert verdict.verdict == "identical"
    assert {j.mode for j in verdict.judgements} == {"same weights"}


def test_tasks_of_both_cases_share_alpha(tmp_path: Path) -> None:
    def run(name: str, tags: str, wrong: Wrong = rarely) -> Path:
        write_run(tmp_path / name / "p", wrong, tasks={"pairs": PAIRS})
        write_run(tmp_path / name / "t", rarely, tasks={"tags": TAGS}, weights=tags)
        return merged(tmp_path / name / "all", [tmp_path / name / "p", tmp_path / name / "t"])

    new = run("new", "b", after(("pairs", "de", 2)))
    verdict = gate(base(tmp_path, run("old", "a")), new, GatePolicy())
    one = found(verdict, "pairs", "task")
    assert one.mode == "same weights"
    assert one.error
    # z of a half of a quarter of alpha, z of 80 %, and the floor.
    assert one.detectable == pytest.approx(0.1 + (ndtri(1 - 0.05 / 8) + ndtri(0.8)) * one.error)
    assert found(verdict, "tags", "task").mode == "retrained"
    rows = [row[0] for row in views.judgement_table(verdict).rows]
    assert rows[:2] == ["toy, same weights", "toy, retrained"]  # not two rows of one name
    assert any("half of alpha: tags" in note for note in verdict.notes)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"gold": "no"}, "gold_sha256"),
        ({"rows": 150}, "items_sha256"),
        ({"tasks": {"p": msgspec.structs.replace(PAIRS, version=2)}}, "task version 1 against 2"),
        ({"tasks": {"p": msgspec.structs.replace(PAIRS, labels=["yes", "no"])}}, "labels"),
    ],
)
def test_what_measured_something_else_is_refused(
    baseline: Path, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    run = write_run(tmp_path / "new", rarely, **changes)
    with pytest.raises(NotComparable, match=said) as refused:
        gate(baseline, run, GatePolicy(allow_missing=True))
    assert refused.value.exit_code == 4
    assert "will not judge pairs/de" in str(refused.value)


def test_cells_that_were_not_asked_for_are_a_refusal_unless_allowed(
    baseline: Path, tmp_path: Path
) -> None:
    run = write_run(tmp_path / "new", rarely, languages=("en",))
    with pytest.raises(NotComparable, match=r"lacks pairs/de, and 2 cells of the baseline in all"):
        gate(baseline, run, GatePolicy())
    allowed = gate(baseline, run, GatePolicy(allow_missing=True))
    assert (allowed.verdict, len(allowed.missing)) == ("identical", 2)


def test_failed_cells_fail_the_gate_and_all_of_them_are_no_pass(
    baseline: Path, tmp_path: Path
) -> None:
    one = write_run(tmp_path / "one", rarely, failed=("tags/de",))
    for allowed in (False, True):
        verdict = gate(baseline, one, GatePolicy(allow_missing=allowed))
        assert (verdict.verdict, verdict.exit_code) == ("failed", 1)
    everything = ("pairs/en", "pairs/de", "tags/en", "tags/de")
    none = gate(baseline, write_run(tmp_path / "none", rarely, failed=everything), GatePolicy())
    assert (none.verdict, none.exit_code, none.judgements) == ("failed", 1, [])


def test_where_no_cell_can_be_judged_there_is_no_verdict(baseline: Path, tmp_path: Path) -> None:
    run = RunFolder(write_run(tmp_path / "new", rarely))
    for record in run.records():
        without = msgspec.structs.replace(record, status="skipped", result=None, reason="no data")
        run.write_cell(without)
    assert gate(baseline, run.path, GatePolicy()).exit_code == 1
    with pytest.raises(NothingSelected, match="nothing can be judged"):
        gate(baseline, run.path, GatePolicy(allow_missing=True))


def test_nothing_in_common_is_nothing_selected(baseline: Path, tmp_path: Path) -> None:
    run = write_run(tmp_path / "new", rarely, languages=("fr",))
    with pytest.raises(NothingSelected) as nothing:
        gate(baseline, run, GatePolicy())
    assert nothing.value.exit_code == 5


def test_a_baseline_comes_back_as_it_was_written(baseline: Path, tmp_path: Path) -> None:
    written = read_side([RunFolder(tmp_path / "old")])
    stored, side = read_baseline(baseline)
    assert (stored.reason, stored.seeds, stored.model) == ("first", [42], "toy")
    assert side.cells.keys() == written.cells.keys()
    for key, by_seed in side.cells.items():
        mine, theirs = by_seed[42], written.cells[key][42]
        assert (mine.score, mine.weights) == (theirs.score, theirs.weights)
        assert mine.facts == theirs.facts
        for one, other in zip(mine.terms, theirs.terms, strict=True):
            np.testing.assert_array_equal(one, other)


def edited(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda p: p.write_bytes(p.read_bytes()[:300]), "is no baseline: Input data was truncated"),
        (lambda p: p.write_text("{}"), "is no baseline"),
        (lambda p: edited(p, "80.0", "79.0"), "was edited"),
        (lambda p: edited(p, "80.0", "NaN"), "is no baseline"),
        (lambda p: edited(p, "baseline/1", "baseline/2"), "has schema 'xharness.baseline/2'"),
        (lambda p: p.with_suffix(".npz").unlink(), "base.npz, are not beside it"),
        (lambda p: p.with_suffix(".npz").write_bytes(b"other"), "names by its digest"),
        (lambda p: p.unlink(), "make one with xharness baseline create"),
    ],
)
def test_a_spoilt_baseline_is_one_sentence(
    baseline: Path, tmp_path: Path, spoil: Callable[[Path], object], said: str
) -> None:
    run = write_run(tmp_path / "new", rarely)
    spoil(baseline)
    with pytest.raises(DataError) as complaint:
        gate(baseline, run, GatePolicy())
    assert said in str(complaint.value)


def test_a_spoilt_run_is_one_sentence(baseline: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is no run folder"):
        gate(baseline, tmp_path, GatePolicy())
    run = write_run(tmp_path / "new", rarely)
    record = run / "cells/toy/pairs/de.json"
    whole = record.read_text()
    record.write_text(whole[:200])
    with pytest.raises(DataError, match="is no cell record"):
        gate(baseline, run, GatePolicy())
    record.write_text(whole.replace("80.0", "81.0"))
    with pytest.raises(DataError, match=r"the record says 81.0000, its per-item file gives 80.00"):
        gate(baseline, run, GatePolicy())
    record.write_text(whole)
    items = run / "items/toy/pairs/de.npz"
    outcomes = dict(np.load(items))
    for spoilt, said in (
        (b"no zip", "de.npz is no npz file of plain arrays"),
        (npz_bytes({n: a for n, a in outcomes.items() if n != "correct"}), "does not have id, "),
        (npz_bytes({**outcomes, "correct": outcomes["correct"][:9]}), "does not have id, "),
        (npz_bytes({**outcomes, "correct": np.full(200, np.nan)}), "are not finite"),
    ):
        items.write_bytes(spoilt)
        digest_of = {"items": hashlib.sha256(spoilt).hexdigest()}
        record.write_text(json.dumps({**json.loads(whole), **digest_of}))
        with pytest.raises(DataError, match=said):
            gate(baseline, run, GatePolicy())
    record.write_text(whole)
    with pytest.raises(DataError, match=r"is not the file that the record of toy/pairs/de names"):
        gate(baseline, run, GatePolicy())
    items.unlink()
    with pytest.raises(DataError, match=r"is missing, which the record of toy/pairs/de names"):
        gate(baseline, run, GatePolicy())
    with pytest.raises(DataError, match=r"there is no .*nwe. Did you mean 'new'"):
        gate(baseline, tmp_path / "nwe", GatePolicy())


def test_baselines_are_refused_that_would_hide_something(tmp_path: Path) -> None:
    broken = write_run(tmp_path / "broken", rarely, failed=("tags/de",))
    with pytest.raises(Refused, match=r"1 cells failed, the first is tags/de of seed 42"):
        base(tmp_path, broken)
    whole = write_run(tmp_path / "whole", rarely)
    less = write_run(tmp_path / "less", rarely, seed=43, languages=("en",))
    with pytest.raises(Refused, match=r"seed 43 lacks pairs/de"):
        base(tmp_path, whole, less)
    other = write_run(tmp_path / "other", rarely, seed=43, gold="no")
    with pytest.raises(NotComparable, match="gold_sha256"):
        base(tmp_path, whole, other)
    with pytest.raises(Refused, match="in more than one of the runs"):
        base(tmp_path, whole, whole)
    trained = merged(tmp_path / "trained", [write_run(tmp_path / "more", rarely, seed=43)])
    for record in RunFolder(trained).records():
        phase = PhaseRecord("pairs", Recipe("other", 1e-5, 1, 8), 43, "", [])
        model = msgspec.structs.replace(record.model, lineage=[phase])
        path = trained / f"cells/{record.id}.json"
        path.write_bytes(json_bytes(msgspec.structs.replace(record, model=model)))
    with pytest.raises(Refused, match=r"or on other files \(other, against \)"):
        base(tmp_path, whole, trained)
    base(tmp_path, whole)
    with pytest.raises(Refused, match="exists; --force replaces it"):
        base(tmp_path, whole)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[tool.xharness.gate]\nalpha = 0.05\nflor = 1", ":3: unknown key 'flor'"),
        ("[tool.xharness.gate]\nflor = 1", "Did you mean 'floor'?"),
        ("[tool.xharness.gate]\nalpha = 2.0", ":2: alpha is 2.0"),
        ("[tool.xharness.gate]\nalpha = 'x'", "Expected `float`, got `str`"),
        ("[tool.xharness.gate]\nfloor = inf", ":2: floor is inf"),
        ("[tool.xharness.gate.tolerance]\ncell = -1.0", ":2: cell is -1.0"),
        ("[tool.xharness]\ngate = 3", ":2: [tool.xharness.gate] is a table"),
        ("[tool.xharness.gate.tolerance]\ncel = 1.0", "Did you mean 'cell'?"),
        ("[tool.xharness.gat]\nalpha = 0.1", ":1: unknown key 'gat' in [tool.xharness]."),
        ("[tool.xharness.gate", "pyproject.toml: "),
    ],
)
def test_settings_that_make_no_sense_are_named_with_their_line(
    tmp_path: Path, text: str, said: str
) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_text(text)
    with pytest.raises(CardError) as complaint:
        read_policy(path)
    assert said in str(complaint.value)


def test_settings_come_from_the_file_and_the_command_line(tmp_path: Path) -> None:
    path = tmp_path / "pyproject.toml"
    assert read_policy(path) == GatePolicy()
    path.write_text("[tool.xharness.gate]\nfloor = 0.2\n[tool.xharness.gate.tolerance]\ncell = 2")
    policy = read_policy(path, seed_sd=0.5)
    assert (policy.floor, policy.tolerance.cell, policy.tolerance.suite) == (0.2, 2.0, 0.3)
    assert (policy.seed_sd, policy.allow_missing) == (0.5, False)


def test_all_outputs_tell_the_same(baseline: Path, tmp_path: Path) -> None:
    lost = after(("pairs", "*", 20))
    verdict = gate(baseline, write_run(tmp_path / "new", lost, failed=("tags/de",)), GatePolicy())
    regressed = {j.name for j in verdict.judgements if j.verdict == "regressed"}
    tree = ET.fromstring(views.junit(verdict))
    failures = {
        case.get("name") for case in tree.iter("testcase") if case.find("failure") is not None
    }
    errors = {case.get("name") for case in tree.iter("testcase") if case.find("error") is not None}
    assert (failures, errors) == (regressed, {"tags/de"})
    counted = sum(int(s.get("failures", 0)) for s in tree.iter("testsuite"))
    assert counted == sum(j.verdict == "regressed" for j in verdict.judgements)
    torn = [msgspec.structs.replace(c, reason="\x00\x1b[1m") for c in verdict.missing]
    again = ET.fromstring(views.junit(msgspec.structs.replace(verdict, missing=torn)))
    assert len(list(again.iter("testcase"))) == len(list(tree.iter("testcase")))
    text = views.summary(verdict)
    assert all(f"| {name} |" in text for name in regressed)
    lines = views.workflow_commands(verdict)
    assert len([line for line in lines if line.startswith("::error ")]) <= 10
    assert any("tags/de" in line and "it broke" in line for line in lines)
    assert msgspec.json.decode(msgspec.json.encode(verdict), type=Verdict) == verdict


def test_annotations_are_few_and_escaped(baseline: Path, tmp_path: Path) -> None:
    verdict = gate(baseline, write_run(tmp_path / "new", after(("pairs", "*", 20))), GatePolicy())
    bad = [j for j in verdict.judgements if j.verdict == "regressed"]
    many = msgspec.structs.replace(
        verdict, judgements=[msgspec.structs.replace(bad[0], name="a%\nb", reason="x\ny")] * 300
    )
    lines = views.workflow_commands(many)
    assert len(lines) == 10
    assert lines[0].startswith("::error title=xharness gate%3A a%25%0Ab::regressed")
    assert "291 more" in lines[-1]
    assert all("\n" not in line for line in lines)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_levels_are_means_of_cells(seed: int, languages: list[int]) -> None:
    generator = np.random.default_rng(seed)
    cells = {}
    for t, count in enumerate(languages):
        for la in range(count):
            parts = generator.choice([-0.5, 0.0, 0.5], 50)
            cells[Key(f"t{t}", f"l{la}")] = CellChange(70.0, 70 + parts.sum(), parts, True)
    judged = judge_items(hypotheses_of("s", list(cells)), cells, GatePolicy(), 0.0125)
    change = {(j.level, j.name): j.change for j in judged}
    tasks = [change["task", f"t{t}"] for t in range(len(languages))]
    # A task counts as much as another, however many languages it has.
    assert change["suite", "s"] == pytest.approx(np.mean(tasks))
    for place, level in enumerate(("task", "language")):
        for name in {key[place] for key in cells}:
            own = [change["cell", str(key)] for key in cells if key[place] == name]
            assert change[level, name] == pytest.approx(np.mean(own))


@pytest.mark.parametrize(
    ("drop", "floor", "regressed"), [(0.05, 0.0, True), (0.05, 0.1, False), (0.3, 0.1, True)]
)
def test_a_drop_must_exceed_the_floor(drop: float, floor: float, regressed: bool) -> None:
    parts = np.full(500, -drop / 500)
    cells = {Key("t", "l"): CellChange(70.0, 70.0 - drop, parts, True)}
    judged = judge_items(hypotheses_of("s", list(cells)), cells, GatePolicy(floor=floor), 0.0125)
    assert {j.verdict == "regressed" for j in judged} == {regressed}


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run_cli(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)

    def do(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return do


def test_the_commands_from_baseline_to_verdict(
    run_cli: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(tmp_path / "old", rarely)
    write_run(tmp_path / "new", after(("pairs", "*", 20)))
    code, out, _ = run_cli("baseline", "create", "old", "-o", "base", "--reason", "release 1")
    assert code == 0
    assert "base.json: 4 cells of toy, seeds 42" in out
    code, out, _ = run_cli("gate", "old", "--baseline", "base.json")
    assert (code, out.splitlines()[0]) == (0, "Gate: identical. toy in old against base.json")
    assert json.loads((tmp_path / "old/gate.json").read_text())["verdict"] == "identical"
    summary = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    code, out, _ = run_cli("gate", "new", "--baseline", "base.json", "--junit", "gate.xml")
    assert code == 1
    assert "::error title=xharness gate%3A pairs" in out
    assert "Gate: failed" in summary.read_text()
    _, out, err = run_cli("gate", "new", "--baseline", "base.json", "--format", "json")
    assert json.loads(out)["verdict"] == "failed"
    assert "::error title=xharness gate%3A pairs" in err
    code, _, err = run_cli("gate", "new", "--baseline", "base.json", "--junit", "gate.xml")
    assert code == 2
    assert "gate.xml exists" in err


def test_a_refusal_reaches_what_reads_the_files(
    run_cli: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base(tmp_path, write_run(tmp_path / "old", rarely))
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    write_run(tmp_path / "other", rarely, gold="no")
    arguments = ("gate", "other", "--baseline", "base.json", "--junit", "gate.xml")
    code, out, err = run_cli(*arguments)
    assert code == 4
    assert out.startswith("::error title=xharness gate%3A refused::")
    (suite,) = ET.fromstring((tmp_path / "gate.xml").read_bytes())
    assert (suite.get("tests"), suite.get("errors")) == ("1", "1")
    error = suite.find("testcase/error")
    assert error is not None
    assert error.get("message") in err


def test_files_of_others_are_not_replaced(run_cli: Run, tmp_path: Path) -> None:
    base(tmp_path, write_run(tmp_path / "old", rarely))
    notes = tmp_path / "old/gate.json"
    notes.write_text("my notes")
    code, _, err = run_cli("gate", "old", "--baseline", "base.json")
    assert code == 2
    assert "no verdict; --force replaces it" in err
    assert notes.read_text() == "my notes"
    code, _, err = run_cli("gate", "old", "--baseline", "base.json", "--junit", "new.xml")
    assert (code, (tmp_path / "new.xml").exists()) == (2, False)  # not one file without the other
    assert run_cli("gate", "old", "--baseline", "base.json", "--force")[0] == 0
    code, _, err = run_cli("baseline", "create", "old", "-o", "base.json")
    assert (code, "--force replaces it" in err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["gate", "old", "-b", "base.json", "--junit", "file/x"], "file: "),
        (
            ["gate", "old", "-b", "base.json", "-o", "folder", "--force"],
            "folder exists and is no plain file",
        ),
        (["gate", "old", "-b", "base.json", "--junit", "a", "-o", "./a"], "both name a"),
        (["gate", "old", "-b", "base.json", "--seed-sd", "nan"], "--seed-sd is nan"),
        (["gate", "old", "-b", "old"], "A baseline is a file that ends in .json"),
        (["baseline", "create", "old", "-o", "file/x"], "file"),
        (["baseline", "create", "old", "old", "-o", "x"], "in more than one of the runs"),
    ],
)
def test_what_can_not_be_is_one_sentence(
    run_cli: Run, tmp_path: Path, arguments: list[str], said: str
) -> None:
    base(tmp_path, write_run(tmp_path / "old", rarely))
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    code, _, err = run_cli(*arguments)
    assert (code, said in err, len(err.splitlines())) == (2, True, 1), err
    assert (tmp_path / "file").read_text() == "mine"

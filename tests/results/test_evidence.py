"""Intervals and tests of means, against scipy's own and by how often they cover the truth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest, sem, t, ttest_ind

from xharness.records import Interval
from xharness.results.evidence import Difference, Evidence
from xharness.results.measurements import Key, Measurement, units_of
from xharness.statistics.ratio import Floats, Terms


def cell(scores: Floats, parallel: bool = False) -> Measurement:
    count = len(scores)
    ids = np.array([f"{i:05}" for i in range(count)])
    return Measurement(
        facts={},
        weights=None,
        score=float(scores.mean()),
        terms=Terms(scores.astype(np.float64), np.ones(count)),
        answers=np.zeros(count, np.uint32),
        ids=ids,
        cluster=ids,
        parallel=ids if parallel else np.full(count, ""),
    )


def evidence(*models: dict[Key, Measurement]) -> Evidence:
    return Evidence([[model] for model in models], {}, units_of(models[0]))


def evenly(cells: dict[Key, Measurement]) -> dict[Key, float]:
    return dict.fromkeys(cells, 1 / len(cells))


def width(cells: dict[Key, Measurement]) -> float:
    found = evidence(cells).interval(0, evenly(cells))
    assert isinstance(found, Interval), found
    return found.upper - found.lower


def test_copies_of_a_parallel_language_narrow_nothing() -> None:
    scores = np.random.default_rng(0).uniform(0, 100, 200)
    one = {Key("t", "en"): cell(scores)}
    copies = {Key("t", f"l{i}"): cell(scores, parallel=True) for i in range(9)}
    apart = {Key("t", f"l{i}"): cell(scores) for i in range(9)}
    assert width(copies) == pytest.approx(width(one))
    assert width(apart) == pytest.approx(width(one) / 3, rel=0.02)  # t has more degrees of freedom


def test_what_one_task_has_over_another_is_welchs_interval() -> None:
    generator = np.random.default_rng(1)
    first, other = generator.normal(60, 9, 80), generator.normal(55, 25, 45)
    cells = {Key("a", "en"): cell(first), Key("b", "en"): cell(other)}
    weights = {Key("a", "en"): 1.0, Key("b", "en"): -1.0}
    found = evidence(cells).interval(0, weights, bounds=(-100.0, 100.0))
    theirs = ttest_ind(first, other, equal_var=False).confidence_interval()
    assert isinstance(found, Interval)
    assert (found.lower, found.upper) == pytest.approx((theirs.low, theirs.high))


def test_a_gap_on_parallel_items_is_a_paired_interval() -> None:
    generator = np.random.default_rng(2)
    english = generator.uniform(0, 100, 90)
    others = [np.clip(english - 10 + generator.normal(0, 5, 90), 0, 100) for _ in range(2)]
    cells = {Key("t", "en"): cell(english, parallel=True)}
    cells |= {Key("t", f"l{i}"): cell(o, parallel=True) for i, o in enumerate(others)}
    weights = {Key("t", "en"): 1.0, Key("t", "l0"): -0.5, Key("t", "l1"): -0.5}
    gaps = english - np.mean(others, axis=0)
    found = evidence(cells).interval(0, weights, bounds=(-100.0, 100.0))
    assert isinstance(found, Interval)
    expected = t.interval(0.95, 89, gaps.mean(), sem(gaps))
    assert (found.lower, found.upper) == pytest.approx(expected)


def test_where_units_are_few_there_is_no_interval_but_the_reason() -> None:
    generator = np.random.default_rng(3)
    few = {Key("t", "en"): cell(generator.uniform(0, 100, 29))}
    assert evidence(few).interval(0, evenly(few)) == "29 items are too few (below 30)"
    # A small task decides here: its 10 items make nearly all of the variance.
    both = {Key("a", "en"): cell(generator.uniform(0, 100, 10))}
    both |= {Key("b", "en"): cell(generator.uniform(49, 51, 500))}
    assert "too few units" in str(evidence(both).interval(0, evenly(both)))


def bounds(found: Difference) -> tuple[float, float]:
    assert isinstance(found.interval, Interval)
    return found.interval.lower, found.interval.upper


def test_a_difference_is_mcnemars_test_and_turns_round() -> None:
    right = np.repeat([100.0, 0.0], [70, 30])
    better = right.copy()
    better[70:85] = 100.0  # 15 won
    better[:4] = 0.0  # 4 lost
    key = Key("t", "en")
    both = evidence({key: cell(right)}, {key: cell(better)})
    (found,) = both.differences(1, [{key: 1.0}])
    assert found is not None
    assert found.change == pytest.approx(11.0)
    assert found.p == pytest.approx(binomtest(15, 19).pvalue)
    expected = t.interval(0.95, 99, 11.0, sem(better - right))
    assert bounds(found) == pytest.approx(expected)
    (turned,) = evidence({key: cell(better)}, {key: cell(right)}).differences(1, [{key: 1.0}])
    assert turned is not None
    assert (turned.change, turned.drop_p, turned.gain_p) == pytest.approx(
        (-found.change, found.gain_p, found.drop_p)
    )
    assert bounds(turned) == pytest.approx((-expected[1], -expected[0]))


@pytest.mark.parametrize("seeds", [1, 3])
def test_a_difference_on_few_items_is_tested_and_has_no_interval(seeds: int) -> None:
    old = np.linspace(10, 90, 11)
    key = Key("t", "en")
    first, other = {key: cell(old)}, {key: cell(old - 5)}
    both = Evidence([[first] * seeds, [other] * seeds], {}, units_of(first))
    (found,) = both.differences(1, [{key: 1.0}])
    assert found is not None
    assert found.interval == "11 units are too few (below 30)"
    assert found.p < 0.01
    if seeds == 1:
        assert found.p == 2 * 2.0**-11


def test_a_cell_without_outcomes_costs_what_it_takes_part_in() -> None:
    cells = {Key("t", "en"): cell(np.arange(100.0))}
    lacking = Key("u", "en")
    some = Evidence([[cells], [cells]], {lacking: "the metric is a secret"}, units_of(cells))
    weights = {Key("t", "en"): 0.5, lacking: 0.5}
    assert some.interval(0, weights) == "the metric is a secret"
    assert some.differences(1, [weights]) == [None]
    assert isinstance(some.interval(0, {Key("t", "en"): 1.0}), Interval)


@pytest.mark.slow
@pytest.mark.parametrize("correlation", [0.3, 0.7])
def test_the_mean_of_parallel_languages_covers_the_truth(correlation: float) -> None:
    generator = np.random.default_rng(4)
    covered, draws, languages, items = 0, 400, 8, 300
    for _ in range(draws):
        shared = generator.standard_normal(items)
        own = generator.standard_normal((languages, items))
        margins = np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * own
        cells = {
            Key("t", f"l{i}"): cell(np.where(row > -0.6744898, 100.0, 0.0), parallel=True)
            for i, row in enumerate(margins)
        }
        found = evidence(cells).interval(0, evenly(cells))
        assert isinstance(found, Interval)
        covered += found.lower <= 75.0 <= found.upper
    assert abs(covered / draws - 0.95) < 3 * np.sqrt(0.95 * 0.05 / draws)


def seeds_and_items(
    generator: np.random.Generator, mean: float, seed_sd: float, seeds: int, easy: Floats
) -> list[dict[Key, Measurement]]:
    """Each seed's right and wrong answers in a task of 8 languages: `easy` (items,) is what an
    item is better than the mean by, whoever answers."""
    found = []
    for _ in range(seeds):
        moved = mean + generator.normal(0, seed_sd)
        found.append(
            {
                Key("t", f"l{i}"): cell(
                    100.0 * (generator.uniform(0, 100, len(easy)) < moved + easy), parallel=True
                )
                for i in range(8)
            }
        )
    return found


def test_copies_of_a_seed_add_nothing() -> None:
    generator = np.random.default_rng(5)
    easy = generator.normal(0, 15, 200)
    ((old,), (new,)) = (seeds_and_items(generator, m, 0, 1, easy) for m in (60, 65))
    weights = evenly(old)
    once, thrice = evidence(old, new), Evidence([[old] * 3, [new] * 3], {}, units_of(old))
    ((one,), (three,)) = (e.differences(1, [weights]) for e in (once, thrice))
    assert one
    assert three
    assert three.change == pytest.approx(one.change)
    assert bounds(three) == pytest.approx(bounds(one), abs=0.05)  # normal and t
    assert three.p == pytest.approx(one.p, abs=0.002)  # t's and the sign-flip test's
    assert thrice.interval(1, weights) == once.interval(1, weights)


def test_an_interval_over_seeds_alone_is_students() -> None:
    scores = np.array([61.0, 63.0, 68.0])
    seeds = [{Key("t", "en"): cell(s + np.tile([-1e-6, 1e-6], 50))} for s in scores]
    found = Evidence([seeds], {}, units_of(seeds[0])).interval(0, evenly(seeds[0]))
    assert isinstance(found, Interval)
    assert (found.lower, found.upper) == pytest.approx(
        t.interval(0.95, 2, scores.mean(), sem(scores)), abs=1e-4
    )


def test_seeds_and_items_err_together_as_in_a_bootstrap_of_both() -> None:
    generator = np.random.default_rng(6)
    easy = generator.normal(0, 15, 300)
    sides = [seeds_and_items(generator, m, 2.0, 30, easy) for m in (60, 63)]
    weights = evenly(sides[0][0])
    (found,) = Evidence(sides, {}, units_of(sides[0][0])).differences(1, [weights])
    assert found
    whole = [
        np.array([sum(cells[k].terms.numerator for k in weights) / 8 for cells in side])
        for side in sides
    ]
    drawn = []
    for _ in range(2000):
        items = generator.integers(0, 300, 300)
        means = [s[generator.integers(0, 30, 30)][:, items].mean() for s in whole]
        drawn.append(means[1] - means[0])
    half = float(np.diff(bounds(found))[0]) / 2
    assert np.std(drawn) * 1.97 == pytest.approx(half, rel=0.08)


@pytest.mark.slow
@pytest.mark.parametrize("seed_sd", [0.0, 1.0, 3.0])
def test_models_that_differ_in_nothing_are_rarely_told_apart(seed_sd: float) -> None:
    """Both models are as good on the average of all items and seeds, but not on each item."""
    generator = np.random.default_rng(7)
    draws, false = 300, 0
    for _ in range(draws):
        both = []
        for _ in range(2):
            easy = generator.normal(0, 10, 300)
            both.append(seeds_and_items(generator, 60, seed_sd, 3, easy))
        (found,) = Evidence(both, {}, units_of(both[0][0])).differences(1, [evenly(both[0][0])])
        assert found
        false += found.p < 0.05
    assert false / draws <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / draws)
    assert false / draws >= 0.005


@pytest.mark.slow
def test_one_language_is_held_against_what_seeds_do_in_the_others() -> None:
    generator = np.random.default_rng(8)
    draws, false, missed = 200, 0, 0
    for _ in range(draws):
        easy = generator.normal(0, 10, 1000)
        both = [seeds_and_items(generator, 60, 1.0, 3, easy) for _ in range(2)]
        for cells in both[1]:
            cells[Key("t", "l0")] = cell(
                100.0 * (generator.uniform(0, 100, 1000) < 50 + easy), parallel=True
            )
        found = Evidence(both, {}, units_of(both[0][0])).differences(
            1, [{key: 1.0} for key in both[0][0]]
        )
        p = [one.p for one in found if one]
        missed += p[0] >= 0.05 / 8
        false += any(one < 0.05 / 8 for one in p[1:])
    assert missed / draws <= 0.05
    assert false / draws <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / draws)
